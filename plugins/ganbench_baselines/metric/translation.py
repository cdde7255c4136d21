"""Mean absolute error of translations whose truth is known, there and back, and the cycle error (Zhu et al. 2017).

Of pairs (s, x) and translators G(s) and F(x), pixel by pixel in [-1, 1]:

    paired_error        E |G(s) - x|
    paired_error_back   E |F(x) - s|
    cycle_error         half of E |G(F(x)) - x| + E |F(G(s)) - s|

The cycle error is what the cycle term minimises (equation 2) and says nothing of the translation: doing nothing has
none, nor has any mapping between the domains, however wrong, that F undoes. It has no direction and cannot rank.
"""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor

from ganbench import Absent, Evaluation, Goal, Metric, Split, Unsupported, hookimpl, to_signal


class Translation:
    """On the images themselves; for the cycle error, translations are translated back."""

    columns: Mapping[str, Goal] = {"paired_error": "min", "paired_error_back": "min", "cycle_error": "info"}
    version = 2
    ranges: Mapping[str, tuple[float | None, float | None]] = dict.fromkeys(columns, (0, None))
    needs = ("back",)

    def __call__(self, evaluation: Evaluation) -> dict[str, float | Absent]:
        """Every column, in the units of data that lie in [-1, 1]."""
        source, made = evaluation.real_source, evaluation.fake_source
        if source is None:
            raise Unsupported("needs data of two domains, and these are of one")
        if made is None:
            raise Unsupported("needs what the reals are translated back to, and these fakes are all there is")
        unknown = Absent(
            "the data are not paired, so the right translation is not known (with folder-pair: hold out files of the "
            "same names in both folders)"
        )
        return {
            "paired_error": error(evaluation.fake, evaluation.real) if evaluation.paired else unknown,
            "paired_error_back": error(made, source) if evaluation.paired else unknown,
            "cycle_error": cycle_error(evaluation, source, made),
        }


def cycle_error(evaluation: Evaluation, source: Tensor, made: Tensor) -> float | Absent:
    """Of both cycles; absent where nothing translates, as in samples from a file."""
    if evaluation.remake is None:
        return Absent("nothing translates these samples back")
    again = evaluation.remake(Split(evaluation.fake, evaluation.fake_labels, made, paired=True))
    assert again.source is not None  # whoever translated back once does so again
    return (error(again.x, evaluation.real) + error(again.source, source)) / 2


def error(one: Tensor, other: Tensor) -> float:
    """The mean absolute difference of two arrays ``[N, *shape]`` as stored."""
    return (to_signal(one).double() - to_signal(other).double()).abs().mean().item()


@hookimpl
def ganbench_metric() -> Metric:
    """Build the metric."""
    return Translation()
