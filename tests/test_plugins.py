"""Discovery: metadata first, one manager a plugin, and every way a third party's package can be wrong."""

from __future__ import annotations

import ast
import json
import subprocess
import sys
from pathlib import Path

import pytest

import ganbench
from ganbench import plugins
from ganbench.errors import PluginError

GOOD_LOSS = '''
    """A loss from elsewhere."""
    from ganbench import hookimpl
    class Plain:
        def d_loss(self, D, real, fake): return D(fake).mean() - D(real).mean()
        def g_loss(self, D, real, fake): return -D(fake).mean()
    @hookimpl
    def ganbench_loss(): return Plain()
'''


def test_every_announced_component_can_be_found_and_describes_itself_in_one_line() -> None:
    sources = [s for s in plugins.installed() if s.package == "ganbench"]
    assert {s.kind for s in sources} == set(plugins.KINDS)
    for source in sources:
        assert source.file is not None, source
        assert 10 < len(source.summary) < 130, source


def test_no_module_of_the_core_imports_the_baselines() -> None:
    core = Path(ganbench.__file__).parent
    for file in core.rglob("*.py"):
        for node in ast.walk(ast.parse(file.read_text())):
            names = []
            if isinstance(node, ast.Import):
                names = [alias.name for alias in node.names]
            elif isinstance(node, ast.ImportFrom):
                names = [node.module or ""]
            assert not any(name.startswith("ganbench_baselines") for name in names), file


@pytest.mark.parametrize("arguments", [["--help"], ["plugins"], ["protocols", "list"], ["run", "--help"]])
def test_help_and_listings_import_no_torch(arguments: list[str], tmp_path) -> None:
    code = (
        "import sys\nfrom ganbench.cli import main\n"
        f"sys.argv = ['ganbench', *{arguments!r}]\n"
        "try: main()\nexcept SystemExit: pass\n"
        "heavy = {'torch', 'torchvision', 'scipy', 'pandas', 'sklearn', 'numpy', 'ganbench_baselines.arch.dcgan'}\n"
        "print('HEAVY', sorted(heavy & set(sys.modules)))"
    )
    out = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=True).stdout
    assert out.splitlines()[-1] == "HEAVY []"


def test_a_typo_gets_a_suggestion_and_the_list_of_what_is_installed(ganbench_command) -> None:
    result = ganbench_command("run", "--arch", "dcgn", "--loss", "wgan-gp")
    assert result.returncode == 2
    assert "no arch called 'dcgn' - did you mean 'dcgan'?" in result.stderr
    assert "mlp" in result.stderr
    assert "Traceback" not in result.stderr


def test_a_third_partys_loss_is_listed_with_its_package_and_version(ganbench_command, install) -> None:
    install("ganbench-elsewhere", "loss", "plain", GOOD_LOSS, version="2.3")
    listed = json.loads(ganbench_command("plugins", "--json").stdout)
    mine = next(entry for entry in listed if entry["name"] == "plain")
    assert mine == {
        "kind": "loss",
        "name": "plain",
        "summary": "A loss from elsewhere.",
        "package": "ganbench-elsewhere",
        "version": "2.3",
    }


def test_two_packages_with_one_name_are_told_apart_by_the_package(ganbench_command, install) -> None:
    install("other-package", "loss", "wgan-gp", GOOD_LOSS)
    clash = ganbench_command("run", "--arch", "dcgan", "--loss", "wgan-gp")
    assert clash.returncode == 2
    assert "2 packages provide the loss 'wgan-gp'" in clash.stderr
    assert "--loss other-package:wgan-gp" in clash.stderr
    chosen = ganbench_command("run", "--arch", "dcgn", "--loss", "other-package:wgan-gp")
    assert "2 packages" not in chosen.stderr


def test_an_allow_list_hides_every_other_package(ganbench_command, install) -> None:
    install("other-package", "loss", "wgan-gp", GOOD_LOSS)
    result = ganbench_command("plugins", "--json", env={"GANBENCH_PLUGINS": "ganbench"})
    assert {entry["package"] for entry in json.loads(result.stdout)} == {"ganbench"}


@pytest.mark.parametrize(
    ("code", "said"),
    [
        ("import apex_that_is_not_there", "ModuleNotFoundError: No module named 'apex_that_is_not_there'"),
        ("raise SystemExit('bye')", "SystemExit: bye"),
        ("def oops(:", "SyntaxError"),
        ("x = 1", "does not implement ganbench_loss"),
        ("from ganbench import hookimpl\n@hookimpl\ndef ganbench_los(): return 1", "unknown hook 'ganbench_los'"),
        ("from ganbench import hookimpl\n@hookimpl\ndef ganbench_loss(colour): return 1", "colour"),
        ("from ganbench import hookimpl\n@hookimpl\ndef ganbench_loss(): return None", "returned None"),
        ("from ganbench import hookimpl\n@hookimpl\ndef ganbench_loss(): return 1 / 0", "ZeroDivisionError"),
    ],
)
def test_a_broken_plugin_is_named_with_its_package_and_its_fault(code, said, install, site, monkeypatch) -> None:
    install("ganbench-broken", "loss", "broken", code, version="2.0", module=f"broken_{abs(hash(code))}")
    monkeypatch.syspath_prepend(site)
    plugins.installed.cache_clear()
    try:
        with pytest.raises(PluginError) as caught:
            plugins.build(plugins.find("loss", "broken"))
        assert "broken (ganbench-broken 2.0)" in caught.value.message
        assert said in caught.value.message
        assert plugins.build(plugins.find("loss", "hinge")) is not None, "the next plugin must not suffer"
    finally:
        monkeypatch.undo()
        plugins.installed.cache_clear()


def test_a_broken_plugin_is_listed_without_being_imported(ganbench_command, install) -> None:
    install("ganbench-broken", "loss", "broken", '"""Broken, but it has a line."""\nraise RuntimeError')
    result = ganbench_command("plugins")
    assert result.returncode == 0
    assert "Broken, but it has a line." in result.stdout


def test_nothing_is_loaded_from_the_working_directory(ganbench_command, tmp_path) -> None:
    (tmp_path / "evil-1.0.dist-info").mkdir()
    (tmp_path / "evil-1.0.dist-info" / "entry_points.txt").write_text("[ganbench.loss]\nevil = evil\n")
    (tmp_path / "evil-1.0.dist-info" / "METADATA").write_text("Metadata-Version: 2.1\nName: evil\nVersion: 1.0\n")
    code = "import sys; sys.argv = ['ganbench', 'plugins']; from ganbench.cli import main; main()"
    script = tmp_path / "bin" / "ganbench"
    script.parent.mkdir()
    script.write_text(code)
    out = subprocess.run([sys.executable, script], cwd=tmp_path, capture_output=True, text=True, check=True).stdout
    assert "dcgan" in out
    assert "evil" not in out


def test_an_argument_after_the_colon_reaches_the_plugin() -> None:
    source = plugins.find("dataset", "folder:some/path:with-colon")
    assert (source.name, source.argument) == ("folder", "some/path:with-colon")
    again = plugins.find("dataset", source.reference)
    assert again == source


def test_all_and_commas_name_each_component_once() -> None:
    everything = plugins.find_many("arch", ["all"])
    assert plugins.find_many("arch", ["dcgan,mlp", "mlp"]) == [
        plugins.find("arch", "dcgan"),
        plugins.find("arch", "mlp"),
    ]
    assert len(everything) == len(plugins.of_kind("arch"))


def test_an_argument_that_a_plugin_does_not_take_is_refused() -> None:
    with pytest.raises(PluginError, match=r"digits \(ganbench .*\) takes no argument, but was given 'foo'"):
        plugins.build(plugins.find("dataset", "digits:foo"), argument="foo", resolution=16)
