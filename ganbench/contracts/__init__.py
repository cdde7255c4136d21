"""The contracts: what a plugin implements and what it receives, one file per kind."""
