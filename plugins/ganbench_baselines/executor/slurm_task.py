"""What a task of a SLURM array does: it carries out one job, also in several attempts if its time is too short."""

from __future__ import annotations

import time
from pathlib import Path
from threading import Event, Thread
from typing import Any

from ganbench import Done, Ending, Job, Message, Started, perform
from ganbench_baselines.executor.slurm_events import Reader, Writer

CHECKPOINT_SECONDS = 60.0
"""For a run to save a checkpoint once its time is nearly over. SLURM kills it 90 s after the signal."""
LOOK_SECONDS = 1.0
"""Between two looks at the stop file, since the file system is shared."""


class Task:
    """A job, and where its messages go. Submitit pickles it, calls it, and asks for a checkpoint.

    Args:
        job: the job.
        events: the file for its messages.
        stop: a file; once it exists, the run saves a checkpoint and ends.
        threads: of a run on a CPU.
    """

    def __init__(self, job: Job, events: Path, stop: Path, threads: int) -> None:
        self.job, self.events, self.stop, self.threads = job, events, stop, threads

    def __call__(self) -> None:
        """Carry out the job. The main thread stays free for signals, which must not end up in the training."""
        self._halting, self._looked, self._found, self._ended = Event(), 0.0, False, False
        self._again = any(isinstance(said, Started) for said in Reader(self.events).read())
        self._writer = Writer(self.events)
        self._thread = Thread(target=perform, args=(self.job, self._say, self._should_stop, self.threads), daemon=True)
        self._thread.start()
        self._thread.join()

    def checkpoint(self) -> Any:
        """Let the run save a checkpoint; returns what submitit puts into the queue again, or None if the run is over.

        Called in a signal handler of the main thread, when the task's time is nearly over or it is preempted.
        """
        from submitit.core.utils import DelayedSubmission

        self._halting.set()
        self._thread.join(CHECKPOINT_SECONDS)
        return None if self._ended else DelayedSubmission(Task(self.job, self.events, self.stop, self.threads))

    def _say(self, message: Message) -> None:
        """Write a message. An attempt that is continued has no end, and the next one no beginning."""
        continued = self._halting.is_set() and isinstance(message, Done) and message.status == "interrupted"
        if not continued and not (self._again and isinstance(message, Started)):
            self._writer.write(message)
            self._ended = isinstance(message, Ending)

    def _should_stop(self) -> bool:
        now = time.monotonic()
        if now - self._looked > LOOK_SECONDS:
            self._looked, self._found = now, self.stop.exists()
        return self._found or self._halting.is_set()
