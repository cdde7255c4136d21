"""Finds the sound files of a folder, and describes those that `folder-wav` does not read."""

from __future__ import annotations

from pathlib import Path

from ganbench import DataError
from ganbench_baselines.dataset.listing import HIDDEN, Kind, Listing, Unread, counted, first, list_files, reasons, shown
from ganbench_baselines.dataset.wav import is_wav

OTHERS = """.flac .mp3 .ogg .oga .opus .m4a .m4b .aac .wma .aif .aiff .aifc .caf .au .snd .sph .sd2 .w64 .rf64 .bwf .amr
.awb .ape .wv .tta .ac3 .dts .mp2 .mka .mpc .spx .alac .3gp .gsm .voc .raw .pcm .mp4 .webm .mid .midi"""
SOUNDS = Kind(
    "sound",
    read=frozenset({".wav", ".wave"}),
    others=frozenset(OTHERS.split()),
    usual=".wav",
    target=".wav",
    bare="suffix-less",
    recognised=is_wav,
)


def find_sounds(folder: Path) -> Listing[Path]:
    """The WAV files of a flat folder, or of its class sub-folders.

    Raises:
        DataError: ``list_files`` refuses the folder, or the sounds of a class are all in other formats.
    """
    listing = list_files(folder, SOUNDS)
    lost = {name: [file for file in unread if file.meant] for name, unread in listing.empty.items()}
    if files := [file for unread in lost.values() for file in unread]:
        names = [name for name, unread in lost.items() if unread]
        classes = f"the class '{shown(names[0])}'" if len(names) == 1 else f"the classes {first(names)}"
        raise DataError(
            f"no file of {classes} in '{shown(folder)}' can be read: {_summed_up(folder, files)}",
            "convert them to .wav, or move these folders elsewhere",
        )
    return listing


def left_out(listing: Listing[Path]) -> tuple[str, ...]:
    """One sentence if files were left out, else none."""
    empty = list(listing.empty)
    hidden = [file for file in listing.unread if file.reason == HIDDEN]
    others = [file for file in listing.unread if file.reason != HIDDEN]
    parts = [f"the sub-folder{'s' * (len(empty) > 1)} {first(empty)} without sounds"] if empty else []
    parts += [_summed_up(listing.folder, hidden)] if hidden else []
    parts += [f"{_summed_up(listing.folder, others)}, because only .wav is read"] if others else []
    are = "is" if len(empty or hidden or others) == 1 else "are"
    used = counted(len(listing.files), "WAV file")
    return (f"'{listing.name}' gives {used}; left out {are} {' and '.join(parts)}",) if parts else ()


def _summed_up(folder: Path, unread: list[Unread[Path]]) -> str:
    """The number of files of each kind: ``3 files (2 .flac, 1 .mp3; the first is a/x.flac)``."""
    name, kinds = shown(unread[0].path.relative_to(folder)), {file.reason for file in unread}
    if len(kinds) > 1:
        return f"{len(unread)} files ({reasons(unread)}; the first is {name})"
    return f"{counted(len(unread), f'{kinds.pop()} file')} ({'the first is ' if len(unread) > 1 else ''}{name})"
