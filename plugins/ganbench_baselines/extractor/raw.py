"""The flattened data themselves as features, for points, which are best judged in their own space."""

from __future__ import annotations

from torch import Tensor

from ganbench import Extractor, hookimpl


class Raw(Extractor):
    """``x[B, *shape] -> features[B, prod(shape)]`` in float64, exactly; no classifier."""

    name, version = "raw", "1"

    def forward(self, x: Tensor) -> tuple[Tensor, None]:
        """Flatten the samples."""
        return x.flatten(1).double(), None


@hookimpl
def ganbench_extractor() -> Extractor:
    """Build the extractor, which has no weights."""
    return Raw()
