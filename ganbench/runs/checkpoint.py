"""Checkpoints: everything a run needs to resume or, once it is over, to draw samples."""

from __future__ import annotations

import io
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import msgspec
import torch
from torch import Tensor

from ganbench import plugins
from ganbench.contracts.arch import GAN
from ganbench.contracts.data import Dataset
from ganbench.contracts.executor import TrainingJob
from ganbench.errors import RecordError
from ganbench.evaluation.sampling import sample
from ganbench.records.archive import state_of, with_checksum
from ganbench.records.files import write_atomically
from ganbench.runs.identity import changes_between
from ganbench.runs.players import build_players

WEIGHTS = ("job", "gan", "averaged")
"""The parts of a state that are kept when its run is over."""


def save(state: Mapping[str, Any], path: Path) -> None:
    """Write tensors and plain values, whole or not at all; they load with ``weights_only=True``."""
    buffer = io.BytesIO()
    torch.save(dict(state), buffer)
    write_atomically(path, with_checksum(buffer.getvalue()))


class Unusable(Exception):
    """Why a checkpoint cannot be resumed from, as the end of a sentence that begins with the run."""


def load(path: Path, identity: Mapping[str, str]) -> dict[str, Any] | None:
    """The state of an unfinished run of this identity, on the CPU; None if there is no file.

    Raises:
        Unusable: the file is damaged, or something has changed since.
    """
    if not path.is_file():
        return None
    try:
        state = _read(path)
        then = state.get("identity")
    except Exception as error:
        raise Unusable("its checkpoint is damaged") from error
    if then is None:  # only weights are left
        raise Unusable("its checkpoint is of a finished run")
    if not isinstance(then, dict):
        raise Unusable("its checkpoint was written by another version of GANBench")
    if changed := changes_between(then, identity):
        kimg = state["history"][-1]["kimg"] if state["history"] else 0
        raise Unusable(f"since its checkpoint at {kimg:g} kimg, {changed} changed")
    return state


def _read(path: Path) -> dict[str, Any]:
    """Read a state after checking the file's checksum.

    Torch itself does not notice flipped bits. Files of GANBench 0.1 have no checksum.
    """
    content = path.read_bytes()
    if state_of(content) == "damaged":
        raise ValueError("the checksum does not match")
    state = torch.load(io.BytesIO(content), weights_only=True, map_location="cpu")
    if not isinstance(state, dict):
        raise TypeError("it holds no state")
    return state


def shrink(path: Path) -> None:
    """Reduce the checkpoint of a finished run to its weights. A damaged file stays as it is."""
    with suppress(Exception):
        state = _read(path)
        save({key: state[key] for key in WEIGHTS}, path)


def samples_of(checkpoint: Path, n: int, seed: int) -> Tensor:
    """``n`` samples ``x[n, *shape]``, as stored, from the averaged generator in a checkpoint, on the CPU.

    Raises:
        GanbenchError: see ``players_of``.
    """
    gan, dataset = players_of(checkpoint)
    like = dataset.train[torch.arange(n) % len(dataset.train)]
    return sample(gan, like, seed, torch.device("cpu")).x


def players_of(checkpoint: Path) -> tuple[GAN, Dataset]:
    """The players in a checkpoint (G averaged, D in its last state), in eval mode on the CPU, and their data.

    Raises:
        RecordError: the checkpoint cannot be read, or its arch has changed since.
        GanbenchError: a plugin that the run used is no longer installed.
    """
    try:
        state = _read(checkpoint)
        job = msgspec.json.decode(state["job"], type=TrainingJob)
    except Exception as error:
        raise RecordError(f"{checkpoint} is damaged or not a checkpoint", "run again with --force") from error
    source = plugins.find_for(job.protocol.name, "dataset", job.protocol.dataset)
    dataset = plugins.build(source, argument=source.argument, resolution=job.protocol.resolution)
    gan = build_players(job, dataset).gan
    try:
        gan.load_state_dict(state["gan"])
        for module, weights in zip(gan.generators(), state["averaged"], strict=True):
            module.load_state_dict(weights)
    except (RuntimeError, ValueError, TypeError, KeyError, AttributeError) as error:
        raise RecordError(
            f"the weights in {checkpoint} do not fit the installed {job.players[0].name}",
            "run it again",
        ) from error
    if not all(value.isfinite().all() for value in gan.state_dict().values()):
        raise RecordError(f"the weights in {checkpoint} are not finite: that run diverged", "choose another run")
    return gan.eval(), dataset
