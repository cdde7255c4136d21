"""Metrics: a module for each, and modules of parts that several share."""
