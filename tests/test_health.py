"""Whatever a plugin does to its process costs its own line and no other."""

from __future__ import annotations

import re
import subprocess
import sys
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest
from installing import add_package

from ganbench.plugins.source import Source
from ganbench.testing.health import Health, examine

LOSS = '''
    """A loss from elsewhere."""
    import ctypes, os, sys, time
    from torch.nn.functional import softplus
    from ganbench import hookimpl
    {at_import}
    class Plain:
        def d_loss(self, D, real, fake):
            {in_d_loss}
            return softplus(-D(real)).mean() + softplus(D(fake)).mean()
        def g_loss(self, D, real, fake): return softplus(-D(fake)).mean()
    @hookimpl
    def ganbench_loss({arguments}):
        {when_built}
        return Plain()
'''


def loss(at_import: str = "", when_built: str = "", in_d_loss: str = "", arguments: str = "") -> str:
    return LOSS.format(
        at_import=at_import or "pass",
        when_built=when_built or "pass",
        in_d_loss=in_d_loss or "pass",
        arguments=arguments,
    )


SEGFAULT = "ctypes.string_at(0)"
CASES = {
    "clean": loss(),
    "segfault-import": loss(at_import=SEGFAULT),
    "segfault-build": loss(when_built=SEGFAULT),
    "segfault-check": loss(in_d_loss=SEGFAULT),
    "exits": loss(at_import="os._exit(3)"),
    "exits-quietly": loss(in_d_loss="os._exit(0)"),
    "leaves-import": loss(at_import="sys.exit('bye')"),
    "leaves-check": loss(in_d_loss="sys.exit('bye')"),
    "interrupts": loss(when_built="raise KeyboardInterrupt"),
    "killed": loss(when_built="os.kill(os.getpid(), 9)"),
    "prints": loss(at_import="print('hello'); os.write(1, b'from below')"),
    "seeds": loss(at_import="import torch; torch.manual_seed(0)"),
    "switches": loss(at_import="import torch; torch.set_default_dtype(torch.float64)"),
    "leaves-a-thread": loss(at_import="import threading; threading.Thread(target=time.sleep, args=(600,)).start()"),
    "broken": "import apex_that_is_not_there",
}


Checked = Callable[..., dict[str, Health]]


def check_in(site: Path, patch: pytest.MonkeyPatch, cases: dict[str, str], **options: float) -> dict[str, Health]:
    """Install losses in ``site``, one package each; the state of each."""
    patch.syspath_prepend(site)
    for name, code in cases.items():
        add_package(site, f"x-{name}", "loss", name, code, module=f"x_{name.replace('-', '_')}")
    sources = [Source("loss", name, f"x-{name}", "1.0", f"x_{name.replace('-', '_')}") for name in cases]
    return {health.source.name: health for health in examine(sources, **{"timeout": 600.0, **options})}


@pytest.fixture
def checked(site, monkeypatch) -> Checked:
    return partial(check_in, site, monkeypatch)


@pytest.fixture(scope="module")
def found(tmp_path_factory) -> dict[str, Health]:
    """The state of every case, checked side by side."""
    with pytest.MonkeyPatch.context() as patch:
        return check_in(tmp_path_factory.mktemp("site"), patch, CASES)


IN_A_CHECK = "in the check loss-plays-on-every-kind-of-data"
STATES = {
    "clean": ("ok", ""),
    "leaves-a-thread": ("ok", ""),
    "segfault-import": ("unusable", "killed by SIGSEGV while being imported"),
    "segfault-build": ("unusable", "killed by SIGSEGV while being built"),
    "segfault-check": ("unusable", f"killed by SIGSEGV {IN_A_CHECK}"),
    "killed": ("unusable", "killed by SIGKILL while being built"),
    "exits": ("unusable", "it ended the process with exit code 3 while being imported"),
    "exits-quietly": ("unusable", f"it ended the process with exit code 0 {IN_A_CHECK}"),
}


def test_every_plugin_has_a_line_whatever_the_others_do(found) -> None:
    assert list(found) == list(CASES)


@pytest.mark.parametrize("name", STATES)
def test_whatever_a_plugin_does_to_its_process_costs_its_own_line_only(name, found) -> None:
    assert (found[name].status, found[name].message) == STATES[name]


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("leaves-import", "cannot be used: SystemExit: bye"),
        ("interrupts", "cannot be used: KeyboardInterrupt"),
        ("broken", "cannot be used: ModuleNotFoundError: No module named 'apex_that_is_not_there'"),
    ],
)
def test_a_plugin_that_cannot_be_used_has_a_traceback(name, words, found) -> None:
    assert found[name].status == "unusable"
    assert words in found[name].message
    assert "Traceback" in found[name].traceback


def test_where_a_plugin_crashed_is_said(found) -> None:
    assert re.fullmatch(r"it was at line 6 of .*/x_segfault_import.py, in <module>", found["segfault-import"].hint)
    assert found["segfault-build"].hint.endswith("in ganbench_loss")


@pytest.mark.parametrize(
    ("name", "check", "seen"),
    [
        ("prints", "nothing-is-printed", "it printed 'hello'"),
        ("seeds", "importing-draws-no-random-numbers", "torch's default generator"),
        ("switches", "global-switches-stay-as-they-are", "default dtype from torch.float32 to torch.float64"),
    ],
)
def test_what_a_plugin_does_at_import_is_found(name, check, seen, found) -> None:
    (finding,) = found[name].findings
    assert finding.check == check
    assert seen in finding.seen


def test_a_plugin_that_leaves_the_process_in_a_check_is_found(found) -> None:
    assert "SystemExit: bye" in found["leaves-check"].findings[0].seen


@pytest.mark.parametrize("name", ["prints", "seeds", "switches", "leaves-check"])
def test_a_finding_says_what_was_expected_how_to_mend_it_and_why(name, found) -> None:
    assert found[name].status == "found"
    for finding in found[name].findings:
        assert finding.expected
        assert finding.mend
        assert len(finding.why) > 60


def test_a_hook_argument_with_a_default_is_found(install_here) -> None:
    code = """
        from ganbench import Trick, hookimpl
        @hookimpl
        def ganbench_trick(argument="0.1"): return Trick()
    """
    install_here("x-defaults", "trick", "defaults", code, module="x_defaults")
    (health,) = examine([Source("trick", "defaults", "x-defaults", "1.0", "x_defaults")], "build")
    (finding,) = health.findings
    assert finding.check == "hook-arguments-have-no-default"
    assert finding.seen == "ganbench_trick(argument='0.1')"
    assert finding.mend == "write argument"


def test_a_plugin_that_hangs_is_ended_with_all_that_it_started(checked, tmp_path) -> None:
    pid = tmp_path / "pid"
    start = f"import pathlib, subprocess; child = subprocess.Popen(['sleep', '600']); pathlib.Path({str(pid)!r})"
    start += ".write_text(str(child.pid))"
    hang = loss(at_import=start, when_built="ctypes.PyDLL(None).sleep(600)")  # PyDLL: with the lock held
    for timeout in (3, 30, 300):  # on a busy machine it may not get as far as the hook in the first
        health = checked({"hangs": hang}, timeout=timeout)["hangs"]
        if health.message.endswith("while being built"):
            break
    assert health.message == f"it did not finish within {timeout} s while being built"
    assert health.hint.endswith("in ganbench_loss")
    ask, until = ["ps", "-o", "state=", "-p", pid.read_text()], time.monotonic() + 600
    while (state := subprocess.run(ask, capture_output=True, text=True, check=False).stdout.strip()) not in {"", "Z"}:
        assert time.monotonic() < until, state
        time.sleep(0.05)


def test_nothing_is_fetched_unless_it_may(checked) -> None:
    fetch = "import urllib.request; urllib.request.urlopen('https://example.com', timeout=60)"
    found = checked({"fetches": loss(at_import=fetch)}, offline=True)
    assert "Connection refused" in found["fetches"].message


def test_a_loss_that_bears_the_name_of_a_textbook_game_is_compared_with_it(checked) -> None:
    found = checked({"minimax": loss(), "non-saturating": loss()})
    assert [finding.check for finding in found["minimax"].findings] == ["loss-is-what-it-claims-to-be"]
    assert found["non-saturating"].status == "ok"


def test_building_alone_makes_no_check_of_a_kind(checked) -> None:
    found = checked(
        {"segfault-check": CASES["segfault-check"], "segfault-build": CASES["segfault-build"]}, depth="build"
    )
    assert found["segfault-check"].status == "ok"
    assert found["segfault-build"].status == "unusable"


def test_the_parent_imports_neither_torch_nor_a_plugin_and_no_child_its_script(tmp_path) -> None:
    code = (
        "import sys\nopen('imported', 'a').write('.')\n"
        "from ganbench import plugins\nfrom ganbench.testing.health import examine\n"
        "if __name__ == '__main__':\n"
        "    (health,) = examine([plugins.find('loss', 'hinge')], 'build')\n"
        "    print(health.status, [m for m in sys.modules if m in ('torch', 'numpy') or m.startswith('ganbench_b')])\n"
    )
    script = tmp_path / "script.py"
    script.write_text(code)
    out = subprocess.run([sys.executable, script], capture_output=True, text=True, check=True, cwd=tmp_path).stdout
    assert out == "ok []\n"
    assert (tmp_path / "imported").read_text() == ".", "once, by the parent"


def test_an_arch_for_other_data_than_are_tried_is_not_checked_and_no_failure(install_here) -> None:
    code = """
        from ganbench import Unsupported, hookimpl
        @hookimpl
        def ganbench_arch(data): raise Unsupported("needs graphs")
    """
    install_here("x-graphs", "arch", "graphs", code, module="x_graphs")
    source = Source("arch", "graphs", "x-graphs", "1.0", "x_graphs")
    for depth in ("build", "check"):
        (health,) = examine([source], depth)
        assert health.status == "declined"
        assert health.good
        assert "needs graphs" in health.message or "declined everything" in health.message
