"""A Ray cluster whose machines are processes of this one, and an object store that is one, too."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

HEALTH = {"health_check_initial_delay_ms": 2000, "health_check_period_ms": 1000, "health_check_failure_threshold": 5}
"""A machine that is gone is noticed within seconds."""
PATIENCE = {"RAY_raylet_start_wait_time_s": "300", "RAY_agent_register_timeout_ms": "300000"}
"""For machines that are busy."""
STORE = 80 * 2**20
"""Bytes of shared memory for each machine, about as few as Ray accepts."""


@contextmanager
def machines(number: int, **environment: str) -> Iterator[Any]:
    """A ``ray.cluster_utils.Cluster`` of so many machines with one core each. The first is its head."""
    with pytest.MonkeyPatch.context() as patch:
        for name, value in {"RAY_USAGE_STATS_ENABLED": "0", **PATIENCE, **environment}.items():
            patch.setenv(name, value)
        from ray.cluster_utils import Cluster

        cluster = Cluster()
        try:
            add_machine(cluster, _system_config=HEALTH, include_dashboard=False)
            for _ in range(number - 1):
                add_machine(cluster)
            yield cluster
        finally:
            cluster.shutdown()


def add_machine(cluster: Any, **options: Any) -> Any:
    """Add a machine to a cluster; returns its handle, for ``remove_node``."""
    return cluster.add_node(num_cpus=1, num_gpus=0, object_store_memory=STORE, **options)


def is_on(process: int, machine: Any) -> bool:
    """Whether a worker's process was started on a machine of a cluster."""
    (raylet,) = machine.all_processes["raylet"]
    parent = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[1]
    return int(parent) == raylet.process.pid


@contextmanager
def object_store(bucket: str) -> Iterator[Mapping[str, str]]:
    """A server that speaks S3, with an empty bucket; yields the environment in which s3fs finds it."""
    from moto.server import ThreadedMotoServer

    server = ThreadedMotoServer("127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    known = {
        "AWS_ENDPOINT_URL": f"http://{host}:{port}",
        "AWS_ACCESS_KEY_ID": "nobody",
        "AWS_SECRET_ACCESS_KEY": "none",
    }
    try:
        with pytest.MonkeyPatch.context() as patch:
            for name, value in known.items():
                patch.setenv(name, value)
            import s3fs

            s3fs.S3FileSystem(skip_instance_cache=True).mkdir(bucket)
            yield {**os.environ, **known}
    finally:
        server.stop()
