from .api import Run, Runs, evaluate, leaderboard, load_run, run
from .contracts.arch import GAN, Lazy, Terms
from .contracts.data import Batch, Dataset, DataSpec, Oracle, Split, quantise, stratified_split, to_signal
from .contracts.download import Download, RemoteFile
from .contracts.evaluation import Evaluation
from .contracts.executor import (
    Done,
    Ending,
    Event,
    Executor,
    Job,
    Message,
    Places,
    Progress,
    Started,
    Stopping,
    Warned,
    lost,
)
from .contracts.extractor import Extractor, Features, TrainedExtractor, extract
from .contracts.loss import Critic, Loss, LossTraits, Match
from .contracts.memo import Memo, Results
from .contracts.metric import Absent, Goal, Metric
from .contracts.origin import Origin
from .contracts.protocol import Evaluating, LossRules, Protocol, Recipe, Training
from .contracts.samples import Samples
from .contracts.scores import Scores
from .contracts.settings import settings_of
from .contracts.trick import LossAround, Player, Trick, Turn
from .data.folder import data_folder
from .data.prepared import Prepared, Row, prepared
from .device.untouched import preserved_rng
from .errors import DataError, GanbenchError, GanbenchWarning, Unsupported
from .plugins.hookspecs import hookimpl
from .runs.executors.local import LocalExecutor
from .runs.executors.work import perform

__version__: str

__all__ = [
    "GAN",
    "Absent",
    "Batch",
    "Critic",
    "DataError",
    "DataSpec",
    "Dataset",
    "Done",
    "Download",
    "Ending",
    "Evaluating",
    "Evaluation",
    "Event",
    "Executor",
    "Extractor",
    "Features",
    "GanbenchError",
    "GanbenchWarning",
    "Goal",
    "Job",
    "Lazy",
    "LocalExecutor",
    "Loss",
    "LossAround",
    "LossRules",
    "LossTraits",
    "Match",
    "Memo",
    "Message",
    "Metric",
    "Oracle",
    "Origin",
    "Places",
    "Player",
    "Prepared",
    "Progress",
    "Protocol",
    "Recipe",
    "RemoteFile",
    "Results",
    "Row",
    "Run",
    "Runs",
    "Samples",
    "Scores",
    "Split",
    "Started",
    "Stopping",
    "Terms",
    "TrainedExtractor",
    "Training",
    "Trick",
    "Turn",
    "Unsupported",
    "Warned",
    "__version__",
    "data_folder",
    "evaluate",
    "extract",
    "hookimpl",
    "leaderboard",
    "load_run",
    "lost",
    "perform",
    "prepared",
    "preserved_rng",
    "quantise",
    "run",
    "settings_of",
    "stratified_split",
    "to_signal",
]
