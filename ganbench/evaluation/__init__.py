"""Samples -> features -> scores, and whether these can be trusted."""
