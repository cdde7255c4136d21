"""``ganbench run --dry-run``: what would run, what is done, what is impossible, and how long it would take."""

from __future__ import annotations

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from ganbench.contracts.executor import Executor, TrainingJob, runs_among
from ganbench.errors import plural
from ganbench.runs.estimate import Estimate, duration
from ganbench.runs.plan import Plan
from ganbench.runs.session import Outcome, look_ahead


def preview(plan: Plan, executor: Executor, estimate: Estimate, terminal: Console) -> None:
    """Print a line for each row of the plan, and the total.

    Raises:
        GanbenchError: nothing can be done at all.
    """
    outcome = look_ahead(plan, executor, estimate)
    if outcome.fatal:
        raise outcome.fatal
    protocol = plan.protocol
    data = protocol.dataset_ref.without_folders()
    terminal.print(Text(f"{protocol.name} ({protocol.digest}) on {data}", "bold"))
    terminal.print(_rows(plan, estimate, outcome))
    possible = [job for job in runs_among(plan.todo) if job.combination not in outcome.refused]
    for message in dict.fromkeys(refused.message for refused in outcome.refused.values()):
        terminal.print(Text.assemble(("impossible:", "yellow"), f" {message}"), soft_wrap=True)
    terminal.print(_total(possible, estimate, executor.workers))


def _rows(plan: Plan, estimate: Estimate, outcome: Outcome) -> Table:
    done = {job.key for job in runs_among(plan.finished)}
    rows: dict[str, list[TrainingJob]] = {}
    for job in plan.runs:
        rows.setdefault(job.label, []).append(job)
    table = Table(box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False)
    table.add_column("row", overflow="fold")
    table.add_column("seeds to run", overflow="fold")
    table.add_column("done", justify="right")
    table.add_column("time", no_wrap=True)
    for label, jobs in rows.items():
        todo = [job for job in jobs if job.key not in done]
        impossible = bool(todo) and todo[0].combination in outcome.refused
        seeds = "impossible" if impossible else ", ".join(str(job.seed) for job in sorted(todo, key=lambda j: j.seed))
        seconds = None if impossible or not todo else estimate.total(todo, 1)
        table.add_row(label, seeds or "–", str(len(jobs) - len(todo)), "" if seconds is None else duration(seconds))
    return table


def _total(jobs: list[TrainingJob], estimate: Estimate, workers: int) -> str:
    if not jobs:
        return "nothing to run"
    told = estimate.told(jobs, min(workers, len(jobs)))
    return f"{plural(len(jobs), 'run')} of {jobs[0].protocol.training.budget_kimg:g} kimg: {told or 'time unknown'}"
