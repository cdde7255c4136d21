"""Whatever a plugin raises becomes a sentence that can be stored: odd classes, endless and unreadable texts."""

from __future__ import annotations

import itertools
import signal
from pathlib import Path

import msgspec
import pytest
import toy
from running import QUICK, job_in, never, unheard

from ganbench import plugins
from ganbench.contracts.executor import Done, Refused
from ganbench.errors import (
    DataError,
    GanbenchError,
    PluginError,
    Unsupported,
    blaming,
    legible,
    told,
    told_exit,
    traced,
    without_folders,
)
from ganbench.records.store import read, write
from ganbench.runs.executors.work import outcome_of


class Silent(Exception):
    def __str__(self) -> str:
        raise SystemExit("no text")


@pytest.mark.parametrize(
    ("text", "kept"),
    [
        ("No such file or directory: '/home/me/My Data/x y.npy'", "No such file or directory: 'x y.npy'"),
        ("cannot import (/usr/lib/a/b.so: version)", "cannot import (b.so: version)"),
        ('rows in "~/mine/d.csv" are odd', 'rows in "d.csv" are odd'),
        ("https://example.org/a/b, 3 samples/s, and/or, runs/mine/seed0", None),
    ],
)
def test_a_reason_tells_no_folder_of_the_users_machine(text: str, kept: str | None) -> None:
    assert without_folders(text) == (kept or text)


class Own(BaseException):
    pass


@pytest.mark.parametrize(
    ("error", "sentence"),
    [
        (ValueError("two\n  lines"), "ValueError: two lines"),
        (MemoryError(), "MemoryError"),
        (ValueError("caf\udce9"), r"ValueError: caf\udce9"),
        (Silent(), "Silent: (its text cannot be read: SystemExit)"),
        (ValueError("x" * 3000), f"ValueError: {'x' * 1500} ... (1,000 more characters) ... {'x' * 500}"),
    ],
)
def test_an_exception_is_told_on_one_line_of_bearable_length(error, sentence) -> None:
    assert told(error)[:1900] == sentence[:1900]
    assert len(told(error)) < 2100
    assert ("more characters" in told(error)) == ("more characters" in sentence)


def test_a_traceback_keeps_both_ends_of_a_text_without_end() -> None:
    try:
        raise ValueError("caf\udce9" + "x" * 1_000_000)
    except ValueError as error:
        text = traced(error)
    assert "raise ValueError" in text
    assert "more characters" in text
    assert len(text) < 101_000
    assert text.encode()


def test_the_end_of_a_process_is_told_even_if_its_signal_has_no_name() -> None:
    ends = [told_exit(code) for code in (3, -signal.SIGKILL, -(signal.SIGRTMIN + 1))]
    assert ends == ["exit code 3", "killed by SIGKILL", f"killed by signal {signal.SIGRTMIN + 1}"]


def test_what_a_plugin_says_in_our_own_words_is_made_legible() -> None:
    assert Unsupported("needs caf\udce9").message == r"needs caf\udce9"
    assert len(DataError("x" * 10_000).message) < 2100

    class Bare(GanbenchError):
        def __init__(self) -> None:
            pass

    assert (Bare().message, Bare().hint) == ("", "")


@pytest.mark.parametrize("error", [SystemExit(3), GeneratorExit(), Own("x"), StopIteration(), RecursionError()])
def test_any_class_of_exception_is_the_plugins_fault_and_ctrl_c_is_not(error) -> None:
    with pytest.raises(PluginError, match=f"it failed: {type(error).__name__}"), blaming("it failed"):
        raise error
    with pytest.raises(KeyboardInterrupt), blaming("it failed"):
        raise KeyboardInterrupt


RAISING = '''
    """A loss that raises something odd in its tenth step."""
    from ganbench import hookimpl
    class Own(BaseException): pass
    class Silent(Exception):
        def __str__(self): raise RuntimeError("no text")
    class Raising:
        calls = 0
        def d_loss(self, D, real, fake):
            Raising.calls += 1
            if Raising.calls == 10:
                raise ERROR
            return D(fake).mean() - D(real).mean()
        def g_loss(self, D, real, fake): return -D(fake).mean()
    @hookimpl
    def ganbench_loss(): return Raising()
'''
NUMBERS = itertools.count()


@pytest.fixture
def raising(install_here):
    """Install a loss that raises ``error``, and hand out a job with it."""

    def job_of(error: str, folder: Path, code: str = RAISING):
        module = f"raising_{next(NUMBERS)}"  # a module is imported once
        install_here("third-party", "loss", "raising", code.replace("ERROR", error), module=module)
        return job_in(folder, "mlp", "raising", QUICK)

    return job_of


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (r"ValueError('caf\udce9')", r"ValueError: caf\udce9"),
        ("Silent()", "Silent: (its text cannot be read: RuntimeError)"),
        ("ValueError('x' * 50_000_000)", f"ValueError: {'x' * 1000}"),
        ("SystemExit(0)", "SystemExit: 0"),
        ("KeyboardInterrupt", "KeyboardInterrupt"),
        ("GeneratorExit", "GeneratorExit"),
        ("Own('mine')", "Own: mine"),
    ],
)
def test_whatever_a_loss_raises_is_the_recorded_result_of_its_run(error, reason, raising, tmp_path) -> None:
    job = raising(error, tmp_path / "runs")
    event = outcome_of(job, unheard, never)
    record = read(job.record_file)
    assert isinstance(event, Done)
    assert record.status == "error"
    assert record.reason.startswith(reason)
    assert len(record.reason) < 2100
    assert "raise " in Path(job.folder, "error.txt").read_text("utf-8")
    assert Path(job.folder, "error.txt").stat().st_size < 110_000


BROKEN_BEFORE = """
    from ganbench import hookimpl
    class Broken:
        @property
        def d_steps(self): raise ERROR
        def d_loss(self, D, real, fake): return D(fake).mean() - D(real).mean()
        def g_loss(self, D, real, fake): return -D(fake).mean()
    @hookimpl
    def ganbench_loss(): return Broken()
"""


@pytest.mark.parametrize("error", ["ZeroDivisionError('mine')", "SystemExit('mine')", "KeyboardInterrupt('mine')"])
def test_what_fails_before_a_run_begins_costs_this_combination_and_not_the_grid(error, raising, tmp_path) -> None:
    event = outcome_of(raising(error, tmp_path / "runs", BROKEN_BEFORE), unheard, never)
    assert isinstance(event, Refused)
    assert event.broken
    assert f"{error.partition('(')[0]}: mine" in event.message


@pytest.mark.parametrize("error", ["SystemExit(3)", "GeneratorExit()", "type('Own', (BaseException,), {})()"])
def test_a_module_may_raise_anything_when_it_is_imported(error, raising, tmp_path) -> None:
    job = raising(error, tmp_path / "runs", "raise ERROR")
    with pytest.raises(PluginError, match="cannot be used"):
        plugins.build(plugins.find("loss", job.loss))


def test_a_record_holds_valid_text_whatever_the_data_call_their_classes(tmp_path) -> None:
    record = toy.make()
    odd = msgspec.structs.replace(record, class_names=("caf\udce9", "tea"), absent={"is": "no \udc80"})
    write(odd, tmp_path / "record.json")
    again = read(tmp_path / "record.json")
    assert (again.class_names, again.absent) == ((r"caf\udce9", "tea"), {"is": r"no \udc80"})
    assert legible(record.entry) == again.entry
