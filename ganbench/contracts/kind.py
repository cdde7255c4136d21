"""The kinds of plugins. Each has a hook and an entry-point group, ``ganbench.<kind>``."""

from __future__ import annotations

from typing import Literal

Kind = Literal["arch", "loss", "trick", "metric", "dataset", "protocol", "extractor", "executor"]
