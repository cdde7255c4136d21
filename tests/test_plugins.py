"""Discovery: metadata first, one manager per plugin, and every way a third-party package can be wrong."""

from __future__ import annotations

import ast
import inspect
import json
import re
import subprocess
import sys
import types
from pathlib import Path

import pluggy
import pytest
from toy import LOSS
from typer.testing import CliRunner

import ganbench
from ganbench import plugins
from ganbench.cli.main import app
from ganbench.contracts.executor import UNPACKAGED
from ganbench.errors import PluginError
from ganbench.plugins import hookspecs, loading

API = {
    1: {
        "ganbench_arch": ("data", "d_norm", "width", "z_dim"),
        "ganbench_loss": (),
        "ganbench_trick": ("argument",),
        "ganbench_metric": (),
        "ganbench_dataset": ("argument", "resolution"),
        "ganbench_protocol": (),
        "ganbench_extractor": ("argument",),
    },
    2: {
        "ganbench_arch": ("data", "d_norm", "width", "z_dim", "settings"),
        "ganbench_loss": (),
        "ganbench_trick": ("argument",),
        "ganbench_metric": (),
        "ganbench_dataset": ("argument", "resolution"),
        "ganbench_protocol": (),
        "ganbench_extractor": ("argument",),
    },
    3: {
        "ganbench_arch": ("data", "d_norm", "width", "z_dim", "settings"),
        "ganbench_loss": (),
        "ganbench_trick": ("argument",),
        "ganbench_metric": (),
        "ganbench_dataset": ("argument", "resolution"),
        "ganbench_protocol": (),
        "ganbench_extractor": ("argument",),
    },
    4: {
        "ganbench_arch": ("data", "d_norm", "width", "z_dim", "settings"),
        "ganbench_loss": (),
        "ganbench_trick": ("argument",),
        "ganbench_metric": (),
        "ganbench_dataset": ("argument", "resolution"),
        "ganbench_protocol": (),
        "ganbench_extractor": ("argument",),
        "ganbench_download": (),
    },
    5: {
        "ganbench_arch": ("data", "d_norm", "width", "z_dim", "settings"),
        "ganbench_loss": (),
        "ganbench_trick": ("argument",),
        "ganbench_metric": (),
        "ganbench_dataset": ("argument", "resolution"),
        "ganbench_protocol": (),
        "ganbench_extractor": ("argument",),
        "ganbench_download": (),
        "ganbench_samples": ("path", "data"),
    },
    6: {
        "ganbench_arch": ("data", "d_norm", "width", "z_dim", "settings"),
        "ganbench_loss": (),
        "ganbench_trick": ("argument",),
        "ganbench_metric": (),
        "ganbench_dataset": ("argument", "resolution"),
        "ganbench_protocol": (),
        "ganbench_extractor": ("argument",),
        "ganbench_executor": ("argument", "places"),
        "ganbench_download": (),
        "ganbench_samples": ("path", "data"),
    },
}
"""Every plugin API there has been: hook -> its arguments. A new one is added below, with a higher ``API_VERSION``."""


def test_every_announced_component_can_be_found_and_describes_itself_in_one_line() -> None:
    sources = [s for s in plugins.installed() if s.package == "ganbench"]
    assert {s.kind for s in sources} == set(hookspecs.KINDS)
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


def test_baselines_and_the_example_import_from_ganbench_alone_like_anybody_else() -> None:
    root = Path(__file__).parents[1] / "plugins"
    files = [*root.glob("ganbench_baselines/**/*.py"), *root.glob("ganbench-example/ganbench_example/*.py")]
    assert len(files) > 100
    for file in files:
        for node in ast.walk(ast.parse(file.read_text())):
            if isinstance(node, ast.ImportFrom):
                assert not (node.module or "").startswith("ganbench."), f"{file.name}: from {node.module}"
            elif isinstance(node, ast.Import):
                assert not any(alias.name.startswith("ganbench.") for alias in node.names), file.name


@pytest.mark.parametrize("arguments", [["--help"], ["plugins"], ["protocols", "list"], ["run", "--help"]])
def test_help_and_listings_import_no_torch(arguments: list[str], tmp_path) -> None:
    code = (
        "import sys\nfrom ganbench.cli.main import main\n"
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
    install("ganbench-elsewhere", "loss", "plain", LOSS, version="2.3")
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
    install("other-package", "loss", "wgan-gp", LOSS)
    clash = ganbench_command("run", "--arch", "dcgan", "--loss", "wgan-gp")
    assert clash.returncode == 2
    assert "2 packages provide the loss 'wgan-gp'" in clash.stderr
    assert "--loss other-package:wgan-gp" in clash.stderr
    chosen = ganbench_command("run", "--arch", "dcgn", "--loss", "other-package:wgan-gp")
    assert "2 packages" not in chosen.stderr


def test_an_allow_list_hides_every_other_package(ganbench_command, install) -> None:
    install("other-package", "loss", "wgan-gp", LOSS)
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
def test_a_broken_plugin_is_named_with_its_package_and_its_fault(code, said, install_here) -> None:
    install_here("ganbench-broken", "loss", "broken", code, version="2.0", module=f"broken_{abs(hash(code))}")
    with pytest.raises(PluginError) as caught:
        plugins.build(plugins.find("loss", "broken"))
    assert "broken (ganbench-broken 2.0)" in caught.value.message
    assert said in caught.value.message
    assert plugins.build(plugins.find("loss", "hinge")) is not None, "the next plugin must not suffer"


def test_a_broken_plugin_is_listed_without_being_imported(ganbench_command, install) -> None:
    install("ganbench-broken", "loss", "broken", '"""Broken, but it has a line."""\nraise RuntimeError')
    result = ganbench_command("plugins", "loss")
    assert result.returncode == 0
    assert "Broken, but it has a line." in result.stdout


def test_nothing_is_loaded_from_the_working_directory(ganbench_command, tmp_path) -> None:
    (tmp_path / "evil-1.0.dist-info").mkdir()
    (tmp_path / "evil-1.0.dist-info" / "entry_points.txt").write_text("[ganbench.loss]\nevil = evil\n")
    (tmp_path / "evil-1.0.dist-info" / "METADATA").write_text("Metadata-Version: 2.1\nName: evil\nVersion: 1.0\n")
    code = "import sys; sys.argv = ['ganbench', 'plugins']; from ganbench.cli.main import main; main()"
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


# -- the plugin API ------------------------------------------------------------------------------------------


def test_hooks_are_those_of_the_newest_plugin_api_on_record() -> None:
    hooks = {name: hook for name, hook in vars(hookspecs).items() if name.startswith("ganbench_")}
    today = {name: tuple(inspect.signature(hook).parameters) for name, hook in hooks.items()}
    assert max(API) == hookspecs.API_VERSION
    assert today == API[max(API)], "an argument was added, removed or moved: see the note on API above"


def test_arguments_are_only_ever_added() -> None:
    for version in range(2, max(API) + 1):
        for hook, arguments in API[version - 1].items():
            assert API[version][hook][: len(arguments)] == arguments, (version, hook)


def test_names_that_plugins_import_stay() -> None:
    promised = {
        *("GAN", "Batch", "DataError", "DataSpec", "Dataset", "Evaluating", "Evaluation", "Extractor", "Features"),
        *("GanbenchError", "Lazy", "Match", "Oracle", "Protocol", "Split", "Training", "Trick", "Turn", "Unsupported"),
        "hookimpl",
    }
    assert promised <= set(ganbench.__all__)


@pytest.fixture
def elder(install_here, monkeypatch):
    """A plugin written long ago, loaded by a newer GANBench: two arguments and a hook are deprecated."""
    hookspec = pluggy.HookspecMarker("ganbench")
    later = types.ModuleType("later")
    vars(later).update(vars(hookspecs))

    @hookspec(warn_on_impl_args={"width": FutureWarning("the argument 'width' goes in 0.9: use data.width")})
    def ganbench_arch(data, d_norm, width, z_dim): ...

    later.ganbench_arch = ganbench_arch
    monkeypatch.setattr(loading, "hookspecs", later)
    yield lambda code, module: install_here("ganbench-elder", "arch", module, code, module=module)
    loading.load.cache_clear()


USES_WIDTH = """
    from ganbench import hookimpl
    @hookimpl
    def ganbench_arch(data, width): ...
"""


def test_a_deprecated_argument_warns_its_users_with_plugin_package_and_place(elder) -> None:
    elder(USES_WIDTH, "uses_width")
    with pytest.warns(loading.PluginWarning) as caught:
        loading.load(plugins.find("arch", "uses_width"))
    assert [str(said.message) for said in caught] == [
        "uses_width (ganbench-elder 1.0): the argument 'width' goes in 0.9: use data.width"
    ]
    assert Path(caught[0].filename).name == "uses_width.py"


def test_a_deprecated_argument_is_told_once(elder) -> None:
    elder(USES_WIDTH, "uses_width_twice")
    source = plugins.find("arch", "uses_width_twice")
    with pytest.warns(loading.PluginWarning):
        loading.load(source)
    loading.load(source)


def test_who_does_not_use_a_deprecated_argument_hears_nothing(elder) -> None:
    elder(USES_WIDTH.replace(", width", ""), "uses_no_width")
    loading.load(plugins.find("arch", "uses_no_width"))


def test_an_argument_with_a_default_may_be_one_that_older_versions_do_not_give(install_here) -> None:
    code = "from ganbench import hookimpl\n@hookimpl\ndef ganbench_loss(tomorrow=None): return None"
    install_here("ganbench-both", "loss", "both-ways", code)
    loading.load(plugins.find("loss", "both-ways"))


# -- names ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", hookspecs.KINDS)
def test_a_reference_always_leads_back_to_its_source(kind: str) -> None:
    for source in plugins.of_kind(kind):
        assert plugins.find(kind, source.reference) == source


@pytest.fixture
def rivals(install_here) -> None:
    """A package that also provides a metric called ``fid``, and a protocol."""
    install_here("rival", "metric", "fid", "", module="rival_fid")
    install_here("rival", "protocol", "rival-v1", "", module="rival_protocol")


def test_a_protocol_means_its_own_packages_components_whatever_else_is_installed(rivals) -> None:
    assert plugins.find_for("digits-16-v1", "metric", "fid").package == "ganbench"
    assert plugins.find_for("rival-v1", "metric", "fid").package == "rival"
    assert plugins.find_for("rival-v1", "metric", "kid").package == "ganbench"
    assert plugins.find_for("digits-16-v1", "metric", "rival:fid").package == "rival"
    with pytest.raises(PluginError, match="2 packages provide the metric 'fid'"):
        plugins.find_for("of-nobody", "metric", "fid")
    with pytest.raises(PluginError) as caught:
        plugins.find("metric", "fid")
    assert caught.value.hint == "choose one: ganbench:fid or rival:fid"


def test_what_python_hands_over_is_found_by_its_reference_and_listed_nowhere() -> None:
    mine = plugins.Source("loss", "hinge", UNPACKAGED, "0", "somewhere")
    with pytest.raises(PluginError, match="the loss 'not-handed-over' is not in a package"):
        plugins.find("loss", f"{UNPACKAGED}:not-handed-over")
    plugins.hand_over(mine)
    assert plugins.find("loss", mine.reference) == mine
    assert plugins.find("loss", "hinge").package == "ganbench"
    assert mine not in plugins.of_kind("loss")


def test_a_typo_before_an_argument_gets_a_suggestion_with_the_argument() -> None:
    with pytest.raises(PluginError, match="no dataset called 'fodler:my/images' - did you mean 'folder:my/images'"):
        plugins.find("dataset", "fodler:my/images")


def test_settings_of_named_architectures_and_losses_are_told() -> None:
    told = CliRunner().invoke(app, ["plugins", "cyclegan", "r1", "hinge", "fid"]).output
    assert "cyclegan has settings, changed with --set arch.cycle=..." in told
    assert re.search(r"\ncycle +10.0 +λ, 0 for none", told)
    assert "how often D halves an image" in told
    assert "r1 has settings, changed with --set loss.gamma=..." in told
    assert told.count("has settings") == 2
    assert "settings" not in CliRunner().invoke(app, ["plugins", "loss"]).output
    assert "has settings" not in CliRunner().invoke(app, ["plugins", "ganbench"]).output  # a package, not a component


def test_a_named_loss_that_cannot_be_imported_is_listed_all_the_same(install, ganbench_command) -> None:
    install("broken-gan", "loss", "broken", "import nothing_of_that_name")
    done = ganbench_command("plugins", "broken")
    assert done.returncode == 0, done.stderr
    assert "broken-gan 1.0" in done.stdout
