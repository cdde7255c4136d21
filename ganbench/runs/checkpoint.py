"""Checkpoints: everything a run needs to resume or, once it is over, to draw samples."""

from __future__ import annotations

import io
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec
import torch
from torch import Tensor

from ganbench import plugins
from ganbench.contracts.arch import GAN
from ganbench.contracts.data import Dataset
from ganbench.contracts.executor import Job
from ganbench.errors import RecordError
from ganbench.evaluation.sampling import sample
from ganbench.records.files import write_atomically
from ganbench.runs.players import build_players

WEIGHTS = ("job", "gan", "averaged")
"""What is kept of a state when its run is over."""


def save(state: Mapping[str, Any], path: Path) -> None:
    """Write tensors and plain values, whole or not at all; they load with ``weights_only=True``."""
    buffer = io.BytesIO()
    torch.save(dict(state), buffer)
    write_atomically(path, buffer.getvalue())


def load(path: Path, identity: str) -> dict[str, Any] | None:
    """The state of an unfinished run of this identity, on the CPU; None if there is none that can be read."""
    if not path.is_file():
        return None
    try:
        state: dict[str, Any] = torch.load(path, weights_only=True, map_location="cpu")
    except Exception:  # a damaged file costs a restart, never the run
        return None
    return state if state.get("identity") == identity else None


def samples_of(checkpoint: Path, n: int, seed: int) -> Tensor:
    """``n`` samples ``x[n, *shape]``, as stored, from the averaged generator in a checkpoint, on the CPU.

    Raises:
        GanbenchError: as ``players_of``.
    """
    gan, dataset = players_of(checkpoint)
    like = dataset.train[torch.arange(n) % len(dataset.train)]
    return sample(gan, like, seed, torch.device("cpu")).x


def players_of(checkpoint: Path) -> tuple[GAN, Dataset]:
    """The players in a checkpoint (G averaged, D in its last state), in eval mode on the CPU, and their data.

    Raises:
        RecordError: the checkpoint cannot be read, or its arch has changed since.
        GanbenchError: a plugin that the run used is not installed any more.
    """
    try:
        state = torch.load(checkpoint, weights_only=True, map_location="cpu")
        job = msgspec.json.decode(state["job"], type=Job)
    except Exception as error:
        raise RecordError(
            f"{checkpoint} is not a readable checkpoint ({type(error).__name__})", "run again with --force"
        ) from error
    source = plugins.find_for(job.protocol.name, "dataset", job.protocol.dataset)
    dataset = plugins.build(source, argument=source.argument, resolution=job.protocol.resolution)
    gan = build_players(job, dataset).gan
    try:
        gan.load_state_dict(state["gan"])
        for module, weights in zip(gan.generators(), state["averaged"], strict=True):
            module.load_state_dict(weights)
    except (RuntimeError, ValueError) as error:
        raise RecordError(
            f"the weights in {checkpoint} do not fit the installed {job.arch.rpartition(':')[2]}",
            "run it again",
        ) from error
    return gan.eval(), dataset
