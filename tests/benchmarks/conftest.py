"""The device of benchmarks, and what their JSON says about the machine: what matters for speed, but not its name."""

from __future__ import annotations

import pytest
import torch


def pytest_addoption(parser) -> None:
    parser.addoption("--device", default="cpu", help="cpu or cuda, for benchmarks that can use a GPU")


@pytest.fixture
def device(request) -> torch.device:
    """On which device training takes place."""
    return torch.device(request.config.getoption("--device"))


def pytest_benchmark_update_machine_info(config, machine_info) -> None:
    del machine_info["node"]
    machine_info["torch"] = str(torch.__version__)
    machine_info["gpu"] = torch.cuda.get_device_name() if torch.cuda.is_available() else ""
