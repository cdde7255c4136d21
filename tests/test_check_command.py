"""``ganbench plugins``: what it lists, what it checks, and what it reports."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from subprocess import CompletedProcess

import pytest
from commands import Command, command_in
from installing import add_package

from ganbench.testing import CHECKS

LOSS = '''
    """A loss from elsewhere."""
    from torch.nn.functional import softplus
    from ganbench import hookimpl
    class Plain:
        def d_loss(self, D, real, fake): return softplus(-D(real)).sum() + softplus(D(fake)).sum()
        def g_loss(self, D, real, fake): return softplus(-D(fake)).mean()
    @hookimpl
    def ganbench_loss(): return Plain()
'''


@pytest.fixture(scope="module")
def elsewhere(tmp_path_factory) -> Command:
    """Commands beside a package with one loss that has a finding and one that is broken."""
    site = tmp_path_factory.mktemp("site")
    add_package(site, "ganbench-elsewhere", "loss", "sum", LOSS)
    add_package(site, "ganbench-elsewhere", "loss", "broken", "print('hello'); import apex_that_is_not_there")
    return command_in(tmp_path_factory.mktemp("checked"), site)


@pytest.fixture(scope="module")
def checked(elsewhere) -> CompletedProcess:
    return elsewhere("plugins", "--check", "ganbench-elsewhere", "ganbench:ring")


def test_every_component_has_a_line_with_its_package_and_state(checked) -> None:
    assert re.search(r"loss +sum +ganbench-elsewhere 1.0 +1 finding", checked.stdout)
    assert re.search(r"loss +broken +ganbench-elsewhere 1.0 +cannot be used +ModuleNotFoundError", checked.stdout)
    assert re.search(r"dataset +ring +ganbench \S+ +ok", checked.stdout)


def test_findings_are_printed_in_full_with_the_next_step(checked) -> None:
    assert "the loss sum (ganbench-elsewhere 1.0)\n1. loss-is-a-mean-over-samples" in checked.stdout
    assert {"seen:", "expected:", "mend:", "why:"} <= set(checked.stdout.split())
    assert "install apex_that_is_not_there" in checked.stdout


def test_what_was_found_is_counted_and_makes_the_exit_code_1(checked) -> None:
    assert checked.returncode == 1
    assert "3 components: 1 unusable, 1 with findings, 1 ok" in checked.stdout
    assert "Traceback" not in checked.stdout + checked.stderr


@pytest.fixture(scope="module")
def listed(elsewhere) -> dict[str, dict]:
    """What is printed as JSON, by name."""
    result = elsewhere("plugins", "--check", "--json", "loss", "sum", "broken", "hinge")
    assert result.returncode == 1
    return {entry["name"]: entry for entry in json.loads(result.stdout)}


def test_json_holds_the_components_in_the_order_in_which_they_were_named(listed) -> None:
    assert list(listed) == ["sum", "broken", "hinge"]


def test_json_holds_all_of_a_finding(listed) -> None:
    (finding,) = listed["sum"]["findings"]
    assert finding["check"] == "loss-is-a-mean-over-samples"
    assert set(finding) == {"check", "where", "seen", "expected", "mend", "why"}


def test_json_holds_the_traceback_of_what_is_broken(listed) -> None:
    assert listed["broken"]["status"] == "unusable"
    assert "Traceback" in listed["broken"]["traceback"]


def test_json_holds_how_long_a_loss_takes(listed) -> None:
    (note, *_) = listed["hinge"]["notes"]
    assert listed["hinge"]["status"] == "ok"
    assert re.match(r"(fast|normal|slow): takes \d+\.\d times as long as the logistic loss", note)


def test_what_a_plugin_declines_is_no_failure_and_debug_shows_no_more_than_there_is(ganbench_command) -> None:
    result = ganbench_command("plugins", "--check", "dataset", "folder", "--debug")
    assert result.returncode == 0, result.stdout
    assert re.search(r"folder .*not checked .*needs a path", result.stdout)
    assert "1 component: 1 not checked" in result.stdout


@pytest.mark.parametrize("words", [["hingo"], ["loss", "hingo"], ["arch", "hinge"], ["loss", "other-package:hinge"]])
def test_an_unknown_name_is_bad_input(ganbench_command, words) -> None:
    result = ganbench_command("plugins", *words, "--check")
    assert result.returncode == 2
    assert result.stdout == ""
    assert re.match(r"error: no .*'(hingo|hinge)'", result.stderr)
    assert "Traceback" not in result.stderr


def test_names_kinds_and_packages_say_what_is_listed(ganbench_command, install) -> None:
    install("ganbench-elsewhere", "loss", "plain", LOSS)
    install("ganbench-elsewhere", "trick", "hinge", "x = 1")

    def listed(*words: str) -> list[tuple[str, str]]:
        return [(e["kind"], e["name"]) for e in json.loads(ganbench_command("plugins", *words, "--json").stdout)]

    assert listed("hinge") == [("loss", "hinge"), ("trick", "hinge")]
    assert listed("loss", "hinge") == [("loss", "hinge")]
    assert listed("ganbench_elsewhere") == [("loss", "plain"), ("trick", "hinge")]
    assert listed("ganbench:hinge", "plain") == [("loss", "hinge"), ("loss", "plain")]
    assert {kind for kind, _ in listed("extractor")} == {"extractor"}


def test_a_torch_that_cannot_be_imported_is_said_in_a_sentence(ganbench_command, site) -> None:
    (site / "torch.py").write_text("import os; os._exit(7)")
    result = ganbench_command("plugins", "--check", "hinge")
    assert result.returncode == 1
    assert "the process to check it in could not be started" in result.stdout
    assert "Traceback" not in result.stdout + result.stderr


def test_every_check_is_listed_with_its_reason(ganbench_command) -> None:
    listed = ganbench_command("plugins", "--list-checks").stdout
    for checks in CHECKS.values():
        for name in checks.names:
            assert f"\n{name}\n" in listed
    only = ganbench_command("plugins", "protocol", "--list-checks").stdout
    assert "there-are-enough-samples" in only
    assert "loss-is-a-mean-over-samples" not in only


CTRL_C = """
import os, signal, sys
from ganbench.cli.main import main
def look(event, arguments):
    global moment
    if moment and (event, *arguments)[: len(moment)] == moment:
        moment = None
        os.killpg(0, signal.SIGINT)
moment = MOMENT
signal.signal(signal.SIGINT, signal.default_int_handler)
sys.addaudithook(look)
sys.argv = ["ganbench", "plugins", "loss", "--check"]
main()
"""


@pytest.mark.parametrize("moment", [("import", "multiprocessing.forkserver"), ("socket.connect",)], ids=" ".join)
def test_ctrl_c_ends_it_in_silence_whatever_is_being_prepared(moment, tmp_path) -> None:
    """While its modules are imported, and while a process is asked for of a server that has only just begun."""
    done = subprocess.run(
        [sys.executable, "-c", CTRL_C.replace("MOMENT", repr(moment))],
        cwd=tmp_path,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
        timeout=600,
        check=False,
    )
    assert done.returncode == 130, done.stdout
    assert "Traceback" not in done.stdout


def test_nothing_is_loaded_from_the_working_directory(ganbench_command, tmp_path):
    (tmp_path / "ganbench").mkdir()
    (tmp_path / "ganbench" / "__init__.py").write_text("raise SystemExit('from the working directory')")
    command = [sys.executable, "-P", "-m", "ganbench", "plugins", "hinge", "--check"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=600, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
