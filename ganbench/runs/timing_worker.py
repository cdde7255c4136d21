"""A worker process that times one row, and works only when it is asked to."""

from __future__ import annotations

import os
import warnings
from contextlib import suppress
from multiprocessing.connection import Connection
from typing import TYPE_CHECKING, Literal

from msgspec import Struct

from ganbench.contracts.executor import TrainingJob
from ganbench.errors import Diverged, GanbenchError, GanbenchWarning, told
from ganbench.records.forks import end_if_forked, only_this_process
from ganbench.records.timing import Round
from ganbench.runs.executors.spawning import leave_signals_to_the_parent

if TYPE_CHECKING:
    from ganbench.runs.stopwatch import Facts

Question = Literal["round", "facts"]


class Refusal(Struct, frozen=True):
    """Why a row cannot be timed, and what to do about it."""

    message: str
    hint: str


class Ready(Struct, frozen=True):
    """The row is warmed up. ``on_cpu`` says whether the worker process itself computes."""

    on_cpu: bool


def serve(pipe: Connection, job: TrainingJob, threads: int) -> None:
    """The main function of a worker: send ``Ready``, then answer questions until the parent closes the pipe or is gone.

    Any answer may be a ``Refusal`` instead, which is the last one.
    """
    leave_signals_to_the_parent()
    os.dup2(2, 1)  # what a plugin prints must not mix with the results
    from ganbench.device.determinism import configure
    from ganbench.runs.stopwatch import Stopwatch

    warnings.simplefilter("ignore", GanbenchWarning)  # they are about scores, and timing has none
    configure(threads)
    try:
        with only_this_process():
            stopwatch = Stopwatch(job)
            answer: Ready | Round | Facts = Ready(stopwatch.on_cpu)
            while (question := _asked(pipe, answer)) is not None:
                answer = stopwatch.round() if question == "round" else stopwatch.facts()
    except GanbenchError as error:
        _say(pipe, Refusal(error.message, error.hint))
    except Diverged as error:
        _say(pipe, Refusal(f"{error} while it was timed", "it may need another --loss or --trick"))
    except BaseException as error:  # a plugin may raise anything; Ctrl-C reaches only the parent
        _say(pipe, Refusal(told(error), "a plugin failed: `ganbench plugins --check` may say more"))


def _asked(pipe: Connection, answer: Ready | Round | Facts) -> Question | None:
    """Send an answer and wait for the next question; None when there are no more."""
    _say(pipe, answer)
    with suppress(EOFError, OSError):
        question: Question = pipe.recv()
        return question
    return None


def _say(pipe: Connection, answer: Ready | Round | Facts | Refusal) -> None:
    end_if_forked()
    with suppress(OSError):
        pipe.send(answer)
