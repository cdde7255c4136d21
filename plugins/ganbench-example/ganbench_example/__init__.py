"""A GANBench plugin: one file a component, each announced in pyproject.toml."""
