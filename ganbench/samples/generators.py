"""Samples from the file of a generator, in TorchScript or ONNX, which runs only if it is trusted."""

from __future__ import annotations

import warnings
import zipfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from ganbench.contracts.samples import Samples
from ganbench.device.untouched import preserved_rng
from ganbench.errors import DataError, GanbenchError, PluginError, blaming, legible, plural
from ganbench.samples.asked import Asked
from ganbench.samples.batches import as_samples
from ganbench.samples.program import refuse_untrusted

WRAP = "write a function that calls it, and give that: path/file.py:function"
Make = Callable[[Tensor, Tensor | None], Any]
"""``(z[B, ...], labels[B] or None) -> x[B, *shape]``."""


class Inputs(NamedTuple):
    """What a generator takes: latents ``[B, *latent]``, labels ``[B]`` or none, and a fixed B unless ``batch`` is 0."""

    latent: tuple[int, ...]
    labels: bool = False
    batch: int = 0

    def __str__(self) -> str:
        return f"[{', '.join(['N', *map(str, self.latent)])}]"


def is_script(path: Path) -> bool:
    """Whether a ``.pt`` file holds a TorchScript module, which is a program."""
    if not zipfile.is_zipfile(path):
        return False
    with zipfile.ZipFile(path) as archive:
        return any(name.rpartition("/")[2] == "constants.pkl" for name in archive.namelist())


def from_script(path: Path, asked: Asked) -> Samples:
    """Samples from a generator in TorchScript, ``z[B, Z] -> x[B, *shape]``, or ``(z, labels)`` where it takes labels.

    If it does not take latents ``[B, Z]``, it gets ``[B, Z, 1, 1]``. Z is its attribute ``z_dim``, or what the user
    gives. Latents are normal.

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
    stated = getattr(generator, "z_dim", 0)
    z_dim = _latents(path, stated if isinstance(stated, int) else 0, asked)

    def make(z: Tensor, labels: Tensor | None) -> Any:
        z = z.to(asked.device)
        return generator(z) if labels is None else generator(z, labels.to(asked.device))

    takes_labels = len(generator.forward.schema.arguments) > 2  # the first is the module itself
    _refuse_without_labels(path, asked, takes_labels=takes_labels)
    return _generated(path, make, [Inputs(tail, takes_labels) for tail in ((z_dim,), (z_dim, 1, 1))], asked)


def from_onnx(path: Path, asked: Asked) -> Samples:
    """Samples from a generator in ONNX, with an input of latents and perhaps one of whole-number labels ``[B]``.

    Latents are ``[B, Z]`` or ``[B, Z, 1, 1]``, as the file says. If it fixes B, batches have that size.

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
    inputs = session.get_inputs()
    latents, others = _inputs_of(path, inputs)
    shape = [size if isinstance(size, int) else 0 for size in latents.shape]  # 0: any
    z_dim = _latents(path, shape[1], asked)
    _refuse_without_labels(path, asked, takes_labels=bool(others))

    def make(z: Tensor, labels: Tensor | None) -> Any:
        given = {latents.name: z.numpy().astype(NUMBERS[latents.type])}
        if labels is not None:
            given[others[0].name] = labels.numpy().astype(NUMBERS[others[0].type])
        return session.run(None, given)[0]

    batch = next((one.shape[0] for one in inputs if one.shape and isinstance(one.shape[0], int)), 0)
    return _generated(path, make, [Inputs((z_dim, *[1] * (len(shape) - 2)), bool(others), batch)], asked)


NUMBERS = {
    "tensor(float)": np.float32,
    "tensor(float16)": np.float16,
    "tensor(double)": np.float64,
    "tensor(int64)": np.int64,
    "tensor(int32)": np.int32,
}
"""The types of inputs of an ONNX file, by their names there."""


def _inputs_of(path: Path, inputs: Sequence[Any]) -> tuple[Any, list[Any]]:
    """The input of latents, and that of labels if there is one.

    Raises:
        DataError: there are others.
    """
    latents = [one for one in inputs if one.type in NUMBERS and "int" not in one.type]
    others = [one for one in inputs if one.type in NUMBERS and "int" in one.type]
    if len(latents) == 1 and len(others) <= 1 and len(latents) + len(others) == len(inputs):
        rest = latents[0].shape[2:]
        if len(latents[0].shape) in (2, 4) and not any(isinstance(size, int) and size != 1 for size in rest):
            return latents[0], others
    told = ", ".join(f"{one.name} {one.type} {list(one.shape)}" for one in inputs)
    raise DataError(
        f"'{path.name}' takes {told}", f"it may take latents [B, Z] and whole-number labels [B]; otherwise, {WRAP}"
    )


# -- both --------------------------------------------------------------------------------------------------------------


def _latents(path: Path, stated: int, asked: Asked) -> int:
    """The number of latents, from the file or else from the user.

    Raises:
        DataError: neither says it, or they disagree.
    """
    if stated and asked.z_dim not in (0, stated):
        raise DataError(f"'{path.name}' takes {stated} latents, but z_dim={asked.z_dim} was given", "leave it out")
    if not (stated or asked.z_dim):
        raise DataError(f"'{path.name}' does not say how many latents it takes", "pass their number: z_dim=128")
    return stated or asked.z_dim


def _refuse_without_labels(path: Path, asked: Asked, *, takes_labels: bool) -> None:
    if takes_labels and asked.labels is None:
        raise DataError(f"'{path.name}' takes labels, but these data have none", "judge it under another protocol")


def _generated(path: Path, make: Make, possible: Sequence[Inputs], asked: Asked) -> Samples:
    """Samples of a generator from normal latents, batch by batch, with the first inputs that it takes."""
    with preserved_rng(asked.device), torch.inference_mode():
        inputs = _taken(path, make, possible, asked)
        torch.manual_seed(asked.seed)  # a generator may draw noise of its own
        with blaming(f"'{path.name}' failed", WRAP, passing=GanbenchError):
            rng = torch.Generator().manual_seed(asked.seed)
            starts = range(0, asked.count, inputs.batch or asked.batch)
            x = torch.cat([_batch(make, inputs, asked, rng, start) for start in starts])
    also = f" and have the shape {inputs}" if len(inputs.latent) > 1 else ""
    return Samples(
        x,
        f"{plural(len(x), 'sample')} made by {path.name}",
        asked.labels if inputs.labels else None,
        assumed=(f"its {inputs.latent[0]} latents are normal{also}, with seed {asked.seed}",),
    )


def _batch(make: Make, inputs: Inputs, asked: Asked, rng: torch.Generator, start: int) -> Tensor:
    """The samples from ``start`` on; a generator of fixed batches makes some that are left out of the last one."""
    size = min(inputs.batch or asked.batch, asked.count - start)
    labels = asked.labels[start : start + size] if inputs.labels and asked.labels is not None else None
    if labels is not None and size < inputs.batch:
        labels = torch.cat([labels, labels[-1:].expand(inputs.batch - size)])
    return as_samples(make(torch.randn(inputs.batch or size, *inputs.latent, generator=rng), labels))[:size]


def _taken(path: Path, make: Make, possible: Sequence[Inputs], asked: Asked) -> Inputs:
    """The first of the possible inputs that do not make the generator fail.

    Raises:
        PluginError: it fails on all of them; the message has the last line of the first failure.
    """
    failures = list[str]()
    for inputs in possible:
        try:
            _batch(make, inputs, asked, torch.Generator().manual_seed(asked.seed), 0)
        except GanbenchError:
            raise
        except Exception as error:  # a generator may raise anything
            failures.append(legible(error).strip().rpartition("\n")[2] or type(error).__name__)
        else:
            return inputs
    shapes = " and ".join(map(str, possible))
    raise PluginError(f"'{path.name}' fails on latents of shape {shapes}: {failures[0]}", WRAP)
