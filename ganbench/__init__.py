"""GANBench: which GAN is better, at the same cost, and how sure are we?

What plugin authors need is importable from here; nothing heavy is imported until it is asked for.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ganbench.api import Run, Runs, evaluate, leaderboard, load_run, run
    from ganbench.data import Batch, Dataset, DataSpec, Oracle, Split
    from ganbench.errors import DataError, GanbenchError, Unsupported
    from ganbench.evaluation import Evaluation
    from ganbench.extractor import Extractor, Features
    from ganbench.gan import GAN, Lazy, Match
    from ganbench.hookspecs import hookimpl
    from ganbench.protocol import Evaluating, Protocol, Training
    from ganbench.settings import settings_of
    from ganbench.trick import Trick, Turn

__version__ = "0.1.0"

_HOME = {
    "api": ("Run", "Runs", "evaluate", "leaderboard", "load_run", "run"),
    "data": ("Batch", "DataSpec", "Dataset", "Oracle", "Split"),
    "errors": ("DataError", "GanbenchError", "Unsupported"),
    "evaluation": ("Evaluation",),
    "extractor": ("Extractor", "Features"),
    "gan": ("GAN", "Lazy", "Match"),
    "hookspecs": ("hookimpl",),
    "protocol": ("Evaluating", "Protocol", "Training"),
    "settings": ("settings_of",),
    "trick": ("Trick", "Turn"),
}
_MODULE_OF = {name: module for module, names in _HOME.items() for name in names}

__all__ = [
    "GAN",
    "Batch",
    "DataError",
    "DataSpec",
    "Dataset",
    "Evaluating",
    "Evaluation",
    "Extractor",
    "Features",
    "GanbenchError",
    "Lazy",
    "Match",
    "Oracle",
    "Protocol",
    "Run",
    "Runs",
    "Split",
    "Training",
    "Trick",
    "Turn",
    "Unsupported",
    "evaluate",
    "hookimpl",
    "leaderboard",
    "load_run",
    "run",
    "settings_of",
]


def __getattr__(name: str) -> Any:
    if name in _MODULE_OF:
        return getattr(import_module(f"ganbench.{_MODULE_OF[name]}"), name)
    raise AttributeError(f"module 'ganbench' has no attribute '{name}'")
