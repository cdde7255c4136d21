"""Five losses of the smoke protocol, pinned: a refactoring that changes results fails here."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from ganbench import plugins
from ganbench.plugins.protocols import load_protocol
from ganbench.runs.plan import make_plan
from ganbench.runs.runner import execute

GOLDEN = {  # loss -> FID, D's and G's loss at the end; one thread and two agree to 3e-6
    "non-saturating": (51.786279, 0.10859422, 3.6950763),
    "hinge": (58.893459, 1.1141526, 0.10144545),
    "lsgan": (56.734724, 0.0090805339, 0.50571787),
    "wgan-gp": (71.665725, -2.6535108, -1.3805524),
    "r1": (39.073890, 0.91354889, 0.80142015),
}


@pytest.mark.parametrize("loss", GOLDEN)
def test_a_smoke_run_ends_with_the_numbers_it_always_had(loss, tmp_path) -> None:
    archs, losses = plugins.find_many("arch", ["dcgan"]), plugins.find_many("loss", [loss])
    plan = make_plan(archs, losses, load_protocol("smoke-v1"), out=tmp_path, device="cpu")
    (job,) = (job for job in plan.jobs if not job.yardstick)
    record = execute(job, lambda event: None, lambda: False)
    last = json.loads(Path(job.folder, "history.jsonl").read_text().splitlines()[-1])
    (fid,) = (value for name, value in record.scores.items() if name.startswith("fid@"))
    assert (fid, last["d_loss"], last["g_loss"]) == pytest.approx(GOLDEN[loss], rel=1e-3)
