"""Frames of clips as images: Fréchet distance (Heusel et al. 2017), modes, and whether the digit stays the same.

digits-cnn was trained on digits that fill the image, so the digit is cut out of every frame, real or fake. Ink is
everything brighter than a dim background (see ``motion``). Its middle in each direction is midway between the 5th and
95th percentiles. A window around it, 3/4 of the side wide, is resized to 16x16. On held-out moving digits, digits-cnn
then classifies 99.6 % of the frames correctly, and 96 % pass its gate.

    frame_fid     Fréchet distance between the features of all frames
    frame_modes   digits covered (see ``modes_covered``) by one frame per clip: frame i mod T of clip i
    frame_hq      share of frames that pass the gate
    identity      share of clips that show one digit: at least half of the frames pass the gate, and all of these agree

The two shares are relative to those of real clips, and at most 1, so a generator is not penalised for frames in which
digits-cnn would also fail on real clips.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache

import torch
from torch import Tensor
from torch.nn.functional import grid_sample

from ganbench import Evaluation, Extractor, Goal, Metric, Unsupported, hookimpl
from ganbench_baselines.extractor import digits_cnn
from ganbench_baselines.metric import modes
from ganbench_baselines.metric.fid import FID
from ganbench_baselines.metric.motion import check_clips, ink

WINDOW = 3 / 4  # of the frame's side, as for the digits of moving-digits
TAIL = 0.05  # share of the ink, on either side
SIDE = digits_cnn.SIDE
FEWEST = 0.1  # share of the real frames, or clips, that must be recognised
CHUNK = 250


class Frames:
    """The scores of frames by digits-cnn, regardless of the protocol's extractor."""

    columns: Mapping[str, Goal] = {"frame_fid": "min", "frame_modes": "max", "frame_hq": "max", "identity": "max"}
    version = 1
    ranges: Mapping[str, tuple[float | None, float | None]] = {
        "frame_fid": (0, None),
        "frame_modes": (0, None),
        "frame_hq": (0, 1),
        "identity": (0, 1),
    }

    def __call__(self, evaluation: Evaluation) -> dict[str, float]:
        """Every column."""
        for x in (evaluation.real, evaluation.fake):
            check_clips(x, fewest=2)
        if evaluation.oracle is None or len(evaluation.oracle.probabilities) != digits_cnn.CLASSES:
            raise Unsupported("needs clips of digits from a dataset that knows their ten modes")
        names = evaluation.dataset.class_names if evaluation.dataset is not None else ()
        if names not in ((), digits_cnn.DigitsCNN.class_names):
            raise Unsupported(f"needs clips of digits, but the classes begin with '{names[0]}'")
        judge = _judge(evaluation.device)
        real, fake = cut_out(evaluation.real), cut_out(evaluation.fake)
        every = evaluation.view(real.flatten(0, 1), fake.flatten(0, 1), extractor=judge)
        _, _, of_reals, of_fakes = every.features()
        assert of_reals is not None
        assert of_fakes is not None
        assert judge.confusion is not None
        shown, made = (modes.judge(of, judge.gate).view(-1, fake.shape[1]) for of in (of_reals, of_fakes))
        one_each = made[torch.arange(len(made)), torch.arange(len(made)) % made.shape[1]]
        pi, mistakes = evaluation.oracle.probabilities.double().cpu(), modes.Mistakes(judge.confusion.cpu(), 1)
        covered = modes.score(one_each, pi, mistakes, ceiling=1.0)["modes_covered"]
        assert isinstance(covered, float)
        return {
            "frame_fid": FID()(every)["fid"],
            "frame_modes": covered,
            "frame_hq": relative(made >= 0, shown >= 0),
            "identity": relative(keeps_identity(made), keeps_identity(shown)),
        }


def relative(fake: Tensor, real: Tensor) -> float:
    """The share of true entries of ``fake`` divided by that of ``real``, at most 1.

    Raises:
        Unsupported: fewer than a tenth of the entries of ``real`` are true.
    """
    share, of_reals = (x.double().mean().item() for x in (fake, real))
    if of_reals < FEWEST:
        raise Unsupported("needs clips of digits, but digits-cnn does not recognise the real ones")
    return min(share / of_reals, 1.0)


@cache
def _judge(device: torch.device) -> Extractor:
    return digits_cnn.load().to(device)


def keeps_identity(digit: Tensor) -> Tensor:
    """``digit[N, T]``, -1 where the classifier is unsure -> whether each clip shows one digit, ``[N]``."""
    sure = digit >= 0
    lowest = digit.where(sure, digits_cnn.CLASSES).amin(dim=1)
    return (2 * sure.sum(dim=1) >= digit.shape[1]) & (lowest == digit.amax(dim=1))


def cut_out(x: Tensor) -> Tensor:
    """``x[N, C, T, H, W]`` as uint8 -> the digits of all frames, ``[N, T, 1, 16, 16]`` as uint8, white on black."""
    return torch.cat([_cut_out(part) for part in x.split(CHUNK)])


def _cut_out(x: Tensor) -> Tensor:
    a = ink(x.float().mean(dim=1))
    n, frames, height, width = a.shape
    around = WINDOW * ((torch.arange(SIDE) + 0.5) / SIDE - 0.5)
    y, x_ = (2 * (middles(a, dim).view(-1, 1) + around) - 1 for dim in (2, 3))  # grid_sample counts from -1 to 1
    grid = torch.stack([x_[:, None].expand(-1, SIDE, -1), y[:, :, None].expand(-1, -1, SIDE)], dim=3)
    found = grid_sample(a.view(-1, 1, height, width), grid, align_corners=False)
    return (255 * found).round().to(torch.uint8).view(n, frames, 1, SIDE, SIDE)


def middles(a: Tensor, dim: int) -> Tensor:
    """``ink[N, T, H, W]`` -> its middles ``[N, T]`` along dimension 2 or 3, as shares of the side.

    A middle is midway between the 5th and 95th percentiles of the ink, or the middle of the frame if there is no ink.
    """
    profile = a.sum(dim=5 - dim)
    side, below = profile.shape[-1], profile.cumsum(dim=-1)
    total = below[..., -1:]
    ends = []
    for share in (TAIL, 1 - TAIL):
        at = (below < share * total).sum(dim=-1, keepdim=True).clamp(max=side - 1)
        inside = profile.gather(-1, at)
        ends.append(at + 1 - (below.gather(-1, at) - share * total) / inside.clamp(min=1e-12))
    middle = (ends[0] + ends[1]) / 2 / side
    return torch.where(total > 0, middle, 0.5).squeeze(-1).clamp(0, 1)


@hookimpl
def ganbench_metric() -> Metric:
    """Build the metric."""
    return Frames()
