"""The site's hooks, its pages that mirror the program, and the check of what was built. ``tox -e docs`` builds it."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import site_check
import site_commands
import site_fields
import site_files
import site_notebook
import typer

from ganbench import plugins
from ganbench.cli.main import app
from ganbench.contracts.protocol import LossRules
from ganbench.contracts.protocol_text import MEANINGS
from ganbench.pages.glossary import COLUMNS

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"


# -- pages that mirror the program ---------------------------------------------------------------------------


def test_the_page_of_protocols_has_every_field_with_the_limits_of_today() -> None:
    page = (DOCS / "protocols.md").read_text("utf-8")
    assert site_fields.refreshed(page) == page
    rows = re.findall(r"^\| `(\w+)` \|", page, re.MULTILINE)
    fields = [field for kind, meanings in MEANINGS.items() for field in meanings]
    assert rows == fields
    assert len(rows) >= 31
    assert all(f"`{name}` holds" in page for name in LossRules.__struct_fields__)


def test_every_field_of_a_protocol_that_a_file_may_hold_has_a_meaning() -> None:
    for kind, meanings in MEANINGS.items():
        assert {*meanings} == {*kind.__struct_fields__} - {"training", "evaluation"}


def test_a_field_that_is_out_of_date_is_written_anew() -> None:
    page = (DOCS / "protocols.md").read_text("utf-8")
    assert site_fields.refreshed(page.replace("from 1 to 1000", "from 1 to 999")) == page
    assert site_fields.refreshed(re.sub(r"\| `batch` .*\n", "", page)) == page


def test_every_command_and_option_stands_on_the_page_of_the_command_line() -> None:
    assert (DOCS / "commands.md").read_text("utf-8").count(site_commands.MARK) == 1
    page = "\n".join(site_commands.commands())
    assert re.findall(r"^## (.*)$", page, re.MULTILINE) == [name for name, _ in _commands()]
    cells = " ".join(re.findall(r"^\| `(.*?)` \|", page, re.MULTILINE)).replace(",", "").split()
    options = {option for _, command in _commands() for param in command.params for option in param.opts}
    assert len(options) > 50
    assert sorted(option for option in options if option.startswith("-") and option not in cells) == []


def _commands() -> list[tuple[str, object]]:
    found, left = [], [("ganbench", typer.main.get_command(app))]
    while left:
        name, command = left.pop(0)
        found.append((name, command))
        left[:0] = [(f"{name} {sub}", command.commands[sub]) for sub in sorted(getattr(command, "commands", {}))]
    return found


def test_the_page_of_tables_explains_every_column() -> None:
    page = (DOCS / "tables.md").read_text("utf-8")
    built_in = [source for source in plugins.of_kind("metric") if source.package == "ganbench"]
    columns = {column for source in built_in for column in plugins.build(source).columns}
    cells = "\n".join(re.findall(r"^\| ([^|]*) \|", page, re.MULTILINE))
    assert len(columns) > 35
    assert sorted(column for column in columns if f"`{column}`" not in cells) == []
    assert len(COLUMNS) > 8
    assert [column for column in COLUMNS if not re.search(rf"\b{re.escape(column)}\b", cells)] == []
    assert {"**effective samples**", "**spread**"} <= {*re.findall(r"\*\*[\w ]+\*\*", page)}


def test_every_test_that_the_page_of_trust_names_exists() -> None:
    page = (DOCS / "trust.md").read_text("utf-8")
    named = re.findall(r"^\* `(.*)::(.*)`$", page, re.MULTILINE)
    traps = [("tests/test_traps.py", name) for name in re.findall(r"^\|.*\| `(test_\w+)` \|$", page, re.MULTILINE)]
    assert len(named) >= 49
    assert len(traps) == 15
    named += traps
    assert [name for file, name in named if f"def {name}(" not in (ROOT / file).read_text("utf-8")] == []


def test_every_rule_of_the_page_of_trust_names_its_tests() -> None:
    _, *rules = re.split(r"^## \d+\. ", (DOCS / "trust.md").read_text("utf-8"), flags=re.MULTILINE)
    assert len(rules) == 10
    assert [rule.partition("\n")[0] for rule in rules if rule.count("\n* `tests/") < 2] == []


def test_the_reference_shows_every_public_name_once() -> None:
    shown = [name for path in DOCS.glob("reference/*.md") for name in _shown(path)]
    assert len(shown) > 60
    assert sorted(shown) == sorted({*shown})
    assert [name for name in site_check.public_names() if f"ganbench.{name}" not in shown] == []


def test_the_reference_shows_every_contract() -> None:
    shown = {name for path in DOCS.glob("reference/*.md") for name in _shown(path)}
    stub = (ROOT / "ganbench" / "__init__.pyi").read_text("utf-8")
    elsewhere = {f"ganbench.contracts.{module}" for module in re.findall(r"from \.contracts\.(\w+) import", stub)}
    modules = {f"ganbench.contracts.{path.stem}" for path in ROOT.glob("ganbench/contracts/[a-z]*.py")}
    assert len(modules) > 15
    assert modules - elsewhere - shown == set()


def _shown(path: Path) -> list[str]:
    return re.findall(r"^::: (\S+)$", path.read_text("utf-8"), re.MULTILINE)


def test_every_page_stands_in_the_navigation() -> None:
    nav = re.findall(r": (\S+\.md)$", (ROOT / "mkdocs.yml").read_text("utf-8"), re.MULTILINE)
    pages = [path.relative_to(DOCS).as_posix() for path in DOCS.rglob("*.md")]
    assert len(pages) > 20
    assert sorted(nav) == sorted([*pages, *site_files.PAGES.values(), site_notebook.PAGE])


def test_the_notebook_becomes_a_page_with_its_code_and_outputs() -> None:
    code = {"cell_type": "code", "source": ["a = 1\n", "a"]}
    outputs = [
        {"output_type": "stream", "text": ["printed\n"]},
        {"output_type": "execute_result", "data": {"text/plain": ["1"], "text/html": ["<b>\n", "\n", "1</b>"]}},
        {"output_type": "execute_result", "data": {"text/plain": ["1"], "image/png": "aGk="}},
    ]
    cells = [{"cell_type": "markdown", "id": "top", "source": ["# Title"]}, code | {"id": "one", "outputs": outputs}]
    page = site_notebook.as_markdown({"cells": cells})
    assert page.startswith(f"# Title\n\n{site_notebook.DOWNLOAD}\n\n```python\na = 1\na\n```\n\n```text\nprinted\n```")
    assert '<div class="output" tabindex="0">\n<b>\n1</b>\n</div>' in page
    assert page.endswith("![output of the cell above](pictures/first-gan-one.png)\n")
    assert site_notebook.pictures({"cells": cells}) == {"pictures/first-gan-one.png": b"hi"}


# -- links ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("place", "link", "rewritten"),
    [
        ("systems.md", "tables.md#rank", "tables.md#rank"),
        ("systems.md", "../leaderboards/ring-v2/README.md", "leaderboards/ring-v2/index.html"),
        ("systems.md", "../leaderboards/README.md", "leaderboards/index.html"),
        ("systems.md", "../leaderboards/speed/README.md", "speed.md"),
        ("systems.md", "../leaderboards/grid-v2/pictures/leaders.svg", "leaderboards/grid-v2/pictures/leaders.svg"),
        ("plugins/arch.md", "../../CONTRIBUTING.md#style", "../contributing.md#style"),
        ("plugins/arch.md", "../tables.md", "../tables.md"),
        ("contributing.md", "RELEASING.md", "releasing.md"),
        ("contributing.md", "docs/plugins/index.md", "plugins/index.md"),
        ("plugins/example.md", "../../docs/tables.md", "../tables.md"),
        ("plugins/example.md", "ganbench_example/arch.py", "ganbench-example/ganbench_example/arch.py"),
        ("speed.md", "growth.json", "leaderboards/speed/growth.json"),
        ("index.md", "https://example.com/a.md", "https://example.com/a.md"),
        ("index.md", "#start", "#start"),
        ("index.md", "first-gan.ipynb", "first-gan.md"),
    ],
)
def test_a_link_of_the_repository_becomes_one_of_the_site(place: str, link: str, rewritten: str) -> None:
    assert site_files.for_site(f"See [it]({link}).", place) == f"See [it]({rewritten})."
    assert site_files.for_site(f"[![a]({link})]({link})", place) == f"[![a]({rewritten})]({rewritten})"
    assert site_files.for_site(f'<img src="{link}" width="9">', place) == f'<img src="{rewritten}" width="9">'


def test_code_keeps_its_links_and_comments_and_prose_loses_its_comments() -> None:
    code = "`[a](../README.md)`\n\n```\n[a](../README.md) <!--b-->\n```\n"
    assert site_files.for_site(code, "index.md") == code
    assert site_files.for_site("FID 1.5<!--digits-16-v1: dcgan+r1: fid-->, low", "index.md") == "FID 1.5, low"


def test_what_the_site_takes_from_elsewhere_is_there() -> None:
    assert [page for page in site_files.PAGES if not (ROOT / page).is_file()] == []
    assert [folder for folder in site_files.FOLDERS if not (ROOT / folder).is_dir()] == []


def test_a_folder_of_records_is_listed_for_servers_that_list_nothing(tmp_path) -> None:
    (tmp_path / "a+b%20<c>.json").touch()
    page = site_check.Page(site_files.listing(tmp_path))
    assert page.links == ["a%2Bb%2520%3Cc%3E.json"]


# -- the check of the built site -----------------------------------------------------------------------------


def problems(site: Path, html: str, css: str = "") -> list[str]:
    (site / "index.html").write_text(html, "utf-8")
    (site / "site.css").write_text(css, "utf-8")
    pages = site_check.pages_in(site)
    return [*site_check.foreign(site, pages), *site_check.dangling(site, pages)]


@pytest.mark.parametrize(
    "html",
    [
        '<link rel="stylesheet" href="https://fonts.example/a.css">',
        '<link rel="preconnect" href="//fonts.example">',
        '<script src="http://cdn.example/a.js"></script>',
        '<img src="https://badge.example/a.svg">',
        '<p style="background: url(https://example.com/a.png)">',
    ],
)
def test_what_a_page_would_fetch_from_elsewhere_is_found(tmp_path, html: str) -> None:
    (problem,) = problems(tmp_path, html)
    assert problem.startswith("index.html fetches ")


@pytest.mark.parametrize("css", ["@import 'https://example.com/a.css';", "a { background: url(//example.com/a.png) }"])
def test_what_a_style_would_fetch_from_elsewhere_is_found(tmp_path, css: str) -> None:
    (problem,) = problems(tmp_path, "", css)
    assert problem.startswith("site.css fetches ")


@pytest.mark.parametrize("html", ['<a href="no.html">a</a>', '<img src="no.png">', '<a href="#no">a</a>'])
def test_a_link_that_leads_nowhere_is_found(tmp_path, html: str) -> None:
    (problem,) = problems(tmp_path, html)
    assert problem.startswith("index.html links to ")


def test_links_to_files_places_and_other_sites_pass(tmp_path) -> None:
    here = '<link rel="stylesheet" href="site.css"><h1 id="a">A</h1><a href="#a">a</a> <a href="index.html#a">a</a>'
    assert problems(tmp_path, f'{here}<a href="https://example.com">b</a><img src="data:image/png;base64,AA=="/>') == []
