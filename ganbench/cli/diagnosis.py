"""Collect everything a bug report needs: versions, devices, plugins and their health, weights, caches, disk, variables.

Only child processes import torch or plugins, so that a broken one cannot prevent the report.
"""

from __future__ import annotations

import json
import os
import platform
import re
import shutil
import subprocess
import sys
import tempfile
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass, field
from importlib.metadata import PackageNotFoundError, requires, version
from pathlib import Path
from typing import Any

from ganbench import plugins
from ganbench._version import __version__
from ganbench.device.cores import usable_cores
from ganbench.plugins.hookspecs import API_VERSION
from ganbench.plugins.metadata import ALLOW_LIST
from ganbench.plugins.safepath import safe_path
from ganbench.plugins.source import Source, core_hash
from ganbench.testing.health import Health, examine

PATIENCE = 120.0
"""Seconds that a child process may take to import torch, or to build a plugin."""
LITTLE_DISK = 1e9
VARIABLES = re.compile(
    r"(GANBENCH|OMP|MKL|OPENBLAS|KMP|CUDA|CUBLAS|CUDNN|NVIDIA|HIP|ROCR|TORCH|TORCHINDUCTOR|TRITON|PYTORCH|PYTHON|XDG|LD)_?\w*"
    r"|TMPDIR|NO_COLOR|COLUMNS|(HTTPS?|ALL)_PROXY",
    re.IGNORECASE,
)
SECRET = re.compile(r"TOKEN|KEY|SECRET|PASSW|PROXY|CREDENTIAL", re.IGNORECASE)


@dataclass
class Report:
    """Everything found. ``problems`` are sentences on what is broken, ``notes`` on what is worth knowing."""

    facts: dict[str, Any] = field(default_factory=dict)
    problems: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    @property
    def plain(self) -> dict[str, Any]:
        """The report for ``--json``, without the path of the user's home."""
        told = {**self.facts, "problems": self.problems, "notes": self.notes}
        return {name: _without_home(value) for name, value in told.items()}


def look(runs: Path, say: Callable[[str], None]) -> Report:
    """Examine everything. Each installed plugin is built in its own process.

    Args:
        runs: the folder for runs.
        say: called with a description of each step.
    """
    report = Report()
    say("versions and devices")
    asked = _ask_torch()  # torch takes seconds to import; meanwhile, plugins are examined
    _versions(report)
    _names(report)
    complaints = _plugins(report, say)
    _devices(report, asked)
    report.problems += complaints  # which a broken torch may have caused
    _caches(report)
    _disk(report, runs)
    report.facts["variables"] = {
        name: "(set)" if SECRET.search(name) else value
        for name, value in sorted(os.environ.items())
        if VARIABLES.fullmatch(name)
    }
    return report


# -- versions and devices ------------------------------------------------------------------------------------


def _versions(report: Report) -> None:
    packages: dict[str, str] = {}
    for name in _requirements():
        try:
            packages[name] = version(name)
        except PackageNotFoundError:
            packages[name] = "missing"
            report.problems.append(f"{name} is not installed: pip install {name}")
    checkout = plugins.checkout_of("ganbench")
    report.facts["ganbench"] = {
        "version": __version__,
        "plugin API": API_VERSION,
        "installed": f"editable, from {checkout}" if checkout else str(Path(__file__).parents[1]),
    }
    report.facts["python"] = f"{platform.python_version()} ({platform.python_implementation()}), {sys.executable}"
    report.facts["system"] = platform.platform()
    report.facts["packages"] = packages


def _requirements() -> list[str]:
    """The packages that ganbench's own metadata requires, without extras."""
    try:
        lines = requires("ganbench") or []
    except PackageNotFoundError:  # imported from a folder
        return ["torch", "numpy"]
    return [re.split(r"[^\w.-]", line, maxsplit=1)[0] for line in lines if "extra ==" not in line]


def _ask_torch() -> subprocess.Popen[str]:
    """Start a child process that prints which devices torch sees; a crash during the import is a finding."""
    command = [sys.executable, "-P", "-c", "from ganbench.cli.diagnosis import tell; tell()"]
    known = {**os.environ, "PYTHONPATH": os.pathsep.join(safe_path())}
    return subprocess.Popen(command, env=known, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def _devices(report: Report, asked: subprocess.Popen[str]) -> None:
    """Add what the child process reports about torch and its devices."""
    facts: dict[str, Any] = {"cpu": _cpu(), "gpus": []}
    try:
        said, complained = asked.communicate(timeout=PATIENCE)
    except subprocess.TimeoutExpired:
        asked.kill()
        asked.communicate()
        report.problems.append(f"torch took more than {PATIENCE:g} s to import")
        report.facts["devices"] = facts | {"driver": _driver()}
        return
    if asked.returncode:
        last = complained.strip().splitlines()[-1:] if asked.returncode > 0 else []
        why = last[0] if last else f"its process exited with code {asked.returncode}"
        report.problems.append(f"torch cannot be used: {why}; reinstall it")
    else:
        seen = json.loads(said.splitlines()[-1])
        report.facts["ganbench"] |= seen.pop("ganbench")
        facts["cpu"] |= seen.pop("cpu")
        facts |= seen
        if Path("/dev/nvidiactl").exists() and not facts["gpus"]:
            report.notes.append("there is an NVIDIA device, but torch cannot use it: see CUDA and driver above")
    facts["driver"] = _driver()
    report.facts["devices"] = facts


def tell() -> None:
    """Print what torch knows as one line of JSON. Runs in a child process."""
    import torch

    from ganbench.evaluation import cache
    from ganbench.records.provenance import environment

    env = environment(torch.device("cpu"))
    gpus = [torch.cuda.get_device_properties(i) for i in range(torch.cuda.device_count())]
    facts = {
        "ganbench": {"commit": env.commit, "uncommitted changes": env.dirty, "core": core_hash()},
        "cpu": {"name": env.device, "instructions": torch.backends.cpu.get_cpu_capability(), "threads": env.threads},
        "gpus": [
            {"name": gpu.name, "GB": round(gpu.total_memory / 1e9, 1), "capability": f"{gpu.major}.{gpu.minor}"}
            for gpu in gpus
        ],
        "mps": torch.backends.mps.is_available(),
        "cuda": torch.version.cuda or "",
        "cudnn": str(torch.backends.cudnn.version() or "") if torch.version.cuda else "",
        "hub": torch.hub.get_dir(),
        "cache": str(cache.folder()),
    }
    print(json.dumps(facts))


def _cpu() -> dict[str, Any]:
    facts: dict[str, Any] = {"cores": os.cpu_count(), "usable": usable_cores()}
    flags = re.search(r"^flags\s*:(.*)$", _text("/proc/cpuinfo"), re.MULTILINE)
    facts["matrix units"] = sorted(flag for flag in (flags[1] if flags else "").split() if flag.startswith("amx"))
    for name, key in (("GB", "MemTotal"), ("GB free", "MemAvailable")):
        if found := re.search(rf"^{key}:\s*(\d+) kB", _text("/proc/meminfo"), re.MULTILINE):
            facts[name] = round(int(found[1]) / 1e6, 1)
    return facts


def _driver() -> str:
    found = re.search(r"Module\D*([\d.]+)", _text("/proc/driver/nvidia/version"))
    return found[1] if found else ""


def _text(file: str) -> str:
    try:
        return Path(file).read_text("utf-8", "replace")
    except OSError:
        return ""


# -- plugins -------------------------------------------------------------------------------------------------


def _names(report: Report) -> None:
    """Report names that several packages claim, and the allow-list."""
    claims: dict[tuple[str, str], list[Source]] = defaultdict(list)
    for source in plugins.installed():
        claims[source.kind, source.name].append(source)
    for (kind, name), sources in claims.items():
        if len(sources) > 1:
            owners = " and ".join(f"{source.package} {source.version}" for source in sources)
            report.notes.append(f"{owners} provide the {kind} '{name}': choose one, for example {sources[0].reference}")
    named = plugins.allow_list()
    if named:
        everyone = {plugins.canonical(source.package): source.package for source in plugins.announced()}
        for name in named:
            if plugins.canonical(name) not in everyone:
                report.notes.append(f"{ALLOW_LIST} admits '{name}', which is not installed or provides nothing")
        admitted = {plugins.canonical(name) for name in named}
        kept_out = sorted(package for key, package in everyone.items() if key not in admitted)
        report.facts["allow-list"] = {"admitted": named, "kept out": kept_out}


def _plugins(report: Report, say: Callable[[str], None]) -> list[str]:
    """Build every plugin; returns a sentence for each broken one."""
    found = list[Health]()
    sources = plugins.installed()
    say(f"plugins (0/{len(sources)})")
    for health in examine(sources, "build", PATIENCE, offline=True):  # the doctor downloads nothing
        found.append(health)
        say(f"plugins ({len(found)}/{len(sources)})")
    report.facts["plugins"] = [
        {
            "kind": health.source.kind,
            "name": health.source.name,
            "package": health.source.package,
            "version": health.source.version,
            "status": health.status,
            "message": health.message,
            "hint": health.hint,
        }
        for health in found
    ]
    return [_complaint(health) for health in found if not health.good]


def _complaint(health: Health) -> str:
    broken = [f"{finding.seen}, expected {finding.expected}" for finding in health.findings]
    said = "; ".join(filter(None, [health.message.removeprefix(f"{health.source} "), health.hint, *broken]))
    return f"the {health.source.kind} {health.source}: {said}"


# -- disk ----------------------------------------------------------------------------------------------------


def _caches(report: Report) -> None:
    hub, own = (report.facts["devices"].pop(name, "") for name in ("hub", "cache"))
    inductor = f"{tempfile.gettempdir()}/torchinductor_{os.environ.get('USER', 'root')}"
    folders = {
        "ganbench": Path(own) if own else None,
        "torch hub": Path(hub) if hub else None,
        "torch inductor": Path(os.environ.get("TORCHINDUCTOR_CACHE_DIR") or inductor),
        "triton": Path(os.environ.get("TRITON_CACHE_DIR") or Path.home() / ".triton" / "cache"),
    }
    report.facts["caches"] = {
        name: {"path": str(folder), "MB": round(_size(folder) / 1e6, 1)}
        for name, folder in folders.items()
        if folder is not None and folder.is_dir()
    }


def _size(folder: Path) -> int:
    total = 0
    for home, _, files in os.walk(folder):
        for name in files:
            try:
                total += os.lstat(os.path.join(home, name)).st_size
            except OSError:  # deleted in the meantime
                continue
    return total


def _disk(report: Report, runs: Path) -> None:
    report.facts["disk"] = {}
    for name, folder in (("runs", runs.absolute()), ("temporary files", Path(tempfile.gettempdir()))):
        place = next(path for path in (folder, *folder.parents) if path.is_dir())
        free = shutil.disk_usage(place).free
        fault = _write_fault(place)
        report.facts["disk"][name] = {"path": str(folder), "GB free": round(free / 1e9, 1), "writable": not fault}
        if fault:
            report.problems.append(f"cannot write to {folder}: {fault}")
        elif free < LITTLE_DISK:
            report.problems.append(f"only {free / 1e6:.0f} MB are free in {folder}: free some space")


def _write_fault(folder: Path) -> str:
    try:
        with tempfile.TemporaryFile(dir=folder) as file:
            file.write(b"0" * 4096)
    except OSError as error:
        return error.strerror or str(error)
    return ""


def _without_home(value: Any) -> Any:
    """Write the user's home folder as ``~``, because strangers will read the report."""
    if isinstance(value, dict):
        return {name: _without_home(inner) for name, inner in value.items()}
    if isinstance(value, list):
        return [_without_home(inner) for inner in value]
    home = re.escape(str(Path.home()))
    return re.sub(rf"(?<![\w/.]){home}(?![\w.-])", "~", value) if isinstance(value, str) else value
