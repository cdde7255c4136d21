"""The style check: what it finds, where, and what it lets pass."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import style

COLONS = "2 colons in a sentence"


def found(tmp_path: Path, name: str, text: str) -> list[tuple[int, str]]:
    path = tmp_path / name
    path.write_text(text, "utf-8")
    return style.findings(path)


@pytest.mark.parametrize(
    ("text", "phrase"),
    [
        ("The root is had in two ways.", "is had"),
        ("Weights that cannot be had.", "be had"),
        ("Collapse is told.", "is told"),
        ("Both players are told the class.", "are told"),
        ("See what is to be done.", "what is to"),
        ("What is to go warns first.", "What is to"),
        ("The argument is to go.", "is to go"),
        ("Whoever looks sees it.", "Whoever"),
        ("It ends: a run: with a name.", COLONS),
        ("One: two a: three: four.", COLONS),
    ],
)
def test_every_kind_of_text_is_read(tmp_path, text: str, phrase: str) -> None:
    assert found(tmp_path, "a.md", f"# Title\n\nA first line.\n{text}\n") == [(4, phrase)]
    assert found(tmp_path, "a.py", f'"""Title.\n\n{text}\n"""\n') == [(3, phrase)]
    assert found(tmp_path, "a.py", f"x = 1\n# A first line.\n# {text}\n") == [(3, phrase)]
    assert found(tmp_path, "a.py", f'x = 1\nprint(f"{text} {{x}}")\n') == [(2, phrase)]


def test_a_phrase_across_the_end_of_a_line_is_found_where_it_begins(tmp_path) -> None:
    assert found(tmp_path, "a.md", "Fine.\n\nThe class is\ntold to both.\n") == [(3, "is told")]
    text = '"""Fine.\n\nArgs:\n    a: fine.\n    width: one that is\n        told.\n"""\n'
    assert found(tmp_path, "a.py", text) == [(5, "is told")]


@pytest.mark.parametrize(
    "text",
    [
        "Runs are told apart. One is told from another.",
        "The flag `is told` and ``is to go`` are code.",
        "Fenced:\n\n```\nwhoever: is: told\n```\n",
        "Indented:\n\n    whoever: is: told\n\n    is had\n",
        "**width**: the size: small or large.\n- `depth` (optional): none: as it is.",
        "Two parts (one: two; three: four): the rest.",
        "First: one; second: two. Third: three.",
        "| a: b | c: d | e: f |",
        "At 10:30 see https://example.com: Namespace::name.",
        "It has FID .45<!--digits-16-v1: sngan+hinge: fid--> here: that is good.",
    ],
)
def test_idioms_code_labels_and_brackets_pass(tmp_path, text: str) -> None:
    assert found(tmp_path, "a.md", f"{text}\n") == []


def test_arguments_and_examples_in_docstrings_pass(tmp_path) -> None:
    text = '''
        """Does it.

        Args:
            a: the first: whole.
            b: the second.
            c: the third.

        Example::

            if whoever: print("is told")
        """
    '''
    assert found(tmp_path, "a.py", f"def f(a, b, c):\n{text}") == []


def test_a_formatted_error_and_a_string_of_one_word_pass(tmp_path) -> None:
    assert found(tmp_path, "a.py", 'print(f"it fails: {kind}: {error}")\nx = {"whoever": "is had"}\n') == []


def test_the_command_prints_file_line_and_phrase_and_fails_where_it_finds_some(tmp_path, monkeypatch, capsys) -> None:
    monkeypatch.chdir(tmp_path)
    Path("bad.md").write_text("Whoever reads this.\n")
    Path("good.md").write_text("Read this.\n")
    assert style.main(["good.md", str(tmp_path / "bad.md")]) == 1
    assert capsys.readouterr().out == "bad.md:1: Whoever\n"
    assert style.main(["good.md"]) == 0
    assert capsys.readouterr().out == ""


def test_by_default_it_reads_the_documentation_the_core_and_the_plugins() -> None:
    read = {path.relative_to(Path(style.__file__).parent.parent).as_posix() for path in style.files([])}
    assert {"README.md", "docs/plugins/index.md", "ganbench/__init__.py", "plugins/ganbench-example/README.md"} < read


def test_names_of_tests_have_fewer_than_80_characters() -> None:
    text = "".join(file.read_text("utf-8") for file in Path(__file__).parent.rglob("test_*.py"))
    names = re.findall(r"^ *def (test_\w+)", text, re.MULTILINE)
    assert [name for name in names if len(name) >= 80] == []
