"""The programs of SLURM that submitit calls, for jobs on this machine. Links with their names lead to this file.

The folder ``IMITATED_SLURM`` holds a file for each job: its state, and the number of the process of its step. Nothing
waits in a queue, and no time is ever over; a test sends the signal instead.
"""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from contextlib import suppress
from itertools import pairwise
from pathlib import Path

HOME = Path(os.environ.get("IMITATED_SLURM", "."))
PROGRAMS = ("sbatch", "srun", "sacct", "scancel", "scontrol")


def install(folder: Path) -> dict[str, str]:
    """Put the programs into a folder; returns the environment in which they are found."""
    folder.mkdir()
    for name in PROGRAMS:
        script = folder / name
        script.write_text(f'#!/bin/sh\nexec {sys.executable} -S {__file__} {name} "$@"\n')
        script.chmod(0o755)
    return {"PATH": f"{folder}{os.pathsep}{os.environ['PATH']}", "IMITATED_SLURM": str(folder)}


def state_of(job: str) -> str:
    return (HOME / f"{job}.state").read_text()


def set_state(job: str, state: str) -> None:
    (HOME / f"{job}.state").write_text(state)


def sbatch(script: str) -> None:
    """Start a supervisor for each job of the array, or for the only job."""
    asked = re.search(r"--array=0-(\d+)", Path(script).read_text())
    number = str(1000 + len([*HOME.glob("*.sh")]))
    (HOME / f"{number}.sh").write_bytes(Path(script).read_bytes())
    for job in [f"{number}_{place}" for place in range(int(asked[1]) + 1)] if asked else [number]:
        set_state(job, "RUNNING")
        command, none = [sys.executable, "-S", __file__, "supervise", job], subprocess.DEVNULL
        subprocess.Popen(command, start_new_session=True, stdin=none, stdout=none, stderr=none)
    print(f"Submitted batch job {number}")


def supervise(job: str) -> None:
    """Run a job, again if it was put into the queue again."""
    number, _, place = job.partition("_")
    env = {**os.environ, "SLURM_JOB_ID": job.replace("_", "0"), "SLURM_PROCID": "0", "IMITATED_JOB": job}
    env |= {"SLURM_ARRAY_JOB_ID": number, "SLURM_ARRAY_TASK_ID": place} if place else {"SLURM_JOB_ID": number}
    while True:
        code = subprocess.run(["/bin/bash", HOME / f"{number}.sh"], env=env, check=False).returncode
        if state_of(job) != "REQUEUED":
            break
        set_state(job, "RUNNING")
    if state_of(job) == "RUNNING":
        set_state(job, {0: "COMPLETED", 137: "OUT_OF_MEMORY"}.get(code, "FAILED"))


def srun(*arguments: str) -> None:
    """Become the step of a job: ``srun --unbuffered --output FILE --error FILE COMMAND``."""
    job = os.environ["IMITATED_JOB"]
    files = {option: value for option, value in pairwise(arguments) if option.startswith("--")}
    for option, place in (("--output", 1), ("--error", 2)):
        name = re.sub("%A_%a|%j", job, files[option]).replace("%t", "0")
        os.dup2(os.open(name, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600), place)
    command = arguments[arguments.index("--error") + 2 :]
    (HOME / f"{job}.step").write_text(str(os.getpid()))
    os.execvp(command[0], command)


def sacct(*arguments: str) -> None:
    """Print the states of all jobs."""
    print("JobID|State|NodeList")
    for file in HOME.glob("*.state"):
        print(f"{file.stem}|{file.read_text()}|here")


def scancel(job: str) -> None:
    """End a job at once."""
    set_state(job, "CANCELLED")
    signal_step(job, signal.SIGKILL)


def scontrol(what: str, job: str) -> None:
    """``scontrol requeue JOB``."""
    set_state(job, "REQUEUED")


def signal_step(job: str, number: int) -> None:
    """Send a signal to the step of a job, if it has one."""
    with suppress(OSError):
        os.kill(int((HOME / f"{job}.step").read_text()), number)


if __name__ == "__main__":
    globals()[sys.argv[1]](*sys.argv[2:])
