"""What is handed to ``ganbench.evaluate``: taken for what it is, or refused in a sentence with the next step."""

from __future__ import annotations

import warnings
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from msgspec.structs import replace

import ganbench
from ganbench import Dataset, DataSpec, Split
from ganbench.errors import DataError, Doubt, GanbenchWarning
from ganbench.evaluation.given import as_tensor, split_of
from ganbench.plugins.protocols import load_protocol
from ganbench.runs.setup import prepare


@pytest.fixture(scope="module")
def reals() -> torch.Tensor:
    """Digits on black, ``x[500, 1, 16, 16]`` as uint8."""
    return prepare(load_protocol("smoke-v1"), "cpu").judge.reference.x


@pytest.fixture(scope="module")
def expected(reals) -> dict[str, float]:
    return ganbench.evaluate(reals, "smoke-v1", device="cpu")


pytestmark = pytest.mark.filterwarnings(  # the samples here are real ones, or all alike
    "ignore:.*exact copies of training samples",
    "ignore:.*repeat another one exactly",
    "ignore:hardly any sample looks like",
)


def score(samples, **options) -> dict[str, float]:
    return ganbench.evaluate(samples, "smoke-v1", device="cpu", **options)


def signal(reals: torch.Tensor) -> torch.Tensor:
    return reals.float() / 127.5 - 1


def refusal(samples, **options) -> str:
    with pytest.raises(DataError) as caught:
        score(samples, **options)
    return str(caught.value)


class Judge(SimpleNamespace):
    """As much of a judge as the checks look at."""

    def __init__(
        self,
        x: torch.Tensor,
        *,
        bounded: bool = True,
        classes: int = 0,
        needs: tuple[str, ...] = (),
        names: tuple[str, ...] = (),
    ) -> None:
        spec = DataSpec(tuple(x.shape[1:]), classes=classes, bounded=bounded)
        data = Dataset("mine", spec, Split(x), Split(x), class_names=names)
        super().__init__(reference=SimpleNamespace(x=x), dataset=data, metrics={"it": SimpleNamespace(needs=needs)})

    def takes(self, samples, labels=None, span=None):
        split, doubts = split_of(samples, labels, self, "mine-v1", span)
        assert not doubts
        return split

    def refuses(self, samples, labels=None, span=None) -> str:
        with pytest.raises(DataError) as caught:
            split_of(samples, labels, self, "mine-v1", span)
        return str(caught.value)


SOUNDS = torch.sin(torch.arange(6 * 2 * 50).float()).reshape(6, 2, 50)
PHOTOS = (torch.arange(8 * 3 * 4 * 5) % 256).to(torch.uint8).reshape(8, 3, 4, 5)


# -- scale -----------------------------------------------------------------------------------------------------


def test_floats_from_0_to_1_are_refused_with_what_was_found_and_both_ways_on(reals):
    told = refusal(reals.float() / 255)
    assert told == (
        "the 500 images are float32 from 0 to 1, and none goes below 0, but 500 of 500 real samples of smoke-v1 do\n"
        "pass range=(0, 1) if they are on the scale from 0 to 1, or range=(-1, 1) if they are correct as they are"
    )


def test_floats_from_0_to_1_are_taken_with_their_range_and_score_as_the_same_bytes(reals, expected):
    assert score(reals.float() / 255, range=(0, 1)) == expected
    assert score((reals.double() / 255).numpy(), range=(0, 1)) == expected


def test_floats_above_0_are_scored_as_they_are_if_the_usual_range_is_given(reals):
    brighter = signal(reals).clip(0)
    assert "range=(-1, 1)" in refusal(brighter)
    assert score(brighter, range=(-1, 1)) == score((127.5 * (brighter + 1)).round().to(torch.uint8), range=(0, 255))


def test_masks_of_0_and_1_are_refused_and_taken_with_a_range(reals):
    mask = (reals > 127).to(torch.uint8)
    told = refusal(mask)
    assert told.startswith("the 500 images are uint8 from 0 to 1, and none goes above 1, but 500 of 500 real samples")
    assert "range=(0, 1)" in told
    assert score(mask, range=(0, 1)) == score(mask.bool(), range=(0, 1)) == score(mask * 255)
    assert score(mask, range=(0, 255)) != score(mask * 255)
    assert "bool from 0 to 1\nif they are masks, pass range=(0, 1)" in refusal(mask.bool())


@pytest.mark.parametrize("dtype", [torch.float32, torch.int16, torch.int64, torch.float64])
def test_numbers_from_0_to_255_of_another_type_are_named_and_taken_with_their_range(reals, expected, dtype):
    told = refusal(reals.to(dtype))
    name = str(dtype).removeprefix("torch.")
    assert f"or floats from -1 to 1, but these are {name} from 0 to 255\n" in told
    assert "range=(0, 255)" in told
    assert score(reals.to(dtype), range=(0, 255)) == expected


def test_wide_unsigned_integers_are_named_and_taken_with_their_range(reals, expected):
    wide = reals.numpy().astype(np.uint16) * 257
    assert "but these are uint16 from 0 to 65535\n" in refusal(wide)
    assert score(wide, range=(0, 65535)) == expected


def test_numbers_beyond_the_scale_are_refused_with_how_far_they_go(reals):
    assert "these are float32 from -1.25 to 1.25\nif they overshoot" in refusal(signal(reals) * 1.25)
    assert "float32 from -2 to 2.5\npass the two numbers that stand for" in refusal(2.25 * signal(reals) + 0.25)
    told = refusal(signal(reals), range=(0, 1))
    assert told.startswith("range=(0, 1) was given, but the images are float32 from -1 to 1\n")


def test_values_that_are_not_finite_are_counted(reals):
    x = signal(reals)
    x[0, 0, 0, :2] = torch.tensor([torch.nan, torch.inf])
    assert "but 2 of 128000 values are not finite\nlook for NaN" in refusal(x)
    assert "2 of 128000" in refusal(x, range=(0, 1))


@pytest.mark.parametrize("span", [(1, 0), (0,), (0, float("nan")), 3])
def test_a_range_that_is_none_is_refused(reals, span):
    assert f"range={span!r} is not a range\ngive its smallest and largest number" in refusal(reals, range=span)


@pytest.mark.parametrize("value", [-1.0, 1.0])
def test_a_generator_that_collapsed_to_black_or_white_is_scored(reals, value):
    assert score(torch.full_like(signal(reals), value))
    assert score(torch.full_like(reals, int(127.5 * (value + 1))))


@pytest.mark.parametrize("value", [0.0, 0.25])
def test_a_generator_that_collapsed_to_another_value_is_scored_with_a_doubt(reals, value):
    x = torch.full_like(signal(reals), value)
    with pytest.warns(
        Doubt, match=f"every value of the images is {value:g}, read on the scale from -1 to 1; name the range"
    ):
        scores = score(x)
    assert scores == score(x, range=(-1, 1))


def test_dark_and_bright_data_that_are_really_from_minus_1_to_1_raise_no_alarm():
    images = torch.linspace(-1, 1, 8 * 64).reshape(8, 1, 8, 8)
    dark = ((images + 1) * 127.5 / 20).to(torch.uint8)
    assert Judge(dark).takes(images / 20 - 0.95)
    bright = (images.abs() * 127 + 128).to(torch.uint8)  # hardly any real goes below 0
    assert Judge(bright).takes(images.abs())
    nearly_black = dark.clip(max=1)
    assert Judge(nearly_black).takes(nearly_black)


def test_a_single_fake_below_0_is_enough_to_tell_the_scale(reals):
    x = reals.float() / 255
    x[7, 0, 3, 3] = -0.5
    assert score(x)


def test_images_that_only_just_go_below_0_are_scored_with_a_doubt(reals):
    resized = reals.float() / 255 * 1.04 - 0.02
    told = "on the scale -1..1, the images go from -0.02 to 1, but 500 of 500 real samples of smoke-v1 go below -0.5"
    with pytest.warns(Doubt, match=told):
        score(resized.clip(max=1))
    with pytest.warns(Doubt, match="the images go from 0.0039 to 1, but 500 of 500"):
        score((127.5 * (reals.float() / 255 + 1)).round().to(torch.uint8))
    assert score(signal(reals) * 0.05)  # hardly any contrast is a failure of its own


def test_sounds_keep_their_bits_and_silence_is_a_legal_collapse():
    judge = Judge(SOUNDS)
    assert torch.equal(judge.takes(SOUNDS).x, SOUNDS)
    assert torch.equal(judge.takes(SOUNDS.double().numpy()).x, SOUNDS)
    assert not judge.takes(torch.zeros_like(SOUNDS)).x.any()


def test_sounds_on_another_scale_are_refused_with_the_expression_that_mends_them():
    judge = Judge(SOUNDS)
    pcm = (SOUNDS * 32767).to(torch.int16)
    assert "sounds must be floats from -1 to 1, but these are int16 from -3" in judge.refuses(pcm)
    assert judge.refuses(pcm).endswith("as in samples / 32768")
    assert judge.takes(pcm / 32768)
    eight = ((SOUNDS + 1) * 127.5).round().to(torch.uint8)
    assert judge.refuses(eight).endswith("pass range=(0, 255)")
    assert (judge.takes(eight, span=(0, 255)).x - SOUNDS).abs().max() < 0.005
    assert "none goes below 0, but 6 of 6 real samples of mine-v1 do" in judge.refuses((SOUNDS + 1) / 2)


def test_points_have_no_range_and_must_be_finite_as_float32():
    points = torch.tensor([[0.0, 1.0], [2.0, 300.0]])
    judge = Judge(points, bounded=False)
    assert torch.equal(judge.takes(points.double()).x, points)
    assert torch.equal(judge.takes(points.tolist()).x, points)
    assert "points of mine-v1 have no fixed range" in judge.refuses(points, span=(0, 1))
    assert "1 of 4 values are not finite" in judge.refuses(points.double() * 1e38)


# -- arrays and their shape ------------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
def test_floats_of_any_precision_are_rounded_once(reals, expected, dtype):
    assert score(signal(reals).to(dtype)) == expected


def test_arrays_are_taken_whatever_their_strides_byte_order_and_protection(reals, expected):
    mirrored = reals.numpy()[..., ::-1]
    assert mirrored.strides[-1] < 0
    assert score(mirrored) == score(reals.flip(-1)) != expected
    assert score(signal(reals).numpy().astype(">f4")) == expected
    protected = reals.numpy().copy()
    protected.flags.writeable = False
    assert score(protected) == score(list(reals)) == score(signal(reals).requires_grad_()) == expected


def test_what_holds_no_numbers_is_described(reals):
    assert refusal(["abc"]).startswith("the samples must be an array of numbers, not a list\n")
    assert refusal([1, [2, 3]]).startswith("the samples must be an array of numbers, not a list\n")
    assert "an array of shape (3,) and type object" in refusal(np.array([None] * 3))
    assert "of 128000 values of the samples are masked" in refusal(np.ma.masked_equal(reals.numpy(), 0))
    assert "images must be real numbers, but these are complex64" in refusal(signal(reals).to(torch.complex64))


def test_channels_last_are_refused_with_the_expression_that_puts_them_first():
    told = Judge(PHOTOS).refuses(PHOTOS.permute(0, 2, 3, 1))
    assert told.startswith("the samples have shape (8, 4, 5, 3), but mine-v1 needs (8, 3, 4, 5)\n")
    assert told.endswith("give samples.permute(0, 3, 1, 2)")
    assert Judge(PHOTOS).refuses(PHOTOS.permute(0, 2, 3, 1).numpy()).endswith("give samples.transpose(0, 3, 1, 2)")
    clips = torch.zeros(2, 3, 6, 4, 5)
    for order in ((0, 2, 1, 3, 4), (0, 2, 3, 4, 1)):
        other = clips.permute(order)
        axes = Judge(clips).refuses(other).split("permute")[1]
        assert other.permute(tuple(map(int, axes.strip("()").split(", ")))).shape == clips.shape


def test_other_channels_are_refused_with_the_next_step():
    judge, gray = Judge(PHOTOS), Judge(PHOTOS[:, :1])
    assert judge.refuses(PHOTOS[:, :1]).endswith("if they are grayscale, give samples[:, [0, 0, 0]]")
    assert "give samples[:, :3]" in judge.refuses(PHOTOS[:, [0, 1, 2, 0]])
    assert gray.refuses(PHOTOS[:, [0, 0, 0]]).endswith("all channels are equal: give samples[:, :1]")
    assert gray.refuses(PHOTOS).endswith("reduce the 3 channels to one, in the same way as the data")
    assert gray.refuses(PHOTOS[:, 0]).endswith("give samples[:, None]")


def test_another_size_or_number_is_refused_with_the_one_that_is_needed():
    judge = Judge(PHOTOS)
    assert "resize them to 4x5" in judge.refuses(PHOTOS[..., :4])
    assert judge.refuses(PHOTOS[0]).endswith("this is a single sample: give 8")
    assert judge.refuses(torch.cat([PHOTOS, PHOTOS])).endswith("give exactly 8, such as samples[:8]")
    assert "cut or resample them to 50 values" in Judge(SOUNDS).refuses(SOUNDS[..., :49])
    assert "(), but mine-v1 needs" in judge.refuses(3.0)


# -- labels ----------------------------------------------------------------------------------------------------


CLASSES = torch.tensor([0, 1, 2, 0, 1, 2, 0, 1])
LABELLED = Judge(PHOTOS, classes=3, needs=("labels",))


@pytest.mark.parametrize("given", [CLASSES, CLASSES.float(), CLASSES.numpy().astype(np.uint64), CLASSES.tolist()])
def test_labels_are_whole_numbers_of_any_type(given):
    wanted = LABELLED.takes(PHOTOS, given).labels
    assert wanted.dtype == torch.int64
    assert torch.equal(wanted, CLASSES)


def test_labels_may_be_the_names_of_the_datas_classes():
    judge = Judge(PHOTOS, classes=3, needs=("labels",), names=("cat", "dog", "7"))
    given = [["cat", "dog", "7"][label] for label in CLASSES]
    assert torch.equal(judge.takes(PHOTOS, given).labels, CLASSES)
    assert torch.equal(judge.takes(PHOTOS, np.array(given, dtype=object)).labels, CLASSES)
    assert judge.refuses(PHOTOS, ["cow", *given[1:]]) == "'mine' has no class 'cow'\nits classes are cat, dog, 7"
    assert "the labels have shape (3,)" in judge.refuses(PHOTOS, given[:3])


@pytest.mark.parametrize(
    ("given", "sentence", "step"),
    [
        (CLASSES[:3], "the labels have shape (3,), but 8 samples need (8,)", "give one label for each sample"),
        (torch.tensor(3), "the labels have shape (), but 8 samples need (8,)", "give one label for each sample"),
        (CLASSES[:, None], "the labels have shape (8, 1)", "give labels[:, 0]"),
        (torch.eye(3)[CLASSES], "the labels have shape (8, 3)", "labels.argmax(1)"),
        (CLASSES + 0.9, "labels must be integers from 0 to 2, but 8 of 8 are not; the first is 0.9", "the number of"),
        (CLASSES / 0, "labels must be integers from 0 to 2, but 8 of 8 are not", "the number of each sample's class"),
        (CLASSES + 1, "the labels go from 1 to 3, but those of mine-v1 go from 0 to 2", "give labels - 1"),
        (CLASSES - 1, "the labels go from -1 to 1, but those of mine-v1 go from 0 to 2", "as the data do"),
        (["cat"] * 8, "labels must be integers from 0 to 2, but these are names such as 'cat'", "the number of"),
        (CLASSES.to(torch.complex64), "labels must be integers from 0 to 2, but these are complex", "labels.real"),
        ([None] * 8, "the labels must be an array of numbers, not a list", "give one tensor"),
    ],
)
def test_labels_that_do_not_fit_are_refused_with_what_was_found_and_the_next_step(given, sentence, step):
    message, _, hint = LABELLED.refuses(PHOTOS, given).partition("\n")
    assert sentence in message
    assert step in hint


def test_evaluate_refuses_labels_that_do_not_fit_even_where_no_metric_needs_them(reals):
    assert "the labels have shape (3,), but 500 samples need (500,)" in refusal(reals, labels=torch.zeros(3))


def test_labels_that_no_metric_needs_are_mentioned_and_change_nothing(reals, expected):
    labels = prepare(load_protocol("smoke-v1"), "cpu").judge.reference.labels
    with pytest.warns(Doubt, match="labels were given, but no metric of smoke-v1 needs them") as caught:
        assert score(reals, labels=labels) == expected
    assert {warning.filename for warning in caught} == {__file__}


def test_labels_of_data_without_classes_are_still_whole_numbers():
    _, doubts = split_of(PHOTOS, CLASSES + 7, Judge(PHOTOS), "mine-v1", None)
    assert doubts == ["labels were given, but no metric of mine-v1 needs them"]
    assert "the labels go from -1 to 1, but those of mine-v1 go from 0" in Judge(PHOTOS).refuses(PHOTOS, CLASSES - 1)


def test_what_is_handed_over_is_not_changed(reals):
    x, given = signal(reals), signal(reals)
    with warnings.catch_warnings():
        warnings.filterwarnings("error", category=GanbenchWarning, message="(?!.*exact copies of training samples)")
        score(given)
        score((given + 1) / 2, range=(0, 1))
    assert torch.equal(x, given)
    assert as_tensor(given, "samples").data_ptr() == given.data_ptr()


def test_fewer_samples_than_features_are_mentioned_with_the_scores(reals):
    rules = load_protocol("smoke-v1")
    small = replace(rules, evaluation=replace(rules.evaluation, samples=30))
    x = prepare(small, "cpu").judge.reference.x
    with pytest.warns(
        Doubt, match="30 samples are no more than the 32 features.*compare it at this number of samples only"
    ) as caught:
        assert ganbench.evaluate(x, small, device="cpu")
    assert {warning.filename for warning in caught} == {__file__}
