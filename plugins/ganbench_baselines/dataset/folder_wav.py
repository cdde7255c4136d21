"""Your own sounds: `folder-wav:PATH`, one folder of WAV files, or one sub-folder per class.

``folder-wav:PATH,SAMPLES,RATE`` sets the length and the rate. The default is 16,384 samples at 16 kHz, as in Donahue et
al. (2019). It reads PCM of 8, 16, 24 or 32 bits, and floats. Channels are mixed down to one, and other rates are
resampled with scipy's polyphase filter. Longer sounds are cut, and shorter ones are padded with silence. Amplitudes
stay as recorded, but floats beyond full scale are clipped. The notes say how many sounds were changed, and how. Sounds
on another scale, channels that cancel, and folders of nothing but silence are refused.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from math import ceil, gcd
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch

from ganbench import DataError, Dataset, DataSpec, Samples, Split, Unsupported, hookimpl
from ganbench_baselines.dataset.drums import spectral_noise
from ganbench_baselines.dataset.listing import Listing, copies, counted, first, hold_out, path_of, require_folder, shown
from ganbench_baselines.dataset.sound_files import find_sounds, left_out
from ganbench_baselines.dataset.wav import Header, Unplayable, read_frames, read_header

SAMPLES, RATE = 16_384, 16_000
LEAST_SAMPLES, LEAST_RATE = 16, 100
USAGE = "write folder-wav:PATH or folder-wav:PATH,SAMPLES,RATE, for example folder-wav:my-sounds,16384,16000"
BEYOND = 100  # samples kept beyond the cut for the resampling filter, which reaches 10
LONGEST_FILTER = 1_000_000  # the filter has 20 times as many coefficients as the larger side of the ratio of rates
OTHER_SCALE = 8.0  # 18 dB beyond full scale, which no mix reaches
CANCELS, FADES = 0.05, 0.5  # the level of a mix, where 1 is that of uncorrelated channels
SILENT = 2.0**-15  # one step of 16 bits
QUIET = 2.0**-8  # where 24-bit values in 32 bits end, or 8-bit values in 16


class Wanted(NamedTuple):
    """The parsed argument."""

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
    wanted = Wanted(path_of(path), int(samples or SAMPLES), int(rate or RATE))
    if not path:
        raise DataError("the dataset 'folder-wav' needs a path", USAGE)
    before, comma, rest = path.partition(",")
    if comma and not wanted.folder.exists() and path_of(before).is_dir():
        raise DataError(f"'{rest}' after '{before}' is no number of samples", USAGE)
    if wanted.samples < LEAST_SAMPLES or wanted.rate < LEAST_RATE:
        raise DataError(f"{wanted.samples} samples at {wanted.rate} a second are not enough for a sound", USAGE)
    return wanted


class Fault(NamedTuple):
    """Why sounds are refused: the text before and after their number, and the next step."""

    before: str
    after: str
    hint: str


BROKEN = Fault("", "cannot be read", "replace or remove these files")
LOUD = Fault("", "are not on a scale from -1 to 1", "divide their samples by the largest value that they were made for")
SHIFTED = Fault("", "hold 16-bit values in 32 bits, too quiet to hear", "write them as 16-bit WAV files")
CANCELLED = Fault("the channels of ", "cancel each other when mixed to one", "keep one channel of these files")


class Refused(Exception):
    """One sound is refused, with the fault and its details."""

    def __init__(self, fault: Fault, detail: str) -> None:
        super().__init__(detail)
        self.fault = fault


Say = Callable[[str, str], None]


def read_sound(file: Path, samples: int, rate: int, say: Say = lambda change, detail: None) -> np.ndarray:
    """``x[samples]`` in [-1, 1] as float32. ``say(change, detail)`` is called for each change to the recording.

    Raises:
        Refused: the file cannot be read, or its content is implausible.
    """
    try:
        with file.open("rb") as stream:
            header = read_header(stream)
            up, down = rate // gcd(rate, header.rate), header.rate // gcd(rate, header.rate)
            if max(up, down) > LONGEST_FILTER:
                raise Unplayable(f"its header says {header.rate} samples a second, too odd to resample")
            raw = read_frames(stream, header, ceil((samples + BEYOND) * down / up))
            if _shifted(raw) and _shifted(read_frames(stream, header, header.frames)):  # not just a quiet beginning
                raise Refused(SHIFTED, f"peak {np.abs(raw).max()} of {2**31}")
    except OSError as error:
        raise Refused(BROKEN, f"{error.strerror}") from error
    except Unplayable as error:
        raise Refused(BROKEN, str(error)) from error
    x = _mixed(raw, say)
    if up != down:
        from scipy.signal import resample_poly  # takes a moment to import

        x = resample_poly(x, up, down)
    say_length(header, ceil(header.frames * up / down), samples, rate, say)
    x = x[:samples]
    say_level(x, say)
    return np.pad(x.clip(-1, 1), (0, samples - len(x))).astype(np.float32)


def _shifted(raw: np.ndarray) -> bool:
    """Whether 32-bit values hold only 16 bits, and are not 24-bit values, whose lowest byte is 0."""
    if raw.dtype.kind != "i" or raw.dtype.itemsize != 4:
        return False
    lowest, highest = int(raw.min()), int(raw.max())
    return 2**8 < max(-lowest, highest) <= 2**15 and bool((raw % 2**8).any())


def _mixed(raw: np.ndarray, say: Say) -> np.ndarray:
    """Samples as stored ``[n, C]`` -> ``[n]`` in float64."""
    x = _full_scale(raw)
    if not np.isfinite(x).all():
        raise Refused(BROKEN, "it holds numbers that are not finite")
    if (peak := np.abs(x).max()) > OTHER_SCALE:
        raise Refused(LOUD, f"peak {peak:.5g}")
    mix, channels = x.mean(axis=1), x.shape[1]
    if channels > 1:
        say("have several channels, which are mixed to one", f"{channels} channels")
        level, left = np.sqrt(np.square(x).mean()), np.sqrt(np.square(mix).mean() * channels)
        if level > SILENT and left < CANCELS * level:
            raise Refused(CANCELLED, f"{channels} channels")
        if level > SILENT and left < FADES * level:
            say("lose most of the level when mixed, for the channels oppose each other", "")
    return mix


def _full_scale(raw: np.ndarray) -> np.ndarray:
    """PCM as stored -> float64 in [-1, 1]. 24 bits are in the upper part of 32, and 8 bits are unsigned."""
    if raw.dtype.kind == "f":
        return raw.astype(np.float64)
    half = 2.0 ** (8 * raw.dtype.itemsize - 1)
    return raw / half - (1 if raw.dtype.kind == "u" else 0)


def say_length(header: Header, has: int, samples: int, rate: int, say: Say) -> None:
    """Report changes to the rate and the length of a sound that ``has`` so many samples at ``rate``."""
    if header.rate != rate:
        say(f"are resampled to {rate} a second", f"{header.rate} a second")
    if header.streamed:
        say("have no length in the header, so that all that follows is read", f"{header.frames} samples")
    if header.ragged:
        say("end within a sample, which is left out", "")
    if has > samples:
        say(f"are cut to {samples} samples", f"{has} samples")
    if has < samples / 2:
        say(f"are shorter than half of {samples} samples, so that silence follows", f"{has} samples")


SILENCE = "are silent"
SINGULAR = {"are": "is", "have": "has", "end": "ends", "lose": "loses", "stay": "stays"}


def say_level(x: np.ndarray, say: Say) -> None:
    """Report whether the samples in use are too loud or too quiet."""
    peak, swing = np.abs(x).max(), x.max() - x.min()
    if peak > 1:
        say("are clipped at full scale", f"peak {peak:.4g}, {(np.abs(x) > 1).mean():.2g} of its samples")
    if swing <= 2 * SILENT:
        say(SILENCE, "")
    elif peak <= QUIET:
        say("stay below 0.4 % of full scale", f"peak {peak:.2g}")


class Sounds(NamedTuple):
    """``x[N, 1, samples]`` in float32. ``notes`` holds a sentence on what was changed, if anything."""

    x: torch.Tensor
    notes: tuple[str, ...]


def read_sounds(listing: Listing[Path], samples: int, rate: int) -> Sounds:
    """The samples of all files.

    Raises:
        DataError: some files cannot be used (the message names them), or all of them are silent.
    """
    files, where = listing.files, f"in '{shown(listing.folder)}'"
    x = np.empty((len(files), 1, samples), dtype=np.float32)
    faults: dict[Fault, list[str]] = {}
    changes: dict[str, list[str]] = {}
    for index, file in enumerate(files):
        name = shown(file.relative_to(listing.folder).as_posix())

        def say(change: str, detail: str, name: str = name) -> None:
            changes.setdefault(change, []).append(f"{name}, {detail}" if detail else name)

        try:
            x[index, 0] = read_sound(file, samples, rate, say)
        except Refused as refused:
            faults.setdefault(refused.fault, []).append(f"{name} ({refused})")
    for fault in sorted(faults, key=[BROKEN, LOUD, SHIFTED, CANCELLED].index):
        raise DataError(
            f"{fault.before}{len(faults[fault])} of {counted(len(files), 'WAV file')} {where} {fault.after}: "
            f"{first(faults[fault])}",
            fault.hint,
        )
    if len(changes.get(SILENCE, [])) == len(files):
        raise DataError(f"all {counted(len(files), 'WAV file')} {where} are silent", "choose sounds to be heard")
    return Sounds(torch.from_numpy(x), _changed(listing, changes))


def _changed(listing: Listing[Path], changes: dict[str, list[str]]) -> tuple[str, ...]:
    total, clauses = len(listing.files), []
    for change, names in changes.items():
        if len(names) == 1:
            verb, rest = change.split(" ", 1)
            clauses.append(f"1 {SINGULAR[verb]} {rest} ({names[0]})")
        else:
            clauses.append(f"{'all' if len(names) == total else len(names)} {change} (the first is {names[0]})")
    return (f"of {counted(total, 'WAV file')} in '{listing.name}', {'; '.join(clauses)}",) if clauses else ()


@hookimpl
def ganbench_dataset(argument: str, resolution: int | None) -> Dataset:
    """The sounds of ``folder-wav:PATH`` in a seeded, stratified 80/20 split."""
    folder, samples, rate = parse(argument)
    if resolution is not None:
        raise Unsupported("sounds have no resolution", f"leave it out: {USAGE}")
    require_folder(folder, "folder of sounds", f"check the path: {USAGE}")
    listing = find_sounds(folder)
    train, test = hold_out(listing)
    x, notes = read_sounds(listing, samples, rate)
    whole = Split(x, listing.labels if listing.classes else None)
    return Dataset(
        name=f"folder-wav:{listing.name}",
        spec=DataSpec((1, samples), classes=len(listing.classes), rate=rate),
        train=whole[train],
        test=whole[test],
        yardsticks={"spectral noise": spectral_noise(whole[train])},
        notes=left_out(listing) + notes + copies(listing, x),
        class_names=listing.classes,
    )


@hookimpl
def ganbench_samples(path: str, data: DataSpec | None) -> Samples | None:
    """The sounds of a folder, cut or padded to the length of the data; without data, to the default length."""
    folder = Path(path)
    if (data is not None and len(data.shape) != 2) or not folder.is_dir():
        return None
    if not any(file.suffix.lower() == ".wav" for file in folder.rglob("*")):
        return None
    listing = find_sounds(folder)
    samples, rate = (SAMPLES, RATE) if data is None else (data.shape[-1], round(data.rate or RATE))
    x, notes = read_sounds(listing, samples, rate)
    return Samples(
        x,
        f"{len(x):,} sound{'s' * (len(x) != 1)} in '{listing.name}', of {samples:,} samples at {rate:,} a second",
        listing.labels if listing.classes else None,
        listing.classes,
        found=left_out(listing) + notes,
    )
