"""GAN architectures, one module each, and modules for the parts they share."""
