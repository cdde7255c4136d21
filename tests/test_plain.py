"""Text from plugins, records and paths is shown as text, and does nothing, wherever it is shown."""

from __future__ import annotations

import csv
import dataclasses
import io
import json
import re
import textwrap
from html.parser import HTMLParser
from pathlib import Path

import pytest
from markdown_it import MarkdownIt
from msgspec.structs import replace
from nasty import NASTY, controls, nasty
from rich.console import Console
from rich.table import Table as RichTable
from rich.text import Text
from toy import TOY, make, seeds, yardstick

import ganbench
from ganbench.cli import run
from ganbench.cli.base import caution, complain
from ganbench.contracts.executor import Done, Looked, Progress, Started, TrainingJob
from ganbench.errors import GanbenchError, GanbenchWarning
from ganbench.leaderboards.export import to_csv, to_json
from ganbench.leaderboards.html import to_html
from ganbench.leaderboards.table import Table, build
from ganbench.leaderboards.terminal import to_rich
from ganbench.pages.folder import check_folder
from ganbench.pages.markdown import to_markdown
from ganbench.pages.page import to_page
from ganbench.plain import PlainConsole, plain, plain_line
from ganbench.plugins.protocols import load_protocol
from ganbench.records.record import Record
from ganbench.records.store import write
from ganbench.runs.display import PlainDisplay
from ganbench.runs.live import LiveDisplay
from ganbench.runs.plan import Plan
from ganbench.runs.session import Outcome

ROOT = Path(ganbench.__file__).parent
RULES = load_protocol("digits-16-v1")


def records_of(protocol: str, digest: str) -> list[Record]:
    """Two rows of which every text is nasty: one with scores, doubts and gaps, one that failed."""
    facts = {"protocol": protocol, "digest": digest}
    well = seeds("dcgan+hinge", 0.5, 3, absent={"mode_kl": "too few"}, doubts=("few samples",), changes={"lr": "1"})
    well += seeds("dcgan+wgan", 0.6, 3) + yardstick("noise", 0.1)[:3]
    failed = [make("mlp+hinge", seed, status="error", reason="it broke") for seed in range(3)]
    return [nasty(replace(record, **facts), *facts.values()) for record in well + failed]


@pytest.fixture(scope="module")
def table() -> Table:
    return build(records_of(TOY.name, TOY.digest), replace(TOY, description=NASTY))


@pytest.fixture
def runs(tmp_path: Path) -> Path:
    """Folders of runs under an installed protocol and under one that is not, whose digest is nasty as well."""
    for protocol, digest in (("digits-16-v1", RULES.digest), ("gone-v1", NASTY)):
        for record in records_of(protocol, digest):
            names = [part.name for _, part in record.players]
            folder = "-".join([*names, record.status] if names else [record.entry]).replace(NASTY, "")
            write(record, tmp_path / "runs" / protocol / folder / f"seed{record.seed}" / "record.json")
    return tmp_path / "runs"


# -- on a terminal -------------------------------------------------------------------------------------------


def printed(*things: object, width: int = 2000, **options) -> str:
    console = PlainConsole(file=io.StringIO(), width=width, **options)
    for thing in things:
        console.print(thing)
    return console.file.getvalue()


def test_control_characters_are_shown_as_escapes_that_json_reads() -> None:
    assert plain("a\x1b[0m\tb\nc\u202e") == "a\\u001b[0m\tb\nc\\u202e"
    assert plain("naïve 模型 – ok") == "naïve 模型 – ok"
    assert json.loads(plain(json.dumps(NASTY, ensure_ascii=False))) == NASTY
    assert plain_line("rank: 1\n  rank: 2\r\x85") == "rank: 1 rank: 2"
    assert controls(plain(NASTY + "\ud800")) == set()


def test_a_console_prints_brackets_and_colons_as_they_are_whatever_they_stand_in() -> None:
    cells = RichTable("heading [/]", title="title [/]")
    cells.add_row("cell [/]:smile:[batch, 1]", Text(NASTY, "bold"))
    said = printed("line [/]:smile:[batch, 1]\x1b[2J", cells, Text(NASTY), color_system=None)
    for part in ("line", "cell"):
        assert f"{part} [/]:smile:[batch, 1]" in said
    assert "heading [/]" in said
    assert "title [/]" in said
    assert controls(said) == set()
    assert "\\u001b[2J" in said


def test_a_console_still_has_styles_of_its_own() -> None:
    said = printed(Text.assemble(("\x1b[5mbold", "bold"), " plain"), force_terminal=True, color_system="standard")
    assert said == "\x1b[1m\\u001b[5mbold\x1b[0m plain\n"


def test_errors_and_warnings_print_as_they_are(capsys) -> None:
    complain(GanbenchError(f"{NASTY}!", NASTY))
    caution(GanbenchWarning(NASTY), GanbenchWarning, "", 0)
    caution(NASTY, UserWarning, "", 0)
    said = capsys.readouterr().err
    assert said.count("[/][bold][batch, 1]:smile:") == 4
    assert controls(said) == set()


def test_what_becomes_of_a_run_is_printed_as_it_is(ganbench_here, quick, monkeypatch) -> None:
    error = GanbenchError(f"needs [batch, 1] {NASTY}", NASTY)

    def carried_out(plan: Plan, *_: object, **__: object) -> Outcome:
        file, rules = plan.jobs[0].record_file, plan.protocol
        write(make(status="error", reason=NASTY, protocol=rules.name, digest=rules.digest), file)
        file.with_name("error.txt").touch()
        return Outcome({"a": error, NASTY: error}, {"b": error}, None, {"a": NASTY})

    monkeypatch.setattr(run, "carry_out", carried_out)
    ran = ganbench_here("run", "--arch", "mlp", "--loss", "hinge", "--protocol", quick, "--out", "[/]")
    said = " ".join(ran.stdout.split())
    assert ran.returncode == 1
    assert " left out: needs [batch, 1]" in said
    assert "traceback is in [/]/quick-v1/mlp+hinge/seed0/error.txt" in said
    assert controls(ran.stdout + ran.stderr) == set()


@pytest.mark.parametrize("display", [PlainDisplay, LiveDisplay])
def test_runs_in_progress_are_shown_with_their_names_as_they_are(display) -> None:
    terminal = PlainConsole(file=io.StringIO(), width=2000, height=50, color_system=None)
    rules = replace(RULES, dataset=f"folder:{NASTY}")
    job = TrainingJob(
        protocol=rules,
        digest="d",
        seed=0,
        label=f"[/]{NASTY.replace('/', '')}",
        arch="x:a[/]",
        loss=f"x:{NASTY}",
        folder="runs/a/seed0",
    )
    with display(terminal, Plan(rules, [job], [])) as shown:
        shown.show(Started(job.key))
        shown.show(Progress(job.key, 6, 0.1, 1.0, share=0.6, rate=1.0, losses={"d_loss": 1.0}))
        shown.show(Looked(job.key, 0.1, f"[/]{NASTY}@x:1", 2.0))
        if isinstance(shown, LiveDisplay):
            said = printed(shown.view(), color_system=None)
            assert "[bold][batch, 1]:smile:" in said
            assert controls(said) == set()
        shown.show(Done(job.key, "error", NASTY))
    assert terminal.file.getvalue().count("[bold][batch, 1]:smile:") >= 2
    assert controls(terminal.file.getvalue()) == set()


def test_nothing_but_a_plain_console_prints() -> None:
    """A console of rich's own would read markup, and print control characters as they are."""
    for file in sorted(ROOT.rglob("*.py")):
        text = "" if file.name == "plain.py" or "_example" in file.parts else file.read_text("utf-8")
        assert not re.search(r"(?<!Plain)Console\(|from_markup|rich\.markup|rich import print", text), file
        assert "typer.echo(" not in text or file.name == "base.py", file


# -- tables --------------------------------------------------------------------------------------------------


def test_a_table_on_a_terminal_is_plain_in_any_console(table) -> None:
    console = Console(file=io.StringIO(), width=4000, color_system=None)
    console.print(to_rich(table))
    said = console.file.getvalue()
    assert controls(said) == set()
    assert "[/][bold][batch, 1]" in said
    assert not [line for line in said.splitlines() if line.lstrip().startswith(("~~~", "# heading"))]


def test_markdown_of_a_table_holds_no_link_image_or_html(table) -> None:
    text = to_markdown(table)
    assert controls(text) == set()
    tokens = MarkdownIt("commonmark", {"html": True}).enable(["table", "strikethrough"]).parse(text)
    found = {inner.type for token in tokens for inner in (token, *(token.children or ()))}
    assert found.isdisjoint({"image", "link_open", "html_inline", "html_block", "blockquote_open", "s_open"})
    assert [token.tag for token in tokens if token.type == "heading_open"].count("h1") == 1
    assert sum(token.type == "fence" for token in tokens) == 1
    prose = "".join(token.content for token in tokens if token.type == "inline" and "``" not in token.content)
    assert not re.search(r"(?<!\\)://|www\.", prose), "some readers make links of these as well"
    for block in (block for block in text.split("\n\n") if block.startswith("| ")):
        cells = {line.replace(r"\\", "").replace(r"\|", "").count("|") for line in block.splitlines()}
        assert len(cells) == 1


def test_the_command_of_a_table_is_one_command_for_a_shell() -> None:
    table = build(seeds("x; rm -rf ~+`id`", 0.5), TOY)
    assert "ganbench run --arch 'x; rm -rf ~' --loss '`id`' --protocol toy-v1\n" in to_markdown(table)


def tags(page: str) -> dict[str, int]:
    found: dict[str, int] = {}

    class Reader(HTMLParser):
        def handle_starttag(self, tag, attrs):
            found[tag] = found.get(tag, 0) + 1

    Reader().feed(page)
    return found


@pytest.mark.parametrize("render", [to_html, to_page])
def test_html_of_a_table_holds_no_tag_of_a_record(table, render) -> None:
    page = render(dataclasses.replace(table, digest=NASTY, name=NASTY))
    found = tags(page)
    assert controls(page) == set()
    assert "img" not in found
    assert found.get("script", 0) == (render is to_page)
    assert set(re.findall(r'href="([^"]{1,2})', page)) <= {"#t", "#p", "#h", "#r", "#n", "#m"}


def test_no_text_in_csv_is_a_formula_and_no_number_is_a_text(table) -> None:
    negative = make("a+x", 0, 0.5)
    negative = replace(negative, scores=negative.scores | {"hq_fraction": -3.5}, draws=[])
    for sign in "=+-@":
        rows = list(csv.reader(io.StringIO(to_csv(build([replace(negative, d_norm=f"{sign}1+1")], TOY)))))
        assert dict(zip(*rows, strict=True))["d_norm"] == f"'{sign}1+1"
        assert dict(zip(*rows, strict=True))["hq_fraction centre"] == "-3.5"
    text = to_csv(table)
    assert controls(text) == set()
    for cell in (cell for row in csv.reader(io.StringIO(text)) for cell in row):
        assert not cell.startswith(("=", "+", "@"))
        assert not cell.startswith("-") or float(cell)


def test_json_of_a_table_gives_every_text_back(table) -> None:
    text = to_json(table)
    assert controls(text) == set()
    assert all(name.startswith(NASTY) for name in json.loads(text)["columns"])


# -- commands ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("protocol", ["digits-16-v1", "gone-v1"])
@pytest.mark.parametrize("how", ["terminal", "wide", "md", "csv", "json", "html"])
def test_leaderboard_prints_nasty_records_in_every_format(how, protocol, runs, ganbench_here) -> None:
    option = ("--wide",) if how == "wide" else ("--format", how)
    found = ganbench_here("leaderboard", protocol, "--runs", runs, "--no-published", *option)
    assert (found.returncode, found.stderr) == (0, "")
    assert controls(found.stdout) == set()
    assert "batch, 1" in found.stdout


def test_a_folder_of_nasty_records_is_published_and_checks(runs, ganbench_here, tmp_path) -> None:
    found = ganbench_here("leaderboard", "digits-16-v1", "--runs", runs, "--write", "--out", tmp_path / "[x]\x1b[2J")
    assert found.returncode == 0
    assert controls(found.stdout + found.stderr) == set()
    assert check_folder(tmp_path / "[x]\x1b[2J" / "digits-16-v1", RULES) == []


def test_show_and_compare_print_nasty_records(runs, ganbench_here) -> None:
    folders = sorted({path.parents[1] for path in runs.glob("gone-v1/*-ok/*/record.json")})
    for folder in sorted(runs.glob("*/*")):
        found = ganbench_here("show", folder)
        assert (found.returncode, found.stderr) == (0, "")
        assert controls(found.stdout) == set()
        assert "[/][bold][batch, 1]:smile:" in found.stdout.replace("\n", "")
        document = ganbench_here("show", folder, "--json").stdout
        assert controls(document) == set()
        assert NASTY in json.loads(document)[0]["dataset"]
    for options in ((), ("--json",), ("--metric", f"{NASTY}modes_covered")):
        found = ganbench_here("compare", *folders, "--runs", runs, *options)
        assert found.returncode == 0, found.stderr
        assert controls(found.stdout + found.stderr) == set()


def test_reproduce_refuses_a_nasty_record_in_a_sentence(runs, ganbench_here) -> None:
    file = next(runs.glob("gone-v1/*-ok/seed0/record.json"))
    found = ganbench_here("reproduce", file)
    assert found.returncode == 2
    assert "which is not installed" in found.stderr


def test_a_record_that_cannot_be_read_costs_itself_and_not_the_command(runs, ganbench_here) -> None:
    bad = next(runs.glob("gone-v1/*-ok/seed1/record.json"))
    bad.write_bytes(b"[" * 200_000)
    folders = sorted({path.parents[1] for path in runs.glob("gone-v1/*-ok/*/record.json")})
    commands = (
        ("leaderboard", "gone-v1", "--runs", runs),
        ("show", bad.parents[1]),
        ("show", bad.parents[1], "--json"),
        ("compare", *folders, "--runs", runs),
    )
    for command in commands:
        found = ganbench_here(*command)
        assert found.returncode == 2
        assert found.stderr.count("is not a readable record: it is nested too deeply") >= 1
        assert "Traceback" not in found.stderr
        assert "batch, 1" in found.stdout


HOSTILE = '''
    """A [/] loss\x1b[31m [bold]of shape[/] [batch, 1]."""
    from ganbench import Unsupported, hookimpl
    @hookimpl
    def ganbench_loss():
        raise Unsupported("needs [batch, 1]\\x1b]0;t\\x07 [/] :smile:")
'''


@pytest.mark.slow
def test_a_hostile_package_is_listed_checked_and_diagnosed_as_it_is(site, ganbench_command) -> None:
    info = site / "evil-1.dist-info"
    info.mkdir()
    (site / "evil_loss.py").write_text(textwrap.dedent(HOSTILE), "utf-8")
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: evil[/]\x1b[2J\nVersion: 1[/]\x1b[2J\n")
    (info / "entry_points.txt").write_text("[ganbench.loss]\nbad[/]\x1b[2J:x = evil_loss\n")
    env = {"GANBENCH_PLUGINS": "evil[/]\x1b[2J"}
    for command in (("plugins", "loss"), ("plugins",), ("plugins", "--check"), ("plugins", "--json"), ("doctor",)):
        found = ganbench_command(*command, env=env)
        assert "Traceback" not in found.stderr
        assert "Error" not in found.stderr
        assert controls(found.stdout + found.stderr) == set()
        assert "[/]" in found.stdout
        assert "[batch, 1]" in found.stdout or command in {("doctor",), ("plugins",)}
