"""What a quick run of the suite leaves to ``tox -e slow``."""

from __future__ import annotations

from collections.abc import Collection, Iterable

import pytest


def slow_but(quick: Collection, everything: Iterable) -> list:
    """``everything``, for ``parametrize``; values that are not in ``quick`` are marked slow."""
    params = list(everything)
    assert set(quick) <= set(params), f"not there: {sorted(set(quick) - set(params))}"
    return [param if param in quick else pytest.param(param, marks=pytest.mark.slow) for param in params]
