"""Documents and published tables are checked like code."""

from __future__ import annotations

import inspect
import re
import shlex
import textwrap
import tomllib
from dataclasses import fields
from importlib import import_module
from pathlib import Path

import pytest
import typer
from PIL import Image

from ganbench import GAN, Dataset, Evaluating, Evaluation, Oracle, Places, Protocol, Split, Training, Trick, plugins
from ganbench.cli.main import app
from ganbench.contracts.loss import LossTraits
from ganbench.pages.folder import check_folder
from ganbench.plugins import hookspecs
from ganbench.plugins.protocols import load_protocol
from ganbench.records.record import TrainingRecord
from ganbench.records.store import read

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
        changes = record.changes if isinstance(record, TrainingRecord) else {}
        assert all(name.startswith(("arch.", "loss.")) for name in changes), "an ablation, or nothing"


@pytest.mark.parametrize("folder", PUBLISHED, ids=lambda folder: folder.name)
def test_every_published_leaderboard_is_complete_and_has_its_yardsticks(folder: Path) -> None:
    records = [read(path) for path in (folder / "records").iterdir()]
    seeds = set(load_protocol(folder.name).seeds)
    found = {entry: {r.seed for r in records if r.entry == entry} for entry in {r.entry for r in records}}
    assert all(those == seeds for those in found.values())
    assert set(load_protocol(folder.name).evaluation.yardsticks) <= set(found)


@pytest.mark.parametrize(
    ("page", "least"),
    [
        ("README.md", 12),
        ("docs/datasets.md", 1),
        ("docs/index.md", 2),
        ("docs/running.md", 20),
        ("docs/own-data.md", 3),
        ("docs/plugins/index.md", 5),
        ("docs/protocols.md", 2),
        ("docs/systems.md", 8),
    ],
)
def test_every_command_of_a_page_is_one_that_the_program_understands(page: str, least: int) -> None:
    lines = (line.strip().rpartition("&& ")[2] for line in (ROOT / page).read_text("utf-8").splitlines())
    commands = [line.split("#")[0] for line in lines if line.startswith("ganbench ")]
    assert len(commands) >= least
    tree = typer.main.get_command(app)
    for line in commands:
        words = shlex.split(line.split(">")[0])[1:]
        command = tree
        while words and words[0] in getattr(command, "commands", {}):
            command = command.commands[words.pop(0)]
        assert command is not tree, line
        command.make_context("ganbench", words)


def test_the_readme_is_short_and_its_lines_fit_into_a_terminal() -> None:
    assert len(README.split()) < 1200
    assert [line for line in README.splitlines() if len(line) >= 120] == []


def test_the_page_of_architectures_lists_the_built_in_ones_with_their_sources() -> None:
    page = (ROOT / "docs" / "architectures.md").read_text("utf-8")
    listed = re.findall(r"^\| \[`([\w-]+)`\]\(\.\./plugins/ganbench_baselines/arch/(\w+)\.py\) \|", page, re.MULTILINE)
    built_in = [source.name for source in plugins.of_kind("arch") if source.package == "ganbench"]
    assert len(built_in) >= 15
    assert sorted(listed) == sorted((name, name.replace("-", "_")) for name in built_in)


def test_the_page_of_datasets_lists_the_built_in_ones() -> None:
    page = (ROOT / "docs" / "datasets.md").read_text("utf-8")
    listed = [
        name for line in re.findall(r"^\| (`[^|]+`) \|", page, re.MULTILINE) for name in re.findall(r"`([\w-]+)", line)
    ]
    built_in = [source.name for source in plugins.of_kind("dataset") if source.package == "ganbench"]
    assert len(built_in) >= 20
    assert sorted(listed) == sorted(built_in)


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
    example = textwrap.dedent(getattr(hookspecs, f"ganbench_{kind}").__doc__.split("Example::")[1])
    names: dict = {}
    exec(example, names)
    assert callable(names[f"ganbench_{kind}"])


def _tensor(value: float):
    import torch

    return torch.tensor([value])


@pytest.mark.parametrize(
    "page",
    [
        "README.md",
        "CONTRIBUTING.md",
        "RELEASING.md",
        "SECURITY.md",
        "CHANGELOG.md",
        *(path.relative_to(ROOT).as_posix() for path in sorted(ROOT.glob("docs/**/*.md"))),
    ],
)
def test_every_relative_link_leads_somewhere(page: str) -> None:
    prose = re.sub(r"```.*?```", "", (ROOT / page).read_text("utf-8"), flags=re.DOTALL)
    inline = re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)|<img src=\"([^\":]+)\"", prose)
    references = re.findall(r"^\[[^]]+\]: ([^#:\s]+)(?:#\S*)?$", prose, re.MULTILINE)
    links = [*map("".join, inline), *references]
    assert [link for link in links if not ((ROOT / page).parent / link).exists()] == []


TREE = re.search(r"```\n(ganbench/ .*?)^  errors\.py", (ROOT / "CONTRIBUTING.md").read_text("utf-8"), re.DOTALL | re.M)
SUMMARISED = {"cli", "report", "testing"}
"""Packages of which the tree says in a sentence what their files have in common."""


@pytest.mark.parametrize(
    "package", ["runs/executors", *sorted(p.parent.name for p in ROOT.glob("ganbench/*/__init__.py"))]
)
def test_the_tree_in_contributing_shows_the_modules_of_a_package(package: str) -> None:
    name = package.rpartition("/")[2]
    (text,) = re.findall(rf"^ +{name}/ (.*?)(?=^ {{1,5}}\S|\Z)", TREE[1], re.DOTALL | re.M)
    modules = {path.stem for path in (ROOT / "ganbench" / package).glob("*.py")} - {"__init__"}
    assert {*re.findall(r"(\w+)\.py", text)} <= modules
    if name not in SUMMARISED:
        assert modules <= {*re.findall(r"\w+", text)}


# -- the forge -----------------------------------------------------------------------------------------------

FORGE = ROOT / ".github"
in_a_checkout = pytest.mark.skipif(not FORGE.is_dir(), reason="a source distribution has no workflows")


@in_a_checkout
def test_the_tested_pythons_are_those_that_the_package_promises() -> None:
    rules = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))
    promised = re.findall(r"Python :: (3\.\d+)", "\n".join(rules["project"]["classifiers"]))
    matrix = re.search(r"python-version: \[(.*)\]", (FORGE / "workflows" / "tests.yml").read_text("utf-8"))
    assert re.findall(r"[\d.]+", matrix.group(1)) == promised
    assert rules["project"]["requires-python"] == f">={promised[0]}"
    assert rules["tool"]["mypy"]["python_version"] == promised[0]


@in_a_checkout
def test_every_workflow_and_every_issue_form_is_among_those_that_are_checked() -> None:
    checked = (ROOT / "tox.ini").read_text("utf-8").split()
    found = [path.relative_to(ROOT).as_posix() for path in FORGE.rglob("*.yml")]
    assert len(found) > 5
    assert [path for path in found if path not in checked] == []


# -- the plugin guide ----------------------------------------------------------------------------------------

GUIDE = {path.stem: path.read_text("utf-8") for path in sorted(ROOT.glob("docs/plugins/*.md"))}
PYTHON = (ROOT / "docs" / "python.md").read_text("utf-8")


def test_the_guide_has_a_page_for_each_hook_with_its_signature() -> None:
    assert {*GUIDE} == {"index", "packages", *hookspecs.KINDS}
    shown = {kind: re.findall(r"^## `(ganbench_.*)`$", GUIDE[kind], re.MULTILINE) for kind in hookspecs.KINDS}
    assert len(shown) == 8
    assert shown == {
        kind: [f"ganbench_{kind}({', '.join(inspect.signature(getattr(hookspecs, f'ganbench_{kind}')).parameters)})"]
        for kind in hookspecs.KINDS
    }


@pytest.mark.parametrize("kind", hookspecs.KINDS)
def test_the_guides_example_of_a_hook_is_that_of_the_hookspec(kind: str) -> None:
    (shown,) = re.findall(r"## Example\n\n```python\n(.*?)```", GUIDE[kind], re.DOTALL)
    documented = getattr(hookspecs, f"ganbench_{kind}").__doc__.split("Example::")[1]
    assert shown.strip() == textwrap.dedent(documented).strip()


NOT_FOR_AUTHORS = {"arch": {"averaged_copy"}, "protocol": {"optimizer", "d_lr", "d_steps", "eps", "lr_decay"}}
"""Members that the core alone uses, or that the page of protocols explains."""


@pytest.mark.parametrize(
    ("kind", "members", "least"),
    [
        ("arch", [name for name in vars(GAN) if not name.startswith("_")], 14),
        ("loss", [*vars(LossTraits(None)), "d_loss", "g_loss"], 7),
        ("trick", [name for name in vars(Trick) if not name.startswith("_")], 7),
        ("metric", [*(field.name for field in fields(Evaluation) if field.init), "doubts"], 12),
        ("dataset", [field.name for cls in (Dataset, Split, Oracle) for field in fields(cls)], 12),
        ("protocol", [*Training.__struct_fields__, *Evaluating.__struct_fields__, *Protocol.__struct_fields__], 22),
        ("executor", ["workers", "elsewhere", "run", "stop", *Places._fields], 9),
        ("extractor", ["forward", "name", "version", "confusion", "gate", "trained_on"], 6),
    ],
)
def test_the_guide_names_every_member_of_a_contract(kind: str, members: list[str], least: int) -> None:
    known = {*members, *(["recipe"] if kind == "arch" else [])} - NOT_FOR_AUTHORS.get(kind, set())
    assert len(known) >= least
    assert [name for name in sorted(known) if not re.search(rf"\b{name}\b", GUIDE[kind])] == []


def test_the_guides_tutorial_is_what_the_scaffold_says(ganbench_command) -> None:
    tutorial = (
        re.search(r"```\n(ganbench new-plugin my-gan --loss\n.*?)```", GUIDE["index"], re.DOTALL).group(1).splitlines()
    )
    done = ganbench_command("new-plugin", "my-gan", "--loss")
    assert done.returncode == 0, done.stderr
    printed = [line.strip() for line in done.stdout.splitlines() if line.startswith("  ")]
    assert len(tutorial) == 5
    assert tutorial[1:] == printed  # those commands are run by the scaffold's own tests


def block(page: str, start: str) -> str:
    """The first block of Python that starts with this text."""
    return next(text for text in re.findall(r"```python\n(.*?)```", page, re.DOTALL) if text.startswith(start))


def test_the_guides_example_of_a_large_set_runs_as_it_stands(tmp_path, monkeypatch) -> None:
    monkeypatch.setenv("GANBENCH_DATA", str(tmp_path))
    (tmp_path / "photos").mkdir()
    for number in range(103):
        Image.new("RGB", (9, 7), (number, 0, 255)).save(tmp_path / "photos" / f"{number:03}.jpg")
    names: dict = {}
    exec(block(GUIDE["dataset"], "import numpy"), names)
    made = names["ganbench_dataset"](8)
    assert (tuple(made.train.x.shape), tuple(made.test.x.shape)) == ((3, 3, 8, 8), (100, 3, 8, 8))
    assert made.test.x[50, 0].float().mean().item() == pytest.approx(50, abs=3)


def test_the_python_of_the_page_about_python_runs_as_it_stands(tmp_path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    names: dict = {}
    exec(block(PYTHON, "import ganbench\n"), names)
    assert names["samples"].shape == (500, 1, 16, 16)


def test_the_guides_test_of_a_plugin_runs_as_it_stands(tmp_path, monkeypatch) -> None:
    (tmp_path / "guide_hinge.py").write_text(block(GUIDE["packages"], "from ganbench.testing"))
    monkeypatch.syspath_prepend(tmp_path)
    import_module("guide_hinge").test_hinge_keeps_the_contract()


def test_every_option_of_the_scaffold_is_a_kind_and_stands_in_the_guide() -> None:
    assert [kind for kind in hookspecs.KINDS if f"`--{kind}`" not in GUIDE["index"]] == []


def test_the_guide_lists_every_built_in_trick() -> None:
    names = [source.name for source in plugins.of_kind("trick") if source.package == "ganbench"]
    assert len(names) >= 12
    assert [name for name in names if f"`{name}`" not in GUIDE["trick"]] == []
