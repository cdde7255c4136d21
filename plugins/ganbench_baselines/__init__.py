"""The components that ship with GANBench, registered through entry points like any third party's."""
