"""Results that depend on real samples alone, kept on disk under a hash of everything they depend on."""

from __future__ import annotations

import hashlib
import os
import platform
import tempfile
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import msgspec
import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor

from ganbench.contracts.memo import Memo, Results, fingerprint
from ganbench.device.determinism import settings
from ganbench.errors import RecordError
from ganbench.plugins.source import source_hash
from ganbench.records.files import write_atomically
from ganbench.records.provenance import environment
from ganbench.records.record import Component

VARIABLE = "GANBENCH_CACHE"
EXPENSIVE = 5.0
"""Seconds that a result must have taken to be worth a file."""
SUFFIX = ".safetensors"
PACKAGES = ("torch", "torchvision", "torch-fidelity", "numpy", "scipy")
"""Packages whose versions can change the last bits."""


def folder() -> Path:
    """Where files are kept: GANBENCH_CACHE, else ``ganbench`` in XDG_CACHE_HOME, else in ``~/.cache``."""
    if named := os.environ.get(VARIABLE):
        return Path(named)
    if users := os.environ.get("XDG_CACHE_HOME"):
        return Path(users) / "ganbench"
    home = os.path.expanduser("~")  # unchanged for a user that the system does not know
    return Path(tempfile.gettempdir() if home == "~" else f"{home}/.cache") / "ganbench"


def surroundings(device: torch.device, extractor: str, part: Component) -> dict[str, str] | None:
    """Everything that bits depend on besides samples, computation and torch's settings; None if that is unknown, for an
    extractor that was not read from a file.

    Args:
        device: where features are computed.
        extractor: its tag, which holds the hash of its weights.
        part: its plugin.
    """
    if not part.source:
        return None
    env = environment(device)
    packages = {name: _version(name) for name in PACKAGES}
    machine = [env.device, env.cuda, env.cudnn, torch.backends.cpu.get_cpu_capability(), platform.machine()]
    return {
        "extractor": f"{extractor} {part.package} {part.version} {part.source}",
        "device": " ".join(filter(None, [device.type, *machine])),
        "packages": msgspec.json.encode(packages).decode(),
        "core": source_hash("ganbench.contracts.extractor"),
    }


class Cache(Memo):
    """Results in memory and, where they were expensive, in files that later processes find.

    A file is named after the hash of everything that its content depends on, and repeats it in full: samples, extractor
    and weights, code, versions, device. It is written whole or not at all, and read only if its content matches the
    checksum it was written with. A damaged file, or a folder that cannot be written, costs only time.

    Args:
        basis: what results depend on besides samples and computation; without it nothing is written to disk.
    """

    def __init__(self, basis: Mapping[str, str] | None) -> None:
        super().__init__()
        self.basis = basis
        self.folder = folder().absolute()  # of now: a plugin may change the working directory

    def found(self, samples: str, name: str, compute: Callable[[], Results]) -> Results:
        """The results from their file, or computed and, if that took long, written to it."""
        code = source_hash(compute.__module__)
        if self.basis is None or not code:
            return compute()
        own = {"samples": samples, "name": name, "code": code, "settings": settings()}
        basis = msgspec.json.encode({**self.basis, **own}, order="sorted").decode()
        file = self.folder / f"{hashlib.sha256(basis.encode()).hexdigest()[:32]}{SUFFIX}"
        if (found := _read(file, basis)) is not None:
            return found
        began = time.perf_counter()
        results = compute()
        if time.perf_counter() - began >= EXPENSIVE:
            _write(file, basis, results)
        return results


def _write(file: Path, basis: str, results: Results) -> None:
    small = {name: _narrowed(value.contiguous()) for name, value in results.items()}
    metadata = {"basis": basis, "sha256": _checksum(small)}
    with suppress(RecordError, OSError):  # no space or no permission: the next process computes it again
        write_atomically(file, save(small, metadata))


def _read(file: Path, basis: str) -> dict[str, Tensor] | None:
    try:
        with safe_open(file, "pt") as content:
            metadata = content.metadata() or {}
            if metadata.get("basis") != basis:
                return None
            small = {name: content.get_tensor(name) for name in content.keys()}  # noqa: SIM118 (it is no mapping)
    except (OSError, SafetensorError):  # not there, or damaged
        return None
    if metadata.get("sha256") != _checksum(small):
        return None
    return {name: value.double() if value.dtype == torch.float32 else value for name, value in small.items()}


def _narrowed(value: Tensor) -> Tensor:
    """In half the space where that loses nothing: most extractors compute in float32."""
    if value.dtype != torch.float64:
        return value
    narrow = value.float()
    return narrow if torch.equal(narrow.double(), value) else value


def _checksum(results: Results) -> str:
    parts = [f"{name} {fingerprint(value)}" for name, value in sorted(results.items())]
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return ""
