"""Nothing is imported from the working directory: by no command, and by no process that one starts."""

from __future__ import annotations

import os
import subprocess
import sys
from itertools import product

import pytest
from installing import surroundings
from marks import slow_but
from toy import LOSS

from ganbench.plugins import safepath

# types.py is not among them: `python -m` itself imports it before anything of GANBench
PLANTED = (
    *("signal", "struct", "pickle", "socket", "random", "typing", "json", "selectors", "multiprocessing"),
    *("torch", "numpy", "msgspec", "rich", "typer", "lazy_loader", "sitecustomize", "ganbench_baselines"),
)
TRAP = "import os, sys\nos.write(2, f'planted: {__name__}\\n'.encode())\nos._exit(66)\n"
SCRIPT = "from ganbench.cli.main import main\nif __name__ == '__main__':\n    main()\n"
COMMANDS = {
    "run": ["run", "--arch", "mlp", "--loss", "hinge", "--protocol", "quick.toml", "--jobs", "1", "--json"],
    "time": ["time", "quick.toml", "--arch", "mlp", "--loss", "hinge", "--rounds", "2", "--json"],
    "doctor": ["doctor", "--json"],
    "check": ["plugins", "plain", "--check"],
    "plugins": ["plugins"],
    "protocols": ["protocols", "show", "quick.toml"],
    "leaderboard": ["leaderboard", "ring-v1", "--format", "csv"],
    "compare": ["compare", "mlp+hinge", "dcgan+hinge"],
    "new-plugin": ["new-plugin", "my-gan"],
    "help": ["--help"],
}
QUICK = [
    *product(("plugins", "protocols", "leaderboard", "compare", "new-plugin", "help"), ("script", "module")),
    *(("run", "module"), ("check", "script")),
]
"""Commands that take a few seconds, and each that starts workers in one of the two ways."""


@pytest.mark.parametrize(("name", "way"), slow_but(QUICK, product(COMMANDS, ("script", "module"))))
def test_a_command_imports_nothing_from_the_folder_it_is_given_in(name, way, install, site, quick, tmp_path) -> None:
    install("third-party", "loss", "plain", LOSS)
    script = tmp_path / "bin" / "ganbench"
    script.parent.mkdir()
    script.write_text(SCRIPT)
    for module in (*PLANTED, *(["ganbench"] if way == "script" else [])):
        (tmp_path / f"{module}.py").write_text(TRAP)
    variables = {"GANBENCH_PLUGINS": "third-party"} if name in {"doctor", "check"} else {}
    done = subprocess.run(
        [sys.executable, *([str(script)] if way == "script" else ["-m", "ganbench"]), *COMMANDS[name]],
        cwd=tmp_path,
        env=surroundings(site, **variables),
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )
    assert "planted" not in done.stdout + done.stderr
    # a machine on which tests run may be too busy for timings
    assert done.returncode == 0 or name == "time", done.stdout + done.stderr


def test_what_a_checked_plugin_starts_imports_nothing_from_there_either(ganbench_command, install, tmp_path) -> None:
    starting = LOSS.replace(
        "@hookimpl", 'import subprocess, sys\n    subprocess.run([sys.executable, "-c", "import apex"])\n    @hookimpl'
    )
    install("third-party", "loss", "starting", starting)
    (tmp_path / "apex.py").write_text("open('imported', 'w')")
    assert ganbench_command("plugins", "starting", "--check").returncode == 0
    assert not (tmp_path / "imported").exists()


@pytest.fixture
def here(monkeypatch, tmp_path) -> str:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PYTHONPATH", "")
    return str(tmp_path)


def test_the_working_directory_is_left_out_where_python_put_it(here, monkeypatch) -> None:
    for path in (["", "/lib"], [here, "/lib"], [here, "", "/lib"], ["/lib", ""]):
        monkeypatch.setattr(sys, "path", path)
        assert safepath.safe_path() == ["/lib"]


def test_it_stays_where_the_user_named_it(here, monkeypatch) -> None:
    monkeypatch.setattr(sys, "path", ["/lib", here])
    assert safepath.safe_path() == ["/lib", here]
    monkeypatch.setenv("PYTHONPATH", f"/other{os.pathsep}{here}")
    monkeypatch.setattr(sys, "path", [here, "/lib"])
    assert safepath.safe_path() == [here, "/lib"]


def test_path_and_environment_are_as_before_afterwards(here, monkeypatch) -> None:
    monkeypatch.setattr(sys, "path", path := ["", "/lib"])
    monkeypatch.delenv("PYTHONSAFEPATH", raising=False)
    with safepath.nothing_from_here():
        assert sys.path is path
        assert path == ["/lib"]
        assert os.environ["PYTHONSAFEPATH"] == "1"
    assert path == ["", "/lib"]
    assert "PYTHONSAFEPATH" not in os.environ


def test_a_folder_that_is_gone_is_no_error(monkeypatch, tmp_path) -> None:
    (tmp_path / "gone").mkdir()
    monkeypatch.chdir(tmp_path / "gone")
    (tmp_path / "gone").rmdir()
    monkeypatch.setattr(sys, "path", ["", "/lib"])
    assert safepath.safe_path() == ["/lib"]
