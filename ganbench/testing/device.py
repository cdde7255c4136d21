"""Whether a plugin follows its samples to another device: torch's "meta" device has no data, but minds the others."""

from __future__ import annotations

CLASHES = ("not on the expected device", "device type tensor to numpy", "same device")


def clash(error: Exception) -> bool:
    """Whether tensors of two devices met. (What the "meta" device cannot do for want of data is no fault.)"""
    return any(words in str(error) for words in CLASHES)
