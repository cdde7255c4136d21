"""Feature extractors, and the scripts that trained those whose weights ship with the package."""
