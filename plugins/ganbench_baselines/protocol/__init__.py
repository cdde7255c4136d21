"""Protocols, one module each; the rules under a name never change."""
