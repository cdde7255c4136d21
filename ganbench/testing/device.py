"""Whether a plugin follows its samples to another device.

torch's "meta" device stands in for a GPU: it holds no data, but refuses tensors of other devices.
"""

from __future__ import annotations

CLASHES = ("not on the expected device", "device type tensor to numpy", "same device")


def clash(error: Exception) -> bool:
    """Whether tensors of two devices met. (An operation that "meta" cannot do without data is no fault.)"""
    return any(words in str(error) for words in CLASHES)
