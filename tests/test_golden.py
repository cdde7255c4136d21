"""Five losses of the smoke protocol, pinned: a refactoring that changes results fails here, on any CPU."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from msgspec.structs import replace
from running import carry_out, job_in

from ganbench.plugins.protocols import load_protocol

# Another CPU sums in another order. Adam divides a gradient by its size, so a gradient that is nothing but rounding
# makes a whole step: after some eight iterations runs drift apart, after thirty by up to 20 % of a loss.
ITERATIONS = 6

# AVX2, AVX-512, SSE4.1 and one or two threads agree to 8e-6 (measured with ONEDNN_MAX_CPU_ISA, ATEN_CPU_CAPABILITY and
# MKL_CBWR). Noise of 1e-6 on every gradient, ten times its rounding, moves no number by more than 3e-5.
TOLERANCE = 1e-4

GOLDEN = {  # loss -> D updates per iteration; FID, D's and G's loss in the last iteration
    "non-saturating": (1, (70.013253, 0.86349666, 0.78433293)),
    "hinge": (1, (69.913083, 1.2468537, -0.15543986)),
    "lsgan": (1, (70.059159, 0.013082189, 0.50453699)),
    "wgan-gp": (5, (71.665726, -2.6535107, -1.3805524)),
    "r1": (1, (70.484850, 1.3240714, 0.66827095)),
}


@pytest.mark.parametrize("loss", GOLDEN)
def test_a_short_run_ends_with_the_numbers_it_always_had(loss, tmp_path) -> None:
    d_steps, numbers = GOLDEN[loss]
    rules = load_protocol("smoke-v1")
    kimg = ITERATIONS * d_steps * rules.training.batch / 1000
    rules = replace(rules, training=replace(rules.training, budget_kimg=kimg))
    job = job_in(tmp_path, "dcgan", loss, rules)
    record = carry_out(job)
    last = json.loads(Path(job.folder, "history.jsonl").read_text().splitlines()[-1])
    assert last["step"] == ITERATIONS
    (fid,) = (value for name, value in record.scores.items() if name.startswith("fid@"))
    assert (fid, last["d_loss"], last["g_loss"]) == pytest.approx(numbers, rel=TOLERANCE)
