"""The Python interface: it does what the command line does, with names or with objects, and leaves nothing changed."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import textwrap
from pathlib import Path

import msgspec
import numpy as np
import pandas as pd
import pytest
import torch
from torch import nn
from torch.nn.functional import softplus

import ganbench
from ganbench.device.determinism import torch_settings
from ganbench.errors import DataError, Doubt, GanbenchError, GanbenchWarning, PluginError, ProtocolError, RecordError
from ganbench.plugins.protocols import load_protocol
from ganbench.runs.setup import forget


def players(data, width, z_dim):
    (channels, height, breadth) = data.shape
    size = channels * height * breadth
    generator = nn.Sequential(nn.Linear(z_dim, 4 * width), nn.ReLU(), nn.Linear(4 * width, size), nn.Tanh())
    generator.append(nn.Unflatten(1, data.shape))
    critic = nn.Sequential(nn.Flatten(), nn.Linear(size, 4 * width), nn.LeakyReLU(0.2), nn.Linear(4 * width, 1))
    return generator, critic.append(nn.Flatten(0))


def d_loss(D, real, fake):
    return softplus(-D(real)).mean() + softplus(D(fake)).mean()


def g_loss(D, real, fake):
    return softplus(-D(fake)).mean()


def smoke(tmp_path: Path, arch="dcgan", loss="hinge", **options) -> ganbench.Runs:
    return ganbench.run(arch, loss, "smoke-v1", out=tmp_path / "runs", device="cpu", progress=False, **options)


@pytest.fixture(scope="module")
def named(tmp_path_factory) -> ganbench.Runs:
    return smoke(tmp_path_factory.mktemp("api"))


def test_a_run_by_names_has_the_bits_of_the_command_line(named, ganbench_command, tmp_path):
    done = ganbench_command("run", "--arch", "dcgan", "--loss", "hinge", "--protocol", "smoke-v1", "-q")
    assert done.returncode == 0
    theirs = ganbench.load_run(tmp_path / "runs/smoke-v1/dcgan+hinge/seed0")
    assert theirs.record.bits == named[0].record.bits
    assert theirs.scores == named[0].scores


def test_torch_is_left_as_it_was_found(tmp_path):
    torch.set_num_threads(2)
    before, state = torch_settings(), torch.get_rng_state()
    forget()  # the extractor draws its first weights anew
    smoke(tmp_path)
    assert torch_settings() == before
    assert torch.equal(torch.get_rng_state(), state)


def test_what_has_a_record_is_not_trained_again_unless_forced(tmp_path):
    first = smoke(tmp_path)[0]
    assert smoke(tmp_path)[0].record == first.record
    assert smoke(tmp_path, force=True)[0].record.cost != first.record.cost


def test_a_run_gives_its_history_as_a_frame(named):
    history = named[0].history
    assert isinstance(history, pd.DataFrame)
    assert {"kimg", "d_loss", "g_loss", "images_per_second", "fid"} <= set(history.columns)
    assert history["kimg"].iloc[-1] == 0.96
    assert [look.score for look in named[0].record.curve] == history["fid"].dropna().tolist()
    assert set(history.columns) - {"fid"} <= {*columns_explained()}


def columns_explained() -> list[str]:
    """The columns that the docstring of ``history`` says something about."""
    listed = [line.partition(": ")[0] for line in ganbench.Run.history.__doc__.splitlines() if " * ``" in line]
    return [name.strip("* `") for line in listed for name in line.split(", ")]


def test_a_score_is_found_by_its_short_name_and_one_that_is_missing_says_why(named):
    (one,) = named
    assert one.scores["fid"] == next(value for name, value in one.record.scores.items() if name.startswith("fid@"))
    assert one.scores == one.record.scores
    with pytest.raises(KeyError, match="no score called 'fidd' - did you mean 'fid'"):
        one.scores["fidd"]
    failed = msgspec.structs.replace(one.record, status="diverged", reason="d_loss is not finite", scores={})
    with pytest.raises(KeyError, match="there is no fid: the run is diverged: d_loss is not finite"):
        ganbench.Run(one.folder, failed).scores["fid"]


def test_a_run_gives_its_pictures_and_its_players(named):
    assert all(picture.suffix == ".png" for picture in named[0].pictures)
    assert not named[0].gan().training


def test_a_run_gives_samples_that_its_seed_decides(named):
    x = named[0].sample(10, seed=3)
    assert (x.shape, x.dtype) == ((10, 1, 16, 16), torch.uint8)
    assert torch.equal(x, named[0].sample(10, seed=3))
    assert not torch.equal(x, named[0].sample(10, seed=4))


def test_the_table_of_runs_is_a_frame_and_an_html_fragment(named):
    brief, full = named.leaderboard(), named.leaderboard(full=True)
    assert list(brief)[:8] == ["rank", "arch", "loss", "fid", "fid low", "fid high", "is", "coverage"]
    assert sorted(brief["loss"]) == ["hinge", "yardstick", "yardstick", "yardstick", "yardstick"]
    assert sorted(full["kind"]) == ["entry", "yardstick", "yardstick", "yardstick", "yardstick"]
    html = named._repr_html_()
    assert html.count("<table>") == len({"ranked", *full["part"]})
    assert "<td>hinge</td>" in html


def test_a_notebook_sees_samples_and_curves_of_runs_and_of_one(named, tmp_path):
    (one,) = named
    assert named._repr_html_().count('<img src="data:image/webp;base64,') == named._repr_html_().count("<svg") == 1
    assert one._repr_html_().count('<img src="data:image/webp;base64,') == one._repr_html_().count("<svg") == 1
    assert len(named._repr_html_()) < 30_000
    assert len(one._repr_html_()) < 100_000
    assert "<script" not in named._repr_html_() + one._repr_html_()
    moved = ganbench.Runs([ganbench.Run(tmp_path, one.record)], named._table, [])
    assert "<img" not in moved._repr_html_() + moved[0]._repr_html_(), "its files are gone, which costs the pictures"


def test_a_row_shows_its_last_picture_where_it_has_no_strip(named, tmp_path):
    shutil.copytree(named[0].folder / "samples", tmp_path / "samples")
    moved = ganbench.Runs([ganbench.Run(tmp_path, named[0].record)], named._table, [])
    assert moved._repr_html_().count("<img") == 1


def test_a_run_draws_its_losses_and_its_headline(named):
    losses, headline = named[0].plot().axes
    assert {"d_loss", "g_loss"} <= {line.get_label() for line in losses.lines}
    assert headline.get_ylabel() == "fid"


# -- objects -------------------------------------------------------------------------------------------------


def test_functions_and_modules_play_without_a_package_and_are_custom(tmp_path):
    runs = smoke(tmp_path, players, (d_loss, g_loss))
    (mine,) = [line for _, line in runs.leaderboard(full=True).iterrows() if line["kind"] != "yardstick"]
    assert (mine["kind"], mine["arch"], mine["loss"]) == ("custom", "players", "d_loss")
    assert runs[0].record.arch.package == runs[0].record.loss.package == "unpackaged"
    assert runs[0].record.arch.source != runs[0].record.loss.source


def test_a_function_that_builds_players_has_the_bits_of_the_same_thing_as_a_plugin(tmp_path):
    from ganbench_baselines.arch import dcgan
    from ganbench_baselines.loss import hinge

    ours = smoke(tmp_path, dcgan.ganbench_arch, hinge.ganbench_loss())
    assert ours[0].record.bits == smoke(tmp_path)[0].record.bits


def test_modules_keep_the_weights_that_they_come_with(tmp_path):
    torch.manual_seed(5)
    pair = players(load_spec(), 8, 64)
    before = [p.clone() for module in pair for p in module.parameters()]
    first = smoke(tmp_path, pair, (d_loss, g_loss))
    assert all(torch.equal(a, b) for a, b in zip(before, (p for m in pair for p in m.parameters()), strict=True))
    with torch.no_grad():
        pair[0][0].weight.add_(1)
    again = smoke(tmp_path, pair, (d_loss, g_loss))
    assert again[0].record.arch.source != first[0].record.arch.source
    assert again[0].record.bits != first[0].record.bits


def test_modules_under_several_seeds_are_warned_of(tmp_path):
    pair = players(load_spec(), 8, 64)
    with (
        pytest.warns(UserWarning, match="every seed starts from the weights of these modules"),
        pytest.raises(GanbenchError),
    ):
        ganbench.run(pair, "r1", "digits-16-v1", seeds=[0, 1], settings={"nonsense": 1}, out=tmp_path)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"optimizer": "😀"}, "--set: `optimizer` must be one of .*, not '😀'"),
        ({"optimizer": 'adam" #'}, "--set: `optimizer` must be one of .*, not 'adam\" #'"),
        ({"d_lr": None}, "settings: d_lr cannot be None"),
        ({"lr": {"a": 1}}, "settings: lr cannot be a section\na setting is a number, text, true or false"),
        ({"lr": {}}, "settings: lr cannot be a section\n"),
        ({"betas": [0.0, {"a": 1}]}, "settings: betas cannot be "),
        ({"betas": [{"a": 1}]}, "settings: betas cannot be "),
        ({"d_lr": object()}, "settings: d_lr cannot be <object"),
    ],
)
def test_a_setting_from_python_is_taken_as_it_is_or_refused_in_a_sentence(tmp_path, changes, said):
    with pytest.raises(ProtocolError, match=said):
        ganbench.run("mlp", "r1", "digits-16-v1", settings=changes, out=tmp_path)


def load_spec():
    return ganbench.DataSpec((1, 16, 16), classes=10)


def test_a_loss_object_that_was_changed_is_another_loss(tmp_path):
    class Weighted:
        def __init__(self, weight):
            self.weight = weight

        def d_loss(self, D, real, fake):
            return self.weight * d_loss(D, real, fake)

        def g_loss(self, D, real, fake):
            return g_loss(D, real, fake)

    one, two = smoke(tmp_path, loss=Weighted(1.0))[0], smoke(tmp_path, loss=Weighted(2.0))[0]
    assert one.record.loss.source != two.record.loss.source
    assert one.record.bits.weights != two.record.bits.weights


def test_a_function_with_another_constant_in_its_closure_is_another_function(tmp_path):
    def scaled(by):
        def d(D, real, fake):
            return by * d_loss(D, real, fake)

        return d

    sources = [smoke(tmp_path, loss=(scaled(by), g_loss))[0].record.loss.source for by in (1.0, 2.0, 1.0)]
    assert sources[0] == sources[2] != sources[1]


def test_a_trick_object_is_played_and_makes_the_row_custom(tmp_path):
    class Halved(ganbench.Trick):
        def recipe(self, recipe):
            return {"lr": recipe.lr / 2}

    (one,) = smoke(tmp_path, tricks=[Halved(), "ema:0.9"])
    assert one.record.recipe["lr"] == 1e-3
    assert [trick.name for trick in one.record.tricks] == ["Halved", "ema:0.9"]
    assert smoke(tmp_path, tricks=["ema:0.9"]).leaderboard(full=True)["kind"].tolist().count("entry") == 1


def test_settings_are_those_of_set_and_several_of_each_make_a_grid(tmp_path):
    runs = smoke(tmp_path, ["dcgan", players], ["hinge", "lsgan"], settings={"lr": 1e-4, "betas": (0.0, 0.9)})
    combinations = {(run.record.arch.name, run.record.loss.name) for run in runs}
    assert combinations == {("dcgan", "hinge"), ("dcgan", "lsgan"), ("players", "lsgan")}
    assert runs[0].record.recipe["betas"] == [0.0, 0.9]
    (sentence,) = runs.declined
    assert "spectral" in sentence


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ({"arch": "dcgn"}, "no arch called 'dcgn' - did you mean 'dcgan'?"),
        ({"arch": nn.Linear(2, 2)}, "a Linear is a single network"),
        ({"arch": 3}, "a int is not an architecture"),
        ({"loss": 3}, "int is not a loss"),
        ({"loss": GanbenchError}, "GanbenchError is not a loss"),
        ({"tricks": [3]}, "a int is not a trick"),
        ({"seeds": [-1]}, "--seed -1"),
        ({"settings": {"lrr": 1}}, "lrr: no such setting"),
        ({"loss": (d_loss, g_loss), "jobs": 2}, "objects from Python cannot be sent to other processes"),
        ({"arch": lambda data: nn.Linear(2, 2)}, "returned a Linear"),
    ],
)
def test_what_cannot_be_is_an_error_with_a_sentence(tmp_path, arguments, sentence):
    with pytest.raises(GanbenchError) as caught:
        smoke(tmp_path, **arguments)
    assert sentence in str(caught.value)


def test_a_run_of_objects_can_be_read_but_not_drawn_from_in_another_process(tmp_path, ganbench_command):
    folder = smoke(tmp_path, players, (d_loss, g_loss))[0].folder
    assert ganbench_command("show", folder).returncode == 0
    done = ganbench_command("sample", folder)
    assert done.returncode == 2
    assert "was passed from Python" in done.stderr
    assert "Traceback" not in done.stderr
    board = ganbench_command("leaderboard", "smoke-v1")
    assert "custom" in board.stdout


@pytest.mark.slow
def test_ctrl_c_in_a_script_writes_the_run_down_and_the_same_call_goes_on(patience, quick, tmp_path):
    script = """
        import signal, sys
        signal.signal(signal.SIGINT, signal.default_int_handler)
        import ganbench
        try:
            runs = ganbench.run("mlp", "patient", "quick.toml", out=sys.argv[1])
            print("ended", runs[0].record.bits.weights)
        except KeyboardInterrupt:
            print("interrupted")
    """
    command = ("-c", textwrap.dedent(script))
    said = patience.interrupted(patience.start(*command, "twice"))
    assert said.splitlines()[-1] == "interrupted", said
    lines = [patience.start(*command, out).communicate()[0].splitlines() for out in ("twice", "once")]
    assert any("seed 0: resumes at" in line for line in lines[0])
    assert lines[0][-1] == lines[1][-1]
    assert lines[0][-1].startswith("ended")


# -- evaluate, leaderboard, load_run -------------------------------------------------------------------------


def test_evaluate_gives_real_data_the_score_of_the_same_set():
    protocol = load_protocol("smoke-v1")
    from ganbench.runs.setup import prepare

    reference = prepare(protocol, "cpu").judge.reference
    with pytest.warns(Doubt, match="exact copies of training samples"):
        scores = ganbench.evaluate(reference.x, "smoke-v1", device="cpu")
    assert scores["fid"] == pytest.approx(0, abs=1e-6)
    with pytest.raises(KeyError, match="did you mean 'coverage'"):
        scores["covrage"]


def test_evaluate_takes_floats_and_arrays_for_what_they_stand_for(named):
    x = named[0].sample(500)
    floats = (x.float() / 127.5 - 1).numpy()
    assert ganbench.evaluate(floats, "smoke-v1") == ganbench.evaluate(x, "smoke-v1")
    assert ganbench.evaluate(x, load_protocol("smoke-v1")) == ganbench.evaluate(np.asarray(x), "smoke-v1")


@pytest.mark.parametrize(
    ("samples", "sentence"),
    [
        (torch.zeros(500, 3, 16, 16), "the samples have shape (500, 3, 16, 16), but smoke-v1 needs (500, 1, 16, 16)"),
        (torch.zeros(499, 1, 16, 16), "499 samples were given, but smoke-v1 needs 500"),
        (torch.full((500, 1, 16, 16), 255.0), "images must be uint8 from 0 to 255, or floats from -1 to 1"),
        (torch.zeros(500, 1, 16, 16, dtype=torch.int64), "images must be uint8 from 0 to 255, or floats from -1 to 1"),
        (torch.full((500, 1, 16, 16), torch.nan), "images must be uint8 from 0 to 255, or floats from -1 to 1"),
    ],
)
def test_evaluate_refuses_what_it_could_only_score_wrongly(samples, sentence):
    with pytest.raises(DataError) as caught:
        ganbench.evaluate(samples, "smoke-v1")
    assert sentence in str(caught.value)


def test_the_leaderboard_is_the_published_table_as_a_frame(tmp_path):
    frame = ganbench.leaderboard("digits-16-v1", runs=tmp_path, full=True)
    published = pd.read_csv(Path(__file__).parents[1] / "leaderboards/digits-16-v1/table.csv")
    assert list(frame["arch"]) == list(published["arch"].fillna(""))
    assert set(frame.columns) == set(published.columns)
    brief = ganbench.leaderboard("digits-16-v1", runs=tmp_path)
    assert len(brief) == len(frame)
    assert brief["fid low"].equals(frame["fid low"])
    ranked = brief["rank"].str.contains(r"\d")
    assert brief["fid"][ranked].equals(frame["fid centre"][ranked])
    best = ganbench.leaderboard("digits-16-v1", runs=tmp_path, sort="coverage")
    assert best["coverage"][best["rank"] != ""].iloc[0] == brief["coverage"][ranked].max()


def test_a_leaderboard_without_records_and_a_folder_without_a_run_are_named(tmp_path):
    with pytest.raises(RecordError, match="no records of digits-16-long-v1"):
        ganbench.leaderboard("digits-16-long-v1", runs=tmp_path)
    with pytest.raises(PluginError, match="no protocol called"):
        ganbench.leaderboard("digits-17", runs=tmp_path)
    with pytest.raises(RecordError, match="does not contain a run"):
        ganbench.load_run(tmp_path)


def test_a_record_that_cannot_be_read_is_a_warning_beside_the_table_of_the_others(tmp_path):
    bad = tmp_path / "digits-16-v1" / "x+y" / "seed0" / "record.json"
    bad.parent.mkdir(parents=True)
    os.mkfifo(bad)
    with pytest.warns(
        GanbenchWarning, match=r"left out: .*x\+y/seed0/record\.json is not a readable record: it is a device"
    ):
        frame = ganbench.leaderboard("digits-16-v1", runs=tmp_path)
    assert len(frame) > 1
    bad.rename(tmp_path / "elsewhere")
    other = tmp_path / "digits-16-long-v1" / "x+y" / "seed0" / "record.json"
    other.parent.mkdir(parents=True)
    other.write_text("{}")
    with pytest.raises(RecordError, match="is not a readable record"):
        ganbench.leaderboard("digits-16-long-v1", runs=tmp_path)


def test_a_run_is_loaded_by_folder_or_record_and_the_folder_above_is_told_apart(named):
    (one,) = named
    assert ganbench.load_run(one.folder).record == ganbench.load_run(one.folder / "record.json").record == one.record
    with pytest.raises(RecordError) as caught:
        ganbench.load_run(one.folder.parent)
    assert "seed0" in caught.value.hint


def test_importing_ganbench_and_its_names_is_light():
    code = "import sys, ganbench; dir(ganbench); sys.exit('torch' in sys.modules or 'pandas' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_the_names_of_the_api_are_functions_even_after_everything_was_imported():
    code = """
        import json, ganbench, ganbench.api, ganbench.cli.main, ganbench.leaderboards.table, ganbench.runs.runner
        api = ("run", "evaluate", "leaderboard", "load_run")
        print(json.dumps([callable(getattr(ganbench, name)) for name in api]))
    """
    done = subprocess.run([sys.executable, "-c", textwrap.dedent(code)], capture_output=True, text=True, check=True)
    assert all(json.loads(done.stdout))


@pytest.mark.slow
def test_a_script_that_calls_run_is_carried_out_once_and_not_again_by_its_workers(tmp_path, quick) -> None:
    script = tmp_path / "script.py"
    script.write_text(
        "from pathlib import Path\n"
        "with Path('begun.txt').open('a') as file:\n"
        "    file.write('begun\\n')\n"
        "import ganbench\n"
        f"runs = ganbench.run(arch='mlp', loss='hinge', protocol={quick!r}, jobs=2, out='runs', progress=False)\n"
        "print(runs[0].record.status)\n"
    )
    done = subprocess.run([sys.executable, script], cwd=tmp_path, capture_output=True, text=True, check=True)
    assert done.stdout == "ok\n"
    assert (tmp_path / "begun.txt").read_text() == "begun\n"
