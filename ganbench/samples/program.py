"""Samples from a Python function, in a file or handed over. One in a file runs only if it is trusted."""

from __future__ import annotations

import importlib.util
import inspect
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import torch
from torch import nn

from ganbench.contracts.samples import Samples
from ganbench.device.untouched import preserved_rng
from ganbench.errors import DataError, GanbenchError, blaming, plural
from ganbench.samples.asked import Asked
from ganbench.samples.batches import Batch, batch_of, collected

TRUST = "read it first, then pass trust=True: it can do anything that you can"
OFFERED = ("n", "seed", "labels")
"""The arguments that a function may ask for."""


def function_in(source: str) -> tuple[Path, str] | None:
    """``path/file.py:function`` as (path, function); None if the text is something else."""
    path, colon, name = source.rpartition(":")
    return (Path(path).expanduser(), name) if colon and path.endswith(".py") and name.isidentifier() else None


def refuse_untrusted(what: str, asked: Asked) -> None:
    """Raise DataError for a program that the user has not said to trust."""
    if not asked.trusted:
        raise DataError(f"{what} is a program, which GANBench does not run without your permission", TRUST)


def refuse_module(source: Any) -> None:
    """Raise DataError for a torch module: it does not say which latents it takes."""
    if isinstance(source, nn.Module):
        raise DataError(
            f"{type(source).__name__} is a torch module, which does not say what it takes",
            "give a function that calls it, as in `lambda n: G(torch.randn(n, z_dim))`",
        )


def from_function(path: Path, name: str, asked: Asked) -> Samples:
    """Samples from ``path/file.py:function``, called as in ``made_by``.

    Raises:
        DataError: it is not trusted, does not exist, or returns no array.
        PluginError: it fails.
    """
    what = f"{path.name}:{name}"
    if not path.is_file():
        raise DataError(f"'{path}' does not exist", "check the path before the colon")
    refuse_untrusted(f"'{what}'", asked)
    with preserved_rng(asked.device), blaming(f"'{what}' failed", "run it alone to see why", passing=GanbenchError):
        torch.manual_seed(asked.seed)  # a module may draw weights when it is imported
        make = getattr(_module(path), name, None)
        if not callable(make):
            raise DataError(f"'{path}' has no function '{name}'", "check the name after the colon")
        return made_by(make, asked, what)


def made_by(make: Callable[..., Any], asked: Asked, name: str) -> Samples:
    """The samples that a function returns or yields, called by ``name`` in sentences.

    It is called with those of the arguments ``n``, ``seed`` and ``labels`` that it has, by name. It returns an array of
    samples or ``(samples, labels)``, or yields batches of them until there are ``n``. If it takes labels and returns
    none, those are the labels of its samples.

    Raises:
        DataError: it needs other arguments, or makes no samples.
    """
    refuse_module(make)
    offered = {"n": asked.count, "seed": asked.seed, "labels": asked.labels}
    wanted = _wanted(make, asked)
    with preserved_rng(asked.device):
        torch.manual_seed(asked.seed)
        made = make(**{argument: offered[argument] for argument in wanted})
        yields = isinstance(made, Iterator)
        batch = collected(made, asked.count) if yields else batch_of(made)
    assumed = [f"it was called with seed {asked.seed}"]
    if "labels" in wanted and batch.labels is None and asked.labels is not None:
        batch = _for_labels(batch, asked.labels, yields=yields)
        assumed.append("it made one sample for each label that it was given, in their order")
    return Samples(batch.x, f"{plural(len(batch.x), 'sample')} from {name}", batch.labels, assumed=tuple(assumed))


def _wanted(make: Callable[..., Any], asked: Asked) -> list[str]:
    """Those of the arguments on offer that a function has.

    Raises:
        DataError: it needs others, or they are unknown.
    """
    hint = "it may ask for n, seed and labels; give anything else a default"
    try:
        parameters = inspect.signature(make).parameters.values()
    except (TypeError, ValueError) as error:  # of a function that is written in C
        raise DataError("the function does not say which arguments it takes", "give a lambda that calls it") from error
    needed = [p.name for p in parameters if p.default is p.empty and p.kind not in (p.VAR_KEYWORD, p.VAR_POSITIONAL)]
    if unknown := [name for name in needed if name not in OFFERED]:
        raise DataError(f"the function asks for '{unknown[0]}', which GANBench does not know", hint)
    if "labels" in needed and asked.labels is None:
        raise DataError("the function asks for labels, but these data have none", "give its labels a default")
    return [p.name for p in parameters if p.name in OFFERED]


def _for_labels(batch: Batch, labels: torch.Tensor, *, yields: bool) -> Batch:
    """The samples with the labels that they were made for, in the same order.

    The last batch of a function that yields may go beyond the labels.

    Raises:
        DataError: their numbers differ.
    """
    x = batch.x[: len(labels)] if yields else batch.x
    if len(x) != len(labels):
        raise DataError(
            f"the function was given {len(labels):,} labels, but made {plural(len(x), 'sample')}",
            "let it make one sample for each label, or return (samples, labels)",
        )
    return Batch(x, labels)


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
