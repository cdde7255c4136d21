"""Reads WAV files: the header, as tolerantly as audio players do, and the samples as stored.

It supports RIFF, RIFX, RF64 and BW64 with PCM of up to 64 bits, or floats of 32 or 64. The size of the whole file is
not trusted, because many programs get it wrong. The size of the samples is, unless the file was streamed, and so
written before the size was known. A file that cannot be read gets a reason for the user.

Neither soundfile 0.14 nor scipy 1.17 is suitable. Both read a truncated file, with at most a warning by scipy. Both
fail on a length left at 0 and on a chunk without its padding, and scipy raises UnboundLocalErrors of its own.
"""

from __future__ import annotations

import os
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import numpy as np

MAGIC = (b"RIFF", b"RIFX", b"RF64", b"BW64")
CORE = (b"fmt ", b"data", b"fact", b"LIST")
PCM, FLOAT, EXTENSIBLE = 1, 3, 0xFFFE
COMPRESSED = {
    0x02: "Microsoft ADPCM",
    0x06: "A-law",
    0x07: "µ-law",
    0x11: "IMA ADPCM",
    0x31: "GSM 6.10",
    0x50: "MPEG",
    0x55: "MP3",
}
OTHERS = {
    b"fLaC": "FLAC",
    b"OggS": "Ogg",
    b"ID3": "MP3",
    b"\xff\xfb": "MP3",
    b"\xff\xf3": "MP3",
    b"FORM": "AIFF",
    b"NIST": "NIST SPHERE",
    b"caff": "CAF",
    b"riff": "Wave64",
    b".snd": "Sun audio",
    b"version http": "a Git LFS pointer",
}
GUID_TAIL = {"<": bytes.fromhex("000010008000 00aa00389b71"), ">": bytes.fromhex("000000108000 00aa00389b71")}


class Unplayable(Exception):
    """A file cannot be read; the message is a clause that follows the file's name."""


@dataclass(frozen=True)
class Header:
    """How a WAV file stores its samples, and where they are.

    ``width`` is in bytes. ``streamed``: the header has no length, so the samples extend to the end of the file.
    ``ragged``: they end within a frame.
    """

    order: str
    tag: int
    channels: int
    rate: int
    width: int
    start: int
    frames: int
    streamed: bool
    ragged: bool


@dataclass(frozen=True)
class _Format:
    order: str
    tag: int
    channels: int
    rate: int
    width: int


def is_wav(file: Path) -> bool:
    """Whether a file begins like a WAV file, whatever its name; False if it cannot be read."""
    try:
        with file.open("rb") as stream:
            head = stream.read(12)
    except OSError:
        return False
    return head[:4] in MAGIC and head[8:] == b"WAVE"


def read_header(stream: BinaryIO) -> Header:
    """The header of a WAV file.

    Raises:
        Unplayable: this is not a WAV file, its samples are compressed, or some of them are missing.
    """
    order, riff = _riff(stream)
    form: _Format | None = None
    header: Header | None = None
    long: int | None = None  # the size of the samples in formats for files over 4 GB
    for name, start, size in _chunks(stream, order):
        if name == b"ds64":
            long = _long_size(stream, start)
        elif name == b"fmt ":
            form = _format(stream, order, start, size)
        elif name == b"data" and header is not None:
            raise Unplayable("it holds more than one block of samples")
        elif name == b"data":
            if form is None:
                raise Unplayable("its header does not say how the samples are stored")
            header = _header(form, riff, start, size if long is None else long, _size(stream))
    if header is None:
        raise Unplayable("it ends before its samples begin")
    if header.frames == 0:
        raise Unplayable("it holds no samples")
    return header


def read_frames(stream: BinaryIO, header: Header, frames: int) -> np.ndarray:
    """The first samples as stored, ``[n, channels]``, in the upper bytes of a wider type if none has their width."""
    n = min(frames, header.frames)
    stream.seek(header.start)
    content = np.frombuffer(stream.read(n * header.channels * header.width), dtype=np.uint8)
    kind = "f" if header.tag == FLOAT else "u" if header.width == 1 else "i"
    width = next(whole for whole in (1, 2, 4, 8) if whole >= header.width)
    if width > header.width:
        wide = np.zeros((n * header.channels, width), dtype=np.uint8)
        upper = slice(-header.width, None) if header.order == "<" else slice(header.width)
        wide[:, upper] = content.reshape(-1, header.width)
        content = wide.reshape(-1)
    return content.view(f"{header.order}{kind}{width}").reshape(n, header.channels)


def _size(stream: BinaryIO) -> int:
    return os.fstat(stream.fileno()).st_size


def _riff(stream: BinaryIO) -> tuple[str, int]:
    """(byte order, size of the whole file according to its header)."""
    head = stream.read(12)
    if not head:
        raise Unplayable("it is empty")
    for magic, name in OTHERS.items():
        if head.startswith(magic):
            raise Unplayable(f"it is no WAV file but {name}")
    if head[:4] not in MAGIC or not b"WAVE".startswith(head[8:]):
        raise Unplayable("it is no WAV file")
    if len(head) < 12:
        raise Unplayable("it ends before its samples begin")
    order = ">" if head[:4] == b"RIFX" else "<"
    return order, struct.unpack(f"{order}I", head[4:8])[0]


def _chunks(stream: BinaryIO, order: str) -> Iterator[tuple[bytes, int, int]]:
    """(name, where its content starts, size) of every chunk."""
    at = 12
    while True:
        stream.seek(at)
        head = stream.read(8)
        if len(head) < 8:
            return
        size = struct.unpack(f"{order}I", head[4:])[0]
        yield head[:4], at + 8, size
        at += 8 + size
        if size % 2:  # a byte of padding follows, which some programs omit
            stream.seek(at)
            at += stream.read(4) not in CORE


def _long_size(stream: BinaryIO, start: int) -> int | None:
    stream.seek(start + 8)
    content = stream.read(8)
    return struct.unpack("<Q", content)[0] if len(content) == 8 else None


def _format(stream: BinaryIO, order: str, start: int, size: int) -> _Format:
    stream.seek(start)
    content = stream.read(min(size, 40))
    if len(content) < 16:
        raise Unplayable("the description of its samples is cut off")
    tag, channels, rate, _, block, bits = struct.unpack(f"{order}HHIIHH", content[:16])
    if tag == EXTENSIBLE and content[28:40] == GUID_TAIL[order]:
        tag = struct.unpack(f"{order}I", content[24:28])[0]
    if tag not in {PCM, FLOAT}:
        what = f"compressed ({COMPRESSED[tag]})" if tag in COMPRESSED else f"of an unknown kind ({tag:#06x})"
        raise Unplayable(f"its samples are {what}, not PCM or floats")
    if channels == 0 or rate == 0:
        raise Unplayable(f"its header says {'0 channels' if channels == 0 else '0 samples a second'}")
    width = block // channels or -(-bits // 8)
    fits = {4: bits == 32, 8: bits == 64} if tag == FLOAT else {1: 1 <= bits <= 8}
    if not fits.get(width, tag == PCM and 2 <= width <= 8 and (bits == 0 or 8 < bits <= 8 * width)):
        kind = "floats" if tag == FLOAT else "PCM"
        raise Unplayable(f"its header says {kind} of {bits} bits in {width} bytes, which no WAV file has")
    return _Format(order, tag, channels, rate, width)


def _header(form: _Format, riff: int, start: int, size: int, end: int) -> Header:
    there, block = end - start, form.channels * form.width
    never_finished = size == 0 and (riff + 8 <= start or _unknown(riff))
    streamed = there > 0 and (never_finished or (size > there and _unknown(size)))
    if size > there and not streamed:
        raise Unplayable(f"it is cut off, with {max(there, 0) // block} of {size // block} samples")
    frames, rest = divmod(there if streamed else size, block)
    return Header(**vars(form), start=start, frames=frames, streamed=streamed, ragged=rest > 0)


def _unknown(size: int) -> bool:
    """Whether this is a placeholder size (about 2 or 4 GB) that programs write before they know the real one."""
    return size >= 0xFFFFF000 or 0x7FFFF000 <= size <= 0x80001000
