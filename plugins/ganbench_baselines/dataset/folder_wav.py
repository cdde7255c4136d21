"""Your own sounds: `folder-wav:PATH`, one folder of WAV files, or one sub-folder per class.

``folder-wav:PATH,SAMPLES,RATE`` sets the length and the rate. The default is 16,384 samples at 16 kHz, as in Donahue et
al. (2019). PCM of 8, 16, 24 or 32 bits and floats are read. Channels are mixed down to one, and other rates are
resampled with scipy's polyphase filter. Longer sounds are cut, and shorter ones are followed by silence. Amplitudes
stay as recorded, but floats beyond full scale are clipped.
"""

from __future__ import annotations

import re
import warnings
from math import ceil, gcd
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch

from ganbench import DataError, Dataset, DataSpec, Split, Unsupported, hookimpl, stratified_split
from ganbench_baselines.dataset.drums import spectral_noise

SUFFIXES = {".wav", ".wave"}
SAMPLES, RATE = 16_384, 16_000
LEAST_SAMPLES, LEAST_RATE = 16, 100
TEST_SHARE = 0.2
SPLIT_SEED = 0
NAMED = 5  # the most names that a message lists
USAGE = "write folder-wav:PATH or folder-wav:PATH,SAMPLES,RATE, for example folder-wav:my-sounds,16384,16000"
BEYOND = 100  # samples kept after the cut for the resampling filter, which reaches 10


class Wanted(NamedTuple):
    """What follows the colon."""

    folder: Path
    samples: int
    rate: int


def parse(argument: str) -> Wanted:
    """``PATH``, ``PATH,SAMPLES`` or ``PATH,SAMPLES,RATE``; other commas belong to the path.

    Raises:
        DataError: there is no path, or the length or the rate is too small for a sound.
    """
    found = re.fullmatch(r"(.*?)(?:,(\d+)(?:,(\d+))?)?", argument)
    path, samples, rate = found.groups() if found else ("", None, None)
    wanted = Wanted(Path(path).expanduser(), int(samples or SAMPLES), int(rate or RATE))
    if not path:
        raise DataError("the dataset 'folder-wav' needs a path", USAGE)
    if wanted.samples < LEAST_SAMPLES or wanted.rate < LEAST_RATE:
        raise DataError(f"{wanted.samples} samples at {wanted.rate} a second are not enough for a sound", USAGE)
    return wanted


def find_sounds(folder: Path) -> dict[str, list[Path]]:
    """Class -> its files, both sorted by name; a flat folder is a single class "". Hidden files are left out.

    Raises:
        DataError: the folder is missing, cannot be listed, has no WAV files, or has some beside its class folders.
    """
    if not folder.is_dir():
        what = "is not a folder" if folder.exists() else "does not exist"
        raise DataError(f"the folder of sounds '{folder}' {what}", f"check the path: {USAGE}")
    try:
        entries = [folder, *sorted(entry for entry in folder.iterdir() if entry.is_dir())]
        found = {"" if entry == folder else entry.name: _sounds(entry) for entry in entries}
    except OSError as error:
        raise DataError(f"'{error.filename}' cannot be listed ({error.strerror})", "check its permissions") from error
    groups = {name: files for name, files in found.items() if files}
    if not groups:
        raise DataError(f"'{folder}' holds no WAV files", "put .wav files into it, or into one sub-folder per class")
    if "" in groups and len(groups) > 1:
        raise DataError(
            f"'{folder}' has {len(groups[''])} WAV files beside the class folders {_first(list(groups)[1:])}",
            "move every file into a class folder, or every file into one folder",
        )
    return groups


def _sounds(folder: Path) -> list[Path]:
    if folder.name.startswith("."):
        return []
    files = (entry for entry in folder.iterdir() if entry.suffix.lower() in SUFFIXES and entry.is_file())
    return sorted(file for file in files if not file.name.startswith("."))


def _first(names: list[str]) -> str:
    more = f" and {len(names) - NAMED} more" if len(names) > NAMED else ""
    return ", ".join(names[:NAMED]) + more


def read_sound(file: Path, samples: int, rate: int) -> np.ndarray:
    """``x[samples]`` in [-1, 1] as float32.

    Raises:
        Exception: whatever scipy raises; ValueError for a file that is empty or not finite.
    """
    from scipy.io import wavfile  # takes a moment to import

    own_rate, raw = wavfile.read(file)
    if raw.size == 0:
        raise ValueError("it holds no samples")
    x = _full_scale(raw).reshape(len(raw), -1).mean(axis=1)
    up, down = rate // gcd(rate, own_rate), own_rate // gcd(rate, own_rate)
    x = x[: ceil((samples + BEYOND) * down / up)]
    if up != down:
        from scipy.signal import resample_poly

        x = resample_poly(x, up, down)
    if not np.isfinite(x).all():
        raise ValueError("it holds numbers that are not finite")
    x = x[:samples].clip(-1, 1)
    return np.pad(x, (0, samples - len(x))).astype(np.float32)


def _full_scale(raw: np.ndarray) -> np.ndarray:
    """PCM as stored -> float64 in [-1, 1]. scipy puts 24 bits into the upper part of 32, and leaves 8 bits unsigned."""
    if raw.dtype.kind == "f":
        return raw.astype(np.float64)
    half = 2.0 ** (8 * raw.dtype.itemsize - 1)
    return raw / half - (1 if raw.dtype.kind == "u" else 0)


def read_sounds(folder: Path, files: list[Path], samples: int, rate: int) -> torch.Tensor:
    """``x[N, 1, samples]`` in float32.

    Raises:
        DataError: some files cannot be read; the message names them.
    """
    from scipy.io.wavfile import WavFileWarning

    x, bad = np.empty((len(files), 1, samples), dtype=np.float32), []
    with warnings.catch_warnings():
        warnings.simplefilter("error", WavFileWarning)  # a truncated file
        warnings.filterwarnings("ignore", "Chunk", WavFileWarning)  # metadata next to the sound
        for index, file in enumerate(files):
            try:
                x[index, 0] = read_sound(file, samples, rate)
            except Exception as error:
                bad.append(f"{file.relative_to(folder)} ({type(error).__name__}: {error})")
    if bad:
        raise DataError(
            f"{len(bad)} of {len(files)} WAV files in '{folder}' cannot be read: {_first(bad)}",
            "replace or remove these files",
        )
    return torch.from_numpy(x)


@hookimpl
def ganbench_dataset(argument: str, resolution: int | None) -> Dataset:
    """The sounds of ``folder-wav:PATH`` in a seeded, stratified 80/20 split."""
    folder, samples, rate = parse(argument)
    if resolution is not None:
        raise Unsupported("sounds have no resolution", f"leave it out: {USAGE}")
    groups = find_sounds(folder)
    classes = 0 if "" in groups else len(groups)
    sizes = torch.tensor([len(files) for files in groups.values()])
    labels = torch.arange(len(groups)).repeat_interleave(sizes)
    train, test = stratified_split(labels, TEST_SHARE, SPLIT_SEED)
    if len(test) == 0:
        raise DataError(
            f"none of the {len(labels)} sounds in '{folder}' can be held out", "put at least 3 files into each class"
        )
    x = read_sounds(folder, [file for files in groups.values() for file in files], samples, rate)
    whole = Split(x, labels if classes else None)
    return Dataset(
        name=f"folder-wav:{folder.resolve().name}",
        spec=DataSpec((1, samples), classes=classes, rate=rate),
        train=whole[train],
        test=whole[test],
        yardsticks={"spectral noise": spectral_noise(whole[train])},
    )
