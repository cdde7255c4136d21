"""What commands print first: help in the order of use, kinds with counts, settings with meanings, seeds summed up."""

from __future__ import annotations

import io
import re

import pytest
import typer.main
from rich.console import Console
from toy import diverged, looked, make, seeds

from ganbench import plugins
from ganbench.cli import main  # noqa: F401  it registers every command
from ganbench.cli.base import app
from ganbench.cli.guide import GUIDES
from ganbench.cli.settings import meanings_in
from ganbench.cli.summary import print_summary
from ganbench.contracts.settings import names_of
from ganbench.plain import STAND_INS, PlainConsole
from ganbench.plugins.hookspecs import KINDS

COMMANDS = typer.main.get_command(app)


def test_the_guide_knows_every_command_and_no_other() -> None:
    assert set(COMMANDS.commands) == set(GUIDES)


def test_help_lists_the_commands_in_groups_in_the_order_of_use_each_with_an_example(ganbench_here) -> None:
    said = ganbench_here("--help").stdout
    places = [said.index(f"│ {name} ") for name in GUIDES]
    assert places == sorted(places)
    groups = [said.index(f"─ {guide.group} ─") for guide in GUIDES.values()]
    assert groups == sorted(groups)
    for guide in GUIDES.values():
        assert f"ganbench {guide.example}" in " ".join(said.replace("│", " ").split())


@pytest.mark.parametrize("name", GUIDES)
def test_every_example_is_a_command_line_that_parses_and_names_what_is_installed(name: str) -> None:
    command, *arguments = GUIDES[name].example.partition(" >")[0].split()
    assert command == name
    context = COMMANDS.commands[command].make_context(command, arguments, resilient_parsing=False)
    for option, kind in (("arch", "arch"), ("loss", "loss")):
        for text in (context.params.get(option) or []) if name == "run" else []:
            assert plugins.find(kind, text)


def test_plugins_shows_every_kind_with_its_count_on_one_screen(ganbench_here) -> None:
    lines = ganbench_here("plugins").stdout.splitlines()
    assert len(lines) < 30
    for kind in KINDS:
        count = len(plugins.of_kind(kind))
        assert any(re.match(rf"{kind} +{count} +\S", line) for line in lines)
    assert any("next: ganbench plugins arch" in line for line in lines)


def test_a_kind_has_a_line_for_each_component(ganbench_here) -> None:
    said = ganbench_here("plugins", "loss").stdout
    assert [line.split()[0] for line in said.splitlines()[1:]] == [source.name for source in plugins.of_kind("loss")]


@pytest.mark.parametrize(("kind", "name"), [("arch", "stylegan2"), ("arch", "cyclegan"), ("loss", "wgan-gp")])
def test_every_setting_of_a_component_is_listed_with_its_meaning(kind: str, name: str, ganbench_here) -> None:
    said = ganbench_here("plugins", name).stdout
    rows = [line for line in said.splitlines() if re.match(r"\w+ +\S+ +\S", line)]
    assert "Args:" not in said
    for setting in re.findall(rf"--set {kind}\.(\w+)=", said):
        assert any(re.match(rf"{setting} +\S+ +\w.*", row) for row in rows)


def test_every_setting_of_every_baseline_has_a_meaning() -> None:
    from ganbench.cli import settings

    counted = 0
    for source in [*plugins.of_kind("arch"), *plugins.of_kind("loss")]:
        found = settings._settings_of(source)
        names, meanings = names_of(found), settings.meanings_of(found)
        assert {*meanings} == {*names}, source
        assert all(meanings.values())
        counted += len(names)
    assert counted > 20


def test_meanings_are_read_from_docstrings() -> None:
    text = """What a user may change.

    Args:
        cycle: ``λ``, 0
            for none.
        a, b: both.

    Other: no setting.
    """
    assert meanings_in(text, ["cycle", "a", "b"]) == {"cycle": "λ, 0 for none.", "a": "both.", "b": "both."}


def summed_up(records) -> str:
    console = Console(width=100, file=io.StringIO())
    print_summary(records, console)
    return console.file.getvalue()


def test_several_seeds_are_summed_up_with_an_interval_and_sparklines() -> None:
    text = summed_up(looked("a+x", 0.7, {0: 0, 1: 1, 2: 1}))
    lines = text.splitlines()
    assert lines[0].startswith("a+x on ")
    assert [line.split()[0] for line in lines if re.match(r" +\d ", line)] == ["0", "1", "2", "3", "4"]
    assert re.search(r"coverage 0\.7\d* \[0\.\d+, 0\.\d+\]: mean over seeds \[95 % interval\]", text)
    assert re.search(r"coverage [▁-█]{2,}", text)
    assert "--all prints" in text


def test_a_failed_seed_and_a_collapsed_one_say_what_happened() -> None:
    alike = make().self_checks
    fallen = make(
        "a+x",
        3,
        0.6,
        self_checks=type(alike)(
            **{f: getattr(alike, f) for f in alike.__struct_fields__} | {"spread": 0.01, "raw_spread": 0.01}
        ),
    )
    text = " ".join(summed_up([*seeds("a+x", 0.6, n=3), fallen, diverged("a+x", 4)]).split())
    assert "diverged: d_loss is not finite" in text
    assert "collapsed" in text.partition("seed")[2]
    assert "median (smallest to largest)" in text


def test_show_of_a_row_is_a_summary_and_all_prints_each_seed(ganbench_here, tmp_path) -> None:
    from ganbench.records.store import write

    for record in seeds("a+x", 0.6, n=3):
        write(record, tmp_path / "a+x" / f"seed{record.seed}" / "record.json")
    short, full = (ganbench_here("show", tmp_path / "a+x", *more).stdout for more in ((), ("--all",)))
    assert "provenance" not in short
    assert full.count("provenance") == 3
    assert "provenance" in ganbench_here("show", tmp_path / "a+x" / "seed0").stdout


def test_a_terminal_without_unicode_gets_signs_of_the_same_width() -> None:
    raw = io.TextIOWrapper(io.BytesIO(), "ascii")
    console = PlainConsole(file=raw, width=60)
    console.print("– ‡ † » ▁█")
    raw.flush()
    assert raw.buffer.getvalue().decode() == "- # ^ > _@\n"
    assert all(chr(stand_in).isascii() for stand_in in STAND_INS.values())


def test_no_color_leaves_no_colour(monkeypatch) -> None:
    monkeypatch.setenv("NO_COLOR", "1")
    console = PlainConsole(file=io.StringIO(), force_terminal=True, width=60)
    console.print("x", style="green")
    assert "\x1b[32m" not in console.file.getvalue()
