"""Feature extractors, and the scripts that trained the ones whose weights ship with the package."""
