"""The components that come with GANBench, registered through entry points like anybody else's."""
