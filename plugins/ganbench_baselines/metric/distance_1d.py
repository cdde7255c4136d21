"""Distances in one dimension: Wasserstein-1 and Kolmogorov-Smirnov (Ramdas, García Trillos and Cuturi 2017).

F and F' are the empirical distribution functions of real and fake samples:

    w1      ∫ |F - F'|: how far probability mass has to move, on average, in the units of the data
    ks      max |F - F'|: the largest error of any P(x ≤ t)
    mean    the mean of the fakes
    std     the standard deviation of the fakes

In one dimension both are exact, unlike in higher dimensions. For finite samples neither is 0, even if the distributions
are equal; the yardstick "real data" shows how much remains.
"""

from __future__ import annotations

from collections.abc import Mapping

from scipy.stats import ks_2samp, wasserstein_distance

from ganbench import Evaluation, Goal, Metric, Unsupported, hookimpl


class Distance1D:
    """Both distances on the samples themselves, without an extractor."""

    columns: Mapping[str, Goal] = {"w1": "min", "ks": "min", "mean": "info", "std": "info"}
    version = 1
    ranges: Mapping[str, tuple[float | None, float | None]] = {"w1": (0, None), "ks": (0, 1), "std": (0, None)}

    def __call__(self, evaluation: Evaluation) -> dict[str, float]:
        """{"w1": ∫ |F - F'|, "ks": max |F - F'|, "mean" and "std": of the fakes}.

        Raises:
            Unsupported: a sample is more than one number.
        """
        if evaluation.spec.shape != (1,):
            raise Unsupported(f"needs samples of one number each, not {evaluation.spec}", "leave distance-1d out")
        real, fake = (x.flatten().double().numpy() for x in (evaluation.real, evaluation.fake))
        return {
            "w1": float(wasserstein_distance(real, fake)),
            "ks": float(ks_2samp(real, fake, method="asymp").statistic),  # the p-value is not used
            "mean": float(fake.mean()),
            "std": float(fake.std()),
        }


@hookimpl
def ganbench_metric() -> Metric:
    """Build the metric."""
    return Distance1D()
