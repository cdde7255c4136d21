"""What a benchmark's JSON says about the machine: everything that matters for speed, but not its name."""

from __future__ import annotations

import torch


def pytest_benchmark_update_machine_info(config, machine_info) -> None:
    del machine_info["node"]
    machine_info["torch"] = str(torch.__version__)
    machine_info["gpu"] = torch.cuda.get_device_name() if torch.cuda.is_available() else ""
