"""Cache on disk for results that depend only on real samples, under a hash of everything they depend on."""

from __future__ import annotations

import hashlib
import hmac
import os
import platform
import tempfile
import time
import warnings
from collections.abc import Callable, Mapping
from contextlib import suppress
from importlib.metadata import PackageNotFoundError, version
from math import prod
from pathlib import Path

import msgspec
import torch
from platformdirs import user_cache_path
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor

from ganbench.contracts.arrays import LARGE, array_on_disk
from ganbench.contracts.memo import Holds, Memo, Results, fingerprint
from ganbench.device.determinism import torch_settings
from ganbench.errors import GanbenchWarning, RecordError
from ganbench.evaluation.private import is_private, user_key
from ganbench.plugins.source import source_hash
from ganbench.records.files import write_atomically
from ganbench.records.provenance import environment
from ganbench.records.record import Component

VARIABLE = "GANBENCH_CACHE"
EXPENSIVE = 5.0
"""Seconds; results that took less are not written to a file."""
SUFFIX = ".safetensors"
PACKAGES = ("torch", "torchvision", "torch-fidelity", "numpy", "scipy")
"""Packages whose versions can change the last bits."""


def folder() -> Path:
    """The cache folder: GANBENCH_CACHE, or the system's location for user caches."""
    if named := os.environ.get(VARIABLE):
        return Path(named)
    users = user_cache_path("ganbench", appauthor=False)
    # it begins with "~" for a user that the system does not know
    return users if users.is_absolute() else Path(tempfile.gettempdir()) / "ganbench"


def surroundings(device: torch.device, extractor: str, part: Component) -> dict[str, str] | None:
    """Everything that the bits of a result depend on besides samples, computation and torch's settings.

    None if that is unknown, because the extractor was not read from a file.

    Args:
        device: where features are computed.
        extractor: the extractor's tag, which contains the hash of its weights.
        part: the extractor's plugin.
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
    """Results in memory and, if they were expensive, in files that later processes can read.

    A file is named after the hash of everything that its content depends on (samples, extractor and weights, code,
    versions, device), and stores all of this in full. It is written atomically, and read only if its content matches
    its checksum. A damaged file, or a folder that cannot be written, only costs time.

    No file from elsewhere can change a score. Only the user can write to the folder, and a file is used only if it is
    sealed with the user's key, which is kept elsewhere. A seal is needed because moments and radii can be checked only
    against all the features, which the file is there to save. Of features, a few are recomputed at each use.

    Args:
        basis: what results depend on besides samples and computation; if None, nothing is written to disk.
    """

    def __init__(self, basis: Mapping[str, str] | None) -> None:
        super().__init__()
        self.basis = basis
        self.folder = folder().absolute()  # fixed now, because a plugin may change the working directory

    def room(self, shape: tuple[int, ...]) -> Tensor:
        """Return an array of float64 ``[*shape]`` to fill. A large one lies on disk, where the system can do that."""
        if 8 * prod(shape) >= LARGE and hasattr(os, "posix_fallocate"):
            with suppress(OSError):  # no space or no permission: it takes memory
                self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
                return array_on_disk(shape, self.folder)
        return super().room(shape)

    def found(self, samples: str, name: str, compute: Callable[[], Results], holds: Holds | None = None) -> Results:
        """Return the results from their file, or compute them and, if that took long, write the file."""
        code = source_hash(compute.__module__)
        key = user_key() if self.basis is not None and code else None
        if self.basis is None or key is None or not is_private(self.folder):
            return compute()
        own = {"samples": samples, "name": name, "code": code, "settings": torch_settings()}
        basis = msgspec.json.encode({**self.basis, **own}, order="sorted").decode()
        file = self.folder / f"{hashlib.sha256(basis.encode()).hexdigest()[:32]}{SUFFIX}"
        if (found := _read(file, basis, key)) is not None:
            if holds is None or holds(found):
                return found
            _disown(file, "does not match its data")
        began = time.perf_counter()
        results = compute()
        if time.perf_counter() - began >= EXPENSIVE:
            _write(file, basis, results, key)
        return results


def _disown(file: Path, why: str) -> None:
    """Delete a file that looks valid but is not, and warn."""
    with suppress(OSError):
        file.unlink()
    warnings.warn(GanbenchWarning(f"{file} {why}: it was deleted, and its content is recomputed"), stacklevel=2)


def _seal(key: bytes, basis: str, checksum: str) -> str:
    return hmac.new(key, f"{checksum} {basis}".encode(), hashlib.sha256).hexdigest()


def _write(file: Path, basis: str, results: Results, key: bytes) -> None:
    small = {name: _narrowed(value.contiguous()) for name, value in results.items()}
    checksum = _checksum(small)
    metadata = {"basis": basis, "sha256": checksum, "seal": _seal(key, basis, checksum)}
    with suppress(RecordError, OSError):  # no space or no permission: the next process recomputes it
        file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        write_atomically(file, save(small, metadata))


def _read(file: Path, basis: str, key: bytes) -> dict[str, Tensor] | None:
    if not file.is_file():
        return None
    try:
        with safe_open(file, "pt") as content:
            metadata = content.metadata() or {}
            if metadata.get("basis") != basis:
                return None
            small = {name: content.get_tensor(name) for name in content.keys()}  # noqa: SIM118 (not a mapping)
    except (OSError, SafetensorError):  # missing or damaged
        return None
    checksum = _checksum(small)
    if metadata.get("sha256") != checksum:
        return None
    if not hmac.compare_digest(metadata.get("seal", "").encode(), _seal(key, basis, checksum).encode()):
        _disown(file, "was not written by this user's GANBench")
        return None
    return {name: value.double() if value.dtype == torch.float32 else value for name, value in small.items()}


def _narrowed(value: Tensor) -> Tensor:
    """The tensor in half the space, if that loses nothing, as most extractors compute in float32."""
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
