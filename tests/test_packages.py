"""Life with other people's packages: really installed ones, wrong in every way there is, and the real command.

Most broken plugins here are protocols, which the command loads in its own process and so refuses in a moment; the way
from metadata to a built object is the same for every kind. What a worker process makes of them is tested with losses.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
import textwrap
from collections.abc import Mapping
from pathlib import Path

import pytest
from commands import Command
from installing import surroundings
from toy import LOSS

COMMAND = Path(sys.executable).with_name("ganbench")

PROTOCOL = '''
    """Rules from elsewhere, over in a moment."""
    from ganbench import Evaluating, Protocol, Training, hookimpl
    @hookimpl
    def ganbench_protocol():
        judged = Evaluating(
            samples=100, metrics=("density-coverage",), headline="coverage", extractor="raw", checks=1
        )
        return Protocol(
            name="NAME", dataset="ring", seeds=(0, 1), training=Training(budget_kimg=1, batch=50), evaluation=judged
        )
'''
TRICK = '''
    """A trick from elsewhere that changes nothing."""
    from ganbench import Trick, hookimpl
    @hookimpl
    def ganbench_trick(): return Trick()
'''
HOOK = "from ganbench import hookimpl\n@hookimpl\ndef ganbench_protocol"


class Shelf:
    """A folder of installed packages, as pip leaves it: modules, with a dist-info for each."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        folder.mkdir(parents=True)

    def add(self, package: str, points: Mapping[str, str], modules: Mapping[str, str], version: str = "1.0") -> None:
        """Install a package. ``points``: ``"loss/plain" -> module``; ``modules``: module -> its text."""
        info = self.folder / f"{package.replace('-', '_')}-{version}.dist-info"
        info.mkdir()
        groups = {key.partition("/")[0] for key in points}
        announced = [
            f"[ganbench.{group}]\n"
            + "".join(f"{k.partition('/')[2]} = {m}\n" for k, m in points.items() if k.startswith(group))
            for group in sorted(groups)
        ]
        files = {
            **{f"{module}.py": textwrap.dedent(text) for module, text in modules.items()},
            f"{info.name}/METADATA": f"Metadata-Version: 2.1\nName: {package}\nVersion: {version}\n",
            f"{info.name}/INSTALLER": "pip\n",
            f"{info.name}/entry_points.txt": "\n".join(announced),
        }
        for name, text in files.items():
            (self.folder / name).write_text(text, "utf-8")
        (info / "RECORD").write_text("".join(f"{name},,\n" for name in [*files, f"{info.name}/RECORD"]))

    def remove(self, package: str) -> None:
        """Uninstall it: what its RECORD lists is deleted."""
        (info,) = self.folder.glob(f"{package.replace('-', '_')}-*.dist-info")
        for line in (info / "RECORD").read_text().splitlines():
            (self.folder / line.partition(",")[0]).unlink()
        info.rmdir()


@pytest.fixture
def shelf(tmp_path: Path) -> Shelf:
    return Shelf(tmp_path / "shelf")


@pytest.fixture
def ganbench(tmp_path: Path) -> Command:
    """The installed command, with the packages of ``shelf``, in an empty folder."""
    return command_with(tmp_path / "shelf", tmp_path)


def plain_surroundings(shelf: Path) -> dict[str, str]:
    """The environment, with a shelf on the path and nothing set that changes what GANBench does."""
    known = surroundings(shelf, COLUMNS="200", NO_COLOR="1")
    return {name: value for name, value in known.items() if not name.startswith("GANBENCH_")}


def command_with(shelf: Path, home: Path) -> Command:
    """The installed command, with the packages of a shelf."""

    def call(*arguments: object, **variables: str) -> subprocess.CompletedProcess:
        return subprocess.run(
            [COMMAND, *map(str, arguments)],
            cwd=home,
            env={**plain_surroundings(shelf), **variables},
            capture_output=True,
            text=True,
            timeout=600,
            check=False,
        )

    return call


def names(listing: subprocess.CompletedProcess) -> set[tuple[str, str]]:
    """What ``ganbench plugins --json`` lists: (package, name)."""
    assert listing.returncode == 0, listing.stderr
    return {(entry["package"], entry["name"]) for entry in json.loads(listing.stdout)}


def refused(result: subprocess.CompletedProcess, *said: str) -> None:
    """An error that the user can fix: exit code 2, sentences, no traceback, nothing on standard output."""
    assert result.returncode == 2, result.stdout + result.stderr
    assert "Traceback" not in result.stderr
    assert not result.stdout
    for text in said:
        assert text in result.stderr, result.stderr


# -- broken in every way -------------------------------------------------------------------------------------

BROKEN = {
    "a module that is not there": (
        "import apex",
        "broken (ganbench-broken 2.0) cannot be used: ModuleNotFoundError: No module named 'apex'",
        "install apex, which ganbench-broken needs, or uninstall ganbench-broken",
    ),
    "its own module that is not there": (
        "import broken_protocol.missing",
        "broken (ganbench-broken 2.0) cannot be used: ModuleNotFoundError: No module named 'broken_protocol.missing'",
        "tell the author of ganbench-broken, or uninstall it",
    ),
    "an exit at import": (
        "raise SystemExit('no CUDA, good-bye')",
        "broken (ganbench-broken 2.0) cannot be used: SystemExit: no CUDA, good-bye",
        "tell the author of ganbench-broken",
    ),
    "an error of several lines": (
        "raise RuntimeError('one\\ntwo')",
        "broken (ganbench-broken 2.0) cannot be used: RuntimeError: one two",
        "run with --debug to see where",
    ),
    "no Python": ("def oops(:", "broken (ganbench-broken 2.0) cannot be used: SyntaxError", "--debug"),
    "no hook": (
        "x = 1",
        "broken (ganbench-broken 2.0) cannot be used: broken_protocol does not implement ganbench_protocol",
        "@hookimpl def ganbench_protocol(...)",
    ),
    "the hook of another kind": (
        "from ganbench import hookimpl\n@hookimpl\ndef ganbench_loss(): return 1",
        "does not implement ganbench_protocol; it implements ganbench_loss",
        "@hookimpl def ganbench_protocol(...)",
    ),
    "a misspelt hook": (
        "from ganbench import hookimpl\n@hookimpl\ndef ganbench_protocoll(): return {}",
        "cannot be used: unknown hook 'ganbench_protocoll' - did you mean 'ganbench_protocol'?",
        "hooks of ganbench ",
    ),
    "a hook of tomorrow": (
        f"{HOOK}(): return {{}}\n@hookimpl\ndef ganbench_schedule(steps): return steps",
        "built for a newer ganbench or misspells a name (unknown hook 'ganbench_schedule')",
        "pip install -U ganbench, or correct the name",
    ),
    "an argument of tomorrow": (
        f"{HOOK}(curriculum): return {{}}",
        "built for a newer ganbench or misspells a name (its ganbench_protocol asks for the argument 'curriculum'",
        "pip install -U ganbench",
    ),
    "a newer plugin API": (
        "from ganbench import SomethingNew\nGANBENCH_API = 99",
        "broken (ganbench-broken 2.0) was built for a newer ganbench: it needs plugin API 99, but this is",
        "pip install -U ganbench, or install an older ganbench-broken",
    ),
    "a newer plugin API, computed": (
        "GANBENCH_API = 98 + 1",
        "was built for a newer ganbench: it needs plugin API 99",
        "pip install -U ganbench",
    ),
    "a plugin API that is no number": ("GANBENCH_API = '1'", "its GANBENCH_API is '1'", "GANBENCH_API = 6"),
    "a name that ganbench does not have": (
        "from ganbench import SomethingNew",
        "ImportError: cannot import name 'SomethingNew' from 'ganbench'",
        "needs a newer ganbench than",
    ),
    "nothing returned": (f"{HOOK}(): pass", "returned None from ganbench_protocol", "return the object"),
    "a wrong type returned": (
        f"{HOOK}(): return 3",
        "broken (ganbench-broken 2.0) returned a int from ganbench_protocol",
        "ganbench_protocol must return a ganbench.Protocol",
    ),
    "a class returned": (
        f"{HOOK}(): return Rules\nclass Rules: pass",
        "returned the class Rules from ganbench_protocol",
        "return Rules()",
    ),
    "an error in the hook": (
        f"{HOOK}(): return 1 / 0",
        "broken (ganbench-broken 2.0) failed to build: ZeroDivisionError: division by zero",
        "--debug",
    ),
    "an exit in the hook": (f"{HOOK}(): raise SystemExit(7)", "failed to build: SystemExit: 7", "--debug"),
    "another name than announced": (
        textwrap.dedent(PROTOCOL).replace("NAME", "other"),
        "broken (ganbench-broken 2.0) provides a protocol that calls itself 'other'",
        "use the same name in both",
    ),
}


@pytest.mark.parametrize(("code", "said", "hint"), BROKEN.values(), ids=BROKEN)
def test_a_broken_plugin_is_reported_in_a_sentence_with_package_and_next_step(code, said, hint, shelf, ganbench):
    shelf.add("ganbench-broken", {"protocol/broken": "broken_protocol"}, {"broken_protocol": code}, version="2.0")
    refused(ganbench("protocols", "show", "broken"), said, hint)


def test_the_other_plugins_are_listed_and_run_beside_every_broken_one(shelf, ganbench):
    for number, (code, _, _) in enumerate(BROKEN.values()):
        module = f"broken_{number}"
        shelf.add(f"broken-{number}", {f"protocol/p{number}": module, f"loss/l{number}": module}, {module: code})
    points = {"loss/plain": "good_loss", "protocol/good-v1": "good_protocol"}
    shelf.add("ganbench-good", points, {"good_loss": LOSS, "good_protocol": PROTOCOL.replace("NAME", "good-v1")})
    listed = names(ganbench("plugins", "--json"))
    assert {("ganbench-good", "plain"), ("ganbench", "hinge")} < listed
    assert {(f"broken-{n}", f"{kind}{n}") for n in range(len(BROKEN)) for kind in "pl"} < listed
    result = ganbench("run", "--arch", "mlp", "--loss", "plain", "--protocol", "good-v1", "--seed", "0", "--json")
    assert result.returncode == 0, result.stderr
    assert [row["loss"]["name"] for row in json.loads(result.stdout)["rows"] if row["loss"]] == ["plain"]


def test_a_worker_says_what_is_wrong_with_a_broken_plugin(shelf, ganbench, quick):
    shelf.add("ganbench-broken", {"loss/broken": "broken_loss"}, {"broken_loss": "import apex"}, version="2.0")
    refused(
        ganbench("run", "--arch", "mlp", "--loss", "broken", "--protocol", quick, "--quiet"),
        "broken (ganbench-broken 2.0) cannot be used: ModuleNotFoundError: No module named 'apex'",
        "install apex, which ganbench-broken needs",
    )


def test_the_check_survives_a_crash_in_native_code_and_an_exit_at_import(shelf, ganbench):
    shelf.add("ganbench-crash", {"loss/crash": "crash"}, {"crash": "import ctypes\nctypes.string_at(0)"}, version="3.0")
    shelf.add("ganbench-exit", {"loss/exit": "leave"}, {"leave": "raise SystemExit('good-bye')"}, version="4.0")
    shelf.add("ganbench-good", {"loss/plain": "good_loss"}, {"good_loss": LOSS})
    result = ganbench("plugins", "--check", "--json", "ganbench-crash", "ganbench-exit", "ganbench-good")
    assert result.returncode == 1, result.stderr
    assert result.stderr == ""
    found = {entry["name"]: entry for entry in json.loads(result.stdout)}
    assert found["crash"]["status"] == found["exit"]["status"] == "unusable"
    assert "killed by SIGSEGV while being imported" in found["crash"]["message"]
    assert "exit (ganbench-exit 4.0) cannot be used: SystemExit: good-bye" in found["exit"]["message"]
    assert found["plain"]["status"] in {"ok", "found"}


def test_debug_shows_where_in_the_plugin_a_worker_failed(shelf, ganbench, quick):
    shelf.add("ganbench-broken", {"loss/broken": "broken_loss"}, {"broken_loss": "import apex"}, version="2.0")
    told = ganbench("run", "--arch", "mlp", "--loss", "broken", "--protocol", quick, "--debug").stdout
    assert "broken_loss.py" in told
    assert "Traceback" in told


@pytest.mark.slow
def test_what_is_broken_or_crashes_in_a_grid_is_reported_and_the_others_run(shelf, ganbench):
    crash = "import ctypes\nctypes.string_at(0)"
    shelf.add("ganbench-broken", {"loss/broken": "broken_loss"}, {"broken_loss": "import apex"}, version="2.0")
    shelf.add("ganbench-crash", {"loss/crash": "crash_loss"}, {"crash_loss": crash}, version="3.0")
    points = {"loss/plain": "good_loss", "protocol/good-v1": "good_protocol"}
    shelf.add("ganbench-good", points, {"good_loss": LOSS, "good_protocol": PROTOCOL.replace("NAME", "good-v1")})
    options = ("--arch", "mlp", "--protocol", "good-v1", "--seed", "0", "--json", "--jobs", "1")
    result = ganbench("run", "--loss", "broken,crash,plain", *options)
    assert result.returncode == 1
    assert [row["loss"]["name"] for row in json.loads(result.stdout)["rows"] if row["loss"]] == ["plain"]
    assert "left out: broken (ganbench-broken 2.0) cannot be used: ModuleNotFoundError" in result.stderr
    assert "mlp+crash, seed 0: the worker process died: killed by SIGSEGV before the run began" in result.stderr
    refused(ganbench("run", "--loss", "crash", *options[:-3], "--quiet"), "killed by SIGSEGV before the run began")


def test_one_malformed_package_costs_nobody_but_itself(shelf, ganbench):
    """If one entry_points.txt is malformed, importlib.metadata returns no package's."""
    shelf.add("ganbench-good", {"loss/plain": "good_loss"}, {"good_loss": LOSS})
    shelf.add("malformed", {"loss/odd": "odd"}, {"odd": LOSS}, version="3.0")
    (shelf.folder / "malformed-3.0.dist-info" / "entry_points.txt").write_text("[ganbench.loss]\nodd\n")
    result = ganbench("plugins", "--json")
    assert {("ganbench-good", "plain"), ("ganbench", "hinge")} < names(result)
    warning = (
        "warning: skipped malformed 3.0, because its entry_points.txt is malformed; reinstall it, or tell its author\n"
    )
    assert result.stderr == warning


def test_a_package_whose_metadata_are_gone_is_called_as_its_folder_is(shelf, ganbench):
    shelf.add("ganbench-bare", {"loss/plain": "good_loss"}, {"good_loss": LOSS}, version="4.0")
    (shelf.folder / "ganbench_bare-4.0.dist-info" / "METADATA").unlink()
    assert ("ganbench_bare", "plain") in names(ganbench("plugins", "--json"))


def test_an_entry_point_that_names_a_class_is_told_how_it_is_written(shelf, ganbench):
    module = {"good_protocol": PROTOCOL.replace("NAME", "good-v1")}
    shelf.add("ganbench-wrong", {"protocol/good-v1": "good_protocol:Rules"}, module)
    said = "its entry point 'good_protocol:Rules' is not a module name"
    refused(ganbench("protocols", "show", "good-v1"), said, 'its author must write: good-v1 = "good_protocol"')


# -- names ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("kind", "name", "option"),
    [("loss", "hinge", "--loss "), ("trick", "ema", "--trick "), ("protocol", "ring-v1", "")],
)
def test_one_name_in_two_packages_is_asked_about_and_told_apart_by_the_package(kind, name, option, shelf, ganbench):
    shelf.add("other-package", {f"{kind}/{name}": "other_module"}, {"other_module": "import apex"}, version="5.0")
    choice = {"loss": "hinge", "protocol": "smoke-v1", "trick": "ema", kind: name}
    command = ("run", "--arch", "mlp", *(x for k in ("loss", "protocol", "trick") for x in (f"--{k}", choice[k])))
    version = next(e["version"] for e in json.loads(ganbench("plugins", "--json").stdout) if e["package"] == "ganbench")
    refused(
        ganbench(*command),
        f"2 packages provide the {kind} '{name}': ganbench {version}, other-package 5.0",
        f"choose one: {option}ganbench:{name} or {option}other-package:{name}",
    )


def test_of_two_with_one_name_each_can_be_had(shelf, ganbench):
    module = {"other_protocol": PROTOCOL.replace("NAME", "ring-v1")}
    shelf.add("other_package", {"protocol/ring-v1": "other_protocol"}, module)
    assert "budget_kimg = 1\n" in ganbench("protocols", "show", "other_package:ring-v1").stdout
    assert "budget_kimg = 1\n" in ganbench("protocols", "show", "Other-Package:ring-v1").stdout
    assert "Gaussians" in ganbench("protocols", "show", "ganbench:ring-v1").stdout


def test_a_package_may_be_called_like_its_component(shelf, ganbench):
    """The worker is handed the reference ``package:name``, here ``good-v1:good-v1``: no argument of ``good-v1``."""
    module = {"good_protocol": PROTOCOL.replace("NAME", "good-v1")}
    shelf.add("good-v1", {"protocol/good-v1": "good_protocol"}, module)
    for text in ("good-v1", "good-v1:good-v1"):
        assert "ring" in ganbench("protocols", "show", text).stdout


def test_one_package_that_announces_a_name_twice_is_told_so(shelf, ganbench):
    shelf.add("ganbench-twice", {"protocol/x": "one"}, {"one": "", "two": ""})
    with (shelf.folder / "ganbench_twice-1.0.dist-info" / "entry_points.txt").open("a") as file:
        file.write("x = two\n")
    said = "x (ganbench-twice 1.0) is declared more than once: one, two"
    refused(ganbench("protocols", "show", "x"), said, "its author must give each a different name")


def test_one_module_under_two_names_is_two_components(shelf, ganbench):
    code = PROTOCOL.replace('"NAME"', "NAMES.pop(0)") + '\n    NAMES = ["one", "two"]'
    shelf.add("ganbench-good", {"protocol/one": "both", "protocol/two": "both"}, {"both": code})
    script = (
        "from ganbench.plugins.protocols import load_protocol\n"
        "assert [load_protocol(name).name for name in ('one', 'two')] == ['one', 'two']"
    )
    subprocess.run([sys.executable, "-c", script], env=plain_surroundings(shelf.folder), check=True)
    assert {("ganbench-good", "one"), ("ganbench-good", "two")} < names(ganbench("plugins", "--json"))


@pytest.mark.slow
def test_a_protocol_runs_though_another_package_has_a_metric_of_the_same_name(shelf, ganbench):
    modules = {"rival": "import apex"}
    shelf.add("rival", {"metric/fid": "rival", "dataset/digits": "rival", "extractor/digits-cnn": "rival"}, modules)
    result = ganbench("run", "--arch", "mlp", "--loss", "hinge", "--protocol", "smoke-v1", "--quiet")
    assert result.returncode == 0, result.stderr


# -- the allow-list ------------------------------------------------------------------------------------------


def test_the_allow_list_admits_named_packages_only_and_says_so(shelf, ganbench):
    shelf.add("Good_Package", {"loss/plain": "good_loss"}, {"good_loss": LOSS})
    shelf.add("other-package", {"loss/other": "other_loss"}, {"other_loss": LOSS})
    assert {package for package, _ in names(ganbench("plugins", "--json", GANBENCH_PLUGINS="good-package"))} == {
        "Good_Package"
    }
    both = names(ganbench("plugins", "--json", GANBENCH_PLUGINS=" ganbench , good.package"))
    assert {package for package, _ in both} == {"ganbench", "Good_Package"}
    refused(
        ganbench("run", "--arch", "mlp", "--loss", "other", GANBENCH_PLUGINS="ganbench"),
        "other (other-package 1.0) is not allowed: GANBENCH_PLUGINS allows only ganbench",
        "add other-package to GANBENCH_PLUGINS",
    )


def test_what_the_allow_list_keeps_out_takes_no_name_from_anybody(shelf, ganbench):
    shelf.add("other-package", {"protocol/ring-v1": "other"}, {"other": "raise SystemExit"})
    assert ganbench("protocols", "show", "ring-v1").returncode == 2
    assert ganbench("protocols", "show", "ring-v1", GANBENCH_PLUGINS="ganbench").returncode == 0


# -- packages that are slow, and many ------------------------------------------------------------------------


def test_listing_help_hints_and_completion_import_no_plugin(shelf, ganbench, tmp_path):
    code = f'"""Slow."""\nimport pathlib, time\npathlib.Path({str(tmp_path / "imported")!r}).touch()\ntime.sleep(60)'
    shelf.add("ganbench-slow", {"loss/slow": "slow_module", "protocol/slow-v1": "slow_module"}, {"slow_module": code})
    assert "slow" in ganbench("plugins").stdout
    assert "slow-v1" in ganbench("protocols", "list").stdout
    assert "slow" in ganbench("run", "--arch", "mlp", "--loss", "slo").stderr
    assert "slow" in ganbench("run", "--arch", "mlp").stderr
    assert ganbench("run", "--help").returncode == 0
    asked = {"COMP_WORDS": "ganbench leaderboard sl", "COMP_CWORD": "2", "_GANBENCH_COMPLETE": "complete_bash"}
    assert ganbench(**asked).stdout.split() == ["slow-v1"]
    assert not (tmp_path / "imported").exists()


SPY = """
import atexit, json, sys
opened = []
def hook(event, arguments):
    if event == "open" and isinstance(arguments[0], str) and "dist-info" in arguments[0]:
        opened.append(arguments[0])
sys.addaudithook(hook)
atexit.register(lambda: print(json.dumps(opened), file=open("opened.json", "w")))
"""


@pytest.fixture
def crowd(tmp_path: Path) -> Shelf:
    """300 distributions that have nothing to do with GANBench, commands of their own and a long description."""
    shelf = Shelf(tmp_path / "crowd")
    for number in range(300):
        shelf.add(f"stranger-{number}", {}, {f"stranger_{number}": "raise SystemExit"})
        info = shelf.folder / f"stranger_{number}-1.0.dist-info"
        (info / "entry_points.txt").write_text(f"[console_scripts]\nstranger{number} = stranger_{number}:main\n")
        with (info / "METADATA").open("a") as file:
            file.write("\n" + "A long description.\n" * 500)
    return shelf


def test_of_300_other_distributions_a_listing_reads_the_entry_points_once(crowd, tmp_path):
    (crowd.folder / "sitecustomize.py").write_text(SPY)
    assert names(command_with(crowd.folder, tmp_path)("plugins", "--json"))
    opened = [Path(path) for path in json.loads((tmp_path / "opened.json").read_text())]
    strangers = [path for path in opened if path.parent.name.startswith("stranger")]
    assert {path.name for path in strangers} == {"entry_points.txt"}
    assert len(strangers) == len(set(strangers)) == 300


COUNTER = """
import atexit, sys
calls = 0
def look(frame, event, argument):
    global calls
    calls += event == "call"
sys.setprofile(look)
atexit.register(lambda: print(calls, file=open("calls", "w")))
"""


def test_listing_beside_300_other_distributions_costs_little_more(crowd, shelf, tmp_path):
    """Counted in calls of Python functions: no clock has a part in it."""
    calls = []
    for folder in (shelf.folder, crowd.folder):
        (folder / "sitecustomize.py").write_text(COUNTER)
        assert command_with(folder, tmp_path)("plugins").returncode == 0
        calls.append(int((tmp_path / "calls").read_text()))
    alone, among_many = calls
    print(f"listing: {alone} calls alone, {among_many} beside 300 distributions")
    assert among_many < 1.5 * alone


# -- packages that are gone ----------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def orphans(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with runs of a loss and a protocol whose package was then uninstalled."""
    home = tmp_path_factory.mktemp("orphans")
    shelf = Shelf(home / "shelf")
    points = {"loss/plain": "good_loss", "protocol/good-v1": "good_protocol", "trick/flip": "good_trick"}
    modules = {"good_loss": LOSS, "good_protocol": PROTOCOL.replace("NAME", "good-v1"), "good_trick": TRICK}
    shelf.add("ganbench-good", points, modules)
    for options in (["--loss", "plain,hinge"], ["--loss", "hinge", "--trick", "flip"]):
        result = command_with(shelf.folder, home)("run", "--arch", "mlp", "--protocol", "good-v1", "--quiet", *options)
        assert result.returncode == 0, result.stderr
    shelf.remove("ganbench-good")
    (home / "runs").rename(home / "kept")
    return home


def test_the_leaderboard_of_an_uninstalled_protocol_still_renders(orphans):
    ganbench = command_with(orphans / "shelf", orphans)
    result = ganbench("leaderboard", "good-v1", "--runs", "kept")
    assert result.returncode == 0, result.stderr
    rows = [line.replace("‡", "").split()[1:3] for line in result.stdout.splitlines() if re.search(r" mlp‡? ", line)]
    assert sorted(loss for _, loss in rows)[:2] == ["hinge", "hinge"]
    assert ["mlp", "plain"] in rows
    assert "edited" not in result.stdout
    table = json.loads(ganbench("leaderboard", "good-v1", "--runs", "kept", "--format", "json").stdout)
    assert table["protocol"] == "good-v1"


def test_runs_of_an_uninstalled_package_can_be_shown_and_compared(orphans):
    ganbench = command_with(orphans / "shelf", orphans)
    shown = ganbench("show", "kept/good-v1/mlp+plain", "--all")
    assert shown.returncode == 0, shown.stderr
    assert "plain (ganbench-good 1.0)" in shown.stdout
    for given in (
        ("mlp+plain", "mlp+hinge", "--protocol", "good-v1", "--runs", "kept"),
        ("kept/good-v1/mlp+plain", "kept/good-v1/mlp+hinge"),
    ):
        result = ganbench("compare", *given)
        assert result.returncode == 0, result.stderr
        assert "coverage" in result.stdout


def test_what_needs_the_uninstalled_package_says_which(orphans):
    ganbench = command_with(orphans / "shelf", orphans)
    refused(
        ganbench("reproduce", "kept/good-v1/mlp+plain/seed0"),
        "the record was made under the protocol 'good-v1', which is not installed",
        "install the package that provides it, or give its rules: --protocol FILE.toml",
    )
    refused(
        ganbench("sample", "kept/good-v1/mlp+plain/seed0"),
        "no loss 'plain' from a package 'ganbench-good' is installed",
    )
    refused(
        ganbench("leaderboard", "good-v1", "--runs", "kept", "--write"),
        "the protocol 'good-v1' is not installed",
        "install the package that provides it",
    )


# -- packages of another age ---------------------------------------------------------------------------------

DEPRECATED = """
    import sys, types
    import pluggy
    from ganbench.cli.main import main
    from ganbench.plugins import hookspecs, loading

    hookspec = pluggy.HookspecMarker("ganbench")
    later = types.ModuleType("later")
    vars(later).update(vars(hookspecs))

    @hookspec(warn_on_impl=FutureWarning("ganbench_protocol goes in 0.9: use ganbench_rules"))
    def ganbench_protocol(): ...

    @hookspec(warn_on_impl_args={"width": FutureWarning("the argument width goes in 0.9: use data.width")})
    def ganbench_arch(data, d_norm, width, z_dim): ...

    later.ganbench_protocol, later.ganbench_arch = ganbench_protocol, ganbench_arch
    loading.hookspecs = later
    if __name__ == "__main__":
        main()
"""


def test_a_deprecated_hook_is_told_once_in_one_line_and_works(shelf, tmp_path):
    shelf.add("ganbench-elder", {"protocol/good-v1": "good"}, {"good": PROTOCOL.replace("NAME", "good-v1")})
    script = tmp_path / "later.py"
    script.write_text(textwrap.dedent(DEPRECATED))
    result = subprocess.run(
        [sys.executable, script, "protocols", "show", "good-v1"],
        env=plain_surroundings(shelf.folder),
        capture_output=True,
        text=True,
        check=True,
    )
    said = "good-v1 (ganbench-elder 1.0): ganbench_protocol goes in 0.9: use ganbench_rules"
    assert result.stderr == f"warning: {said}\n"
    assert "ring" in result.stdout


@pytest.mark.slow
def test_what_a_workers_plugin_does_that_is_deprecated_is_told_once_by_the_command(shelf, tmp_path):
    code = """
        from ganbench import GAN, hookimpl
        from torch import nn
        @hookimpl
        def ganbench_arch(data, width):
            return GAN(nn.Linear(8, 2), nn.Sequential(nn.Linear(2, 1), nn.Flatten(0)), 8)
    """
    points = {"arch/tiny": "tiny", "protocol/good-v1": "good"}
    shelf.add("ganbench-elder", points, {"tiny": code, "good": PROTOCOL.replace("NAME", "good-v1")})
    (shelf.folder / "sitecustomize.py").write_text(textwrap.dedent(DEPRECATED))  # which every process begins with
    options = ["--arch", "tiny", "--loss", "minimax", "--protocol", "good-v1", "--quiet", "--jobs", "2"]
    result = subprocess.run(
        [sys.executable, "-m", "ganbench", "run", *options],
        cwd=tmp_path,
        env=plain_surroundings(shelf.folder),
        capture_output=True,
        text=True,
        check=True,
    )
    said = "tiny (ganbench-elder 1.0): the argument width goes in 0.9: use data.width"
    assert result.stderr.count(said) == 1
    assert f"warning: {said}\n" in result.stderr


# -- packages as their authors make them ---------------------------------------------------------------------

PYPROJECT = """
    [build-system]
    requires = ["hatchling"]
    build-backend = "hatchling.build"

    [project]
    name = "ganbench-wheel"
    version = "6.1"

    [project.entry-points."ganbench.protocol"]
    wheel-v1 = "ganbench_wheel.rules"
"""


def test_a_wheel_that_hatchling_builds_and_pip_installs_is_found_and_used(shelf, ganbench, tmp_path):
    project = tmp_path / "project"
    (project / "ganbench_wheel").mkdir(parents=True)
    (project / "pyproject.toml").write_text(textwrap.dedent(PYPROJECT))
    (project / "ganbench_wheel" / "__init__.py").write_text("")
    (project / "ganbench_wheel" / "rules.py").write_text(textwrap.dedent(PROTOCOL.replace("NAME", "wheel-v1")))
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--no-index", "--no-build-isolation"]
    subprocess.run([*pip, "--target", shelf.folder, project], check=True, capture_output=True, text=True)
    (entry,) = [e for e in json.loads(ganbench("plugins", "--json").stdout) if e["name"] == "wheel-v1"]
    assert (entry["package"], entry["version"]) == ("ganbench-wheel", "6.1")
    assert entry["summary"] == "Rules from elsewhere, over in a moment."
    assert 'name = "wheel-v1"' in ganbench("protocols", "show", "wheel-v1").stdout
