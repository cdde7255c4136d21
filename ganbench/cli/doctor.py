"""``ganbench doctor``: print everything a bug report needs, ready to paste."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.status import Status

from ganbench.cli.base import command, console, echo

PLAIN_STATUS = {"declined": "without the argument or the data that they need"}


@command("doctor")
def doctor(
    runs: Annotated[Path, typer.Option(help="The folder for runs.")] = Path("runs"),
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Print what a bug report needs: versions, devices, plugins and their health, weights, caches, disk.

    Every installed plugin is imported and built in its own process; nothing is downloaded. The exit code is 1 if
    something is broken.
    """
    from ganbench.cli.diagnosis import look

    with Status("checking", console=console(stderr=True)) as status:
        report = look(runs, lambda what: status.update(f"checking {what}"))
    found = report.plain
    if as_json:
        echo(json.dumps(found, indent=1))
    else:
        terminal = console()
        for line in _lines(found):
            terminal.print(line, soft_wrap=True)
    if report.problems:
        raise typer.Exit(1)


def _lines(found: dict[str, Any]) -> list[str]:
    ours, packages = found["ganbench"], found["packages"]
    sections = {
        "ganbench": [", ".join(_ours(ours))],
        "python": [found["python"]],
        "system": [found["system"]],
        "packages": [", ".join(f"{name} {version}" for name, version in packages.items())],
        **_devices(found["devices"]),
        "plugins": _plugins(found["plugins"]),
        "weights": _weights(found["plugins"]),
        "allow-list": [f"{what}: {', '.join(names) or 'none'}" for what, names in found.get("allow-list", {}).items()],
        "caches": [f"{name}: {cache['MB']:g} MB in {cache['path']}" for name, cache in found["caches"].items()],
        "disk": [
            f"{name}: {disk['GB free']:g} GB free in {disk['path']}{'' if disk['writable'] else ', not writable'}"
            for name, disk in found["disk"].items()
        ],
        "variables": [f"{name}={value}" for name, value in found["variables"].items()],
        "notes": found["notes"],
    }
    lines = []
    for title, texts in sections.items():
        for number, text in enumerate(texts):
            lines.append(f"{title if not number else '':<12}{text}")
    problems = [f"{number}. {text}" for number, text in enumerate(found["problems"], 1)]
    return [*lines, "", *(["broken:", *problems] if problems else ["nothing is broken"])]


def _ours(ours: dict[str, Any]) -> list[str]:
    parts = [ours["version"], f"plugin API {ours['plugin API']}", ours["installed"]]
    if ours.get("commit"):
        parts.append(f"commit {ours['commit']}{' with uncommitted changes' if ours['uncommitted changes'] else ''}")
    return parts


def _devices(devices: dict[str, Any]) -> dict[str, list[str]]:
    cpu = devices["cpu"]
    parts = [
        cpu.get("name", "unknown"),
        f"{cpu['usable']} of {cpu['cores']} cores",
        " ".join([cpu.get("instructions", ""), *cpu["matrix units"]]).strip(),
        f"{cpu['threads']} thread(s)" if "threads" in cpu else "",
        f"{cpu['GB']:g} GB, {cpu['GB free']:g} free" if "GB" in cpu else "",
    ]
    gpus = [
        f"cuda:{i} {gpu['name']}, {gpu['GB']:g} GB, compute capability {gpu['capability']}"
        for i, gpu in enumerate(devices["gpus"])
    ]
    gpus += ["mps"] if devices.get("mps") else []
    versions = [
        f"{title} {devices[name]}"
        for title, name in (("CUDA", "cuda"), ("cuDNN", "cudnn"), ("driver", "driver"))
        if devices.get(name)
    ]
    return {"cpu": [", ".join(filter(None, parts))], "gpu": [*(gpus or ["none"]), *filter(None, [", ".join(versions)])]}


def _plugins(found: list[dict[str, Any]]) -> list[str]:
    """The number of plugins, and those that decline. Broken ones are listed at the end of the report."""
    count = Counter(plugin["status"] for plugin in found)
    kinds = Counter(plugin["kind"] for plugin in found)
    packages = Counter(f"{plugin['package']} {plugin['version']}" for plugin in found)
    return [
        f"{_counted(count)} of {len(found)}: {_counted(kinds)}",
        "from " + ", ".join(f"{package} ({n})" for package, n in packages.items()),
        *(_declined(plugin) for plugin in found if plugin["status"] == "declined" and plugin["kind"] != "extractor"),
    ]


def _counted(count: Counter[str]) -> str:
    return ", ".join(f"{n} {PLAIN_STATUS.get(what, what)}" for what, n in count.items())


def _weights(found: list[dict[str, Any]]) -> list[str]:
    """An extractor that can be built has its weights; one that declines says what it lacks."""
    extractors = [plugin for plugin in found if plugin["kind"] == "extractor"]
    return [f"{e['name']}: available" if e["status"] == "ok" else _declined(e) for e in extractors]


def _declined(plugin: dict[str, Any]) -> str:
    return f"{plugin['name']}: {plugin['message']}; {plugin['hint']}".rstrip("; ")
