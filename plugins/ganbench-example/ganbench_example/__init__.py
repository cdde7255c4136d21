"""A GANBench plugin: one file per component, each declared in pyproject.toml."""
