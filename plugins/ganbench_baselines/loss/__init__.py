"""Losses: a module for each, and one of gradient penalties that several share."""
