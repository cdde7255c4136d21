"""A GANBench plugin. Each file holds one component, declared in pyproject.toml."""
