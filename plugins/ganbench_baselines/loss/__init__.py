"""GAN losses, one module each, and a module for the gradient penalties they share."""
