"""Arrays prepared on disk: made once, continued after a kill, checked, listed and removed."""

from __future__ import annotations

import errno
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import textwrap
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch

from ganbench import DataError, Prepared, Row, prepared
from ganbench.contracts import progress
from ganbench.contracts.arrays import file_behind
from ganbench.contracts.progress import shown_by
from ganbench.data import prepared as module
from ganbench.data.about import ABOUT, ARRAY, PROGRESS
from ganbench.errors import GanbenchWarning

SHAPE = (3, 4, 4)
PARTS = range(30), range(30, 40)
CONTINUED = r"the preparation continues after"


@pytest.fixture(autouse=True)
def root(tmp_path: Path, monkeypatch) -> Path:
    monkeypatch.setenv("GANBENCH_DATA", str(tmp_path / "data"))
    monkeypatch.setattr(module, "BLOCK", 10 * 48)
    return tmp_path / "data" / "prepared"


def picture(number: int) -> np.ndarray:
    return np.random.default_rng(number).integers(0, 256, SHAPE, np.uint8)


class Reader:
    """Reads rows, notes which, and fails from row ``fails`` on."""

    def __init__(self, fails: int | None = None, error: Exception | None = None) -> None:
        self.fails, self.error, self.asked = fails, error or DataError("row 25 is damaged"), list[int]()

    def __call__(self, number: int) -> Row:
        self.asked.append(number)
        if self.fails is not None and number >= self.fails:
            raise self.error
        return Row(picture(number), f"row {number}" if number % 7 == 0 else "")


def make(read=None, made_from=("v1",), parts=PARTS) -> Prepared:
    return prepared("toy", made_from, parts, read or Reader(), SHAPE)


def folder(root: Path) -> Path:
    (found,) = (path for path in root.iterdir() if path.is_dir())
    return found


def test_an_array_holds_what_was_read_in_parts_that_are_mapped_from_disk(root) -> None:
    train, test = make().arrays
    assert (tuple(train.shape), tuple(test.shape)) == ((30, *SHAPE), (10, *SHAPE))
    for number, row in enumerate([*train, *test]):
        assert np.array_equal(row.numpy(), picture(number))
    assert Path(file_behind(test).filename) == folder(root) / ARRAY


def test_an_array_is_read_once() -> None:
    first, again = Reader(), Reader()
    one, other = make(first), make(again)
    assert sorted(first.asked) == list(range(40))
    assert again.asked == []
    assert all(torch.equal(a, b) for a, b in zip(one.arrays, other.arrays, strict=True))
    assert one.said == other.said


def test_what_was_said_of_a_row_comes_back_with_it() -> None:
    make()
    said = make().said
    assert {number: text for number, text in enumerate(said) if text} == {n: f"row {n}" for n in range(0, 40, 7)}


@pytest.mark.parametrize("changed", [{"made_from": ("v2",)}, {"parts": (range(30), range(30, 41))}])
def test_other_sources_or_other_rows_are_another_array(root, changed) -> None:
    make()
    reader = Reader()
    make(reader, **changed)
    assert reader.asked
    assert len([path for path in root.iterdir() if path.is_dir()]) == 2


def test_after_an_error_only_the_rows_that_are_missing_are_read(root) -> None:
    with pytest.raises(DataError, match="row 25 is damaged"):
        make(Reader(fails=25))
    assert not (folder(root) / ABOUT).exists()
    reader = Reader()
    with pytest.warns(GanbenchWarning, match=f"{CONTINUED} 20 samples"):
        found = make(reader)
    assert sorted(reader.asked) == list(range(20, 40))
    assert [text for text in found.said if text] == [f"row {n}" for n in range(0, 40, 7)]
    assert all(np.array_equal(row.numpy(), picture(n)) for n, row in enumerate(torch.cat(found.arrays)))


def test_a_line_that_a_kill_cut_off_does_not_count(root) -> None:
    with pytest.raises(DataError):
        make(Reader(fails=25))
    lines = (folder(root) / PROGRESS).read_bytes()
    (folder(root) / PROGRESS).write_bytes(lines[:-3])
    reader = Reader()
    with pytest.warns(GanbenchWarning, match=f"{CONTINUED} 10 samples"):
        make(reader)
    assert min(reader.asked) == 10


SLOW = textwrap.dedent(
    """
    import sys, time
    import numpy as np
    from ganbench import prepared
    from ganbench.data import prepared as module
    module.BLOCK = 10 * 48

    def read(number):
        time.sleep(float(sys.argv[1]))
        with open(sys.argv[2], "a") as file:
            file.write(f"{number}\\n")
        return np.random.default_rng(number).integers(0, 256, (3, 4, 4), np.uint8)

    prepared("toy", ["v1"], (range(30), range(30, 40)), read, (3, 4, 4))
    """
)


def begun(log: Path, pause: float) -> subprocess.Popen:
    return subprocess.Popen([sys.executable, "-c", SLOW, str(pause), str(log)], stderr=subprocess.PIPE)


def test_a_killed_preparation_is_continued_with_the_same_bytes(root, tmp_path) -> None:
    process = begun(tmp_path / "log", 0.05)
    deadline = time.monotonic() + 60
    while not any(path.stat().st_size for path in root.glob(f"*/{PROGRESS}")):
        assert time.monotonic() < deadline
        time.sleep(0.01)
    process.send_signal(signal.SIGKILL)
    process.wait()
    process.stderr.close()
    reader = Reader()
    with pytest.warns(GanbenchWarning, match=CONTINUED):
        found = make(reader)
    assert 0 < len(reader.asked) <= 30
    assert all(np.array_equal(row.numpy(), picture(n)) for n, row in enumerate(torch.cat(found.arrays)))


def test_two_processes_at_once_make_it_once(tmp_path) -> None:
    processes = [begun(tmp_path / "log", 0.02) for _ in range(2)]
    for process in processes:
        _, complained = process.communicate(timeout=100)
        assert process.returncode == 0, complained.decode()
    assert sorted(map(int, (tmp_path / "log").read_text().split())) == list(range(40))


@pytest.mark.skipif(not hasattr(os, "posix_fallocate"), reason="no file can be given its size in advance here")
def test_a_disk_that_is_too_small_is_noticed_before_anything_is_read(root, monkeypatch) -> None:
    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "posix_fallocate", full)
    reader = Reader()
    with pytest.raises(DataError, match=r"'toy' cannot be prepared in .*, where it needs 0 MiB: No space left") as bad:
        make(reader)
    assert "GANBENCH_DATA" in bad.value.hint
    assert reader.asked == []


def test_a_disk_that_fills_up_keeps_what_is_done(root, monkeypatch) -> None:
    with pytest.raises(DataError, match="No space left"):
        make(Reader(fails=25, error=OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))))
    with pytest.warns(GanbenchWarning, match=f"{CONTINUED} 20 samples"):
        make()


def test_a_data_folder_that_cannot_be_written_is_replaced_by_the_cache(root, tmp_path, monkeypatch) -> None:
    cache = tmp_path / "cache" / "prepared"
    monkeypatch.setattr(module, "prepared_folders", lambda: (root, cache))
    monkeypatch.setattr(module, "writable", lambda place: cache in place.parents)
    make()
    assert folder(cache).joinpath(ABOUT).exists()
    assert not root.exists()


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        (np.zeros((3, 4, 5), np.uint8), r"a row has shape \(3, 4, 5\) and type uint8, not \(3, 4, 4\)"),
        (np.zeros(SHAPE, np.float32), "type float32"),
    ],
)
def test_a_row_of_another_kind_is_refused(wrong, said) -> None:
    with pytest.raises(DataError, match=said):
        make(lambda number: wrong)


def test_bytes_that_changed_are_refused_and_named(root) -> None:
    make()
    with (folder(root) / ARRAY).open("r+b") as file:
        file.write(b"other")
    with pytest.raises(DataError, match=r"the prepared array of 'toy' in .* has changed") as bad:
        make()
    assert f"ganbench data remove {folder(root).name}" in bad.value.hint


def test_a_copied_folder_is_used_after_its_content_was_checked_once(root, tmp_path, monkeypatch) -> None:
    make()
    shutil.copytree(root, tmp_path / "other" / "prepared", copy_function=shutil.copyfile)
    monkeypatch.setenv("GANBENCH_DATA", str(tmp_path / "other"))
    reader = Reader()
    make(reader)
    monkeypatch.setattr(module, "intact", lambda *_: pytest.fail("it was checked again"))
    make(reader)
    assert reader.asked == []


def test_a_long_preparation_says_how_far_it_is(monkeypatch) -> None:
    monkeypatch.setattr(progress, "SECONDS", 0.0)
    told = []
    with shown_by(lambda *report: told.append(report)):
        make()
    steps = [done for what, done, pieces in told if (what, pieces) == ("preparing toy", 40)]
    assert steps == list(range(1, 41))
    assert told[-1] == ("checking toy", 10, 10)


def test_a_short_preparation_says_nothing() -> None:
    told = []
    with shown_by(lambda *report: told.append(report)):
        make(parts=(range(3),))
    assert told == []


# -- the command -------------------------------------------------------------------------------------------------------


@pytest.fixture
def two(root) -> Iterator[Path]:
    """One complete array, and one begun."""
    make()
    with pytest.raises(DataError):
        prepared("half", ["v1"], PARTS, Reader(fails=25), SHAPE)
    return root


def test_the_list_names_each_array_its_size_and_its_state(two, ganbench_here) -> None:
    said = ganbench_here("data").stdout
    assert re.search(r"toy-\w{12} +toy +40 x 3x4x4 +0 MiB +complete", said)
    assert re.search(r"half-\w{12} .* begun, 20 samples", said)
    listed = json.loads(ganbench_here("data", "list", "--json").stdout)
    assert [(one["dataset"], one["rows"], one["complete"]) for one in listed] == [(None, 20, False), ("toy", 40, True)]


def test_an_empty_list_says_what_is_prepared_and_when(ganbench_here) -> None:
    assert "nothing is prepared" in ganbench_here("data", "list").stdout


def test_verify_tells_intact_arrays_from_changed_and_from_unfinished_ones(two, ganbench_here) -> None:
    good = ganbench_here("data", "verify", "toy")
    assert (good.returncode, "intact" in good.stdout) == (0, True)
    (file,) = two.glob(f"toy*/{ARRAY}")
    with file.open("r+b") as opened:
        opened.write(b"other")
    both = ganbench_here("data", "verify")
    assert both.returncode == 1
    assert re.search(r"toy-\w+: changed since it was made", both.stdout)
    assert re.search(r"half-\w+: not complete", both.stdout)


def test_remove_deletes_what_is_named_and_nothing_else(two, ganbench_here) -> None:
    assert "removed 1 array" in ganbench_here("data", "remove", "toy").stdout
    assert [path.name.partition("-")[0] for path in two.iterdir() if path.is_dir()] == ["half"]
    assert "removed 1 array" in ganbench_here("data", "remove", "--all").stdout
    assert not [path for path in two.iterdir() if path.is_dir()]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("data", "remove"), "say what to remove: names, or --all"),
        (("data", "remove", "toy", "--all"), "say what to remove: names, or --all"),
        (("data", "remove", "tpy"), "no prepared array is called 'tpy'"),
        (("data", "verify", "nix"), "no prepared array is called 'nix'"),
    ],
)
def test_a_wrong_name_is_refused_with_the_next_step(two, ganbench_here, words, said) -> None:
    refused = ganbench_here(*words)
    assert refused.returncode == 2
    assert said in refused.stderr
    assert "`ganbench data list` prints the names" in refused.stderr
