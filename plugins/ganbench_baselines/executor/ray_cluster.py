"""A Ray cluster: connect to one or start one, see how many runs it has room for, and send plugins to it."""

from __future__ import annotations

import math
import os
import socket
import sys
from collections.abc import Iterable, Iterator, Mapping
from contextlib import chdir, contextmanager
from importlib.metadata import Distribution, distributions
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from ganbench import Places, Unsupported

OBJECT_STORE = 128 * 2**20
"""In bytes. Progress and small pictures are all that travels."""
LONGEST_KNOCK = 10.0
"""Seconds in which the cluster must accept a connection."""
PATHS = ("GANBENCH_DATA", "GANBENCH_CACHE")


def imported(address: str) -> Any:
    """Return the module ``ray``, ready for a cluster at ``address``, or for one of its own if there is no address.

    Raises:
        Unsupported: it is not installed.
    """
    if "ray" not in sys.modules:  # Ray reads these on import, and fails if they come later
        os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
        if not address:
            os.environ.setdefault("RAY_AUTH_MODE", "token")  # others on the network must not use it
    try:
        import ray
    except ImportError as error:
        raise Unsupported(f"--executor ray needs Ray: {error}", "pip install 'ganbench[ray]'") from error
    return ray


@contextmanager
def connected(address: str, threads: int) -> Iterator[Any]:
    """Connect this process to the cluster at ``HOST:PORT``; without an address, start one on this machine.

    Yields:
        The module ``ray``.

    Raises:
        Unsupported: Ray is not installed, or there is no such cluster.
    """
    ray = imported(address)
    if ray.is_initialized():
        raise Unsupported("this process is connected to a Ray cluster already", "call ray.shutdown() first")
    environment, options = _asked_of_ray(address, threads)
    _refuse_unreachable(address)
    try:
        with chdir(Path.cwd().anchor):  # Ray lets workers import from the working directory
            ray.init(**options, log_to_driver=False, logging_level="ERROR", runtime_env=environment)
    except Exception as error:  # Ray raises what it likes, from ConnectionError to RuntimeError
        ray.shutdown()
        raise _unconnected(address, error) from error
    try:
        with _quiet(ray):
            yield ray
    finally:
        ray.shutdown()


def _refuse_unreachable(address: str) -> None:
    """Try the port first, because Ray goes on trying for minutes.

    Raises:
        Unsupported: nothing listens at ``HOST:PORT``.
    """
    host, _, port = address.rpartition(":")
    if host and port.isdecimal():
        try:
            socket.create_connection((host.strip("[]"), int(port)), timeout=LONGEST_KNOCK).close()
        except (OSError, OverflowError) as error:
            raise _unconnected(address, error) from error


def _unconnected(address: str, error: Exception) -> Unsupported:
    said = " ".join(str(error).split()) or type(error).__name__
    return Unsupported(
        f"cannot connect to Ray at {address or 'this machine'}: {said}",
        "is this machine part of the cluster? `ray start --address HOST:PORT` adds it, and `ray status` lists all",
    )


def _asked_of_ray(address: str, threads: int) -> tuple[dict[str, Any], dict[str, Any]]:
    """The environment of workers, and what else ``ray.init`` needs.

    Raises:
        Unsupported: the address is of another kind.
    """
    if address.startswith("ray://"):
        raise Unsupported(
            f"{address} is an address of Ray's client, which cannot send progress home",
            "run ganbench on a machine of the cluster, and give --address HOST:PORT",
        )
    environment: dict[str, Any] = {"env_vars": surroundings(threads)}
    if address:
        sent = packages()
        return environment | ({"py_modules": sent} if sent else {}), {"address": address}
    return environment, {"address": "local", "include_dashboard": False, "object_store_memory": OBJECT_STORE}


@contextmanager
def _quiet(ray: Any) -> Iterator[None]:
    """Keep Ray from printing the deaths of workers to standard output, where results stand. It has no option for it."""
    inside = ray._private.worker
    before = inside.print_to_stdstream
    inside.print_to_stdstream = lambda *_, **__: None
    try:
        yield
    finally:
        inside.print_to_stdstream = before


def surroundings(threads: int) -> dict[str, str]:
    """The environment of workers: GANBench's own variables, the number of threads, nothing from their folder."""
    own = {name: value for name, value in os.environ.items() if name.startswith("GANBENCH_")}
    own |= {name: os.path.abspath(own[name]) for name in PATHS if own.get(name)}
    return {**own, "OMP_NUM_THREADS": str(threads), "MKL_NUM_THREADS": str(threads), "PYTHONSAFEPATH": "1"}


def packages() -> list[str]:
    """The code and the metadata of installed plugins, which Ray copies to the workers; GANBench's own are there."""
    found = dict[str, None]()  # in order, each once
    for package in distributions():
        modules = {point.value for point in package.entry_points if point.group.startswith("ganbench.")}
        if modules and package.name != "ganbench":
            tops = {module.partition(":")[0].partition(".")[0] for module in modules}
            found |= dict.fromkeys([*_places_of(sorted(tops)), *_metadata_of(package)])
    return list(found)


def _places_of(modules: Iterable[str]) -> Iterator[str]:
    """The folder or the file of each top-level module."""
    for module in modules:
        spec = find_spec(module)
        if spec is not None and spec.submodule_search_locations:
            yield next(iter(spec.submodule_search_locations))
        elif spec is not None and spec.origin:
            yield spec.origin


def _metadata_of(package: Distribution) -> Iterator[str]:
    """The folder in which Python finds the entry points of a package."""
    folder = getattr(package, "_path", None)
    if folder is not None and Path(folder).is_dir():
        yield str(folder)


def needs(nodes: Iterable[Mapping[str, Any]], places: Places) -> dict[str, float]:
    """The resources of one run, by the names that Ray has for them.

    Raises:
        Unsupported: there is no such device in the cluster.
    """
    if places.device not in {"auto", "cpu", "cuda"}:
        raise Unsupported(f"--device {places.device}: Ray chooses the device of a run", "use auto, cpu or cuda")
    gpus = any(node["Alive"] and node["Resources"].get("GPU") for node in nodes)
    if places.device == "cuda" and not gpus:
        raise Unsupported(
            "no machine of the Ray cluster has a GPU", "use --device cpu, or `ray start --num-gpus COUNT`"
        )
    if places.device == "cpu" or not gpus:
        return {"CPU": places.threads}
    return {"CPU": 1, "GPU": math.floor(10_000 / places.jobs_per_gpu) / 10_000}  # Ray counts in ten-thousandths


def room(nodes: Iterable[Mapping[str, Any]], needed: Mapping[str, float]) -> int:
    """The number of runs that the machines of a cluster carry at a time. A run cannot lie across two machines."""
    alive = [node["Resources"] for node in nodes if node["Alive"]]
    return sum(min(int(has.get(name, 0) / amount) for name, amount in needed.items()) for has in alive)
