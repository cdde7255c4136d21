"""Whatever a plugin does to its process costs its own line and no other."""

from __future__ import annotations

import re
import subprocess
import sys
import time
from collections.abc import Callable

import pytest

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


@pytest.fixture
def checked(install, site, monkeypatch) -> Checked:
    """Install losses, one package each, and return the state of each."""
    monkeypatch.syspath_prepend(site)

    def check(cases: dict[str, str], **options: float) -> dict[str, Health]:
        for name, code in cases.items():
            install(f"x-{name}", "loss", name, code, module=f"x_{name.replace('-', '_')}")
        sources = [Source("loss", name, f"x-{name}", "1.0", f"x_{name.replace('-', '_')}") for name in cases]
        return {health.source.name: health for health in examine(sources, **{"timeout": 600.0, **options})}

    return check


def test_whatever_a_plugin_does_to_its_process_costs_its_own_line_only(checked) -> None:
    found = checked(CASES)
    assert list(found) == list(CASES)
    said = {name: (health.status, health.message) for name, health in found.items()}
    first = "in the check loss-plays-on-every-kind-of-data"
    assert said.pop("clean") == ("ok", "")
    assert said.pop("leaves-a-thread") == ("ok", "")
    assert said.pop("segfault-import") == ("unusable", "killed by SIGSEGV while being imported")
    assert said.pop("segfault-build") == ("unusable", "killed by SIGSEGV while being built")
    assert said.pop("segfault-check") == ("unusable", f"killed by SIGSEGV {first}")
    assert said.pop("killed") == ("unusable", "killed by SIGKILL while being built")
    assert said.pop("exits") == ("unusable", "it ended the process, with exit code 3, while being imported")
    assert said.pop("exits-quietly") == ("unusable", f"it ended the process, with exit code 0, {first}")
    for name, words in {
        "leaves-import": "cannot be used: SystemExit: bye",
        "interrupts": "cannot be used: KeyboardInterrupt",
        "broken": "cannot be used: ModuleNotFoundError: No module named 'apex_that_is_not_there'",
    }.items():
        status, message = said.pop(name)
        assert status == "unusable"
        assert words in message
        assert "Traceback" in found[name].traceback
    assert {status for status, _ in said.values()} == {"found"}


def test_where_a_plugin_crashed_is_said(checked) -> None:
    found = checked({name: CASES[name] for name in ("segfault-import", "segfault-build")})
    assert re.fullmatch(r"it was at line 6 of .*/x_segfault_import.py, in <module>", found["segfault-import"].hint)
    assert found["segfault-build"].hint.endswith("in ganbench_loss")


def test_what_a_plugin_does_at_import_is_found(checked) -> None:
    found = checked({name: CASES[name] for name in ("prints", "seeds", "switches", "leaves-check")})
    seen = {name: [(f.check, f.seen) for f in health.findings] for name, health in found.items()}
    assert seen["prints"] == [("nothing-is-printed", "it printed 'hello'")]
    assert [check for check, _ in seen["seeds"]] == ["importing-draws-no-random-numbers"]
    assert "torch's default generator" in seen["seeds"][0][1]
    assert [check for check, _ in seen["switches"]] == ["global-switches-stay-as-they-are"]
    assert "default dtype from torch.float32 to torch.float64" in seen["switches"][0][1]
    assert "SystemExit: bye" in seen["leaves-check"][0][1]
    for finding in (finding for health in found.values() for finding in health.findings):
        assert finding.expected
        assert finding.mend
        assert len(finding.why) > 60


def test_a_hook_argument_with_a_default_is_found(install, site, monkeypatch) -> None:
    monkeypatch.syspath_prepend(site)
    code = """
        from ganbench import Trick, hookimpl
        @hookimpl
        def ganbench_trick(argument="0.1"): return Trick()
    """
    install("x-defaults", "trick", "defaults", code, module="x_defaults")
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


def test_the_parent_imports_neither_torch_nor_a_plugin(tmp_path) -> None:
    code = (
        "import sys\nfrom ganbench import plugins\nfrom ganbench.testing.health import examine\n"
        "if __name__ == '__main__':\n"
        "    (health,) = examine([plugins.find('loss', 'hinge')], 'build')\n"
        "    print(health.status, [m for m in sys.modules if m in ('torch', 'numpy') or m.startswith('ganbench_b')])\n"
    )
    script = tmp_path / "script.py"
    script.write_text(code)
    out = subprocess.run([sys.executable, script], capture_output=True, text=True, check=True).stdout
    assert out == "ok []\n"


def test_an_arch_for_other_data_than_are_tried_is_not_checked_and_no_failure(install, site, monkeypatch) -> None:
    monkeypatch.syspath_prepend(site)
    code = """
        from ganbench import Unsupported, hookimpl
        @hookimpl
        def ganbench_arch(data): raise Unsupported("needs graphs")
    """
    install("x-graphs", "arch", "graphs", code, module="x_graphs")
    source = Source("arch", "graphs", "x-graphs", "1.0", "x_graphs")
    for depth in ("build", "check"):
        (health,) = examine([source], depth)
        assert health.status == "declined"
        assert health.good
        assert "needs graphs" in health.message or "declined everything" in health.message
