"""Documents and published tables are checked like code."""

from __future__ import annotations

import re
import shlex
import tomllib
from pathlib import Path

import pytest
import typer

from ganbench import hookspecs
from ganbench.cli import app
from ganbench.plan import load_protocol
from ganbench.publishing import check_folder
from ganbench.record import read

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text("utf-8")
PUBLISHED = sorted(path.parent for path in ROOT.glob("leaderboards/*/records"))


@pytest.mark.parametrize("folder", PUBLISHED, ids=lambda folder: folder.name)
def test_a_published_table_is_what_its_records_give(folder: Path) -> None:
    assert check_folder(folder, load_protocol(folder.name)) == []


@pytest.mark.parametrize("folder", PUBLISHED, ids=lambda folder: folder.name)
def test_every_published_record_says_where_it_comes_from(folder: Path) -> None:
    digest = load_protocol(folder.name).digest
    for path in (folder / "records").iterdir():
        record = read(path)
        assert record.digest == digest, path
        assert record.environment.commit, path
        assert not record.environment.dirty, path
        assert record.changes == {}, path


@pytest.mark.parametrize("folder", PUBLISHED, ids=lambda folder: folder.name)
def test_every_published_leaderboard_is_complete_and_has_its_yardsticks(folder: Path) -> None:
    records = [read(path) for path in (folder / "records").iterdir()]
    seeds = set(load_protocol(folder.name).seeds)
    found = {entry: {r.seed for r in records if r.entry == entry} for entry in {r.entry for r in records}}
    assert all(those == seeds for those in found.values())
    assert {"real data", "gaussian fit", "one class", "noise"} <= set(found)


def test_every_command_of_the_readme_is_one_that_the_program_understands() -> None:
    commands = [line.split("#")[0] for line in README.splitlines() if line.startswith("ganbench ")]
    assert len(commands) > 5
    tree = typer.main.get_command(app)
    for line in commands:
        words = shlex.split(line.split(">")[0])[1:]
        command = tree
        while words and words[0] in getattr(command, "commands", {}):
            command = command.commands[words.pop(0)]
        assert command is not tree, line
        command.make_context("ganbench", words)


def test_the_readmes_two_commands_stand_on_lines_of_their_own() -> None:
    lines = README.splitlines()
    assert "pip install . && ganbench run --arch dcgan --loss wgan-gp" in lines
    assert "pip install tox && tox" in lines


def test_the_loss_of_the_readme_is_a_working_plugin() -> None:
    code = re.search(r'```python\n("""Hinge.*?)```', README, re.DOTALL)
    names: dict = {}
    exec(code.group(1), names)
    loss = names["ganbench_loss"]()
    assert float(loss.d_loss(lambda x: x, *map(_tensor, (2.0, -2.0)))) == 0.0
    assert float(loss.g_loss(lambda x: x, *map(_tensor, (2.0, -2.0)))) == 2.0
    tomllib.loads(re.search(r"```toml\n(.*?)```", README, re.DOTALL).group(1))


@pytest.mark.parametrize("kind", hookspecs.KINDS)
def test_every_hook_holds_a_complete_example(kind: str) -> None:
    text = getattr(hookspecs, f"ganbench_{kind}").__doc__
    example = re.sub(r"^ {8}", "", text.split("Example::")[1], flags=re.MULTILINE)
    names: dict = {}
    exec(example, names)
    assert callable(names[f"ganbench_{kind}"])


def _tensor(value: float):
    import torch

    return torch.tensor([value])


@pytest.mark.parametrize("page", ["README.md", "CONTRIBUTING.md", "CHANGELOG.md"])
def test_every_relative_link_leads_somewhere(page: str) -> None:
    prose = re.sub(r"```.*?```", "", (ROOT / page).read_text("utf-8"), flags=re.DOTALL)
    links = re.findall(r"\]\(([^)#:]+)\)", prose)
    assert [link for link in links if not (ROOT / link).exists()] == []
