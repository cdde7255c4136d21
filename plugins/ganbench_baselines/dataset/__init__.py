"""Datasets, one module each, and modules for the parts they share."""
