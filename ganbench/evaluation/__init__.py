"""Samples -> features -> scores, and checks of whether the scores can be trusted."""
