"""Checks whether a plugin follows its samples to another device.

torch's "meta" device stands in for a GPU: it holds no data, but rejects tensors on other devices.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

from ganbench.errors import told
from ganbench.testing.finding import Finding

CLASHES = ("not on the expected device", "device type tensor to numpy", "same device")
MODULES = "use register_buffer for constants, and device=x.device for tensors made in forward"
"""How to fix a module of which some tensors do not move."""


def clashes(act: Callable[[], object], what: str, expected: str, mend: str) -> Iterator[Finding]:
    """The finding that tensors on two devices were combined while ``act`` ran with ``what`` on the "meta" device.

    An operation that "meta" cannot do without data is not a finding.
    """
    try:
        act()
    except Exception as error:
        if any(words in str(error) for words in CLASHES):
            yield Finding(f"with {what} on the device 'meta': {told(error)}", expected, mend)
