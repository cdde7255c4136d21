"""The example of a third-party package, which `ganbench new-plugin` copies and tox tests against the wheel."""

from __future__ import annotations

import tomllib
from pathlib import Path

import pytest

from ganbench.plugins import scaffold
from ganbench.plugins.hookspecs import KINDS

EXAMPLE = scaffold.example()
LEFT_BY_TOOLS = {"__pycache__", ".pytest_cache", ".mypy_cache", ".ruff_cache", "build", "dist", "runs"}
SETTINGS = tomllib.loads((EXAMPLE / "pyproject.toml").read_text("utf-8"))
POINTS = SETTINGS["project"]["entry-points"]


def test_new_plugin_under_the_examples_own_name_writes_the_example() -> None:
    there = {
        path.relative_to(EXAMPLE).as_posix(): path.read_text("utf-8")
        for path in EXAMPLE.rglob("*")
        if path.is_file() and not LEFT_BY_TOOLS & {*path.relative_to(EXAMPLE).parts}
    }
    assert scaffold.files(scaffold.EXAMPLE, KINDS) == there


def test_it_has_one_component_of_every_kind_in_a_file_of_that_name() -> None:
    names = {kind: scaffold.component_name(kind, scaffold.EXAMPLE) for kind in KINDS}
    assert {f"ganbench.{kind}": {names[kind]: f"ganbench_example.{kind}"} for kind in KINDS} == POINTS


@pytest.mark.parametrize("kind", KINDS)
def test_every_component_is_one_hook_on_one_screen(kind: str) -> None:
    text = (EXAMPLE / "ganbench_example" / f"{kind}.py").read_text("utf-8")
    assert text.count("@hookimpl") == 1
    assert f"def ganbench_{kind}(" in text
    assert len(text.splitlines()) < 55


def test_it_is_told_apart_from_what_it_is_copied_into_by_its_names_alone() -> None:
    other = scaffold.names("ganbench-zebra")
    texts = scaffold.files(other, KINDS)
    assert [path for path, text in texts.items() if "example" in (path + text).lower()] == []


def test_its_readme_shows_every_kind_at_work() -> None:
    readme = (EXAMPLE / "README.md").read_text("utf-8")
    for kind in KINDS:
        alone = scaffold.cut_down(readme, {kind})
        assert len(scaffold.run_commands(alone)) == 1, kind
        assert f"ganbench_example/{kind}.py" in alone


def test_it_is_linted_and_typed_by_the_rules_of_what_it_extends() -> None:
    ours = tomllib.loads((Path(__file__).parents[1] / "pyproject.toml").read_text("utf-8"))["tool"]
    own = SETTINGS["tool"]
    assert own["ruff"]["line-length"] == ours["ruff"]["line-length"]
    lint, our_lint = own["ruff"]["lint"], ours["ruff"]["lint"]
    for name in ("select", "pydocstyle", "per-file-ignores"):
        assert lint[name] == our_lint[name]
    assert set(lint["ignore"]) <= set(our_lint["ignore"])
    for name in ("strict", "untyped_calls_exclude"):
        assert own["mypy"][name] == ours["mypy"][name]
