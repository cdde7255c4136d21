"""Shell completion: asked for as bash asks, and once by bash itself."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from installing import surroundings
from toy import make

from ganbench import plugins
from ganbench.cli import completion
from ganbench.records.store import write

COMMAND = Path(sys.executable).with_name("ganbench")
Tab = Callable[..., list[str]]


@pytest.fixture
def tab(site: Path, tmp_path: Path) -> Tab:
    """The words offered to complete a line, as the function that ``--show-completion`` prints asks for them."""

    def press(line: str, **variables: str) -> list[str]:
        asked = {"_GANBENCH_COMPLETE": "complete_bash", "COMP_WORDS": line, "COMP_CWORD": str(line.count(" "))}
        result = subprocess.run(
            [COMMAND],
            cwd=tmp_path,
            env=surroundings(site, **asked, **variables),
            capture_output=True,
            text=True,
            check=False,
        )
        assert result.stderr == ""
        return result.stdout.split()

    return press


@pytest.mark.parametrize(
    ("line", "offered"),
    [
        ("ganbench lead", ["leaderboard"]),
        ("ganbench leaderboard smo", ["smoke-v1"]),
        ("ganbench time smo", ["smoke-v1"]),
        ("ganbench time --loss wgan-gp,r1,hi", ["wgan-gp,r1,hinge"]),
        ("ganbench compare --protocol ri", ["ring-v1", "ring-v2"]),
        ("ganbench reproduce --protocol ri", ["ring-v1", "ring-v2"]),
        ("ganbench reproduce --device c", ["cpu", "cuda"]),
        ("ganbench merge --protocol ri", ["ring-v1", "ring-v2"]),
        ("ganbench verify --device c", ["cpu", "cuda"]),
        ("ganbench leaderboard --format m", ["md"]),
        ("ganbench leaderboard --sort modes_e", ["modes_effective"]),
        ("ganbench leaderboard ring-v2 --metric is,cov", ["is,coverage"]),
        ("ganbench leaderboard --sort sam", ["samples/s"]),
        ("ganbench run --arch dcgan-", ["dcgan-upsample"]),
        ("ganbench run --arch dcgan,ml", ["dcgan,mlp"]),
        ("ganbench run --arch dcgan --loss wgan-", ["wgan-gp"]),
        ("ganbench run --arch dcgan --loss wgan-gp,r1,hi", ["wgan-gp,r1,hinge"]),
        ("ganbench run --loss al", ["all"]),
        ('ganbench --debug run --out "" --loss al', ["all"]),
        ("ganbench run --trick pac", ["pacgan"]),
        ("ganbench run --protocol ri", ["ring-v1", "ring-v2"]),
        ("ganbench run --device cp", ["cpu"]),
        ("ganbench protocols show ri", ["ring-v1", "ring-v2"]),
        ("ganbench plugins ext", ["extractor"]),
    ],
)
def test_installed_names_are_offered_where_one_is_expected(line, offered, tab):
    assert [word for word in tab(line) if not word.startswith("cuda:")] == offered


def test_what_a_list_has_already_is_not_offered_again():
    words = [word for word, _ in completion.archs("mlp,")]
    assert "mlp,dcgan" in words
    assert "mlp,mlp" not in words


def test_another_package_with_the_same_name_is_offered_by_its_package(install, site, tab):
    install("other-package", "protocol", "ring-v1", '"""Rules."""')
    assert tab("ganbench leaderboard ri") == ["ring-v1", "ring-v2"]
    assert tab("ganbench leaderboard oth") == ["other-package:ring-v1"]


def test_zsh_and_fish_show_what_a_component_is():
    (offer,) = completion.losses("hing")
    assert offer == ("hinge", plugins.find("loss", "hinge").summary)


@pytest.fixture
def toys(tmp_path) -> None:
    """Runs and published records of a protocol that is not installed."""
    for entry in ("dcgan+r1", "dcgan+hinge", "mlp+other~wgan-gp"):
        (tmp_path / "runs" / "toy-v1" / entry / "seed0").mkdir(parents=True)
    (tmp_path / "runs" / "toy-v1" / "real-data").mkdir()
    published = tmp_path / "leaderboards" / "toy-v1" / "records"
    for record in (make("dcgan+r1", 0), make("dcgan+dragan", 0), make("dcgan+dragan", 1)):
        write(record, published / record.file_name)


@pytest.mark.usefixtures("toys")
def test_rows_are_offered_from_the_names_of_runs_and_published_records(tab):
    assert tab("ganbench compare --protocol toy-v1 dcgan+") == ["dcgan+hinge", "dcgan+r1", "dcgan+dragan"]
    assert tab("ganbench compare --protocol toy-v1 dcgan+r1 d") == ["dcgan+hinge", "dcgan+dragan"]
    assert "mlp+other:wgan-gp" in tab("ganbench compare --protocol toy-v1 m")
    assert "real+data" in tab("ganbench compare --protocol toy-v1 r")


@pytest.mark.usefixtures("toys")
def test_a_table_is_offered_where_there_are_runs_of_it(tab):
    assert tab("ganbench leaderboard to") == ["toy-v1"]


@pytest.mark.usefixtures("toys")
def test_runs_are_looked_for_where_the_line_says_they_are(tab, tmp_path):
    (tmp_path / "runs").rename(tmp_path / "elsewhere")
    assert tab("ganbench compare --protocol toy-v1 --runs elsewhere dcgan+h") == ["dcgan+hinge"]
    assert tab("ganbench leaderboard --runs elsewhere to") == ["toy-v1"]


def test_nothing_goes_into_the_line_when_something_is_wrong(install, site, tab):
    install("malformed", "loss", "odd", "")
    (site / "malformed-1.0.dist-info" / "entry_points.txt").write_text("[ganbench.loss]\nodd\n")
    assert tab("ganbench leaderboard smo") == ["smoke-v1"]
    assert tab("ganbench leaderboard nothing-like-it") == []


def test_completion_imports_neither_torch_nor_a_plugin(site, tab, tmp_path):
    spy = (
        "import atexit, json, sys\n"
        "atexit.register(lambda: print(json.dumps(sorted(sys.modules)), file=open('modules.json', 'w')))"
    )
    (site / "sitecustomize.py").write_text(spy)
    assert tab("ganbench leaderboard smo") == ["smoke-v1"]
    loaded = set(json.loads((tmp_path / "modules.json").read_text()))
    assert "ganbench.cli.completion" in loaded
    assert not loaded & {"torch", "numpy", "scipy", "pandas", "sklearn", "ganbench_baselines"}


@pytest.mark.skipif(shutil.which("bash") is None, reason="there is no bash here")
def test_bash_completes_with_the_script_that_the_command_prints(tmp_path):
    script = """
        source <(ganbench --show-completion bash)
        complete -p ganbench
        COMP_WORDS=(ganbench leaderboard sm); COMP_CWORD=2; _ganbench_completion ganbench
        printf '%s\\n' "${COMPREPLY[@]}"
    """
    path = os.pathsep.join([str(COMMAND.parent), os.environ["PATH"]])
    result = subprocess.run(
        ["bash", "--norc", "-c", script],
        cwd=tmp_path,
        env={**os.environ, "PATH": path},
        capture_output=True,
        text=True,
        check=True,
    )
    assert result.stdout.splitlines() == ["complete -o default -F _ganbench_completion ganbench", "smoke-v1"]


def test_the_shell_is_offered_no_control_characters(monkeypatch, tmp_path):
    (tmp_path / "odd_hinge.py").write_text('"""a\\x1b[2J\\tloss"""')
    monkeypatch.syspath_prepend(tmp_path)
    odd = replace(plugins.find("loss", "hinge"), module="odd_hinge")
    monkeypatch.setattr(plugins, "of_kind", lambda kind: [odd, replace(odd, name="h\x1b[2J")])
    assert completion.losses("h") == [("hinge", "a\\u001b[2J loss")]
