"""Protocols: a module for each, whose rules never change under a name."""
