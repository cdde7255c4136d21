"""What a quick run of the suite leaves to ``tox -e slow``."""

from __future__ import annotations

from collections.abc import Collection, Iterable

import pytest


def slow(value: object) -> object:
    """A value for ``parametrize`` whose test is slow; a tuple stands for several arguments."""
    return pytest.param(*(value if isinstance(value, tuple) else [value]), marks=pytest.mark.slow)


def slow_but(quick: Collection, everything: Iterable) -> list:
    """``everything``, for ``parametrize``; what is not among ``quick`` is slow."""
    values = list(everything)
    assert set(quick) <= set(values), f"not there: {set(quick) - set(values)}"
    return [value if value in quick else slow(value) for value in values]
