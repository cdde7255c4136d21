"""Folders of sounds: every header a WAV file may have, byte by byte, and what is said or refused of the rest."""

from __future__ import annotations

import os
import struct
from pathlib import Path

import numpy as np
import pytest
from msgspec.structs import replace
from scipy.io import wavfile

from ganbench.contracts.data import Dataset
from ganbench.errors import DataError, GanbenchWarning
from ganbench.plugins.protocols import load_protocol
from ganbench.runs.setup import prepare
from ganbench_baselines.dataset import folder_wav, wav

N, RATE = 400, 16_000
X = 0.5 * np.sin(np.arange(1, N + 1) / 7)
GUID = bytes.fromhex("000000001000800000aa00389b71")  # what follows the two bytes of the format


def chunk(name: bytes, content: bytes, size: int | None = None, pad: bool = True) -> bytes:
    written = len(content) if size is None else size
    return name + struct.pack("<I", written) + content + b"\0" * (len(content) % 2 and pad)


def form(tag: int = 1, channels: int = 1, rate: int = RATE, bits: int = 16, block: int | None = None) -> bytes:
    block = channels * bits // 8 if block is None else block
    return chunk(b"fmt ", struct.pack("<HHIIHH", tag, channels, rate, rate * block, block, bits))


def extensible(tag: int, bits: int, guid: bytes = GUID) -> bytes:
    head = struct.pack("<HHIIHH", 0xFFFE, 1, RATE, RATE * bits // 8, bits // 8, bits)
    return chunk(b"fmt ", head + struct.pack("<HHIH", 22, bits, 4, tag) + guid)


def riff(*chunks: bytes, size: int | None = None) -> bytes:
    body = b"WAVE" + b"".join(chunks)
    return b"RIFF" + struct.pack("<I", len(body) if size is None else size) + body


def pcm(x: np.ndarray = X, bits: int = 16) -> bytes:
    """Little-endian PCM; 8 bits are unsigned."""
    whole = np.round(x * 2.0 ** (bits - 1)).astype(np.int64) + (128 if bits == 8 else 0)
    return whole.astype("<i8").view(np.uint8).reshape(-1, 8)[:, : bits // 8].tobytes()


def floats(x: np.ndarray = X, bits: int = 32) -> bytes:
    return x.astype(f"<f{bits // 8}").tobytes()


def read(tmp_path: Path, content: bytes, samples: int = N) -> np.ndarray:
    (tmp_path / "a.wav").write_bytes(content)
    return folder_wav.read_sound(tmp_path / "a.wav", samples, RATE)


def fill(folder: Path, content: bytes | None = None, n: int = 6) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    for k in range(n):
        (folder / f"{k}.wav").write_bytes(
            riff(form(), chunk(b"data", pcm(X / (k + 1)))) if content is None else content
        )
    return folder


def load(folder: Path, samples: int = N) -> Dataset:
    return folder_wav.ganbench_dataset(argument=f"{folder},{samples},{RATE}", resolution=None)


def refusal(folder: Path) -> str:
    """The message, which must be one line and have a next step."""
    with pytest.raises(DataError) as caught:
        load(folder)
    assert caught.value.hint
    assert "\n" not in str(caught.value.message)
    return caught.value.message.replace(str(folder), "sounds")


def said(folder: Path) -> list[str]:
    """The notes, which hold the name of the folder and not its path."""
    notes = load(folder).notes
    assert not any(str(folder.parent) in note for note in notes)
    said = [note.replace(f"'{folder.name}'", "'sounds'") for note in notes]
    return [note for note in said if "cop" not in note]  # the same sound stands in many files here


# --- headers --------------------------------------------------------------------------------------------------

PCM = pcm()
PLAYABLE = {
    "plain": riff(form(), chunk(b"data", PCM)),
    "8 bits": riff(form(bits=8), chunk(b"data", pcm(bits=8))),
    "24 bits": riff(form(bits=24), chunk(b"data", pcm(bits=24))),
    "32 bits": riff(form(bits=32), chunk(b"data", pcm(bits=32))),
    "float32": riff(form(3, bits=32), chunk(b"data", floats())),
    "float64": riff(form(3, bits=64), chunk(b"data", floats(bits=64))),
    "extensible PCM": riff(extensible(1, 24), chunk(b"data", pcm(bits=24))),
    "extensible float": riff(extensible(3, 32), chunk(b"data", floats())),
    "never finished, RIFF size 0": riff(form(), chunk(b"data", PCM, size=0), size=0),
    "never finished, RIFF size of an empty file": riff(form(), chunk(b"data", PCM, size=0), size=36),
    "streamed, all bits set": riff(form(), chunk(b"data", PCM, size=2**32 - 1), size=2**32 - 1),
    "streamed, 2 GB less a page": riff(form(), chunk(b"data", PCM, size=0x7FFFF000), size=0x7FFFF024),
    "streamed, 2 GB": riff(form(), chunk(b"data", PCM, size=0x80000000), size=0x80000024),
    "streamed, data size 0": riff(form(), chunk(b"data", PCM, size=0), size=2**32 - 1),
    "RIFF size 0 with a data size": riff(form(), chunk(b"data", PCM), size=0),
    "RIFF size of the whole file": riff(form(), chunk(b"data", PCM), size=44 + len(PCM)),
    "odd chunk with its pad byte": riff(form(), chunk(b"LGWV", b"abc"), chunk(b"data", PCM)),
    "odd chunk without its pad byte": riff(form(), chunk(b"LGWV", b"abc", pad=False), chunk(b"data", PCM)),
    "chunks before the format": riff(
        chunk(b"JUNK", b"\0" * 28), chunk(b"bext", b"x" * 602), form(), chunk(b"data", PCM)
    ),
    "chunks around the samples": riff(form(), chunk(b"fact", b"1234"), chunk(b"data", PCM), chunk(b"id3 ", b"tag")),
    "one stray byte": riff(form(), chunk(b"data", PCM)) + b"\0",
    "an ID3v1 tag after the end": riff(form(), chunk(b"data", PCM)) + b"TAG" + b"x" * 125,
    "a cut chunk after the samples": riff(form(), chunk(b"data", PCM), chunk(b"LIST", b"INFO", size=400), size=1300),
    "a wrong number of bytes a second": riff(
        chunk(b"fmt ", struct.pack("<HHIIHH", 1, 1, RATE, 1, 2, 16)), chunk(b"data", PCM)
    ),
    "no block size": riff(form(block=0), chunk(b"data", PCM)),
    "RF64": b"RF64"
    + struct.pack("<I", 2**32 - 1)
    + b"WAVE"
    + chunk(b"ds64", struct.pack("<QQQI", 72 + len(PCM), len(PCM), N, 0))
    + form()
    + chunk(b"data", PCM, size=2**32 - 1),
}


@pytest.mark.parametrize("kind", PLAYABLE)
def test_a_file_that_players_play_gives_all_its_samples(tmp_path, kind):
    found = read(tmp_path, PLAYABLE[kind])
    assert np.abs(found - X).max() <= 1 / (2**7 if kind == "8 bits" else 2**15) + 1e-7


def test_the_bytes_of_big_endian_files_are_read_from_the_other_side(tmp_path):
    body = b"WAVEfmt " + struct.pack(">IHHIIHH", 16, 1, 1, RATE, 3 * RATE, 3, 24)
    samples = np.frombuffer(pcm(bits=24), np.uint8).reshape(-1, 3)[:, ::-1].tobytes()
    body += b"data" + struct.pack(">I", len(samples)) + samples
    assert np.allclose(read(tmp_path, b"RIFX" + struct.pack(">I", len(body)) + body), X, atol=1e-6)


@pytest.mark.parametrize("channels", [1, 2, 3])
@pytest.mark.parametrize(("tag", "bits"), [(1, 8), (1, 16), (1, 24), (1, 32), (1, 64), (3, 32), (3, 64)])
def test_samples_are_the_bits_that_scipy_reads(tmp_path, tag, bits, channels):
    x = np.random.default_rng(bits).uniform(-1, 1, 3 * N)
    content = riff(form(tag, channels, bits=bits), chunk(b"data", floats(x, bits) if tag == 3 else pcm(x, bits)))
    found = read(tmp_path, content, N)
    _, raw = wavfile.read(tmp_path / "a.wav")
    scaled = raw if tag == 3 else raw / 2.0 ** (8 * raw.dtype.itemsize - 1) - (bits == 8)
    expected = scaled.astype(np.float64).reshape(-1, channels).mean(axis=1)[:N].astype(np.float32)
    assert found.tobytes() == expected.tobytes()


@pytest.mark.parametrize("value", [2.0, 1e300])
def test_huge_floats_are_clipped_or_refused_without_a_warning_of_numpy(tmp_path, value):
    content = riff(form(3, channels=2, bits=64), chunk(b"data", floats(np.full(2 * N, value), 64)))
    if value < 8:
        assert (read(tmp_path, content) == 1).all()
    else:
        with pytest.raises(folder_wav.Refused, match=r"^peak 1e\+300$"):
            read(tmp_path, content)


REFUSED = {
    "no bytes": (b"", "it is empty"),
    "eight bytes": (riff(form())[:8], "it ends before its samples begin"),
    "no data chunk": (riff(form()), "it ends before its samples begin"),
    "cut within the format": (riff(form())[:30], "the description of its samples is cut off"),
    "half of it": (riff(form(), chunk(b"data", PCM))[: 44 + N], "it is cut off, with 200 of 400 samples"),
    "half of it, RIFF size fits": (
        riff(form(), chunk(b"data", PCM[:N], size=2 * N)),
        "it is cut off, with 200 of 400 samples",
    ),
    "a data chunk of nothing": (riff(form(), chunk(b"data", b"")), "it holds no samples"),
    "a data chunk of nothing before others": (
        riff(form(), chunk(b"data", b""), chunk(b"LIST", b"INFO")),
        "it holds no samples",
    ),
    "a stream of nothing": (riff(form(), chunk(b"data", b"", size=0), size=0), "it holds no samples"),
    "two data chunks": (
        riff(form(), chunk(b"data", PCM), chunk(b"data", PCM)),
        "it holds more than one block of samples",
    ),
    "samples before their format": (
        riff(chunk(b"data", PCM), form()),
        "its header does not say how the samples are stored",
    ),
    "0 channels": (riff(form(channels=0, block=2), chunk(b"data", PCM)), "its header says 0 channels"),
    "0 samples a second": (riff(form(rate=0), chunk(b"data", PCM)), "its header says 0 samples a second"),
    "4 GHz": (
        riff(chunk(b"fmt ", struct.pack("<HHIIHH", 1, 1, 4_000_000_007, 0, 2, 16)), chunk(b"data", PCM)),
        "its header says 4000000007 samples a second, too odd to resample",
    ),
    "16 bits in a byte": (
        riff(form(block=1), chunk(b"data", PCM)),
        "its header says PCM of 16 bits in 1 bytes, which no WAV file has",
    ),
    "half floats": (
        riff(form(3, bits=16), chunk(b"data", PCM)),
        "its header says floats of 16 bits in 2 bytes, which no WAV file has",
    ),
    "mu-law": (
        riff(form(7, bits=8), chunk(b"data", PCM)),
        "its samples are compressed (µ-law), not PCM or floats",
    ),
    "another extensible format": (
        riff(extensible(1, 16, b"x" * 14), chunk(b"data", PCM)),
        "its samples are of an unknown kind (0xfffe), not PCM or floats",
    ),
    "FLAC": (b"fLaC" + bytes(100), "it is no WAV file but FLAC"),
    "Git LFS": (b"version https://git-lfs.github.com/spec/v1", "it is no WAV file but a Git LFS pointer"),
    "a film": (b"RIFF\x04\0\0\0AVI LIST", "it is no WAV file"),
    "text": (b"no sound at all", "it is no WAV file"),
    "not a number": (
        riff(form(3, bits=32), chunk(b"data", floats(X * np.nan))),
        "it holds numbers that are not finite",
    ),
}


@pytest.mark.parametrize("kind", REFUSED)
def test_a_file_that_is_not_all_there_or_no_sound_is_refused_in_words_of_our_own(tmp_path, kind):
    content, reason = REFUSED[kind]
    fill(tmp_path)
    (tmp_path / "3.wav").write_bytes(content)
    assert refusal(tmp_path) == f"1 of 6 WAV files in 'sounds' cannot be read: 3.wav ({reason})"


@pytest.mark.parametrize("length", range(44))
def test_every_cut_within_a_header_is_refused_in_words_of_our_own(tmp_path, length):
    with pytest.raises(folder_wav.Refused, match=r"^(it|the description of its samples|its header) "):
        read(tmp_path, riff(form(), chunk(b"data", PCM))[:length])


def test_a_frame_that_is_not_whole_at_the_end_is_left_out_and_said(tmp_path):
    stereo = np.stack([X, X], 1).reshape(-1)
    fill(tmp_path, riff(form(channels=2), chunk(b"data", pcm(stereo) + b"\1\2")))
    assert "all end within a sample, which is left out (the first is 0.wav)" in said(tmp_path)[0]
    assert np.allclose(load(tmp_path).train.x[0, 0], X, atol=1e-4)


def test_only_the_samples_that_are_used_are_read(tmp_path):
    (tmp_path / "a.wav").write_bytes(riff(form(), chunk(b"data", PCM)))
    with (tmp_path / "a.wav").open("rb") as stream:
        raw = wav.read_frames(stream, wav.read_header(stream), 7)
    assert raw.tolist() == [[value] for value in np.round(X[:7] * 2**15)]


# --- levels ---------------------------------------------------------------------------------------------------


def test_floats_on_the_scale_of_16_bits_are_refused(tmp_path):
    fill(tmp_path, riff(form(3, bits=32), chunk(b"data", floats(X * 2**15))))
    assert refusal(tmp_path).startswith("6 of 6 WAV files in 'sounds' are not on a scale from -1 to 1: 0.wav (peak 163")


def test_floats_a_little_beyond_full_scale_are_clipped_and_said(tmp_path):
    fill(tmp_path)
    (tmp_path / "2.wav").write_bytes(riff(form(3, bits=32), chunk(b"data", floats(X * 3))))
    assert said(tmp_path) == [
        "of 6 WAV files in 'sounds', 1 is clipped at full scale (2.wav, peak 1.5, 0.51 of its samples)",
    ]
    assert load(tmp_path).part("all").x.max() == 1


@pytest.mark.parametrize("bits", [16, 12])
def test_16_bit_values_in_32_bits_are_refused(tmp_path, bits):
    values = np.round(X * 2**bits).astype("<i4").tobytes()
    fill(tmp_path, riff(form(bits=32), chunk(b"data", values)))
    assert "hold 16-bit values in 32 bits, too quiet to hear" in refusal(tmp_path)


def test_a_quiet_beginning_in_32_bits_is_not_taken_for_16_bit_values(tmp_path):
    values = np.r_[np.round(X * 2**12), np.zeros(N), X * 2**31].astype("<i4").tobytes()
    fill(tmp_path)
    (tmp_path / "1.wav").write_bytes(riff(form(bits=32), chunk(b"data", values)))
    assert said(tmp_path) == [
        "of 6 WAV files in 'sounds', 1 is cut to 400 samples (1.wav, 1200 samples); 1 is silent (1.wav)"
    ]


def test_24_bit_values_in_32_bits_are_said_to_be_quiet(tmp_path):
    fill(tmp_path, riff(form(bits=32), chunk(b"data", np.round(X * 2**23).astype("<i4").tobytes())))
    assert said(tmp_path) == [
        "of 6 WAV files in 'sounds', all stay below 0.4 % of full scale (the first is 0.wav, peak 0.002)"
    ]


def test_channels_that_cancel_are_refused_and_those_that_nearly_do_are_said(tmp_path):
    def stereo(right: np.ndarray) -> bytes:
        return riff(form(channels=2), chunk(b"data", pcm(np.stack([X, right], 1).reshape(-1))))

    fill(tmp_path / "against", stereo(-X))
    assert refusal(tmp_path / "against").startswith(
        "the channels of 6 of 6 WAV files in 'sounds' cancel each other when mixed to one: 0.wav (2 channels), 1.wav"
    )
    fill(tmp_path / "nearly", stereo(-0.9 * X))
    assert "lose most of the level when mixed" in said(tmp_path / "nearly")[0]
    fill(tmp_path / "one", stereo(0 * X))
    assert said(tmp_path / "one") == [
        "of 6 WAV files in 'sounds', all have several channels, which are mixed to one (the first is 0.wav, 2 channels)"
    ]


@pytest.mark.parametrize("level", [0, 1 / 2**15], ids=["zeros", "one step of 16 bits"])
def test_nothing_but_silence_is_refused_and_some_of_it_is_said(tmp_path, level):
    silence = riff(form(), chunk(b"data", pcm(np.sign(X) * level)))
    assert refusal(fill(tmp_path / "all", silence)) == "all 6 WAV files in 'sounds' are silent"
    fill(tmp_path / "some")
    (tmp_path / "some" / "4.wav").write_bytes(silence)
    assert said(tmp_path / "some") == ["of 6 WAV files in 'sounds', 1 is silent (4.wav)"]


def test_one_sentence_says_whatever_was_changed_and_how_often(tmp_path):
    fill(tmp_path, n=8)
    (tmp_path / "1.wav").write_bytes(riff(form(rate=8000), chunk(b"data", pcm(X[:200]))))
    (tmp_path / "2.wav").write_bytes(riff(form(), chunk(b"data", PCM * 2)))
    (tmp_path / "3.wav").write_bytes(riff(form(), chunk(b"data", PCM * 3)))
    (tmp_path / "4.wav").write_bytes(riff(form(), chunk(b"data", PCM[:100])))
    (tmp_path / "5.wav").write_bytes(PLAYABLE["streamed, all bits set"])
    assert said(tmp_path) == [
        "of 8 WAV files in 'sounds', 1 is resampled to 16000 a second (1.wav, 8000 a second); "
        "2 are cut to 400 samples (the first is 2.wav, 800 samples); "
        "1 is shorter than half of 400 samples, so that silence follows (4.wav, 50 samples); "
        "1 has no length in the header, so that all that follows is read (5.wav, 400 samples)"
    ]


def test_a_folder_of_sounds_as_they_should_be_says_nothing(tmp_path):
    assert said(fill(tmp_path)) == []


def test_sentences_on_sounds_are_kept_in_records_without_the_path(tmp_path):
    (fill(tmp_path, n=20) / "x.flac").write_bytes(b"")
    rules = load_protocol("smoke-v1")
    evaluation = replace(rules.evaluation, extractor="raw", samples=10)
    dataset = f"folder-wav:{tmp_path},300,{RATE}"
    with pytest.warns(GanbenchWarning) as caught:
        bench = prepare(replace(rules, dataset=dataset, resolution=None, evaluation=evaluation), "cpu")
    assert [str(warning.message) for warning in caught] == list(bench.doubts)
    assert "left out is 1 .flac file (x.flac)" in bench.doubts[0]
    assert "all are cut to 300 samples" in bench.doubts[1]
    assert not any(str(tmp_path.parent) in doubt for doubt in bench.doubts)


# --- what is in the folder ------------------------------------------------------------------------------------


def test_sounds_in_other_formats_are_counted_by_suffix_and_said(tmp_path):
    fill(tmp_path / "a")
    fill(tmp_path / "b")
    for name in ("a/x.flac", "a/y.FLAC", "b/z.mp3", "b/notes.txt"):
        (tmp_path / name).write_bytes(b"")
    assert said(tmp_path) == [
        "'sounds' gives 12 WAV files; left out are 3 files (2 .flac, 1 .mp3; the first is a/x.flac), because "
        "only .wav is read"
    ]


def test_one_sound_in_another_format_is_said_in_the_singular(tmp_path):
    (fill(tmp_path) / "x.flac").write_bytes(b"")
    assert said(tmp_path) == [
        "'sounds' gives 6 WAV files; left out is 1 .flac file (x.flac), because only .wav is read"
    ]


def test_sub_folders_without_sounds_are_said(tmp_path):
    for name in "abcd":
        (fill(tmp_path / name) if name < "c" else tmp_path / name).mkdir(exist_ok=True)
    (tmp_path / "a" / "x.flac").write_bytes(b"")
    assert said(tmp_path) == [
        "'sounds' gives 12 WAV files; left out are the sub-folders c, d without sounds and 1 .flac file (a/x.flac), "
        "because only .wav is read"
    ]


def test_hidden_sounds_are_said_apart_from_other_formats(tmp_path):
    for name in (".0.wav", ".1.wav", "cover.jpg"):
        (fill(tmp_path) / name).write_bytes(b"")
    assert said(tmp_path) == [
        "'sounds' gives 6 WAV files; left out are 2 hidden files (the first is .0.wav) and 1 .jpg file (cover.jpg), "
        "because only .wav is read"
    ]


def test_a_class_of_sounds_in_another_format_is_refused(tmp_path):
    fill(tmp_path / "a")
    fill(tmp_path / "c")
    (tmp_path / "b").mkdir()
    for k in range(4):
        (tmp_path / "b" / f"{k}.flac").write_bytes(b"")
    assert refusal(tmp_path) == (
        "no file of the class 'b' in 'sounds' can be read: 4 .flac files (the first is b/0.flac)"
    )


def test_a_folder_of_sounds_in_other_formats_alone_says_which(tmp_path):
    for name in ("x.mp3", "y.mp3", "z.ogg"):
        (tmp_path / name).write_bytes(b"")
    assert refusal(tmp_path) == (
        "'sounds' holds no sounds that can be read, but 3 other files (2 .mp3, 1 .ogg), the first x.mp3"
    )


def test_links_that_lead_nowhere_are_refused(tmp_path):
    fill(tmp_path / "a")
    fill(tmp_path / "b")
    (tmp_path / "b" / "6.wav").symlink_to("nowhere.wav")
    assert refusal(tmp_path) == "'sounds' has 1 broken link, the first b/6.wav"
    (tmp_path / "c").symlink_to("not-mounted")  # a class
    assert refusal(tmp_path) == "'sounds' has 2 broken links, the first c"


def test_links_that_lead_to_sounds_are_read(tmp_path):
    fill(tmp_path / "a")
    (tmp_path / "a" / "loop").symlink_to(tmp_path / "a")
    (tmp_path / "a" / "6.wav").symlink_to("5.wav")
    (tmp_path / "b").symlink_to(fill(tmp_path.parent / f"{tmp_path.name}-elsewhere"))
    assert len(load(tmp_path).part("all")) == 13


@pytest.mark.parametrize(
    ("name", "levels"), [("c/session/0.wav", "two"), ("a/session/day/0.flac", "three"), ("c/0.wav/0.wav", "two")]
)
def test_sounds_below_the_class_folders_are_refused(tmp_path, name, levels):
    fill(tmp_path / "a")
    fill(tmp_path / "b")
    (tmp_path / name).parent.mkdir(parents=True)
    (tmp_path / name).write_bytes(b"")
    assert refusal(tmp_path) == f"'sounds' has 1 sound {levels} levels down, in {Path(name).parent}"


def test_wav_files_under_other_names_are_known_by_their_content(tmp_path):
    fill(tmp_path / "a")
    for name in ("a/x", "a/6.wav~", "a/7.wav.part"):
        (tmp_path / name).write_bytes(PLAYABLE["plain"])
    assert said(tmp_path) == [
        "'sounds' gives 6 WAV files; left out are 3 files (1 .wav~, 1 .part, 1 suffix-less; the first is a/6.wav~), "
        "because only .wav is read"
    ]
    (tmp_path / "b").mkdir()
    (tmp_path / "b" / "x").write_bytes(PLAYABLE["plain"])
    assert refusal(tmp_path) == "no file of the class 'b' in 'sounds' can be read: 1 suffix-less file (b/x)"


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="the administrator may read everything")
def test_a_file_without_permission_is_named(tmp_path):
    fill(tmp_path)
    (tmp_path / "2.wav").chmod(0)
    assert refusal(tmp_path) == "1 of 6 WAV files in 'sounds' cannot be read: 2.wav (Permission denied)"


def test_thousands_of_mixed_files_are_listed(tmp_path):
    for name in "ab":
        (tmp_path / name).mkdir()
        for k in range(500):
            (tmp_path / name / f"{k}.wav").touch()
            (tmp_path / name / f"{k}.txt").touch()
            (tmp_path / name / f"{k}.opus").touch()
    listing = folder_wav.find_sounds(tmp_path)
    assert (listing.classes, listing.labels.bincount().tolist()) == (("a", "b"), [500, 500])
    assert len(listing.files) == len(listing.unread) == 1000
