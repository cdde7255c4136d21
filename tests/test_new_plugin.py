"""`ganbench new-plugin`: pip installs what it writes, which works at once; what it cannot write, it explains."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import sysconfig
import tomllib
import venv
from collections.abc import Callable
from pathlib import Path

import pytest

from ganbench.errors import GanbenchError
from ganbench.plugins import scaffold
from ganbench.plugins.hookspecs import KINDS

Run = Callable[..., str]


# -- the real thing: written, installed, tested, run -------------------------------------------------------------------


@pytest.fixture(scope="module")
def place(tmp_path_factory) -> Path:
    return tmp_path_factory.mktemp("plugins")


@pytest.fixture(scope="module")
def run(place: Path) -> Run:
    """Run a Python module in a separate environment that has everything this one has; return what it printed."""
    venv.create(place / "venv", symlinks=True)
    (python,) = place.glob("venv/*/python")
    (own,) = place.glob("venv/lib/*/site-packages")
    parent = sysconfig.get_paths()["purelib"]
    (own / "parent.pth").write_text(f"import site; site.addsitedir({parent!r})\n")

    def call(*arguments: str, pip: bool = False) -> str:
        command = [sys.executable, "-m", "pip", "--python", python] if pip else [python, "-m"]
        env = {**os.environ, "COLUMNS": "160", "NO_COLOR": "1", "PIP_DISABLE_PIP_VERSION_CHECK": "1"}
        env.pop("GANBENCH_PLUGINS", None)
        done = subprocess.run(
            [*command, *arguments], cwd=place, env=env, capture_output=True, text=True, timeout=600, check=False
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    return call


@pytest.fixture(scope="module")
def said(run: Run) -> dict[str, str]:
    """What the command said, by package: one of every kind, and ``zebra-gan`` with all of them; all are installed."""
    kinds = {"zebra-gan": [], **{f"zebra-{kind}": [f"--{kind}"] for kind in KINDS}}
    said = {name: run("ganbench", "new-plugin", name, *options) for name, options in kinds.items()}
    editable = [word for name in kinds for word in ("-e", f"./{name}")]
    run("install", "--quiet", "--no-index", "--no-deps", "--no-build-isolation", *editable, pip=True)
    return said


def test_every_component_of_every_package_is_there_under_the_name_of_its_package(said, run) -> None:
    listed = {(s["package"], s["kind"], s["name"]) for s in json.loads(run("ganbench", "plugins", "--json"))}
    whole = {("zebra-gan", kind, "zebra-gan-v1" if kind == "protocol" else "zebra-gan") for kind in KINDS}
    single = {(f"zebra-{kind}", kind, f"zebra-{kind}-v1" if kind == "protocol" else f"zebra-{kind}") for kind in KINDS}
    company = {(f"zebra-{kind}", "protocol", f"zebra-{kind}-v1") for kind in ("metric", "dataset", "extractor")}
    assert {source for source in listed if source[0] in said} == whole | single | company


@pytest.mark.slow
def test_what_it_writes_passes_its_own_tests(said, run) -> None:
    folders = [f"zebra-{kind}" for kind in KINDS]
    printed = run("pytest", "-q", "-W", "error", "-p", "no:cacheprovider", "--import-mode=importlib", *folders)
    assert "passed" in printed


@pytest.mark.slow
def test_an_arch_a_loss_and_a_trick_of_three_packages_play_together(said, run) -> None:
    for kind, own in (("arch", "--arch zebra-arch"), ("loss", "--loss zebra-loss"), ("trick", "--trick zebra-trick")):
        (command,) = commands(said[f"zebra-{kind}"], "ganbench run ")
        assert own in command
        assert "--protocol smoke-v1" in command
    own = [word for kind in ("arch", "loss", "trick") for word in (f"--{kind}", f"zebra-{kind}")]
    assert "zebra-arch" in run("ganbench", "run", *own, "--protocol", "smoke-v1", "--quiet")


@pytest.mark.slow
def test_the_last_command_it_prints_runs_on_its_own_data_under_its_own_rules(said, run) -> None:
    last = commands(said["zebra-gan"], "ganbench run ")[-1]
    assert last == "ganbench run --arch mlp --loss r1 --protocol zebra-gan-v1"
    rows = json.loads(run(*last.split(), "--seed", "0", "--json"))["rows"]
    assert {row["name"] for row in rows} == {"mlp+r1", "real data", "gaussian fit", "one class", "noise"}
    assert all(any("sliced_wasserstein@zebra-gan:" in column for column in row["scores"]) for row in rows)


def commands(printed: str, beginning: str) -> list[str]:
    return [line.strip() for line in printed.splitlines() if line.strip().startswith(beginning)]


# -- what is written ---------------------------------------------------------------------------------------------------


def test_it_prints_the_commands_that_come_next_with_the_place_they_need(ganbench_command) -> None:
    done = ganbench_command("new-plugin", "Zebra_Loss", "--loss", "--out", "some where")
    assert commands(done.stdout, "pip") == ['pip install -e "some where/zebra-loss[test]"']
    assert commands(done.stdout, "pytest") == ['pytest "some where/zebra-loss"']
    assert commands(done.stdout, "ganbench plugins") == ["ganbench plugins --check zebra-loss"]
    assert commands(done.stdout, "ganbench run") == ["ganbench run --arch dcgan --loss zebra-loss --protocol smoke-v1"]


def test_a_package_of_one_kind_has_the_files_of_that_kind_only(tmp_path) -> None:
    folder = scaffold.write(scaffold.names("ganbench-tiny"), scaffold.with_company(["loss"]), tmp_path)
    assert {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()} == {
        ".github/workflows/test.yml",
        ".gitignore",
        "README.md",
        "ganbench_tiny/__init__.py",
        "ganbench_tiny/loss.py",
        "pyproject.toml",
        "tests/test_loss.py",
    }
    points = tomllib.loads((folder / "pyproject.toml").read_text("utf-8"))["project"]["entry-points"]
    assert points == {"ganbench.loss": {"tiny": "ganbench_tiny.loss"}}
    assert [path.name for path in tmp_path.iterdir()] == ["ganbench-tiny"]


@pytest.mark.parametrize("kinds", [["protocol"], ["metric"], ["dataset", "extractor"]])
def test_a_protocol_names_what_is_in_the_package_and_else_something_built_in(kinds) -> None:
    texts = scaffold.files(scaffold.names("tiny"), scaffold.with_company(kinds))
    rules = texts["tiny/protocol.py"]
    assert ('dataset="tiny",' in rules, 'dataset="ring",\n' in rules) == ("dataset" in kinds, "dataset" not in kinds)
    assert ('extractor="tiny",' in rules) == ("extractor" in kinds)
    assert ('"density-coverage", "tiny")' in rules) == ("metric" in kinds)


# -- what is refused ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "problem"),
    [
        ("2gan", "'2gan' is not a valid package name"),
        ("zebra gan", "'zebra gan' is not a valid package name"),
        ("../gan", "'../gan' is not a valid package name"),
        ("-", "'-' is not a valid package name"),
        ("ganbench-", "'ganbench-' is not a valid package name"),
        ("", "'' is not a valid package name"),
        ("grün", "'grün' is not a valid package name"),
        ("class", "'class' is a reserved name in Python, pytest or GANBench"),
        ("random", "'random' is a reserved name in Python, pytest or GANBench"),
        ("tests", "'tests' is a reserved name in Python, pytest or GANBench"),
        ("ganbench-all", "'ganbench-all' is a reserved name in Python, pytest or GANBench"),
    ],
)
def test_a_bad_name_is_refused(name, problem) -> None:
    with pytest.raises(GanbenchError) as caught:
        scaffold.names(name)
    assert caught.value.message == problem
    assert caught.value.hint


@pytest.mark.parametrize(
    ("name", "kinds", "problem"),
    [
        ("torch", ["loss"], "torch "),
        ("Typing_Extensions", ["loss"], "typing_extensions "),
        ("ganbench-baselines", ["loss"], "a module called 'ganbench_baselines' is already installed"),
        ("hinge", ["arch", "loss"], "a loss called 'hinge' is already installed, from ganbench"),
        ("ganbench-dcgan", ["arch"], "an arch called 'dcgan' is already installed, from ganbench"),
        ("ring", ["protocol"], "a protocol called 'ring-v1' is already installed, from ganbench"),
    ],
)
def test_a_name_that_something_installed_has_is_refused(name, kinds, problem) -> None:
    with pytest.raises(GanbenchError) as caught:
        scaffold.check_free(scaffold.names(name), kinds)
    assert caught.value.message.startswith(problem)
    assert "choose another name" in caught.value.hint


def test_a_name_is_taken_by_components_of_the_same_kind_alone() -> None:
    scaffold.check_free(scaffold.names("hinge"), ["arch"])


def test_a_name_is_free_although_a_folder_here_has_it(tmp_path, monkeypatch) -> None:
    (tmp_path / "zebra_gan").mkdir()
    (tmp_path / "zebra_gan" / "__init__.py").touch()
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    scaffold.check_free(scaffold.names("zebra-gan"), KINDS)


def test_what_is_there_already_is_left_alone(ganbench_command, tmp_path) -> None:
    (tmp_path / "zebra-gan").mkdir()
    assert ganbench_command("new-plugin", "zebra-gan").returncode == 0, "an empty folder is as good as none"
    (tmp_path / "zebra-gan" / "README.md").write_text("mine")
    again = ganbench_command("new-plugin", "zebra-gan", "--loss")
    assert again.returncode == 2
    assert again.stderr == "error: zebra-gan already exists\nmove it away, or choose another folder with --out\n"
    assert (tmp_path / "zebra-gan" / "README.md").read_text() == "mine"


def test_a_folder_that_cannot_be_written_gets_a_sentence(ganbench_command, tmp_path) -> None:
    (tmp_path / "file").touch()
    done = ganbench_command("new-plugin", "zebra-gan", "--out", "file")
    assert done.returncode == 2
    assert done.stderr.startswith("error: cannot write file/zebra-gan: ")
    assert "Traceback" not in done.stderr


def test_nothing_is_left_of_a_package_that_could_not_be_finished(tmp_path, monkeypatch) -> None:
    whole = Path.write_text

    def full_disk(path: Path, text: str, *arguments, **options) -> int:
        if path.name == "README.md":
            raise OSError(28, "No space left on device")
        return whole(path, text, *arguments, **options)

    monkeypatch.setattr(Path, "write_text", full_disk)
    with pytest.raises(GanbenchError, match="No space left on device"):
        scaffold.write(scaffold.names("zebra-gan"), KINDS, tmp_path)
    assert list(tmp_path.iterdir()) == []
