"""The training loop: budget, updates, averaging, speed."""
