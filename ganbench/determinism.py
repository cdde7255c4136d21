"""Same run, same bits: how a process is set up, and which operations could not keep to it."""

from __future__ import annotations

import os
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch.utils import deterministic

_MARK = "does not have a deterministic implementation"


def configure() -> None:
    """Make a process reproducible: kernels with a deterministic form, and no TF32."""
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    torch.use_deterministic_algorithms(True, warn_only=True)
    deterministic.fill_uninitialized_memory = False  # type: ignore[attr-defined]  # guards against bugs only
    torch.backends.cudnn.benchmark = False
    torch.backends.cudnn.allow_tf32 = False
    torch.backends.cuda.matmul.allow_tf32 = False


@contextmanager
def noting_nondeterminism(found: set[str]) -> Iterator[None]:
    """Collect, as they come, the operations of which torch warns that they have no deterministic form."""
    with warnings.catch_warnings():
        warnings.filterwarnings("always", message=f".*{_MARK}")
        show = warnings.showwarning

        def note(message: Warning | str, *rest: Any, **named: Any) -> None:
            name, mark, _ = str(message).partition(_MARK)
            if mark:
                found.add(name.strip())
            else:
                show(message, *rest, **named)

        warnings.showwarning = note
        yield
