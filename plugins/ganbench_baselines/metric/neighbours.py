"""What the metrics of nearest neighbours share: features that distances can be trusted on."""

from __future__ import annotations

from torch import Tensor

from ganbench.errors import Unsupported
from ganbench.extractor import Features


def centred(features: Features, neighbours: int) -> tuple[Tensor, Tensor]:
    """``real[N, d], fake[M, d]`` in float64 around the mean of the reals.

    Raises:
        Unsupported: there are no more samples of a kind than neighbours are asked for.
        ValueError: a feature is not finite; distances to NaN would score a silent 0.
    """
    n = min(len(features.real), len(features.fake))
    if n <= neighbours:
        raise Unsupported(f"{neighbours} neighbours need {neighbours + 1} samples of each kind, not {n}")
    if not (features.real.isfinite().all() and features.fake.isfinite().all()):
        raise ValueError("features are not finite")
    # cdist expands |a - b|², which loses the digits of an offset that all features share
    centre = features.real.double().mean(dim=0)
    return features.real.double() - centre, features.fake.double() - centre
