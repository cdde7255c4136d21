"""Bitwise reproducibility: configures a process, and notes operations without a deterministic implementation."""

from __future__ import annotations

import os
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import torch
from torch.utils import deterministic

from ganbench.errors import PluginError

_MARK = "does not have a deterministic implementation"


def configure(threads: int) -> None:
    """Make a process reproducible, whatever ran in it before: deterministic kernels if they exist, and no TF32."""
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    torch.set_num_threads(threads)
    torch.set_grad_enabled(True)
    _set_default_device("cpu")
    torch.set_default_dtype(torch.float32)
    torch.set_flush_denormal(False)
    torch.set_deterministic_debug_mode("warn")  # like use_deterministic_algorithms, which also imports inductor
    deterministic.fill_uninitialized_memory = False  # type: ignore[attr-defined]  # only guards against bugs
    torch.backends.mkldnn.enabled = True  # type: ignore[assignment]
    torch.backends.cudnn.enabled = True
    torch.backends.cudnn.benchmark = False
    torch.backends.cudnn.allow_tf32 = False
    torch.backends.cuda.matmul.allow_tf32 = False


def _set_default_device(name: str) -> None:
    """Set the default device only if it differs, because setting it, even to the CPU, slows every operation."""
    if str(torch.get_default_device()) != name:
        torch.set_default_device(None if name == "cpu" else name)


@contextmanager
def configured(threads: int) -> Iterator[None]:
    """Make this process reproducible inside the block, then restore its settings."""
    before = torch_settings()
    fill = deterministic.fill_uninitialized_memory  # type: ignore[attr-defined]  # missing from torch's stubs
    mode = torch.get_deterministic_debug_mode()
    configure(threads)
    try:
        yield
    finally:
        torch.set_num_threads(before["threads"])
        torch.set_grad_enabled(before["gradients"])
        _set_default_device(before["default device"])
        torch.set_default_dtype(getattr(torch, before["default dtype"].removeprefix("torch.")))
        torch.set_flush_denormal(before["a denormal"] == 0)
        torch.set_deterministic_debug_mode(mode)
        deterministic.fill_uninitialized_memory = fill  # type: ignore[attr-defined]  # as above
        torch.backends.mkldnn.enabled = before["mkldnn"]
        torch.backends.cudnn.enabled = before["cudnn"]
        torch.backends.cudnn.benchmark = before["cudnn.benchmark"]
        torch.backends.cudnn.allow_tf32 = before["cudnn.allow_tf32"]
        torch.backends.cuda.matmul.allow_tf32 = before["matmul.allow_tf32"]


def torch_settings() -> dict[str, Any]:
    """The settings of this process that change bits, and that no plugin may touch."""
    return {
        "threads": torch.get_num_threads(),
        "gradients": torch.is_grad_enabled(),
        "default device": str(torch.get_default_device()),
        "default dtype": str(torch.get_default_dtype()),
        "deterministic algorithms": torch.are_deterministic_algorithms_enabled(),
        "mkldnn": bool(torch.backends.mkldnn.enabled),
        "cudnn": bool(torch.backends.cudnn.enabled),
        "cudnn.benchmark": torch.backends.cudnn.benchmark,
        "cudnn.allow_tf32": torch.backends.cudnn.allow_tf32,
        "matmul.allow_tf32": _matmul_tf32(),
        "a denormal": (torch.tensor(1e-39, device="cpu") * 1).item(),
    }


def refuse_changed(before: Mapping[str, Any]) -> None:
    """Raise PluginError if the settings differ from ``before``.

    A plugin that changes them changes the rules, so its run cannot be compared with others.
    """
    changed = [f"{name} {before[name]} -> {now}" for name, now in torch_settings().items() if now != before[name]]
    if changed:
        raise PluginError(f"a plugin changed torch's settings ({', '.join(changed)})", "it must leave them alone")


def _matmul_tf32() -> bool | str:
    """Whether matrix products may use TF32; torch raises an error once the setting's newer name was used."""
    try:
        return bool(torch.backends.cuda.matmul.allow_tf32)
    except RuntimeError:
        return "set by its newer name"


@contextmanager
def noting_nondeterminism(found: set[str]) -> Iterator[None]:
    """Collect the operations that have no deterministic implementation, according to torch's warnings."""
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
