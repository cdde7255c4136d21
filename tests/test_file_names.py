"""Names that are longer than a file's name may be: shortened with a hash, or refused with the limit."""

from __future__ import annotations

from pathlib import Path

import pytest
import toy
from msgspec.structs import replace
from running import plan_of

from ganbench.contracts.protocol import parse
from ganbench.errors import ProtocolError
from ganbench.pages.folder import file_names
from ganbench.records.files import fitting, write_atomically
from ganbench.runs.changes import parse_changes
from ganbench.runs.plan import check_writable


def folders(out: Path, *settings: str) -> list[Path]:
    return [Path(job.folder) for job in plan_of(out, changes=parse_changes(settings)).runs]


def test_settings_too_long_for_a_folders_name_end_in_a_hash_of_all_of_them(tmp_path) -> None:
    long = f"betas=[0.5{'0' * 150}1, 0.9{'0' * 150}1]"
    (one,), (other,) = folders(tmp_path, long), folders(tmp_path, long.replace("1]", "2]"))
    assert one != other
    one.mkdir(parents=True)
    assert one.parent.name.startswith("mlp+hinge+betas=[0.5000")
    assert len(one.parent.name) == 255
    assert folders(tmp_path, "lr=0.1")[0].parent.name == "mlp+hinge+lr=0.1"


@pytest.mark.parametrize("name", ["x" * 300, "日" * 100, "é" * 128])
def test_a_shortened_name_is_valid_text_that_the_file_system_takes(name, tmp_path) -> None:
    assert len(fitting(name).encode()) in range(250, 256)
    write_atomically(tmp_path / fitting(name), b"content")
    assert [path.name for path in tmp_path.iterdir()] == [fitting(name)]


def test_a_published_record_has_a_valid_file_name_whatever_its_settings_are(tmp_path) -> None:
    record = replace(toy.make(), changes={"loss.text": "日本" * 100})
    (name,) = file_names([record])
    write_atomically(tmp_path / name, b"content")
    assert len(name.encode()) < 150


def test_a_protocols_name_has_a_limit_that_is_said() -> None:
    rules = {"name": "m" * 101, "dataset": "digits", "seeds": [0]}
    rules |= {"training": {"budget_kimg": 1}, "evaluation": {"metrics": ["fid"], "headline": "fid", "samples": 10}}
    with pytest.raises(ProtocolError, match="`name` must be a name of at most 100 letters"):
        parse(rules, "mine.toml")
    assert parse(rules | {"name": "m" * 100}, "mine.toml").name == "m" * 100


def test_a_probe_whether_a_folder_is_writable_leaves_nothing_even_if_killed(tmp_path, monkeypatch) -> None:
    def killed(path: Path, **_: object) -> None:
        raise SystemExit

    monkeypatch.setattr(Path, "unlink", killed)
    check_writable(tmp_path / "runs")
    assert list((tmp_path / "runs").iterdir()) == []


def test_a_setting_that_is_no_text_is_refused() -> None:
    with pytest.raises(ProtocolError, match=r"--set lr=caf\\udce9: expected text in UTF-8"):
        parse_changes(["lr=caf\udce9"])
