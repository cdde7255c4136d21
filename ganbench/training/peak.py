"""Measures the peak rate of a device in matrix products, to which the rate of a run is compared."""

from __future__ import annotations

import time
from contextlib import suppress
from functools import cache

import torch

from ganbench.contracts.protocol import Precision
from ganbench.training.precision import tensor_cores

SIZES = (512, 1024, 2048, 4096, 8192)
LONG_ENOUGH = 2e-3
"""Seconds; a product that takes this long is large enough to saturate the device."""
ROUNDS = 10


def peak_flops(device: torch.device, precision: Precision) -> float:
    """FLOP/s of the fastest of several square matrix products in ``precision``; a multiply-add is two operations.

    It is measured once per process, with the process's number of threads and under the current load, in about 0.03 s
    on a CPU of 100 GFLOP/s. The result is 0 if there is not enough memory.
    """
    return _measured(device, precision, torch.get_num_threads())


@cache
def _measured(device: torch.device, precision: Precision, threads: int) -> float:
    best = 0.0
    with suppress(RuntimeError), tensor_cores(precision):
        for size in SIZES:
            seconds = _fastest_product(size, device, torch.bfloat16 if precision == "bf16" else torch.float32)
            best = max(best, 2 * size**3 / seconds)
            if seconds > LONG_ENOUGH:
                break
    return best


def _fastest_product(size: int, device: torch.device, dtype: torch.dtype) -> float:
    rng = torch.Generator(device).manual_seed(0)  # leaves other random draws unchanged
    a, b = (torch.randn(size, size, generator=rng, device=device).to(dtype) for _ in range(2))
    out, wait = torch.empty_like(a), torch.get_device_module(device).synchronize
    seconds = []
    for _ in range(ROUNDS + 1):
        wait()
        began = time.perf_counter()
        torch.mm(a, b, out=out)
        wait()
        seconds.append(time.perf_counter() - began)
    return min(seconds[1:])
