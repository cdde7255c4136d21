"""Translation errors: mean absolute error on held-out pairs, in both directions, and the cycle error (Zhu et al. 2017).

The errors are per pixel in [-1, 1], for pairs (s, x) and translators G(s) and F(x):

    paired_error        E |G(s) - x|: mean absolute error of translations
    paired_error_back   E |F(x) - s|: mean absolute error of translations back
    cycle_error         half of E |G(F(x)) - x| + E |F(G(s)) - s|: error after translating both ways

CycleGAN's cycle term minimises the cycle error (equation 2). It says nothing about the quality of translations: it is 0
if G and F do nothing, and for any mapping between the domains, however wrong, that F inverts. So it has no direction
and cannot rank.
"""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor

from ganbench import Absent, Evaluation, Goal, Metric, Split, Unsupported, hookimpl, to_signal


class Translation:
    """Errors on the images themselves; the cycle error translates the translations back."""

    columns: Mapping[str, Goal] = {"paired_error": "min", "paired_error_back": "min", "cycle_error": "info"}
    version = 2
    ranges: Mapping[str, tuple[float | None, float | None]] = dict.fromkeys(columns, (0, None))
    needs = ("back",)

    def __call__(self, evaluation: Evaluation) -> dict[str, float | Absent]:
        """All columns, in the units of data in [-1, 1]."""
        source, made = evaluation.real_source, evaluation.fake_source
        if source is None:
            raise Unsupported("needs data of two domains, but these have only one")
        if made is None:
            raise Unsupported("needs the reals translated back to the source domain, which these fakes come without")
        unknown = Absent(_unpaired(evaluation))
        return {
            "paired_error": error(evaluation.fake, evaluation.real) if evaluation.paired else unknown,
            "paired_error_back": error(made, source) if evaluation.paired else unknown,
            "cycle_error": cycle_error(evaluation, source, made),
        }


def _unpaired(evaluation: Evaluation) -> str:
    data = evaluation.dataset
    if data is not None and data.test.paired:
        return 'only the held-out data are pairs: set reference = "test" in the protocol'
    return (
        "the data are not paired, so the right translation is not known (with folder-pair: give files the same names "
        "in both folders)"
    )


def cycle_error(evaluation: Evaluation, source: Tensor, made: Tensor) -> float | Absent:
    """The mean error of both cycles; absent without a translator, as for samples from a file."""
    if evaluation.remake is None:
        return Absent("nothing translates these samples back")
    again = evaluation.remake(Split(evaluation.fake, evaluation.fake_labels, made, paired=True))
    assert again.source is not None  # a GAN that translated back once does so again
    return (error(again.x, evaluation.real) + error(again.source, source)) / 2


def error(one: Tensor, other: Tensor) -> float:
    """The mean absolute difference of two arrays ``[N, *shape]`` as stored."""
    return (to_signal(one).double() - to_signal(other).double()).abs().mean().item()


@hookimpl
def ganbench_metric() -> Metric:
    """Build the metric."""
    return Translation()
