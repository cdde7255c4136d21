"""Grids: what a TOML file asks for, in which order it is run, and what is wrong with it."""

from __future__ import annotations

from pathlib import Path

import pytest
import toy

from ganbench.errors import GanbenchError
from ganbench.runs.grid import Grid, read_grid
from ganbench.runs.plan import Plan, make_grid

BLOCKS = """
protocol = "quick.toml"
arch = ["mlp", "dcgan"]
loss = ["hinge", "r1"]
seeds = [1, 0]

[[rows]]
arch = "mlp"
loss = ["r1", "hinge"]
trick = "ema"
set = { lr = 1e-3, "loss.gamma" = 2 }

[[rows]]
arch = "mlp"
loss = "hinge"
"""


def grid(folder: Path, text: str) -> Grid:
    (folder / "quick.toml").write_text(toy.QUICK)
    file = folder / "grid.toml"
    file.write_text(text)
    return read_grid(file)


def plan_in(folder: Path, text: str) -> Plan:
    asked = grid(folder, text)
    return make_grid(asked.rows, asked.protocol, seeds=asked.seeds, out=folder / "runs", device="cpu")


def test_every_block_of_rows_has_its_own_tricks_and_changes(tmp_path: Path) -> None:
    labels = [job.label for job in plan_in(tmp_path, BLOCKS).runs if job.seed == 1]
    changed = "+loss.gamma=2+lr=0.001"
    plain = ["mlp+hinge", "mlp+r1", "dcgan+hinge", "dcgan+r1"]
    assert labels == [*plain, f"mlp+r1+ema{changed}", f"mlp+hinge+ema{changed}"]


def test_every_row_gets_its_first_seed_before_any_gets_its_second(tmp_path: Path) -> None:
    assert [job.seed for job in plan_in(tmp_path, BLOCKS).runs] == [1] * 6 + [0] * 6


def test_a_row_that_two_blocks_name_is_run_once(tmp_path: Path) -> None:
    folders = [job.folder for job in plan_in(tmp_path, BLOCKS).jobs]
    assert len(folders) == len(set(folders))


def test_combinations_that_differ_in_tricks_alone_are_tried_out_apart(tmp_path: Path) -> None:
    combinations = {job.combination for job in plan_in(tmp_path, BLOCKS).runs}
    assert len(combinations) == 6


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('arch = "mlp"', "a block of rows has no loss"),
        ('loss = "r1"', "a block of rows has no arch"),
        ("", "a block of rows has no arch"),
        ('arch = "mlp"\nloss = "r1"\nlosses = "r1"', "unknown field `losses`"),
        ('arch = 3\nloss = "r1"', "is not a grid"),
        ("arch = [", "is not a grid"),
        ('arch = "mlp"\nloss = "r1"\nprotocol = "a\\u0000.toml"', "a name that no file can have"),
        ("arch = " + "[" * 5000 + "]" * 5000, "is not a grid"),
        ('arch = "mpl"\nloss = "r1"', "no arch called 'mpl' - did you mean 'mlp'"),
        ('arch = "mlp"\nloss = "r1"\nset = { lrr = 1 }', "no such setting"),
        ('arch = "mlp"\nloss = "r1"\nseeds = [-1]', "a seed is a whole number"),
        ('arch = "mlp"\nloss = "r1"\nprotocol = "none-v1"', "no protocol called 'none-v1'"),
    ],
)
def test_a_wrong_grid_is_refused_in_a_sentence(text: str, said: str, tmp_path: Path) -> None:
    with pytest.raises(GanbenchError, match=said):
        plan_in(tmp_path, text)


def test_a_missing_grid_is_refused_with_an_example(tmp_path: Path) -> None:
    with pytest.raises(GanbenchError, match="cannot read") as caught:
        read_grid(tmp_path / "none.toml")
    assert 'arch = ["dcgan", "mlp"]' in caught.value.hint


@pytest.mark.parametrize("option", [("--arch", "mlp"), ("--set", "lr=1"), ("--seed", "0"), ("--protocol", "smoke-v1")])
def test_options_that_say_what_to_run_cannot_be_combined_with_a_grid(option, ganbench_command, tmp_path) -> None:
    grid(tmp_path, BLOCKS)
    ran = ganbench_command("run", "--grid", "grid.toml", *option)
    assert ran.returncode == 2
    assert f"--grid and {option[0]} cannot be combined" in ran.stderr
