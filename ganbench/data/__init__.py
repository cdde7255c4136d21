"""Data on disk: where it is found, and arrays that are prepared there once."""
