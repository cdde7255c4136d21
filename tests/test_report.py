"""Pictures, sounds and animations: known arrays become known pixels and samples, and looking touches nothing."""

from __future__ import annotations

import wave
from pathlib import Path

import numpy as np
import pytest
import scipy.io.wavfile
import torch
from moments import command, runs_of
from PIL import Image
from torch import nn
from torch.nn.utils.parametrizations import spectral_norm

import ganbench
from ganbench import GAN, DataSpec, Match, Split
from ganbench.device.untouched import untouched
from ganbench.errors import GanbenchError
from ganbench.report import audio, axes, points
from ganbench.report import pictures as report
from ganbench.report.canvas import GROUND, columns_for
from ganbench.runs.checkpoint import players_of

POINTS, LINE = DataSpec((2,), bounded=False), DataSpec((1,), bounded=False)
SOUND, CLIPS = DataSpec((1, 1024), rate=8000), DataSpec((1, 5, 16, 16), rate=8)


def flat(*levels: int, size: int = 16, channels: int = 1) -> torch.Tensor:
    """Images of one grey each."""
    return torch.tensor(levels, dtype=torch.uint8).view(-1, 1, 1, 1).expand(-1, channels, size, size).contiguous()


# -- images ------------------------------------------------------------------------------------------------------------


def test_images_stand_in_rows_enlarged_without_smoothing() -> None:
    x = torch.zeros(5, 1, 16, 16, dtype=torch.uint8)
    x[4, 0, 3, 7] = 200
    pixels = report.picture(x)
    assert pixels.shape == (2 * 50 + 2, 3 * 50 + 2, 3), "five images in three columns, 48 pixels each, 2 between"
    left, top = 2 + 50 + 7 * 3, 2 + 50 + 3 * 3
    assert (pixels[top : top + 3, left : left + 3] == 200).all()
    assert (pixels == 200).sum() == 27
    assert (pixels[2 + 50 :, 2 + 100 :] == GROUND).all(), "no sixth image"


@pytest.mark.parametrize(
    ("n", "aspect", "columns"),
    [(1, 1, 1), (3, 1, 3), (12, 1, 4), (16, 1, 4), (20, 1, 5), (35, 1, 7), (40, 1, 8), (64, 1, 8), (8, 0.25, 2)],
)
def test_a_grid_has_no_gaps_where_about_as_many_columns_as_rows_divide_it(n, aspect, columns) -> None:
    assert columns_for(n, aspect) == columns


def test_a_number_that_divides_badly_makes_a_grid_with_gaps_but_about_square() -> None:
    assert [columns_for(n) for n in (7, 13, 37)] == [3, 4, 7]


def test_floats_make_the_picture_of_the_bytes_they_stand_for() -> None:
    x = torch.randint(256, (4, 3, 8, 8), dtype=torch.uint8)
    assert np.array_equal(report.picture(x / 127.5 - 1), report.picture(x))


def test_three_channels_are_red_green_and_blue() -> None:
    x = torch.tensor([10, 20, 30], dtype=torch.uint8).view(1, 3, 1, 1).expand(1, 3, 16, 16)
    assert report.picture(x)[25, 25].tolist() == [10, 20, 30]


def test_each_translation_stands_between_its_source_and_its_truth() -> None:
    pixels = report.picture(flat(100, 101), None, flat(50, 51), flat(200, 201), flat(150, 151), columns=1)
    middle, centres = pixels.shape[1] // 2, [6 + 24 + 49 * i for i in range(4)]
    assert pixels.shape[1] == 2 * 6 + 4 * 48 + 3, middle
    first, second = (pixels.shape[0] - 30 - 54 * i for i in (1, 0))
    assert [pixels[first, at, 0] for at in centres] == [50, 100, 200, 150]
    assert [pixels[second, at, 0] for at in centres] == [51, 101, 201, 151]


def test_fakes_of_a_split_are_shown_beside_what_they_were_made_of() -> None:
    reals = Split(flat(200, 201, 202), source=flat(50, 51, 52), paired=True)
    fakes = Split(flat(100, 101), source=flat(150, 151), paired=True)
    expected = report.picture(flat(100, 101), None, flat(50, 51), flat(200, 201), flat(150, 151))
    assert np.array_equal(report.picture_of(fakes, DataSpec((1, 16, 16)), reals), expected)
    unpaired = Split(reals.x, source=reals.source)
    alone = report.picture_of(Split(fakes.x), DataSpec((1, 16, 16)), unpaired)
    assert np.array_equal(alone, report.picture(flat(100, 101), None, flat(50, 51)))


def test_what_belongs_to_another_source_is_not_called_the_truth(monkeypatch) -> None:
    told: list[str] = []
    monkeypatch.setattr(report, "captioned", lambda pixels, text: told.append(text) or pixels)
    fakes = Split(flat(100, 101), source=flat(150, 151))
    for paired in (True, False):
        reals = Split(flat(200, 201), source=flat(50, 51), paired=paired)
        report.picture_of(fakes, DataSpec((1, 16, 16)), reals)
    assert told == ["source | fake | truth | back", "source | fake | real | back"]


def test_a_smaller_source_is_enlarged_to_the_size_of_what_is_made_of_it() -> None:
    pixels = report.picture(flat(100, size=96), None, flat(50, size=16), columns=1)
    assert pixels.shape == (96 + 12 + 18, 96 + 96 + 1 + 12, 3)
    assert (pixels[18 + 6 : 18 + 6 + 96, 6 : 6 + 96] == 50).all()


# -- points ------------------------------------------------------------------------------------------------------------


def test_places_in_a_plot_follow_from_its_ranges() -> None:
    plot = axes.Axes(101, 51, (0.0, 10.0), (-1.0, 1.0))
    assert plot.place([0, 5, 10, 99], [-1, 0, 1, -5]).tolist() == [[0, 50], [50, 25], [100, 0], [100, 50]]


def test_ticks_are_round_numbers_within_the_range() -> None:
    assert axes.round_numbers(-1.3, 1.3) == [-1.0, -0.5, 0.0, 0.5, 1.0]
    assert axes.round_numbers(0, 0.62) == [0.0, 0.2, 0.4, 0.6]


def test_a_scatter_has_a_dot_where_a_point_is() -> None:
    x = torch.tensor([[-1.0, -1.0], [1.0, 1.0], [1.0, -1.0], [-1.0, 1.0]]).repeat(100, 1)
    inked = (report.picture(x) == points.REAL).all(-1)
    assert inked.sum() == 4 * 9
    rows, columns = (np.unique(np.nonzero(inked)[axis]) for axis in (0, 1))
    assert abs((rows[0] - axes.TOP) - (points.SIDE - 1) * 0.1) < 2, "a tenth of the side is to spare"
    assert abs((columns[-1] - axes.LEFT) - (points.SIDE - 1) * 0.9) < 3


def test_a_histograms_bars_are_the_density() -> None:
    x = torch.linspace(0, 1, 10_001)[:, None]
    barred = (report.picture(x) == points.REAL_BARS).all(-1).sum(0)
    inside = barred[axes.LEFT + 200 : axes.LEFT + 360]
    assert abs(inside.mean() - points.HEIGHT / points.HEADROOM) < 4, "1 of a plot that goes up to 1.6 times the highest"
    assert barred[axes.LEFT + 20] <= 1


class Fixed(nn.Module):
    """``logit = slope (x - centre)``, of the first feature."""

    def __init__(self, slope: float, centre: float) -> None:
        super().__init__()
        self.slope, self.centre = nn.Parameter(torch.tensor(slope)), centre

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.slope * (x[:, 0] - self.centre)


def test_d_is_the_sigmoid_of_the_logit() -> None:
    gan = GAN(nn.Linear(2, 1), Fixed(2.0, 4.0), z_dim=2)
    x = torch.tensor([[3.0], [4.0], [6.0]])
    assert points.judged(gan, x, LINE) == pytest.approx([1 / (1 + np.exp(2)), 0.5, 1 / (1 + np.exp(-4))])


def test_of_a_d_that_knows_labels_the_mean_over_them_is_shown() -> None:
    class Conditional(GAN):
        conditional = True

        def matches(self, batch, fake):
            return [Match(lambda x: self.discriminator(x) + batch.labels, batch.real, fake)]

    gan = Conditional(nn.Linear(2, 1), Fixed(0.0, 0.0), z_dim=2)
    mean = np.mean([1 / (1 + np.exp(-label)) for label in range(3)])
    assert points.judged(gan, torch.zeros(5, 1), DataSpec((1,), classes=3)) == pytest.approx([mean] * 5)


def test_the_curve_of_d_goes_through_the_line_at_a_half_where_it_does() -> None:
    x = torch.randn(2000, 1)
    reals = Split(x - x.mean() + 4)
    gan = GAN(nn.Linear(2, 1), Fixed(3.0, 4.0), z_dim=2)
    pixels = report.frame(gan, Split(x - 50), reals, LINE, 1.5)
    bars = (pixels[axes.TOP : axes.TOP + points.HEIGHT] == points.REAL_BARS).all(-1).sum(0)
    (columns,) = np.nonzero((pixels[axes.TOP + points.HEIGHT // 2] == points.CRITIC).all(-1))
    assert columns.mean() == pytest.approx(np.average(np.arange(len(bars)), weights=bars), abs=2), "at the mean, 4"
    right = axes.LEFT + points.WIDTH - 3
    assert (pixels[axes.TOP : axes.TOP + 6, right] == points.CRITIC).all(-1).any(), "D is near 1 there"


def test_the_axes_hold_still_while_fakes_move() -> None:
    reals = Split(torch.randn(2000, 1))
    gan = GAN(nn.Linear(2, 1), Fixed(1.0, 0.0), z_dim=2)
    one, other = (report.frame(gan, Split(x), reals, LINE, 1) for x in (torch.randn(500, 1), torch.randn(500, 1) * 9))
    below = axes.TOP + points.HEIGHT + 1
    assert np.array_equal(one[below:], other[below:])
    bars = [(pixels == points.REAL_BARS).all(-1) for pixels in (one, other)]
    assert (bars[0] & bars[1]).sum() > 0.8 * bars[0].sum()


def test_a_surface_has_the_colour_of_d_and_a_line_where_it_is_a_half() -> None:
    reals = Split(torch.rand(2000, 2) * 2 - 1)
    gan = GAN(nn.Linear(2, 2), Fixed(50.0, 0.0), z_dim=2)
    pixels = report.frame(gan, Split(torch.full((10, 2), 9.0)), reals, POINTS, 0)
    corner = pixels[axes.TOP + 5 : axes.TOP + 30]
    assert (corner[:, axes.LEFT + 5 : axes.LEFT + 30] == points.SURFACE_COLOURS[0]).all(), "D is 0 at the left"
    assert (corner[:, axes.LEFT + points.SIDE - 30 : axes.LEFT + points.SIDE - 8] == points.SURFACE_COLOURS[2]).all()
    middle = axes.LEFT + points.SIDE // 2
    assert (corner[:, middle - 4 : middle + 4] == points.HALF).all(-1).any(1).all()


def test_a_d_that_plays_on_something_else_costs_no_picture() -> None:
    gan = GAN(nn.Linear(2, 2), nn.Linear(4, 1), z_dim=2)  # as PacGAN's, which sees packs of two
    assert points.judged(gan, torch.zeros(8, 2), POINTS) is None
    pixels = report.frame(gan, Split(torch.randn(100, 2)), Split(torch.randn(100, 2)), POINTS, 3)
    assert pixels.shape == (points.SIDE + axes.TOP + axes.BOTTOM, points.SIDE + axes.LEFT + axes.RIGHT, 3)


class Mischief(GAN):
    """Draws from torch's generator wherever it can."""

    def sample_latent(self, n: int, rng: torch.Generator) -> torch.Tensor:
        return torch.randn(n, self.z_dim)

    def matches(self, batch, fake):
        return [Match(lambda x: self.discriminator(x + 0 * torch.randn_like(x)), batch.real, fake)]


@pytest.mark.parametrize("spec", [LINE, POINTS], ids=str)
def test_looking_touches_nothing(spec: DataSpec) -> None:
    width = spec.shape[0]
    critic = nn.Sequential(
        spectral_norm(nn.Linear(width, 8)), nn.BatchNorm1d(8), nn.Dropout(0.5), nn.Linear(8, 1), nn.Flatten(0)
    )
    gan = Mischief(nn.Sequential(nn.Linear(2, width), nn.BatchNorm1d(width)), critic, z_dim=2)
    gan.discriminator[1].eval()
    x = Split(torch.randn(64, width))
    weights = {name: value.clone() for name, value in gan.state_dict().items()}
    modes = [module.training for module in gan.modules()]
    rng, grads = torch.get_rng_state(), [p.grad for p in gan.parameters()]
    assert points.judged(gan, x.x, spec) is not None
    report.frame(gan, x, x, spec, 1)
    assert torch.equal(torch.get_rng_state(), rng)
    assert all(torch.equal(value, weights[name]) for name, value in gan.state_dict().items())
    assert [module.training for module in gan.modules()] == modes
    assert [p.grad for p in gan.parameters()] == grads


def test_modes_are_given_back_though_something_fails() -> None:
    gan = GAN(nn.Linear(2, 1), nn.Linear(1, 1), z_dim=2)
    gan.generator.eval()

    def fail() -> None:
        assert not gan.discriminator.training
        raise RuntimeError

    with pytest.raises(RuntimeError), untouched(gan):
        fail()
    assert gan.discriminator.training
    assert not gan.generator.training


# -- sounds ------------------------------------------------------------------------------------------------------------


def sine(frequency: float, amplitude: float = 1.0, rate: int = 4000, n: int = 2048) -> torch.Tensor:
    return amplitude * torch.sin(2 * torch.pi * frequency * torch.arange(n) / rate).view(1, 1, n)


def test_a_sine_is_a_line_at_its_frequency_as_loud_as_it_is() -> None:
    # at 4 kHz the window is of 128 samples: bins of 31.25 Hz, one for each of the 64 rows
    for amplitude, decibels in ((1.0, 0.0), (0.1, -20.0)):
        (shown,) = audio.spectrogram(sine(16 * 31.25, amplitude)[:, 0].numpy(), 4000)
        inner = shown[:, 10:-10]
        assert (inner.argmax(axis=0) == audio.SPECTRUM - 1 - 16).all()
        assert np.allclose(inner.max(axis=0), decibels, atol=0.1)


def test_the_spectrogram_is_scipys() -> None:
    x = torch.randn(1, 4096, generator=torch.Generator().manual_seed(0)).numpy()
    mine = 10 ** (audio.spectrogram(x, 8000)[0, ::-1] / 10)
    window = scipy.signal.get_window("hann", 256)
    starts = np.linspace(0, 4095, audio.WIDTH).astype(int)
    padded = np.pad(x[0], 128)
    for column in (20, 90, 170):
        piece = padded[starts[column] : starts[column] + 256]
        _, power = scipy.signal.periodogram(piece, window=window, scaling="spectrum", detrend=False)
        by_row = 2 * power[:-1].reshape(64, 2).mean(1)  # of a sine of amplitude 1, ours is 1 and scipy's 1/2
        assert np.allclose(mine[1:, column], by_row[1:], rtol=1e-3), "the first bin has no mirror image in scipy"


def test_silence_is_black_under_a_flat_line() -> None:
    (tile,) = audio.tiles(torch.zeros(1, 1, 512), 8000)
    assert (tile[audio.WAVE :] == audio.HEAT[0]).all()
    inked = (tile[: audio.WAVE] == audio.WAVE_INK).all(-1)
    assert inked.sum(axis=0).max() == 1


def test_a_wave_is_drawn_from_its_least_to_its_greatest_sample() -> None:
    x = torch.cat([torch.full((1, 1, 960), 1.0), torch.full((1, 1, 960), -1.0)], dim=-1)
    inked = (audio.tiles(x, 8000)[0, : audio.WAVE] == audio.WAVE_INK).all(-1)
    half = audio.WIDTH // 2
    assert inked[0, : half - 1].all()
    assert inked[-1, half + 1 :].all()
    assert inked[:, half].all(), "the step is joined"


@pytest.mark.parametrize("channels", [1, 2])
def test_a_sound_comes_back_from_its_file_to_the_last_bit(channels: int, tmp_path) -> None:
    x = torch.rand(3, channels, 500, generator=torch.Generator().manual_seed(0)) * 2 - 1
    report.save_wav(x, 8000, tmp_path / "x.wav")
    with wave.open(str(tmp_path / "x.wav")) as file:
        assert (file.getframerate(), file.getsampwidth(), file.getnchannels()) == (8000, 2, channels)
        assert file.getnframes() == 3 * 500 + 2 * 2000, "a quarter of a second between"
    rate, read = scipy.io.wavfile.read(tmp_path / "x.wav")
    read = read.reshape(-1, channels)
    assert rate == 8000
    for i, sound in enumerate(x):
        part = read[i * 2500 : i * 2500 + 500]
        assert np.abs(part / 2**15 - sound.T.numpy()).max() <= 1 / 2**15
    assert (read[500:2500] == 0).all()


def test_what_is_too_loud_is_clipped_and_does_not_turn_over(tmp_path) -> None:
    report.save_wav(torch.tensor([[[1.0, 1.5, -1.5, 0.5]]]), 8000, tmp_path / "x.wav")
    assert scipy.io.wavfile.read(tmp_path / "x.wav")[1].tolist() == [32767, 32767, -32768, 16384]


# -- clips -------------------------------------------------------------------------------------------------------------


def clip(n: int = 3, frames: int = 5) -> torch.Tensor:
    """Frame t of clip i is all of the grey 40 i + 20 t."""
    levels = 40 * torch.arange(n)[:, None] + 20 * torch.arange(frames)
    return levels.to(torch.uint8).view(n, 1, frames, 1, 1).expand(n, 1, frames, 16, 16).contiguous()


def test_a_contact_sheet_has_a_row_for_each_clip_and_its_frames_across() -> None:
    pixels = report.picture(clip(), CLIPS)
    assert pixels.shape == (3 * 50 + 2, 5 * 49 - 1 + 4, 3)
    seen = [[int(pixels[26 + 50 * i, 26 + 49 * t, 0]) for t in range(5)] for i in range(3)]
    assert seen == [[40 * i + 20 * t for t in range(5)] for i in range(3)]


def frames_of(path: Path) -> tuple[list[int], list[np.ndarray]]:
    """(durations in ms, pictures)"""
    with Image.open(path) as image:
        durations, pictures = [], []
        for i in range(image.n_frames):
            image.seek(i)
            pictures.append(np.asarray(image.convert("RGB")))
            durations.append(image.info["duration"])
        assert image.info["loop"] == 0, "for ever"
    return durations, pictures


@pytest.mark.parametrize("suffix", [".gif", ".webp"])
def test_clips_move_at_the_rate_of_the_data_and_keep_their_pixels(suffix: str, tmp_path) -> None:
    path = tmp_path / f"clips{suffix}"
    report.save_video(clip(), CLIPS, path)
    durations, pictures = frames_of(path)
    assert len(pictures) == 5
    assert sum(durations) == pytest.approx(5 * 125, abs=10)
    assert [int(picture[26, 26, 0]) for picture in pictures] == [0, 20, 40, 60, 80]
    assert [int(picture[26, 76, 0]) for picture in pictures] == [40, 60, 80, 100, 120]


def test_a_gif_of_any_rate_lasts_as_long_as_it_ought_to_within_10_ms(tmp_path) -> None:
    x = torch.arange(30, dtype=torch.uint8).view(1, 1, 30, 1, 1).expand(1, 1, 30, 16, 16) * 8
    report.save_video(x, DataSpec((1, 30, 16, 16), rate=30), tmp_path / "x.gif")
    durations, _ = frames_of(tmp_path / "x.gif")
    assert len(durations) == 30
    assert sum(durations) == pytest.approx(1000, abs=10)
    assert min(durations) >= 20


# -- what a run leaves -------------------------------------------------------------------------------------------------


def test_each_kind_of_data_is_written_as_what_it_is_best_seen_or_heard_as(tmp_path) -> None:
    kinds = {
        "images": (flat(1, 2, 3), DataSpec((1, 16, 16))),
        "points": (torch.randn(50, 2), POINTS),
        "sounds": (torch.zeros(10, 1, 1024), SOUND),
        "mute": (torch.zeros(3, 1, 1024), DataSpec((1, 1024))),
        "clips": (clip(), CLIPS),
    }
    for name, (x, spec) in kinds.items():
        report.save_samples(Split(x), spec, tmp_path / name / "000001.50-kimg")
    left = {name: sorted(path.name for path in (tmp_path / name).iterdir()) for name in kinds}
    stem = "000001.50-kimg"
    assert left["images"] == left["points"] == left["mute"] == [f"{stem}.png"]
    assert left["clips"] == [f"{stem}.gif", f"{stem}.png", f"{stem}.webp"]
    assert left["sounds"] == [*(f"{stem}-{i}.wav" for i in range(8)), f"{stem}.png", f"{stem}.wav"]
    with wave.open(str(tmp_path / "sounds" / f"{stem}-7.wav")) as file:
        assert file.getnframes() == 1024


@pytest.mark.parametrize(
    ("x", "shape"),
    [
        (torch.zeros(20, 1, 28, 28, dtype=torch.uint8), (12, 14, 14, 3)),
        (torch.zeros(20, 3, 64, 64, dtype=torch.uint8), (12, 22, 22, 3)),
        (torch.zeros(20, 2, 4096), (12, 24, 24, 3)),
        (torch.zeros(2, 1, 8, 16, 16, dtype=torch.uint8), (8, 16, 16, 3)),
        (torch.randn(20, 2), (1, 32, 32, 3)),
        (torch.randn(20, 1), (1, 32, 32, 3)),
    ],
    ids=["images", "large images", "sounds", "clips", "points", "numbers"],
)
def test_thumbnails_are_small_enough_for_a_terminal(x: torch.Tensor, shape: tuple[int, ...]) -> None:
    pixels = report.thumbnail(x)
    assert (pixels.shape, pixels.dtype) == (shape, np.uint8)


def test_a_terminal_shows_translations_after_their_sources() -> None:
    pixels = report.thumbnail(flat(100, 101), flat(50, 51))
    assert pixels[:, 0, 0, 0].tolist() == [50, 100, 51, 101]


def test_degenerate_samples_have_a_picture_too() -> None:
    gan = GAN(nn.Linear(2, 1), Fixed(1.0, 0.0), z_dim=2)
    for x in (torch.zeros(1, 2), torch.zeros(500, 2), torch.zeros(500, 1), torch.zeros(1, 1), torch.full((5, 2), 1e30)):
        report.picture(x)
        report.thumbnail(x)
        report.frame(gan, Split(x), Split(x), DataSpec((x.shape[1],)), 0)
    report.picture(torch.zeros(1, 1, 7))
    report.picture(torch.zeros(1, 1, 100_000), DataSpec((1, 100_000), rate=48_000))


# -- commands ----------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def runs(tmp_path_factory) -> dict[str, Path]:
    return runs_of(tmp_path_factory.mktemp("runs"))


def test_a_run_leaves_a_picture_of_every_look_and_sounds_and_clips_at_its_end(runs) -> None:
    looks = ["000000.00-kimg", "000000.03-kimg", "000000.06-kimg"]
    for kind, others in {"sounds": 9, "clips": 2, "images": 0, "numbers": 0, "pairs": 0}.items():
        folder = runs[kind] / "samples"
        assert sorted(path.stem for path in folder.glob("*.png")) == looks
        rest = [path for path in folder.iterdir() if path.suffix != ".png"]
        assert len(rest) == others
        assert all(path.name.startswith(looks[-1]) for path in rest), "at the end only"


def test_the_picture_of_a_run_on_a_line_has_d_in_it(runs) -> None:
    with Image.open(runs["numbers"] / "samples" / "000000.06-kimg.png") as image:
        assert (np.asarray(image) == points.CRITIC).all(-1).sum() > 300


def drawn(run: Path, out: Path, *options: object) -> Path:
    """Where five samples were written."""
    command("sample", run, "-n", 5, *options, "--out", out)
    return out


def test_samples_of_sound_are_written_one_after_the_other(runs, tmp_path) -> None:
    with wave.open(str(drawn(runs["sounds"], tmp_path / "x.wav"))) as file:
        assert (file.getframerate(), file.getnframes()) == (8000, 5 * 1024 + 4 * 2000)


def test_samples_of_clips_are_animated_at_their_own_rate(runs, tmp_path) -> None:
    assert sum(frames_of(drawn(runs["clips"], tmp_path / "x.gif"))[0]) == 1000, "8 frames, 8 a second"


def test_samples_are_stored_as_an_array(runs, tmp_path) -> None:
    assert np.load(drawn(runs["clips"], tmp_path / "x.npy")).shape == (5, 1, 8, 16, 16)


def test_samples_are_drawn_as_the_picture_of_those_that_python_gets(runs, tmp_path) -> None:
    with Image.open(drawn(runs["images"], tmp_path / "x.png", "--seed", 3)) as image:
        mine = ganbench.load_run(runs["images"]).sample(5, seed=3)
        assert np.array_equal(np.asarray(image), report.picture(mine))


def test_a_class_can_be_asked_for(runs, tmp_path) -> None:
    command("sample", runs["labels"], "-n", 7, "--label", 3, "--out", tmp_path / "x.npy")
    x = np.load(tmp_path / "x.npy")
    assert len(x) == 7
    assert np.abs((x / 127.5 - 1) - (3 / 5 - 0.9)).max() < 0.02


def test_translations_of_held_out_sources_are_drawn_beside_them(runs, tmp_path) -> None:
    command("sample", runs["pairs"], "-n", 4, "--out", tmp_path / "x.png")
    command("sample", runs["pairs"], "-n", 4, "--out", tmp_path / "x.npy")
    held_out = players_of(runs["pairs"] / "checkpoint.pt")[1].test
    with Image.open(tmp_path / "x.png") as image:
        pixels = np.asarray(image)
    assert np.array_equal(pixels[18 + 6 :: 3, 6::3, 0][:16, :16], held_out.source[0, 0].numpy())
    assert np.array_equal(pixels[18 + 6 :: 3, 6 + 49 :: 3, 0][:16, :16], np.load(tmp_path / "x.npy")[0, 0])


def test_the_pictures_of_training_are_joined_and_the_last_is_held(runs, tmp_path) -> None:
    for suffix in ("gif", "webp"):
        out = tmp_path / f"training.{suffix}"
        command("animate", runs["numbers"], "--out", out, "--fps", 4)
        durations, pictures = frames_of(out)
        assert len(pictures) == 3
        assert (durations[0], durations[-1]) == (250, 2250)
        with Image.open(runs["numbers"] / "samples" / "000000.06-kimg.png") as image:
            assert np.abs(pictures[-1].astype(int) - np.asarray(image)).mean() < 3


def test_pictures_of_several_sizes_are_joined_too(runs, tmp_path) -> None:
    folder = tmp_path / "run" / "samples"
    folder.mkdir(parents=True)
    (folder.parent / "record.json").write_text("{}")
    for i, size in enumerate([(30, 20), (10, 40)]):
        report.save_png(np.full((*size, 3), 200, np.uint8), folder / f"00000{i}.00-kimg.png")
    command("animate", folder.parent, "--out", tmp_path / "x.webp")
    assert [picture.shape for picture in frames_of(tmp_path / "x.webp")[1]] == [(30, 40, 3)] * 2


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["sample", "images", "--out", "x.jpg"], "cannot write 'x.jpg': samples are stored as .png or .npy"),
        (["sample", "images", "--out", "x.wav"], "images of shape 1x16x16 cannot be written as .wav"),
        (["sample", "images", "--out", "x.gif"], "images of shape 1x16x16 cannot be written as .gif"),
        (["sample", "sounds", "--out", "x.webp"], "audio of shape 1x1024 cannot be written as .webp"),
        (["sample", "numbers", "--out", "x.wav"], "points of shape 1 cannot be written as .wav"),
        (["sample", "images", "--label", "3"], "this generator takes no labels"),
        (["sample", "labels", "--label", "12"], "'digits' has no class '12'"),
        (["animate", "images", "--out", "x.mp4"], "cannot write 'x.mp4': an animation is a .gif or a .webp"),
        (["animate", "empty"], "has no pictures of training"),
        (["animate", "damaged"], "is not a readable picture"),
        (["animate", "nowhere"], "nowhere does not exist"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_bad_input_gets_a_sentence(words, sentence, runs, tmp_path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("empty", "damaged"):
        (tmp_path / name / "samples").mkdir(parents=True)
        (tmp_path / name / "record.json").write_text("{}")
    (tmp_path / "damaged/samples/000000.00-kimg.png").write_bytes(b"no picture")
    with pytest.raises(GanbenchError) as caught:
        command(words[0], runs.get(words[1], words[1]), *words[2:])
    assert sentence in caught.value.message
    assert caught.value.hint
