"""Same run, same bits: every built-in arch with every loss, in this process and in workers."""

from __future__ import annotations

import warnings
from pathlib import Path

import pytest
import torch
from marks import slow
from msgspec.structs import replace
from running import bits, carry_out, plan_of

from ganbench.contracts.protocol_file import to_toml
from ganbench.device import determinism
from ganbench.device.determinism import configure, noting_nondeterminism, refuse_changed, torch_settings
from ganbench.errors import PluginError
from ganbench.plugins.protocols import load_protocol
from ganbench.records.record import Record
from ganbench.records.store import read
from ganbench.runs.setup import prepare
from ganbench.training.batches import Stream

TINY = load_protocol("smoke-v1")
TINY = replace(
    TINY,
    name="tiny-v1",
    training=replace(TINY.training, budget_kimg=0.32),
    evaluation=replace(TINY.evaluation, samples=60, metrics=("fid",), target=None),
)


def in_this_process(archs: str, folder: Path) -> dict[str, Record]:
    return {job.key: carry_out(job) for job in plan_of(folder, archs, "all", TINY).runs}


@pytest.mark.parametrize("archs", ["dcgan", slow("mlp,dcgan-upsample")])
def test_every_combination_has_the_same_bits_in_this_process_and_in_workers(archs, ganbench_command, tmp_path) -> None:
    records = in_this_process(archs, tmp_path / "here")
    assert len(records) == 10 * len(archs.split(","))
    rules = tmp_path / "tiny.toml"
    rules.write_text(to_toml(TINY))
    ran = ganbench_command("run", "--arch", archs, "--loss", "all", "--protocol", rules, "--jobs", "2", "-q")
    assert ran.returncode == 0, ran.stderr
    for key, record in records.items():
        there = read(tmp_path / "runs/tiny-v1" / record.entry / "seed0/record.json")
        assert bits(there) == bits(record), key
        assert there.environment.workers == 2


def test_data_order_and_evaluation_latents_are_shared_and_change_with_the_seed() -> None:
    bench = prepare(TINY, "cpu")

    def first_images(seed: int) -> torch.Tensor:
        return Stream(bench.dataset.train, 16, TINY.seed(seed, "data"), torch.device("cpu")).draw()[0]

    assert torch.equal(first_images(0), first_images(0))
    assert not torch.equal(first_images(0), first_images(1))
    streams = ("init", "data", "latent", "penalty", "selection", "picture", "evaluation-0", "evaluation-1")
    assert len({TINY.seed(seed, stream) for seed in range(3) for stream in streams}) == 3 * len(streams)


@pytest.fixture
def configured():
    configure(1)
    yield
    torch.use_deterministic_algorithms(False)
    torch.utils.deterministic.fill_uninitialized_memory = True


def test_an_operation_without_a_deterministic_form_is_noted(configured) -> None:
    """``put_`` without accumulation has none, on a CPU either."""
    found: set[str] = set()
    with noting_nondeterminism(found):
        torch.zeros(4).put_(torch.tensor([0, 0]), torch.tensor([1.0, 2.0]))
    assert [name.split()[0] for name in found] == ["put_"]


def test_what_was_noted_before_a_failure_is_kept(configured) -> None:
    found: set[str] = set()

    def use_and_fail() -> None:
        with noting_nondeterminism(found):
            torch.zeros(4).put_(torch.tensor([0, 0]), torch.tensor([1.0, 2.0]))
            raise RuntimeError(f"noted by now: {len(found)}")  # at once, for a checkpoint may be written any time

    with pytest.raises(RuntimeError, match="noted by now: 1"):
        use_and_fail()
    assert len(found) == 1


def test_other_warnings_pass() -> None:
    found: set[str] = set()
    with pytest.warns(UserWarning, match="look here"), noting_nondeterminism(found):
        warnings.warn("look here", UserWarning, stacklevel=1)
    assert found == set()


def test_no_plugin_leaves_gradients_off_or_another_device_to_the_next_run() -> None:
    with determinism.configured(1):
        before = torch_settings()
        torch.set_grad_enabled(False)
        torch.set_default_device("meta")
        with pytest.raises(PluginError, match="gradients True -> False, default device cpu -> meta"):
            refuse_changed(before)
        configure(1)
        assert torch.is_grad_enabled()
        assert str(torch.get_default_device()) == "cpu"
        torch.set_grad_enabled(False)
        torch.set_default_device("meta")
    assert torch.is_grad_enabled()
    assert torch.ones(1).device.type == "cpu"
