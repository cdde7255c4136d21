"""What a CUDA graph does, on a CPU: operations are recorded with the memory they read and write, and carried out again
on that same memory, with whatever numbers Python held when they were recorded."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

WAITS = {"aten::_local_scalar_dense", "aten::nonzero", "aten::masked_select", "aten::equal", "aten::_unique2"}
"""Operations for which the host waits on a device; a capture breaks at them."""


class _NoWaiting(TorchDispatchMode):
    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if func._schema.name in WAITS:
            raise RuntimeError(f"called a synchronizing operation: {func._schema.name}")
        return func(*args, **(kwargs or {}))


class _Tape(TorchDispatchMode):
    def __init__(self) -> None:
        super().__init__()
        self.entries: list[tuple[Any, Any, Any, Any]] = []

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        out = func(*args, **(kwargs or {}))
        self.entries.append((func, args, kwargs or {}, out))
        return out

    @torch.no_grad()
    def replay(self) -> None:
        for func, args, kwargs, out in self.entries:
            again = func(*args, **kwargs)
            for old, new in zip(tree_leaves(out), tree_leaves(again), strict=True):
                if isinstance(old, Tensor) and not old._is_zerotensor() and not torch._C._is_alias_of(old, new):
                    old.copy_(new)


class TapeRecorder:
    """A recorder for tests."""

    def __init__(self) -> None:
        self.recordings = 0
        self.replays = 0

    def stream(self) -> Any:
        return nullcontext()

    @contextmanager
    def rehearsal(self) -> Iterator[None]:
        with _NoWaiting():
            yield

    def record(self, work: Callable[[], None]) -> Callable[[], None]:
        tape = _Tape()
        with tape:
            work()
        self.recordings += 1

        def replay() -> None:
            self.replays += 1
            tape.replay()

        return replay
