"""Process-wide settings that plugins must not change, because they affect other plugins and the core."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

import numpy as np
import torch

from ganbench.testing.finding import Finding

NAME = "global-switches-stay-as-they-are"
WHY = (
    "One process builds, trains and evaluates many plugins. A plugin that sets torch's default dtype or device, the "
    "number of threads, the precision of matrix products, grad mode or the working directory changes the results of "
    "the others, or breaks them, and no record says so."
)


class Switch(NamedTuple):
    """How to read a setting, and how to restore it."""

    read: Callable[[], Any]
    write: Callable[[Any], Any]

    def state(self) -> Any:
        """The setting's value; torch raises an error while its old and new names for one precision disagree."""
        try:
            return self.read()
        except RuntimeError:
            return "mixed"


def _attribute(owner: Any, name: str) -> Switch:
    return Switch(lambda: getattr(owner, name), lambda value: setattr(owner, name, value))


def _flushes_denormals() -> bool:
    return (torch.tensor(1e-39, dtype=torch.float32, device="cpu") * 1).item() == 0


_CUDNN: Any = torch.backends.cudnn  # torch's stubs are incomplete

# The new names of the precisions come before the old ones: restored in this order, both agree again.
SWITCHES = {
    "torch's default dtype": Switch(torch.get_default_dtype, torch.set_default_dtype),
    "torch's default device": Switch(torch.get_default_device, torch.set_default_device),
    "torch's grad mode": Switch(torch.is_grad_enabled, torch.set_grad_enabled),
    "torch's anomaly detection": Switch(torch.is_anomaly_enabled, torch.autograd.set_detect_anomaly),
    "torch's number of threads": Switch(torch.get_num_threads, torch.set_num_threads),
    "torch's deterministic algorithms": Switch(torch.get_deterministic_debug_mode, torch.set_deterministic_debug_mode),
    "torch's flushing of denormals": Switch(_flushes_denormals, torch.set_flush_denormal),
    "torch.backends.fp32_precision": _attribute(torch.backends, "fp32_precision"),
    "torch.backends.cuda.matmul.fp32_precision": _attribute(torch.backends.cuda.matmul, "fp32_precision"),
    "torch.backends.cudnn.conv.fp32_precision": _attribute(_CUDNN.conv, "fp32_precision"),
    "torch.backends.cudnn.rnn.fp32_precision": _attribute(_CUDNN.rnn, "fp32_precision"),
    "torch's float32 matmul precision": Switch(torch.get_float32_matmul_precision, torch.set_float32_matmul_precision),
    "torch.backends.cuda.matmul.allow_tf32": _attribute(torch.backends.cuda.matmul, "allow_tf32"),
    "torch.backends.cudnn.allow_tf32": _attribute(torch.backends.cudnn, "allow_tf32"),
    "torch.backends.cudnn.enabled": _attribute(torch.backends.cudnn, "enabled"),
    "torch.backends.cudnn.benchmark": _attribute(torch.backends.cudnn, "benchmark"),
    "torch.backends.cudnn.deterministic": _attribute(torch.backends.cudnn, "deterministic"),
    "torch.backends.mkldnn.enabled": _attribute(torch.backends.mkldnn, "enabled"),
    "numpy's error handling": Switch(np.geterr, lambda value: np.seterr(**value)),
    "the working directory": Switch(os.getcwd, os.chdir),
    "Python's recursion limit": Switch(sys.getrecursionlimit, sys.setrecursionlimit),
}


@contextmanager
def switches_kept() -> Iterator[list[str]]:
    """Restore every setting that the block changes. Afterwards, the list names them with both values."""
    before, changed = {name: switch.state() for name, switch in SWITCHES.items()}, list[str]()
    try:
        yield changed
    finally:
        for name, was in before.items():
            now = SWITCHES[name].state()
            if now != was:
                changed.append(f"{name} from {was} to {now}")
                SWITCHES[name].write(was)


def findings_of(changed: list[str], where: str = "") -> list[Finding]:
    """The finding for changed settings, if any."""
    if not changed:
        return []
    return [
        Finding(
            seen=f"it changed {'; '.join(changed)}",
            expected="unchanged process-wide settings",
            mend="pass dtype= and device= when creating tensors, use `with torch.no_grad():`, and leave the rest alone",
            where=where,
            check=NAME,
            why=WHY,
        )
    ]
