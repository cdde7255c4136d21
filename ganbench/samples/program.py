"""Samples from a program: a Python function, or a generator as TorchScript or ONNX. It runs only if it is trusted."""

from __future__ import annotations

import importlib.util
import inspect
import sys
import warnings
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ganbench.contracts.samples import Samples
from ganbench.device.untouched import preserved_rng
from ganbench.errors import DataError, GanbenchError, blaming, plural
from ganbench.samples.asked import Asked

TRUST = "read it first, then give --trust: it can do anything that you can"


def function_in(source: str) -> tuple[Path, str] | None:
    """``path/file.py:function`` as (path, function); None if the text is something else."""
    path, colon, name = source.rpartition(":")
    return (Path(path).expanduser(), name) if colon and path.endswith(".py") and name.isidentifier() else None


def is_script(path: Path) -> bool:
    """Whether a ``.pt`` file holds a TorchScript module, which is a program."""
    import zipfile

    if not zipfile.is_zipfile(path):
        return False
    with zipfile.ZipFile(path) as archive:
        return any(name.rpartition("/")[2] == "constants.pkl" for name in archive.namelist())


def refuse_untrusted(what: str, asked: Asked) -> None:
    """Raise DataError for a program that the user has not said to trust."""
    if not asked.trusted:
        raise DataError(f"{what} is a program, which GANBench does not run unasked", TRUST)


def from_function(path: Path, name: str, asked: Asked) -> Samples:
    """Samples from ``path/file.py:function``.

    The function is called with those of the arguments ``n``, ``seed`` and ``labels`` that it has, by name. It returns
    an array of samples, or yields batches of them until there are ``n``.

    Raises:
        DataError: it is not trusted, does not exist, or returns no array.
        PluginError: it fails.
    """
    what = f"{path.name}:{name}"
    if not path.is_file():
        raise DataError(f"'{path}' does not exist", "check the path before the colon")
    refuse_untrusted(f"'{what}'", asked)
    with preserved_rng(asked.device), blaming(f"'{what}' failed", "run it alone to see why", passing=GanbenchError):
        torch.manual_seed(asked.seed)
        make = getattr(_module(path), name, None)
        if not callable(make):
            raise DataError(f"'{path}' has no function '{name}'", "check the name after the colon")
        x = made_by(make, asked)
    return Samples(x, f"{plural(len(x), 'sample')} from {what}", assumed=(f"it was called with seed {asked.seed}",))


def made_by(make: Callable[..., Any], asked: Asked) -> Tensor:
    """The first ``n`` samples that a function returns or yields.

    Raises:
        DataError: it needs other arguments, or makes no samples.
    """
    offered = {"n": asked.count, "seed": asked.seed, "labels": asked.labels}
    parameters = inspect.signature(make).parameters.values()
    needed = [p.name for p in parameters if p.default is p.empty and p.kind not in (p.VAR_KEYWORD, p.VAR_POSITIONAL)]
    if unknown := [name for name in needed if name not in offered]:
        raise DataError(
            f"the function asks for '{unknown[0]}', which GANBench does not know",
            "it may ask for n, seed and labels; give anything else a default",
        )
    known = {p.name for p in parameters}
    made = make(**{name: value for name, value in offered.items() if name in known})
    return collected(iter(made), asked.count) if isinstance(made, Iterator) else as_samples(made)


def collected(batches: Iterator[Any], count: int) -> Tensor:
    """Batches joined to at least ``count`` samples, or all that there are. A batch may be ``(samples, labels)``."""
    parts, have = list[Tensor](), 0
    while have < count and (batch := next(batches, None)) is not None:
        parts.append(as_samples(batch[0] if isinstance(batch, tuple | list) and len(batch) == 2 else batch))
        have += len(parts[-1])
    if not parts:
        raise DataError("the program made no samples", "let it return an array, or yield batches")
    return torch.cat(parts)


def as_samples(made: Any) -> Tensor:
    """Whatever a program returns as a tensor on the CPU.

    Raises:
        DataError: it is no array of numbers.
    """
    if isinstance(made, Tensor):
        return made.detach().cpu()
    array = np.asarray(made)
    if array.dtype.kind not in "biufc" or not array.ndim:
        raise DataError(
            f"the program returned {type(made).__name__}, not an array of samples", "let it return [n, ...]"
        )
    return torch.from_numpy(np.ascontiguousarray(array))


def from_script(path: Path, asked: Asked) -> Samples:
    """Samples from a generator in TorchScript, ``z[B, Z] -> x[B, *shape]``, or ``(z, labels)`` where it takes labels.

    The number of latents is its attribute ``z_dim``, or the one that the user gives. Latents are normal.

    Raises:
        DataError: it is not trusted, cannot be read, or does not say how many latents it takes.
        PluginError: it fails.
    """
    refuse_untrusted(f"'{path.name}'", asked)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # torch says of TorchScript as such that it is deprecated
            generator = torch.jit.load(path, map_location=asked.device).eval()
    except (RuntimeError, ValueError) as error:
        raise DataError(f"'{path}' cannot be read as TorchScript", "save it with torch.jit.save") from error
    z_dim = asked.z_dim or int(getattr(generator, "z_dim", 0))

    def make(z: Tensor, labels: Tensor | None) -> Any:
        return generator(z) if labels is None else generator(z, labels)

    takes_labels = len(generator.forward.schema.arguments) > 2  # the first is the module itself
    return _generated(path, make, z_dim, asked, takes_labels=takes_labels)


def from_onnx(path: Path, asked: Asked) -> Samples:
    """Samples from a generator in ONNX, with one input of latents ``[B, Z]`` and perhaps one of whole-number labels.

    Raises:
        DataError: it is not trusted, onnxruntime is missing, or its inputs are others.
        PluginError: it fails.
    """
    refuse_untrusted(f"'{path.name}'", asked)
    try:
        import onnxruntime
    except ImportError as error:
        raise DataError("generators in ONNX need onnxruntime", "pip install 'ganbench[onnx]'") from error
    with blaming(f"'{path.name}' cannot be read as ONNX", "export it again"):
        session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    latents = [one for one in session.get_inputs() if "float" in one.type]
    others = [one for one in session.get_inputs() if "int" in one.type]
    if len(latents) != 1 or len(others) > 1 or len(latents) + len(others) != len(session.get_inputs()):
        inputs = ", ".join(f"{one.name} {one.type}" for one in session.get_inputs())
        raise DataError(f"'{path.name}' takes {inputs}", "it may take latents [B, Z] and whole-number labels [B]")
    fixed = [size for size in latents[0].shape[1:] if isinstance(size, int)]
    z_dim = asked.z_dim or (fixed[0] if fixed else 0)

    def make(z: Tensor, labels: Tensor | None) -> Any:
        given: Mapping[str, np.ndarray] = {latents[0].name: z.numpy()}
        if labels is not None:
            given = {**given, others[0].name: labels.numpy()}
        return session.run(None, given)[0]

    return _generated(path, make, z_dim, asked, takes_labels=bool(others))


def _generated(
    path: Path, make: Callable[[Tensor, Tensor | None], Any], z_dim: int, asked: Asked, *, takes_labels: bool
) -> Samples:
    """Samples of a generator from normal latents, batch by batch."""
    if not z_dim:
        raise DataError(f"'{path.name}' does not say how many latents it takes", "give their number: --z-dim 128")
    if takes_labels and asked.labels is None:
        raise DataError(f"'{path.name}' takes labels, but these data have none", "judge it under another protocol")
    rng, parts = torch.Generator().manual_seed(asked.seed), list[Tensor]()
    with torch.inference_mode(), blaming(f"'{path.name}' failed", "run it alone to see why", passing=GanbenchError):
        for start in range(0, asked.count, asked.batch):
            size = min(asked.batch, asked.count - start)
            labels = asked.labels[start : start + size] if takes_labels and asked.labels is not None else None
            parts.append(as_samples(make(torch.randn(size, z_dim, generator=rng), labels)))
    x = torch.cat(parts)
    return Samples(
        x,
        f"{plural(len(x), 'sample')} made by {path.name}",
        asked.labels if takes_labels else None,
        assumed=(f"its {z_dim} latents are normal, with seed {asked.seed}",),
    )


def _module(path: Path) -> ModuleType:
    """The module of a file, which can import its neighbours."""
    spec = importlib.util.spec_from_file_location(f"_samples_of_{path.stem}", path)
    assert spec is not None
    assert spec.loader is not None  # every .py file has one
    module = importlib.util.module_from_spec(spec)
    sys.path.insert(0, str(path.parent.absolute()))
    try:
        spec.loader.exec_module(module)
    finally:
        sys.path.pop(0)
    return module
