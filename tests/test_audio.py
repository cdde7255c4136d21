"""Audio: synthetic drums, the user's WAV files, the classifier that hears them, WaveGAN, and their protocols."""

from __future__ import annotations

import json
import math
import wave
from dataclasses import replace
from importlib import import_module
from pathlib import Path

import msgspec
import numpy as np
import pytest
import torch
from scipy.io import wavfile
from scipy.signal import resample_poly
from torch import Tensor, nn
from torch_fidelity import metric_fid

from ganbench.contracts.arch import count_parameters
from ganbench.contracts.data import Dataset, DataSpec, Split
from ganbench.contracts.evaluation import Evaluation
from ganbench.contracts.extractor import extract
from ganbench.contracts.protocol import Recipe
from ganbench.errors import DataError, GanbenchError, ProtocolError, Unsupported
from ganbench.evaluation.judge import Judge
from ganbench.evaluation.sampling import sample
from ganbench.evaluation.yardsticks import draw
from ganbench.plugins.protocols import load_protocol
from ganbench.runs.setup import prepare
from ganbench.testing import check_arch, check_dataset, check_extractor, check_metric, check_protocol
from ganbench.training.batches import Stream
from ganbench.training.trainer import Trainer
from ganbench_baselines.arch import wavegan
from ganbench_baselines.dataset import drums, folder_wav
from ganbench_baselines.extractor import drums_cnn, train_cnn, train_drums_cnn
from ganbench_baselines.metric import fad, fid, inception_score, modes
from ganbench_baselines.protocol import drums_16k_v1, drums_v1

CPU = torch.device("cpu")
KICK, SNARE, CLOSED, OPEN, TOM, CLAP = range(6)
LOSSES = ("minimax", "non_saturating", "lsgan", "wgan", "wgan_gp", "hinge", "dragan", "r1", "rpgan_r1_r2")


@pytest.fixture(scope="module")
def kit() -> Dataset:
    return drums.ganbench_dataset(argument="", resolution=None)


@pytest.fixture(scope="module")
def few(kit) -> dict[int, Tensor]:
    """A hundred held-out sounds of each class, ``[100, T]``."""
    return {k: kit.test.x[kit.test.labels == k, 0] for k in range(6)}


@pytest.fixture(scope="module")
def cnn() -> drums_cnn.DrumsCNN:
    return drums_cnn.load()


def share_of_energy(x: Tensor, low: float, high: float, rate: int = 8000) -> Tensor:
    """The share of energy between two frequencies, ``[n]``."""
    power = torch.fft.rfft(x.double()).abs().square()
    f = torch.fft.rfftfreq(x.shape[-1], 1 / rate)
    return power[:, (f >= low) & (f < high)].sum(1) / power.sum(1)


def time_of_energy(x: Tensor, share: float, rate: int = 8000) -> Tensor:
    """Seconds until a share of the energy has passed, ``[n]``."""
    gone = x.double().square().cumsum(1)
    return (gone < share * gone[:, -1:]).sum(1) / rate


def pitch_of(x: Tensor, start: float, stop: float, rate: int = 8000) -> Tensor:
    """The pitch of a sine between two moments, from its zero crossings, ``[n]``."""
    found = []
    for row in x[:, round(start * rate) : round(stop * rate)].double().numpy():
        at = np.flatnonzero(np.diff(np.signbit(row)))
        zeros = at + row[at] / (row[at] - row[at + 1])
        found.append(rate * (len(zeros) - 1) / (2 * (zeros[-1] - zeros[0])))
    return torch.tensor(found)


# --- drums ----------------------------------------------------------------------------------------------------


def test_drums_have_six_equal_classes_in_a_stratified_split(kit):
    assert kit.spec == DataSpec((1, 4096), classes=6, rate=8000)
    assert (len(kit.train), len(kit.test)) == (1800, 600)
    assert kit.train.labels.bincount().tolist() == [300] * 6
    assert kit.test.labels.bincount().tolist() == [100] * 6
    assert torch.equal(kit.oracle.probabilities, torch.full((6,), 1 / 6, dtype=torch.float64))
    assert kit.oracle.assign is None


def test_drums_lie_on_the_grid_of_16_bit_pcm_and_use_their_range(kit):
    x = kit.part("all").x
    assert x.dtype == torch.float32
    assert torch.equal((x * 2**15).round() / 2**15, x)
    peak = x.abs().amax(dim=(1, 2))
    assert 0.499 < peak.min() < 0.52
    assert 0.97 < peak.max() < 0.991


def test_drums_are_the_same_bits_on_every_call_and_machine(kit):
    assert kit.fingerprint == "26d88ed823034f7f"


def test_drums_are_all_different_and_another_seed_makes_others(kit):
    everything = kit.part("all").x
    assert len({row.numpy().tobytes() for row in everything}) == 2400
    other = drums.Drummer(2, 4096, 8000, torch.Generator().manual_seed(1)).kick()
    assert not torch.equal(other[0], other[1])


def test_drums_keep_the_contract_of_datasets():
    check_dataset("drums:1024")


def test_a_kick_falls_from_above_100_hz_to_between_42_and_65(few):
    early, late = pitch_of(few[KICK], 0.004, 0.03), pitch_of(few[KICK], 0.12, 0.3)
    assert (early > 1.5 * late).all()
    assert late.min() > 41
    assert late.max() < 70
    assert (share_of_energy(few[KICK], 0, 300) > 0.95).all()


def test_a_tom_is_a_sine_above_the_kick(few):
    pitch = pitch_of(few[TOM], 0.2, 0.4)
    assert pitch.min() > 94
    assert pitch.max() < 230
    assert (share_of_energy(few[TOM], 80, 400) > 0.95).all()


def test_hats_are_noise_above_2_khz_short_or_long(few):
    for hat in (CLOSED, OPEN):
        assert (share_of_energy(few[hat], 1700, 4000) > 0.9).all()
    assert time_of_energy(few[CLOSED], 0.99).max() < 0.06
    assert time_of_energy(few[OPEN], 0.9).min() > 0.08


def test_a_snare_is_a_head_and_wires(few):
    head, wires = share_of_energy(few[SNARE], 120, 700), share_of_energy(few[SNARE], 900, 4000)
    assert ((head > 0.1) & (wires > 0.1)).all()


def test_a_clap_has_bursts_8_to_13_ms_apart(few):
    loudness = torch.nn.functional.avg_pool1d(few[CLAP].square().unsqueeze(1), 16, 8).squeeze(1).double().mean(0)
    assert loudness[1:6].min() < 0.5 * loudness[8:14].max()  # 3 to 6 ms are the gap before the second burst
    assert (share_of_energy(few[CLAP], 400, 3000) > 0.9).all()


def test_a_sines_phase_is_the_integral_of_its_frequency():
    drummer = drums.Drummer(1, 4096, 64_000, torch.Generator())
    one = torch.ones(1, 1, dtype=torch.float64)
    frequency = 50 + 120 * torch.exp(-drummer.t / 0.02)
    phase = 2 * math.pi * torch.cumulative_trapezoid(frequency, drummer.t)
    assert torch.allclose(drummer.sine(50 * one, 120 * one, 0.02)[0, 1:], phase.sin(), atol=1e-4)


def test_drums_at_16_khz_are_the_same_kinds_of_sounds():
    drummer = drums.Drummer(20, 16384, 16_000, torch.Generator().manual_seed(3))
    assert drummer.tom().shape == (20, 16384)
    pitch = pitch_of(drummer.tom(), 0.2, 0.4, 16_000)
    assert 94 < pitch.min() < pitch.max() < 230
    assert (share_of_energy(drummer.open_hat(), 4000, 8000, 16_000) > 0.4).all()


@pytest.mark.parametrize(
    ("argument", "expected"),
    [("", (4096, 8000)), ("8192", (8192, 8000)), ("16384", (16384, 16_000)), ("4096, 16000", (4096, 16_000))],
)
def test_drums_take_a_length_and_a_rate(argument, expected):
    assert drums.parse(argument) == expected


@pytest.mark.parametrize("argument", ["100", "4096,10", "9999999", "loud", "4096,8000,1", "-4096", ","])
def test_drums_that_cannot_be_made_are_a_sentence(argument):
    with pytest.raises(DataError, match="drums") as caught:
        drums.ganbench_dataset(argument=argument, resolution=None)
    assert caught.value.hint


def test_drums_have_no_resolution():
    with pytest.raises(Unsupported, match="resolution"):
        drums.ganbench_dataset(argument="", resolution=16)


def test_spectral_noise_has_the_colour_of_drums_and_none_of_their_shape(kit):
    make = kit.yardsticks["spectral noise"]
    noise = make(kit.test, 5)
    assert noise.x.shape == kit.test.x.shape
    assert noise.x.dtype == torch.float32
    assert torch.equal(noise.x, make(kit.test, 5).x)
    assert not torch.equal(noise.x, make(kit.test, 6).x)
    expected, found = (torch.fft.rfft(x.double()).abs().mean(dim=(0, 1)) for x in (kit.train.x, noise.x))
    assert torch.allclose(found[1:-1], expected[1:-1], rtol=1e-3)  # the first and the last are real: they have no phase
    first, second = noise.x.double().square().mean(dim=(0, 1)).chunk(2)
    assert first.sum() / second.sum() == pytest.approx(1, abs=0.05)
    assert kit.test.x[..., :2048].square().sum() > 10 * kit.test.x[..., 2048:].square().sum()


# --- folder-wav -----------------------------------------------------------------------------------------------


def tone(n: int = 800, rate: int = 16_000, pitch: float = 440.0, level: float = 0.5) -> np.ndarray:
    return level * np.sin(2 * np.pi * pitch * np.arange(n) / rate)


def write_many(folder: Path, n: int = 10, rate: int = 16_000) -> list[Path]:
    folder.mkdir(parents=True, exist_ok=True)
    files = [folder / f"{i:02d}.wav" for i in range(n)]
    for i, file in enumerate(files):
        wavfile.write(file, rate, (tone(pitch=200 + 50 * i) * 2**15).astype(np.int16))
    return files


def load(folder: Path | str, more: str = ",1024,16000") -> Dataset:
    return folder_wav.ganbench_dataset(argument=f"{folder}{more}", resolution=None)


def write_24_bit(file: Path, x: np.ndarray, rate: int) -> None:
    with wave.open(str(file), "wb") as out:
        out.setnchannels(1)
        out.setsampwidth(3)
        out.setframerate(rate)
        whole = np.round(x * (2**23 - 1)).astype("<i4")
        out.writeframes(whole.view(np.uint8).reshape(-1, 4)[:, :3].tobytes())


@pytest.mark.parametrize("kind", ["8 bit", "16 bit", "24 bit", "32 bit", "float32", "float64"])
def test_wav_files_of_every_kind_give_the_recorded_amplitudes(tmp_path, kind):
    x, file = tone(), tmp_path / "a.wav"
    steps = {"8 bit": 2**7, "16 bit": 2**15, "24 bit": 2**23, "32 bit": 2**31}.get(kind, 2**23)
    match kind:
        case "8 bit":
            wavfile.write(file, 16_000, np.round(x * 128 + 128).astype(np.uint8))
        case "16 bit":
            wavfile.write(file, 16_000, np.round(x * 2**15).astype(np.int16))
        case "24 bit":
            write_24_bit(file, x, 16_000)
        case "32 bit":
            wavfile.write(file, 16_000, np.round(x * 2**31).astype(np.int32))
        case _:
            wavfile.write(file, 16_000, x.astype(kind))
    found = folder_wav.read_sound(file, 800, 16_000)
    assert found.dtype == np.float32
    assert np.abs(found - x).max() <= 1 / steps + 1e-7


def test_channels_are_mixed_to_one(tmp_path):
    left, right = tone(pitch=300), tone(pitch=500)
    wavfile.write(tmp_path / "a.wav", 16_000, np.stack([left, right], axis=1))
    assert np.allclose(folder_wav.read_sound(tmp_path / "a.wav", 800, 16_000), (left + right) / 2, atol=1e-6)


def test_long_sounds_are_cut_and_short_ones_followed_by_silence(tmp_path):
    wavfile.write(tmp_path / "a.wav", 16_000, tone(800))
    long, short = (folder_wav.read_sound(tmp_path / "a.wav", n, 16_000) for n in (500, 1000))
    assert np.allclose(long, tone(800)[:500], atol=1e-7)
    assert np.array_equal(short[:500], long)
    assert (short[800:] == 0).all()


@pytest.mark.parametrize("rate", [44_100, 11_025])
def test_other_rates_are_resampled_as_if_the_whole_file_were(tmp_path, rate):
    x = tone(rate, rate)
    wavfile.write(tmp_path / "a.wav", rate, x)
    found = folder_wav.read_sound(tmp_path / "a.wav", 1024, 16_000)
    up, down = 16_000 // math.gcd(16_000, rate), rate // math.gcd(16_000, rate)
    assert np.allclose(found, resample_poly(x, up, down)[:1024], atol=1e-6)
    assert np.allclose(found[200:800], tone(1024)[200:800], atol=0.01)  # the same tone


def test_a_flat_folder_has_no_labels_and_sub_folders_are_classes(tmp_path):
    write_many(tmp_path / "flat")
    flat = load(tmp_path / "flat")
    assert flat.spec == DataSpec((1, 1024), rate=16_000)
    assert flat.train.labels is None
    assert (len(flat.train), len(flat.test)) == (8, 2)
    write_many(tmp_path / "kit" / "snare", 10)
    write_many(tmp_path / "kit" / "kick", 20)
    (tmp_path / "kit" / "notes").mkdir()
    classes = load(tmp_path / "kit")
    assert classes.notes[0] == "'kit' gives 30 WAV files; left out is the sub-folder notes without sounds"
    assert (classes.spec.classes, classes.class_names) == (2, ("kick", "snare"))
    assert classes.test.labels.bincount().tolist() == [4, 2]  # kick, snare
    assert "spectral noise" in classes.yardsticks


def test_length_and_rate_are_the_papers_unless_named(tmp_path):
    write_many(tmp_path)
    long, short = load(tmp_path, ""), load(tmp_path, ",256")
    assert long.spec == DataSpec((1, 16_384), rate=16_000)
    assert "all are shorter than half of 16384 samples" in long.notes[0]
    assert short.spec.shape == (1, 256)
    assert "all are cut to 256 samples" in short.notes[0]
    write_many(tmp_path / "a, b", rate=8000)
    assert load(tmp_path / "a, b", ",800,8000").spec == DataSpec((1, 800), rate=8000)


def test_files_that_are_no_sounds_and_notes_within_sounds_are_passed_over(tmp_path):
    files = write_many(tmp_path)
    (tmp_path / "README.txt").write_text("where these come from")
    (tmp_path / "._00.wav").write_bytes(b"what a Mac leaves in an archive")
    note = b"smpl" + (4).to_bytes(4, "little") + b"note"
    content = files[0].read_bytes() + note
    files[0].write_bytes(content[:4] + (len(content) - 8).to_bytes(4, "little") + content[8:])
    assert len(load(tmp_path).part("all")) == 10


def test_a_folder_of_sounds_keeps_the_contract_of_datasets(tmp_path):
    for i, kind in enumerate("ab"):
        write_many(tmp_path / kind, 20, 8000 * (i + 1))
    check_dataset(lambda: load(tmp_path))


def test_files_that_cannot_be_read_are_named(tmp_path):
    files = write_many(tmp_path)
    files[2].write_bytes(files[2].read_bytes()[:500])
    files[5].write_bytes(b"no sound at all")
    wavfile.write(files[7], 16_000, np.zeros(0, np.int16))
    wavfile.write(files[8], 16_000, np.full(9, np.nan, np.float32))
    with pytest.raises(DataError, match=r"4 of 10 .* 02.wav .* 05.wav .* 07.wav .* 08.wav"):
        load(tmp_path)


@pytest.mark.parametrize(
    ("prepare", "words"),
    [
        (lambda folder: folder.rmdir(), "does not exist"),
        (lambda folder: None, "holds no sounds"),
        (lambda folder: (folder.rmdir(), folder.write_text("")), "is not a folder"),
        (lambda folder: (write_many(folder), write_many(folder / "kick")), "beside the class folders kick"),
        (lambda folder: write_many(folder, 2), "too few to hold any out"),
    ],
    ids=["missing", "empty", "file", "mixed", "few"],
)
def test_a_folder_that_holds_no_data_is_a_sentence(tmp_path, prepare, words):
    folder = tmp_path / "sounds"
    folder.mkdir()
    prepare(folder)
    with pytest.raises(DataError, match=words) as caught:
        load(folder)
    assert caught.value.hint


@pytest.mark.parametrize("argument", ["", ",16384", "sounds,3", "sounds,1024,2"])
def test_a_folder_that_is_not_named_or_numbers_that_are_no_sound_are_a_sentence(argument):
    with pytest.raises(DataError, match=r"path|not enough for a sound"):
        folder_wav.ganbench_dataset(argument=argument, resolution=None)


# --- drums-cnn ------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def published() -> dict:
    return json.loads(drums_cnn.WEIGHTS.with_suffix(".json").read_text())


@pytest.mark.parametrize("rate", drums_cnn.RATES)
def test_published_file_speaks_of_the_weights_that_ship(published, rate):
    it = drums_cnn.load(rate)
    assert published[str(rate)]["weights"] == it.weights_hash
    assert published[str(rate)]["confusion"] == it.confusion.tolist()
    assert it.gate == min(published[str(rate)]["gate"] for rate in drums_cnn.RATES)
    assert drums_cnn.WEIGHTS.stat().st_size <= 300_000


def test_scores_at_8_and_at_16_khz_have_different_names():
    names = {drums_cnn.ganbench_extractor(argument=argument).tag for argument in ("", "8000", "16000")}
    assert len(names) == 2


def test_accuracy_on_drums_never_heard_is_the_published_one(cnn, kit, published):
    confidence, assigned = train_cnn.judged(cnn, kit.test.x)
    assert train_cnn.share(assigned == kit.test.labels) == published["8000"]["held_out_accuracy"] >= 0.99
    assert train_cnn.share(confidence >= cnn.gate) == pytest.approx(published["8000"]["held_out_passed"], abs=4e-3)


def test_drums_of_16_khz_are_told_apart_too():
    drummer = drums.Drummer(15, 16384, 16_000, torch.Generator().manual_seed(9))
    voices = (drummer.kick, drummer.snare, drummer.closed_hat, drummer.open_hat, drummer.tom, drummer.clap)
    x = torch.cat([(0.7 * v / v.abs().amax(1, keepdim=True)).float() for v in (voice() for voice in voices)])
    _, logits = drums_cnn.load(16_000)(x.unsqueeze(1))
    assert (logits.argmax(1) == torch.arange(6).repeat_interleave(15)).double().mean() > 0.97


@pytest.mark.parametrize(("rate", "extractor"), [(8000, "drums-cnn:16000"), (16_000, "drums-cnn")])
def test_an_extractor_of_another_rate_is_refused_before_training(rate, extractor):
    rules = load_protocol("drums-v1")
    evaluation = msgspec.structs.replace(rules.evaluation, extractor=extractor, samples=600)
    unlike = msgspec.structs.replace(rules, dataset=f"drums:1024,{rate}", evaluation=evaluation)
    with pytest.raises(Unsupported, match=f"expects {24_000 - rate} samples per second, but .* has {rate}"):
        prepare(unlike, "cpu")


def test_gate_lets_drums_pass_and_stops_what_is_none(cnn, kit, published):
    passed = train_cnn.shares_passed(cnn, train_drums_cnn.strangers(kit.test), cnn.gate)
    assert passed == pytest.approx(published["8000"]["strangers_passed"], abs=0.03)
    assert max(passed[name] for name in passed if name != "even blends of two classes") < 0.02
    assert passed["even blends of two classes"] < 0.2


def test_confusion_counts_drums_of_every_class_that_passed_the_gate(cnn):
    counts = cnn.confusion
    assert counts.shape == (6, 6)
    assert (counts.sum(dim=1) > 475).all()  # of 500: 400 that nobody heard and 100 held out
    assert counts.diag().sum() / counts.sum() > 0.99


def test_features_of_the_training_drums_have_mean_zero_and_variance_one(cnn, kit):
    features, _ = extract(cnn, kit.train.x, CPU)
    assert features.shape == (1800, 32)
    assert features.mean(dim=0).abs().max() < 1e-5
    assert (features.std(dim=0) - 1).abs().max() < 1e-5


@pytest.mark.parametrize("rate", drums_cnn.RATES)
def test_mel_bands_share_each_frequency_between_neighbours_up_to_half_the_rate(rate):
    size = round(0.032 * rate)
    bands = drums_cnn.mel_bands(rate, size)
    f = torch.fft.rfftfreq(size, 1 / rate)
    inside = (f > 60) & (f < 7300)  # between the centres of the first and the last band
    assert torch.allclose(bands[inside].sum(1), torch.ones(()), atol=1e-5)
    assert ((bands > 0).sum(1) <= 2).all()
    heard = bands.sum(0) > 0
    assert heard.sum() == {8000: 25, 16_000: 32}[rate]
    peak = f[bands[:, :20].argmax(0)]
    assert (peak.diff() > 0).all()


@pytest.mark.parametrize("rate", drums_cnn.RATES)
@pytest.mark.parametrize(("decibel", "level"), [(0, 1.0), (-20, 1 / 3), (-90, -1.0)])
def test_log_mel_of_a_sine_is_its_level_in_its_band(rate, decibel, level):
    heard = drums_cnn.LogMel(rate)
    bands = drums_cnn.mel_bands(rate, heard.size)
    band = 18
    k = int(bands[:, band].argmax())  # a sine on a bin: all its power is in three
    x = 10 ** (decibel / 20) * torch.sin(2 * math.pi * k / heard.size * torch.arange(heard.size * 8))
    seen = heard(x.unsqueeze(0))
    assert seen.shape == (1, 1, 32, 128)
    middle = seen[0, 0, :, 10]
    assert middle.argmax() == band or decibel == -90
    assert middle[band].item() == pytest.approx(level, abs=0.12)
    assert (seen[0, 0, :, 40:] == -1).all()  # silence after the end


def test_the_same_sound_sounds_the_same_at_either_rate():
    t = torch.arange(16_384) / 16_000
    x = 0.5 * torch.sin(2 * math.pi * 700 * t) * torch.exp(-t / 0.1)
    high, low = drums_cnn.LogMel(16_000)(x[None]), drums_cnn.LogMel(8000)(x[None, ::2])
    assert (high - low).abs()[..., :100].mean() < 0.01


@pytest.mark.parametrize(
    "x",
    [torch.zeros(2, 2, 4096), torch.zeros(2, 4096), torch.zeros(2, 1, 8193), torch.zeros(2, 1, 64, dtype=torch.int16)],
    ids=["stereo", "flat", "long", "int16"],
)
def test_drums_cnn_refuses_what_it_would_judge_wrongly(cnn, x):
    with pytest.raises(Unsupported, match="drums-cnn"):
        cnn(x)


def test_another_rate_than_the_two_is_a_sentence():
    with pytest.raises(DataError, match="44100"):
        drums_cnn.ganbench_extractor(argument="44100")


def test_damaged_or_missing_weights_are_a_sentence(tmp_path):
    (tmp_path / "damaged").write_bytes(drums_cnn.WEIGHTS.read_bytes()[:5000])
    for name in ("damaged", "missing"):
        with pytest.raises(DataError, match=name):
            drums_cnn.load(file=tmp_path / name)


def test_drums_cnn_keeps_the_contract_of_extractors():
    check_extractor("drums-cnn", data=DataSpec((1, 4096), rate=8000))


def test_training_is_reproducible_and_learns(kit):
    recipe = replace(train_drums_cnn.Recipe(), steps=30, batch=16, average=0.5)
    short = Split(kit.train.x[..., :1024].contiguous(), kit.train.labels)
    networks = [train_drums_cnn.train({8000: short}, recipe, seed=3) for _ in range(2)]
    one, again = (train_cnn.standardised(drums_cnn.DrumsCNN(8000), network, short.x) for network in networks)
    assert one.weights_hash == again.weights_hash
    assert (train_cnn.judged(one, short.x)[1] == short.labels).double().mean() > 0.5


# --- fad, is, modes -------------------------------------------------------------------------------------------


def judged(kit: Dataset, cnn: drums_cnn.DrumsCNN, fake: Split) -> dict[str, float]:
    metrics = {"fad": fad.ganbench_metric(), "is": inception_score.ganbench_metric(), "modes": modes.ganbench_metric()}
    scores = Judge(kit, kit.test, metrics, cnn, CPU).score(fake, 0).scores
    return {name.partition("@")[0]: value for name, value in scores.items()}


def test_fad_is_torch_fidelitys_frechet_distance_of_the_extractors_features(kit, cnn):
    noise = kit.yardsticks["spectral noise"](kit.test, 0)
    real, fake = extract(cnn, kit.test.x, CPU)[0], extract(cnn, noise.x, CPU)[0]
    statistics = [metric_fid.fid_features_to_statistics(x) for x in (fake, real)]
    expected = metric_fid.fid_statistics_to_metric(*statistics, verbose=False)["frechet_inception_distance"]
    metric = fad.ganbench_metric()
    given = Evaluation(kit.test.x, noise.x, kit.spec, torch.Generator(), extractor=cnn)
    assert metric(given) == {"fad": pytest.approx(expected, rel=1e-6)}
    assert metric(given)["fad"] == fid.ganbench_metric()(given)["fid"]


def test_fad_is_named_after_the_extractor(kit, cnn):
    scores = Judge(kit, kit.test, {"fad": fad.ganbench_metric()}, cnn, CPU).score(Split(kit.test.x), 0).scores
    assert list(scores) == [f"fad@drums-cnn:{cnn.weights_hash}"]


def test_fad_keeps_the_contract_of_metrics():
    check_metric("fad")


def test_real_drums_cover_six_modes_and_yardsticks_stand_in_order_of_badness(kit, cnn):
    some = kit.train[torch.arange(600)]
    real = judged(kit, cnn, Split(some.x))
    assert real["modes_covered"] == 6
    assert real["is"] > 5
    assert real["hq_fraction"] > 0.97
    hiss = 0.01 * torch.randn(some.x.shape, generator=torch.Generator().manual_seed(0))
    hissing = judged(kit, cnn, Split((some.x + hiss).clamp(-1, 1)))
    one, spectral, noise = (
        judged(kit, cnn, draw(name, kit, kit.test, "test", 3).fake) for name in ("one class", "spectral noise", "noise")
    )
    assert real["fad"] < 0.3
    assert 3 * real["fad"] < hissing["fad"] < one["fad"] / 3
    assert min(spectral["fad"], noise["fad"]) > 3 * hissing["fad"]
    assert (one["modes_covered"], spectral["modes_covered"], noise["modes_covered"]) == (1, 0, 0)


# --- wavegan --------------------------------------------------------------------------------------------------

PAPER = DataSpec((1, 16_384), rate=16_000)


def built(data: DataSpec, width: int = 4, z_dim: int = 5, **settings: int) -> wavegan.WaveGAN:
    return wavegan.ganbench_arch(data, None, width, z_dim, settings)


def test_parameter_counts_at_the_papers_size_are_those_of_its_tables():
    with torch.device("meta"):
        gan = built(PAPER, width=64, z_dim=100)
    d = 64
    kernels = [(16 * d, 8 * d), (8 * d, 4 * d), (4 * d, 2 * d), (2 * d, d), (d, 1)]  # tables 2 and 3: (25, in, out)
    g = 100 * 256 * d + 256 * d + sum(25 * a * b + b for a, b in kernels)
    discriminator = 256 * d + 1 + sum(25 * a * b + a for a, b in kernels)
    assert count_parameters(gan.generators()) == g == 19_065_345
    assert count_parameters(gan.discriminators()) == discriminator == 17_427_969


def test_maps_have_the_shapes_of_the_papers_tables():
    gan = built(PAPER, width=2)
    seen: list[tuple[int, ...]] = []
    for module in gan.modules():
        if isinstance(module, (nn.Conv1d, nn.ConvTranspose1d)):
            module.register_forward_hook(lambda _module, _given, made: seen.append(tuple(made.shape[1:])))
    gan.discriminator(gan.generator(torch.zeros(1, 5)))
    up = [(16, 64), (8, 256), (4, 1024), (2, 4096), (1, 16384)]
    down = [(2, 4096), (4, 1024), (8, 256), (16, 64), (32, 16)]
    assert seen == [*up, *down]


@pytest.mark.parametrize(("length", "stages"), [(1024, 3), (4096, 4), (65_536, 6)])
def test_wavegan_has_a_layer_for_each_factor_of_four(length, stages):
    with torch.device("meta"):
        gan = built(DataSpec((1, length)), width=1)
        x = gan.generator(torch.zeros(2, 5))
        assert x.shape == (2, 1, length)
        assert gan.discriminator(x).shape == (2,)
    assert sum(isinstance(module, nn.ConvTranspose1d) for module in gan.modules()) == stages


@pytest.mark.parametrize("shape", [(1, 256), (1, 5000), (1, 2048), (1, 64, 64), (4096,)])
def test_wavegan_declines_what_it_cannot_make(shape):
    with pytest.raises(Unsupported, match="needs audio"):
        built(DataSpec(shape))


def test_wavegan_keeps_the_contract_under_every_normalisation():
    check_arch("wavegan", data=DataSpec((1, 1024)), width=2, z_dim=4)


def test_latents_are_uniform_between_minus_1_and_1():
    z = built(DataSpec((1, 1024))).sample_latent(4000, torch.Generator().manual_seed(0))
    assert z.min() < -0.999
    assert z.max() > 0.999
    assert z.std().item() == pytest.approx(3**-0.5, abs=0.01)


@pytest.mark.parametrize("reach", [1, 2, 5])
def test_phase_shuffle_shifts_each_sample_by_its_own_step_and_reflects_the_ends(reach):
    x = torch.randn(400, 3, 12)
    shuffled = wavegan.PhaseShuffle(reach)(x).numpy()
    padded = np.pad(x.numpy(), ((0, 0), (0, 0), (reach, reach)), mode="reflect")
    wanted = np.stack([padded[..., k : k + 12] for k in range(2 * reach + 1)], axis=1)
    same = (shuffled[:, None] == wanted).all(axis=(2, 3))
    assert (same.sum(axis=1) == 1).all()
    assert (np.bincount(same.argmax(axis=1)) > 400 / (2 * reach + 1) / 3).all()  # every step, about equally often


def test_phase_is_shuffled_after_all_convolutions_but_the_last_in_training_only():
    gan = built(DataSpec((1, 4096)))
    kinds = [type(module).__name__ for module in gan.discriminator]
    assert kinds == [
        *["Conv1d", "LeakyReLU", "PhaseShuffle"] * 3,
        "Conv1d",
        "LeakyReLU",
        "Flatten",
        "Linear",
        "Flatten",
    ]
    x = torch.randn(4, 1, 4096)
    assert not torch.equal(gan.discriminator(x), gan.discriminator(x))
    gan.discriminator.eval()
    assert torch.equal(gan.discriminator(x), gan.discriminator(x))


def test_the_ablation_has_no_phase_shuffle_and_the_same_weights():
    with_it, without = built(DataSpec((1, 1024))), built(DataSpec((1, 1024)), phase_shuffle=0)
    assert not any(isinstance(module, wavegan.PhaseShuffle) for module in without.modules())
    assert without.settings == wavegan.Settings(phase_shuffle=0)
    assert count_parameters([with_it]) == count_parameters([without])


@pytest.mark.parametrize(
    ("settings", "kind", "words"),
    [
        ({"phase_shuffle": -1}, Unsupported, "shuffle the phase by -1"),
        ({"phase_shuffle": 16}, Unsupported, "shuffle the phase by 16"),
        ({"phase_shufle": 0}, ProtocolError, "phase_shufle"),
        ({"phase_shuffle": "much"}, ProtocolError, "phase_shuffle"),
    ],
)
def test_settings_that_make_no_sense_are_a_sentence(settings, kind, words):
    with pytest.raises(GanbenchError, match=words) as caught:
        wavegan.ganbench_arch(PAPER, None, 1, 1, settings)
    assert isinstance(caught.value, kind)
    assert caught.value.hint


@pytest.mark.parametrize("name", LOSSES)
def test_every_loss_plays_on_wavegan(kit, name):
    loss = import_module(f"ganbench_baselines.loss.{name}").ganbench_loss()
    short = Split(kit.train.x[:64, :, :1024].clone())
    gan = wavegan.ganbench_arch(DataSpec((1, 1024)), getattr(loss, "d_norm", None), 2, 4, {})
    recipe = Recipe(d_steps=getattr(loss, "d_steps", 1), **getattr(loss, "recipe", {}))
    trainer = Trainer(gan, loss, Stream(short, 4, 0, CPU), recipe, 2 * recipe.d_steps, 1, 2)
    before = [p.clone() for p in gan.parameters()]
    trainer.advance(2 * recipe.d_steps)
    assert all(p.isfinite().all() for p in gan.parameters())
    assert sum(not torch.equal(p, old) for p, old in zip(gan.parameters(), before, strict=True)) > len(before) / 2
    assert sample(trainer.averaged, short, 0, CPU).x.abs().max() <= 1


# --- protocols ------------------------------------------------------------------------------------------------


def test_the_small_protocol_keeps_the_contract():
    check_protocol("drums-v1")


def test_protocols_are_frozen():
    assert drums_v1.ganbench_protocol().digest == "85077f911576"
    assert drums_16k_v1.ganbench_protocol().digest == "4635f61ba417"


def test_the_large_protocol_is_the_papers_table_6():
    protocol = drums_16k_v1.ganbench_protocol()
    training = protocol.training
    assert (training.batch, training.width, training.z_dim, training.lr) == (64, 64, 100, 1e-4)
    assert drums.parse(protocol.dataset_ref.argument) == (16_384, 16_000)
    assert protocol.evaluation.extractor == "drums-cnn:16000"


def test_yardsticks_of_the_protocols_are_known(kit):
    for module in (drums_v1, drums_16k_v1):
        for name in module.ganbench_protocol().evaluation.yardsticks:
            draw(name, kit, kit.test, "test", 0)
