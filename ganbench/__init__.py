"""GANBench: which GAN is better, at the same cost, and how sure are we?

What plugin authors need is importable from here; nothing heavy is imported until it is asked for.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from ganbench._version import __version__ as __version__

if TYPE_CHECKING:
    from ganbench.api import Run, Runs, evaluate, leaderboard, load_run, run
    from ganbench.contracts.arch import GAN, Lazy, Match, Terms
    from ganbench.contracts.data import Batch, Dataset, DataSpec, Oracle, Split, quantise, stratified_split, to_signal
    from ganbench.contracts.extractor import Extractor, Features, extract
    from ganbench.contracts.loss import Critic, Loss
    from ganbench.contracts.metric import Goal, Metric
    from ganbench.contracts.protocol import Evaluating, Protocol, Recipe, Training
    from ganbench.contracts.settings import settings_of
    from ganbench.contracts.trick import LossAround, Player, Trick, Turn
    from ganbench.errors import DataError, GanbenchError, Unsupported
    from ganbench.evaluation.cache import Kept, Results
    from ganbench.evaluation.judge import Evaluation
    from ganbench.plugins.hookspecs import hookimpl
    from ganbench.training.trainer import preserved_rng

_HOME = {
    "api": ("Run", "Runs", "evaluate", "leaderboard", "load_run", "run"),
    "contracts.arch": ("GAN", "Lazy", "Match", "Terms"),
    "contracts.data": ("Batch", "DataSpec", "Dataset", "Oracle", "Split", "quantise", "stratified_split", "to_signal"),
    "contracts.extractor": ("Extractor", "Features", "extract"),
    "contracts.loss": ("Critic", "Goal", "Loss", "Metric"),
    "contracts.protocol": ("Evaluating", "Protocol", "Recipe", "Training"),
    "contracts.settings": ("settings_of",),
    "contracts.trick": ("LossAround", "Player", "Trick", "Turn"),
    "errors": ("DataError", "GanbenchError", "Unsupported"),
    "evaluation.cache": ("Kept", "Results"),
    "evaluation.judge": ("Evaluation",),
    "plugins.hookspecs": ("hookimpl",),
    "training.trainer": ("preserved_rng",),
}
_MODULE_OF = {name: module for module, names in _HOME.items() for name in names}

__all__ = [
    "GAN",
    "Batch",
    "Critic",
    "DataError",
    "DataSpec",
    "Dataset",
    "Evaluating",
    "Evaluation",
    "Extractor",
    "Features",
    "GanbenchError",
    "Goal",
    "Kept",
    "Lazy",
    "Loss",
    "LossAround",
    "Match",
    "Metric",
    "Oracle",
    "Player",
    "Protocol",
    "Recipe",
    "Results",
    "Run",
    "Runs",
    "Split",
    "Terms",
    "Training",
    "Trick",
    "Turn",
    "Unsupported",
    "evaluate",
    "extract",
    "hookimpl",
    "leaderboard",
    "load_run",
    "preserved_rng",
    "quantise",
    "run",
    "settings_of",
    "stratified_split",
    "to_signal",
]


def __getattr__(name: str) -> Any:
    if name in _MODULE_OF:
        return getattr(import_module(f"ganbench.{_MODULE_OF[name]}"), name)
    raise AttributeError(f"module 'ganbench' has no attribute '{name}'")
