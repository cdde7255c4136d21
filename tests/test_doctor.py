"""``ganbench doctor``: what a bug report needs, whatever is broken. A report is made once and read by several tests."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest
from installing import add_package, surroundings
from toy import LOSS

from ganbench import __version__
from ganbench.plugins.hookspecs import API_VERSION

FETCHING = '''
    """An extractor that fetches its weights."""
    import urllib.request
    from ganbench import DataError, hookimpl
    @hookimpl
    def ganbench_extractor():
        try:
            urllib.request.urlopen("ADDRESS", timeout=20)
        except OSError as error:
            raise DataError("the weights of Far are not on this machine", "fetch them to ~/far.pth")
        raise RuntimeError("they were fetched")
'''


class Weights(BaseHTTPRequestHandler):
    """Serves whatever is asked for."""

    def do_GET(self) -> None:
        self.send_response(200)
        self.end_headers()

    def log_message(self, *_: object) -> None: ...


def consult(home: Path, *options: str, **variables: str) -> subprocess.CompletedProcess:
    """``ganbench doctor`` in an empty folder, among the packages in ``home/site``, for a user who lives in ``home``."""
    environment = surroundings(home / "site", HOME=str(home), COLUMNS="80", **variables)
    command = [sys.executable, "-m", "ganbench", "doctor", *options]
    return subprocess.run(command, cwd=home, env=environment, capture_output=True, text=True, check=False, timeout=600)


@pytest.fixture(scope="module")
def well(tmp_path_factory: pytest.TempPathFactory) -> subprocess.CompletedProcess:
    """Nothing but one good package, and secrets in the environment."""
    home = tmp_path_factory.mktemp("somebody")
    add_package(home / "site", "ganbench-good", "loss", "plain", LOSS, "1.2")
    return consult(
        home,
        GANBENCH_PLUGINS="ganbench-good",
        OMP_NUM_THREADS="1",
        TORCH_HOME=str(home / "torch"),
        GANBENCH_TOKEN="s3cret",
        https_proxy="http://name:s3cret@proxy",
    )


@pytest.fixture(scope="module")
def sick(tmp_path_factory: pytest.TempPathFactory) -> subprocess.CompletedProcess:
    """Packages that are broken, that share a name, that are kept out, and one without its weights."""
    home = tmp_path_factory.mktemp("sick")
    site = home / "site"
    add_package(site, "good", "loss", "plain", LOSS, "1.2")
    add_package(site, "other", "loss", "plain", LOSS, "5.0")
    add_package(site, "missing", "loss", "missing", "import apex", "2.0")
    add_package(site, "crash", "loss", "crash", "import ctypes\nctypes.string_at(0)", "3.0")
    add_package(site, "exit", "loss", "exit", "raise SystemExit('bye')", "4.0")
    add_package(site, "unwanted", "loss", "unwanted", "raise SystemExit", "7.0")
    with HTTPServer(("127.0.0.1", 0), Weights) as server:
        address = f"http://127.0.0.1:{server.server_port}/weights.pth"
        add_package(site, "far", "extractor", "far", FETCHING.replace("ADDRESS", address), "6.0")
        threading.Thread(target=server.serve_forever, daemon=True).start()
        admitted = "good, other, missing,crash,exit,far,absent"
        result = consult(home, "--json", "--runs", "/proc/runs", GANBENCH_PLUGINS=admitted)
        server.shutdown()
    return result


def test_where_all_is_well_a_bug_report_has_what_it_needs_and_the_exit_code_is_0(well):
    assert well.returncode == 0, well.stdout + well.stderr
    lines = well.stdout.splitlines()
    titles = {line.split()[0] for line in lines if line[:1].strip()}
    needed = {"python", "system", "packages", "cpu", "gpu", "plugins", "allow-list", "disk", "variables"}
    assert needed < titles
    assert lines[0].startswith(f"ganbench    {__version__}, plugin API {API_VERSION}, ")
    for text in ("torch 2", "numpy 2", "1 ok of 1: 1 loss", "from ganbench-good 1.2 (1)", "OMP_NUM_THREADS=1"):
        assert text in well.stdout
    assert lines[-1] == "nothing is broken"
    assert well.stderr == ""


def test_the_report_names_neither_the_home_of_its_user_nor_a_secret(well):
    assert "somebody" not in well.stdout
    assert "TORCH_HOME=~/torch" in well.stdout
    assert "s3cret" not in well.stdout
    assert "GANBENCH_TOKEN=(set)" in well.stdout


def test_broken_plugins_are_listed_with_package_fault_and_next_step_and_exit_code_1(sick):
    assert sick.returncode == 1, sick.stdout + sick.stderr
    assert sick.stderr == ""
    said = {text.split(":")[0]: text for text in json.loads(sick.stdout)["problems"]}
    for plugin, words in {
        "the loss missing (missing 2.0)": [
            "cannot be used: ModuleNotFoundError: No module named 'apex'",
            "install apex",
        ],
        "the loss crash (crash 3.0)": ["killed by SIGSEGV", "crash_crash.py"],
        "the loss exit (exit 4.0)": ["cannot be used: SystemExit: bye", "uninstall it"],
    }.items():
        assert all(word in said[plugin] for word in words), said[plugin]


def test_beside_broken_plugins_the_others_are_well(sick):
    found = {(p["package"], p["name"]): p["status"] for p in json.loads(sick.stdout)["plugins"]}
    assert found[("good", "plain")] == found[("other", "plain")] == "ok"
    assert found[("crash", "crash")] == "unusable"
    assert ("unwanted", "unwanted") not in found


def test_shared_names_and_the_allow_list_are_told(sick):
    found = json.loads(sick.stdout)
    assert found["notes"] == [
        "good 1.2 and other 5.0 provide the loss 'plain': choose one, for example good:plain",
        "GANBENCH_PLUGINS admits 'absent', which is not installed or provides nothing",
    ]
    assert found["allow-list"]["kept out"] == ["ganbench", "unwanted"]


def test_weights_that_are_missing_are_told_and_never_fetched(sick):
    (far,) = [plugin for plugin in json.loads(sick.stdout)["plugins"] if plugin["kind"] == "extractor"]
    assert far["status"] == "declined", "missing weights are no defect"
    assert far["message"] == "the weights of Far are not on this machine"
    assert far["hint"] == "fetch them to ~/far.pth"


def test_a_folder_for_runs_that_cannot_be_written_is_a_problem(sick):
    found = json.loads(sick.stdout)
    assert found["disk"]["runs"]["writable"] is False
    assert any(text.startswith("cannot write to /proc/runs: ") for text in found["problems"])


def test_a_torch_that_cannot_be_imported_silences_nothing_else(tmp_path):
    (tmp_path / "site" / "torch").mkdir(parents=True)
    (tmp_path / "site" / "torch" / "__init__.py").write_text("raise ImportError('libcublas.so: cannot open')")
    result = consult(tmp_path, GANBENCH_PLUGINS="nobody")
    assert result.returncode == 1
    assert "torch cannot be used: ImportError: libcublas.so: cannot open" in result.stdout
    assert "variables" in result.stdout
    assert "Traceback" not in result.stdout + result.stderr


def test_the_process_that_makes_the_report_imports_neither_torch_nor_a_plugin(tmp_path):
    add_package(tmp_path / "site", "ganbench-good", "loss", "plain", LOSS, "1.2")
    script = tmp_path / "script.py"
    script.write_text(
        "import sys\nfrom pathlib import Path\nfrom ganbench.cli import diagnosis\n"
        "if __name__ == '__main__':\n"
        "    diagnosis.look(Path('runs'), lambda what: None)\n"
        "    print(sorted({'torch', 'numpy', 'ganbench_good_plain'} & set(sys.modules)))"
    )
    environment = surroundings(tmp_path / "site", GANBENCH_PLUGINS="ganbench-good")
    done = subprocess.run(
        [sys.executable, script], cwd=tmp_path, env=environment, capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "[]"
    assert not (tmp_path / "runs").exists()
