"""Bad input of every kind: one sentence that names what is wrong, one next step, exit code 2, no traceback."""

from __future__ import annotations

import os
import subprocess
from typing import Any

import pytest
import toy
import typer
from msgspec.structs import replace

from ganbench import Evaluating, Protocol, Training, run
from ganbench.cli.main import app
from ganbench.contracts.protocol_file import LARGEST_FILE, read_toml
from ganbench.errors import GanbenchError, ProtocolError
from ganbench.plugins.protocols import checked, load_protocol
from ganbench.runs.plan import tricks_of

LONG = "x" * 5000
DEEP = "[" * 15_000


def assert_told(done: subprocess.CompletedProcess, said: str = "") -> None:
    """One sentence, one next step, and nothing else."""
    assert done.returncode == 2, done.stdout + done.stderr
    assert len(done.stderr.splitlines()) == 2, done.stderr
    sentence, step = done.stderr.splitlines()
    assert sentence.startswith("error: ")
    assert said in sentence + "\n" + step
    assert step.strip()
    assert done.stderr.replace("\n", "").isprintable()
    assert len(sentence) < 1100
    assert "Traceback" not in done.stderr
    assert done.stdout == ""


# -- protocols: one line of a good file is replaced --------------------------------------------------------------------

LINES = [line for line in toy.QUICK.splitlines() if "=" in line]
BAD_LINES = {
    # numbers without measure
    "budget_kimg = inf": "`training.budget_kimg` must be a number above 0",
    "budget_kimg = nan": "not nan",
    "budget_kimg = 0": "`training.budget_kimg`",
    "budget_kimg = 1e300": "at most 1e+08",
    "budget_kimg = 1e999": "not inf",
    "budget_kimg = -1": "not -1",
    "budget_kimg = true": "not true",
    'budget_kimg = "48"': "not '48'",
    "batch = 1e12": "`training.batch` must be a whole number from 1 to 1000000",
    "batch = 1000000000000": "`training.batch`",
    "batch = 0": "`training.batch`",
    "batch = 64.5": "`training.batch`",
    "batch = 0x" + "f" * 5000: "a number with thousands of digits",
    "batch = " + "9" * 5000: "mine.toml is not valid TOML",
    "batch = 1979-05-27": "`training.batch`",
    "width = 1e9": "`training.width`",
    "width = 1000000000": "from 1 to 16384",
    "width = 8\nlr = inf": "`training.lr` must be a number above 0 and at most 1e+38, not inf",
    "width = 8\nlr = nan": "not nan",
    "width = 8\nlr = 0": "`training.lr`",
    "width = 8\nlr = 1e39": "`training.lr`",
    "width = 8\nd_lr = -inf": "`training.d_lr`",
    "width = 8\neps = inf": "`training.eps`",
    "width = 8\nema = 1": "`training.ema` must be a number of at least 0 and below 1",
    "width = 8\nlr_decay = nan": "`training.lr_decay` must be a number from 0 to 1",
    "width = 8\nd_steps = 100000": "`training.d_steps`",
    "width = 8\nz_dim = 0": "`training.z_dim`",
    "width = 8\ntimeout = nan": "`training.timeout`",
    "width = 8\ntimeout = inf": "`training.timeout`",
    "width = 8\nbetas = [nan, 0.9]": "`training.betas[0]`",
    "width = 8\nbetas = [0.5]": "`training.betas` must be a list of 2",
    "width = 8\nbetas = 0.5": "`training.betas`",
    'width = 8\noptimizer = "adamw"': "optimizer is one of: adam, rmsprop, sgd",
    'width = 8\nprecision = "fp8"': "precision is one of",
    "width = 8\nlayout = 3": "`training.layout`",
    "width = 8\nwidth = 9": "mine.toml is not valid TOML",
    "seeds = [-1]": "`seeds[0]` must be a whole number from 0 to 2147483647, not -1",
    "seeds = [0, 2147483648]": "`seeds[1]`",
    "seeds = [1e3]": "`seeds[0]`",
    "seeds = [nan]": "`seeds[0]`",
    'seeds = ["0"]': "`seeds[0]`",
    "seeds = 3": "`seeds` must be a list of 1 to 1000",
    "seeds = []": "`seeds` must be a list",
    "seeds = [3, 3]": "`seeds` lists the same seed twice",
    f"seeds = {[*range(1001)]}": "`seeds` must be a list of 1 to 1000",
    "samples = 0": "`evaluation.samples`",
    "samples = -5": "`evaluation.samples`",
    "samples = 1e3": "`evaluation.samples`",
    "samples = 100000000000": "`evaluation.samples`",
    "checks = 0": "`evaluation.checks`",
    "checks = 2\ndraws = 0": "`evaluation.draws`",
    "checks = 2\ndraws = 1000000": "`evaluation.draws`",
    "checks = 2\ntarget = nan": "`evaluation.target`",
    "checks = 2\ntarget = inf": "`evaluation.target`",
    'checks = 2\nreference = "trains"': "reference is one of: train, test, all",
    "resolution = 1000000": "`resolution` must be a whole number from 4 to 4096, not 1000000",
    "resolution = 0": "`resolution`",
    "resolution = inf": "`resolution`",
    # names
    'name = ""': "`name` must be a name",
    'name = "a/b"': "not 'a/b'",
    'name = ".."': "`name`",
    'name = "../mine"': "`name`",
    'name = ".mine"': "`name`",
    'name = "-mine"': "`name`",
    'name = "mine\\n"': "not 'mine\\n'",
    'name = "mi\\u001b[31mne"': "not 'mi\\x1b[31mne'",
    'name = "m\\u0131ne"': "`name`",
    'name = "a b"': "`name`",
    f'name = "{LONG}"': "at most 100 letters",
    "name = 3": "`name`",
    'dataset = ""': "`dataset`",
    'dataset = "digits\\n"': "`dataset`",
    'dataset = "dig\\u0000its"': "`dataset`",
    'dataset = ["digits"]': "`dataset`",
    'headline = ""': "`evaluation.headline`",
    'headline = " fid"': "`evaluation.headline`",
    'extractor = ""': "`evaluation.extractor`",
    "extractor = 3": "`evaluation.extractor`",
    'name = "quick-v1"\ndescription = "\\u001b[2J"': "`description` must be text without control characters",
    # lists
    'metrics = "fid"': "`evaluation.metrics` must be a list",
    "metrics = []": "`evaluation.metrics`",
    'metrics = [""]': "`evaluation.metrics[0]`",
    "metrics = [1]": "`evaluation.metrics[0]`",
    'metrics = ["fid", "fid"]': "`evaluation.metrics` lists 'fid' twice",
    'metrics = {fid = "fid"}': "not a section",
    'yardsticks = "noise"': "`evaluation.yardsticks` must be a list",
    'yardsticks = ["noise", "noise"]': "lists 'noise' twice",
    'yardsticks = ["no\\nise"]': "`evaluation.yardsticks[0]`",
    'yardsticks = []\nshown = "fid"': "`evaluation.shown` must be a list",
    'yardsticks = []\nshown = ["fid", "fid"]': "`evaluation.shown` lists 'fid' twice",
    # fields and sections
    "width = 8\nlrr = 1": "did you mean 'lr'?",
    'width = 8\n"l\\nr" = 1': "unknown field 'l\\nr'",
    f'width = 8\n"{LONG}" = 1': "unknown field",
    "samples = 100\nsample = 100": "did you mean 'samples'?",
    'name = "quick-v1"\nevaluating = 1': "did you mean 'evaluation'?",
    f"batch = {DEEP}": "nested too deeply",
    f"batch = {'[' * 20}{']' * 20}": "`training.batch`",
    f"width = 8\n{'a.' * 5_000}a = 1": "unknown field 'a'",
    "batch = ": "is not valid TOML",
    "batch = 3 4": "is not valid TOML",
    "batch": "is not valid TOML",
    "samples = [100": "is not valid TOML",
}


def with_line(line: str) -> str:
    """The good rules, with ``line`` in place of the one that states the same field; a new section needs no other."""
    name = line.replace("=", " ").split()[0]
    (old,) = [known for known in LINES if known.split()[0] == name]
    return toy.QUICK.replace(old, line)


@pytest.mark.parametrize("line", BAD_LINES, ids=[line[:30] for line in BAD_LINES])
def test_a_rule_that_cannot_be_is_named_with_what_it_may_be(line: str, ganbench_here, tmp_path) -> None:
    (tmp_path / "mine.toml").write_text(with_line(line), "utf-8")
    assert_told(ganbench_here("protocols", "show", "mine.toml"), BAD_LINES[line])


@pytest.mark.parametrize(
    ("rules", "said"),
    [
        (toy.QUICK.replace("samples = 100\n", ""), "`evaluation.samples` is missing"),
        (toy.QUICK.replace('name = "quick-v1"\n', ""), "`name` is missing"),
        (toy.QUICK.partition("[evaluation]")[0], "`evaluation` is missing"),
        (toy.QUICK.partition("[training]")[0] + "training = 3\n", "`training` must be a section"),
        (toy.QUICK.replace("[training]", "[[training]]"), "`training` must be a section"),
        ("", "is missing"),
        ("[" * 15_000, "is not valid TOML"),
        ("# " + LONG * 30, f"more than the limit of {LARGEST_FILE:,}"),
        ("\0", "is not valid TOML"),
    ],
)
def test_rules_that_are_incomplete_or_none_are_told(rules: str, said: str, ganbench_here, tmp_path) -> None:
    (tmp_path / "mine.toml").write_text(rules, "utf-8")
    assert_told(ganbench_here("protocols", "show", "mine.toml"), said)


def test_what_is_no_text_file_is_refused_before_it_is_read(ganbench_here, tmp_path) -> None:
    (tmp_path / "folder.toml").mkdir()
    os.mkfifo(tmp_path / "pipe.toml")
    (tmp_path / "zero.toml").symlink_to("/dev/zero")
    (tmp_path / "nothing.toml").symlink_to("nowhere")
    with (tmp_path / "huge.toml").open("wb") as file:
        file.truncate(2**30)
    (tmp_path / "wide.toml").write_text(toy.QUICK, "utf-16")
    (tmp_path / "bytes.toml").write_bytes(toy.QUICK.encode() + b"# \xff")
    for name, said in {
        "folder": "folder.toml is not a regular file",
        "pipe": "pipe.toml is not a regular file",
        "zero": "zero.toml is not a regular file",
        "nothing": "No such file",
        "huge": "1,073,741,824 bytes",
        "wide": "wide.toml is not UTF-8 text",
        "bytes": "bytes.toml is not UTF-8 text",
        LONG: "File name too long",
    }.items():
        assert_told(ganbench_here("protocols", "show", f"{name}.toml"), said)


def test_a_byte_order_mark_is_no_part_of_the_rules(tmp_path) -> None:
    (tmp_path / "mine.toml").write_text(toy.QUICK, "utf-8-sig")
    assert read_toml(tmp_path / "mine.toml").name == "quick-v1"


def test_rules_from_python_are_checked_as_those_of_a_file_are(install, monkeypatch, site) -> None:
    good = load_protocol("ring-v1")
    assert checked(good, "here") == good
    forgotten_comma = replace(good, evaluation=replace(good.evaluation, metrics=("modes")))
    with pytest.raises(ProtocolError, match=r"here: `evaluation.metrics` must be a list.*, not 'modes'"):
        checked(forgotten_comma, "here")
    with pytest.raises(ProtocolError, match=r"here: `training.lr` .* not inf"):
        checked(replace(good, training=replace(good.training, lr=float("inf"))), "here")
    with pytest.raises(ProtocolError, match="here: a field is not text, a number"):
        checked(replace(good, seeds=object()), "here")
    with pytest.raises(ProtocolError, match="a number with thousands of digits"):
        checked(replace(good, training=replace(good.training, batch=10**5000)), "here")


def test_limits_lie_above_every_published_rule() -> None:
    training, evaluation = (
        Training(budget_kimg=1e6, batch=8192, width=2048),
        Evaluating(samples=50_000, metrics=("fid",), headline="fid", draws=10),
    )
    rules = Protocol(name="m", dataset="ring", seeds=(0,), training=training, evaluation=evaluation)
    assert checked(rules, "here") == rules


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ('yardsticks = ["nois"]', "there is no yardstick 'nois' for digits - did you mean 'noise'?"),
        (
            'yardsticks = []\nshown = ["fidd"]',
            "a column 'fidd' that no metric has - did you mean 'fid'?",
        ),
        ('headline = "fidd"', "no metric of the protocol has a column 'fidd' - did you mean 'fid'?"),
        ('dataset = "digit"', "did you mean 'digits'?"),
        ('metrics = ["fidd"]', "did you mean 'fid'?"),
        ('extractor = "digits-cn"', "did you mean 'digits-cnn'?"),
    ],
)
def test_a_name_that_nothing_has_is_refused_before_any_training(line, said, tmp_path) -> None:
    file = tmp_path / "mine.toml"
    file.write_text(with_line(line), "utf-8")
    with pytest.raises(GanbenchError) as caught:
        run("mlp", "hinge", str(file), out=tmp_path / "runs", progress=False)
    assert said in caught.value.message
    assert not list((tmp_path / "runs").rglob("checkpoint.pt"))


# -- the command line --------------------------------------------------------------------------------------------------

RUN = ("run", "--arch", "mlp", "--loss", "hinge")
BAD_COMMANDS: dict[tuple[str, ...], str] = {
    # what the command line itself does not know
    ("rnu",): "no such command 'rnu' - did you mean 'run'?",
    ("protocols", "shw"): "no such command 'shw' - did you mean 'show'?",
    ("latent", "interpolat"): "did you mean 'interpolate'?",
    ("zzzzzz",): "no such command 'zzzzzz'",
    ("\x1b[31m",): "no such command",
    ("--versio",): "no such option: --versio - did you mean '--version'?",
    ("-x",): "no such option: -x",
    ("run", "--arhc", "mlp"): "no such option: --arhc - did you mean '--arch'?",
    ("leaderboard", "--metrics", "fid"): "did you mean '--metric'?",
    ("run", "-z"): "no such option: -z",
    ("run", "extra"): "unexpected extra argument",
    ("sample", "a", "b"): "unexpected extra argument",
    ("doctor", "me"): "unexpected extra argument",
    ("sample",): "missing argument 'run'",
    ("show",): "missing argument 'run'",
    ("animate",): "missing argument 'run'",
    ("reproduce",): "missing argument 'record'",
    ("compare", "mlp+hinge"): "missing argument",
    ("new-plugin",): "missing argument 'name'",
    ("protocols", "show"): "missing argument 'name'",
    ("latent", "maximise", "x"): "missing option '--layer'",
    ("run", "--jobs"): "option '--jobs' requires an argument",
    ("run", "--quiet=3"): "option '--quiet' does not take a value",
    ("leaderboard", "--format", "xml"): "'--format': 'xml' is not one of 'terminal'",
    ("leaderboard", "--out", "mine"): "--out is where --write publishes to\nto read the runs there: --runs mine",
    ("latent", "interpolate", "x", "--mode", "sler"): "'sler' is not one of",
    ("latent", "maximise", "x", "--layer", "l", "--player", "E"): "'E' is not one of",
    # numbers
    (*RUN, "--jobs", "x"): "'--jobs': expected a whole number from 0 to 1024, not 'x'",
    (*RUN, "--jobs", "-1"): "not '-1'",
    (*RUN, "--jobs", "３"): "not '３'",
    (*RUN, "--jobs", "1_0"): "not '1_0'",
    (*RUN, "--jobs", "1.0"): "not '1.0'",
    (*RUN, "--jobs", "9" * 5000): "expected a whole number",
    (*RUN, "--seed", "٣"): "--seed ٣: a seed is a whole number from 0 to 2147483647",
    (*RUN, "--seed", "1_000"): "--seed 1_000: a seed is a whole number",
    (*RUN, "--seed", "-1"): "--seed -1: a seed is a whole number",
    (*RUN, "--seed", "2147483648"): "a seed is a whole number",
    (*RUN, "--seed", "1,,2"): "a seed is a whole number",
    (*RUN, "--seed", "1e3"): "a seed is a whole number",
    (*RUN, "--seed", "9" * 5000): "a seed is a whole number",
    (*RUN, "--device", "cuda:٣"): "there is no device 'cuda:٣'",
    (*RUN, "--device", "cuda:" + "9" * 5000): "there is no device",
    ("sample", "x", "-n", "0"): "'-n': expected a whole number from 1 to 100000, not '0'",
    ("sample", "x", "-n", "1_0"): "not '1_0'",
    ("sample", "x", "--seed", "-1"): "'--seed': expected a whole number from 0 to 2147483647",
    ("sample", "x", "--seed", "99999999999999999999"): "expected a whole number",
    ("latent", "interpolate", "x", "--pairs", "1e3"): "'--pairs': expected a whole number from 1 to 1000",
    ("latent", "interpolate", "x", "--steps", "1"): "'--steps': expected a whole number from 2 to 1000",
    ("latent", "maximise", "x", "--layer", "l", "--unit", "٣"): "--unit ٣: units are whole numbers",
    ("latent", "maximise", "x", "--layer", "l", "--unit", "1_0"): "units are whole numbers",
    ("animate", "x", "--fps", "nan"): "'--fps': expected a number from 0.1 to 50, not 'nan'",
    ("animate", "x", "--fps", "inf"): "not 'inf'",
    ("animate", "x", "--fps", "1_0"): "not '1_0'",
    ("animate", "x", "--fps", "٣"): "not '٣'",
    ("plugins", "--check", "--timeout", "nan"): "'--timeout': expected a number from 1 to 86400, not 'nan'",
    ("plugins", "--check", "--timeout", "1e300"): "'--timeout': expected a number",
    ("time", "--rounds", "1"): "'--rounds': expected a whole number from 2 to 1000",
    # --set and names
    (*RUN, "--set", "lr"): "--set lr: expected name=value",
    (*RUN, "--set", "lr="): "--set lr=: expected name=value",
    (*RUN, "--set", "=1"): "expected name=value",
    (*RUN, "--set", "lr=1_0"): "--set lr=1_0: expected a finite number, in plain digits",
    (*RUN, "--set", "lr=inf"): "expected a finite number",
    (*RUN, "--set", "lr=1e999"): "expected a finite number",
    (*RUN, "--set", "betas=[nan, 0.9]"): "expected a finite number",
    (*RUN, "--set", "lr=-1"): "--set: `lr` must be a number above 0 and at most 1e+38, not -1",
    (*RUN, "--set", "lr=1e39"): "--set: `lr` must be",
    (*RUN, "--set", "lr=٣"): "--set: `lr` must be",
    (*RUN, "--set", "width=true"): "--set: `width` must be a whole number from 1 to 16384, not true",
    (*RUN, "--set", "width=1e9"): "--set: `width` must be",
    (*RUN, "--set", "batch=1000000000000"): "--set: `training.batch` must be",
    (*RUN, "--set", "budget_kimg=1e300"): "--set: `training.budget_kimg` must be",
    (*RUN, "--set", "timeout=-1"): "--set: `training.timeout` must be",
    (*RUN, "--set", "widthh=3"): "--set widthh: no such setting - did you mean 'width'?",
    (*RUN, "--set", "lr=1", "--set", "lr=2"): "--set lr is given twice",
    (*RUN, "--set", "lr=1", "--set", "lr=1"): "--set lr is given twice",
    (*RUN, "--set", "lr=1\nx=2"): "a setting is one line of text",
    (*RUN, "--set", f"lr={DEEP}"): "--set: `lr` must be",
    (*RUN, "--set", "width=" + "9" * 5000): "--set: `width` must be",
    (*RUN, "--trick", "pacgan:2,pacgan:3"): "--trick pacgan is given twice",
    (*RUN, "--trick", "ema", "--trick", "ema:0.9"): "--trick ema is given twice",
    (*RUN, "--trick", "emma"): "did you mean 'ema'?",
    ("run", "--arch", "mlpp", "--loss", "hinge"): "did you mean 'mlp'?",
    ("run", "--arch", "m\nlp\x1b[2J", "--loss", "hinge"): "no arch called",
    ("run", "--arch", LONG * 20, "--loss", "hinge"): "no arch called",
    ("run", "--arch", "dc\udcffgan", "--loss", "hinge"): "did you mean 'dcgan'?",
    ("run", "--arch", ",", "--loss", "hinge"): "no --arch given",
    (*RUN, "--protocol", "../digits-16-v1"): "cannot read the protocol file",
    (*RUN, "--protocol", "."): "no protocol called '.'",
    (*RUN, "--protocol", LONG): "no protocol called",
    ("plugins", "archs"): "did you mean 'arch'?",
    ("new-plugin", "a/b"): "a/b",
    ("new-plugin", ".."): "..",
    ("new-plugin", LONG): "xxx",
    # paths
    ("show", LONG): "File name too long",
    ("sample", LONG): "File name too long",
    ("compare", LONG, "mlp+hinge"): "File name too long",
    ("reproduce", LONG): "File name too long",
    (*RUN, "--out", LONG): "cannot write to",
    (*RUN, "--out", "/dev/null/x"): "cannot write to",
    ("leaderboard", LONG): "xxx",
    ("leaderboard", "digits-16-v1", "--sort", "fidd"): "fidd",
    ("sample", "x", "--out", "x.doc"): "cannot write 'x.doc'",
    ("animate", "x", "--out", "x"): "an animation is a .gif or a .webp",
}


@pytest.mark.parametrize("command", BAD_COMMANDS, ids=[" ".join(command)[:60] for command in BAD_COMMANDS])
def test_a_command_that_cannot_be_is_told_in_a_sentence_and_a_next_step(command, ganbench_here, tmp_path) -> None:
    assert_told(ganbench_here(*command), BAD_COMMANDS[command])
    assert not list(tmp_path.rglob("record.json"))


def _options() -> list[tuple[str, ...]]:
    """Every option that takes a value, after its command."""
    found = list[tuple[str, ...]]()

    def look(command: Any, path: tuple[str, ...]) -> None:
        for name, inner in getattr(command, "commands", {}).items():
            look(inner, (*path, name))
        for one in command.params:
            if one.param_type_name == "option" and not one.is_flag:
                found.append((*path, max(one.opts, key=len)))

    look(typer.main.get_command(app), ())
    return found


OPTIONS = _options()


@pytest.mark.parametrize("option", OPTIONS, ids=[" ".join(option) for option in OPTIONS])
def test_no_option_takes_an_empty_value(option, ganbench_here) -> None:
    *path, name = option
    assert_told(ganbench_here(*path, name, ""), f"the value of {name} is empty")
    assert_told(ganbench_here(*path, name, "  "), f"the value of {name} is empty")
    if name.startswith("--"):
        assert_told(ganbench_here(*path, f"{name}="), f"the value of {name} is empty")


@pytest.mark.parametrize("option", OPTIONS, ids=[" ".join(option) for option in OPTIONS])
def test_no_option_is_taken_for_one_with_a_longer_name(option, ganbench_here) -> None:
    *path, name = option
    assert_told(ganbench_here(*path, f"{name}x", "1"))


@pytest.mark.parametrize("command", ["show", "animate", "reproduce", "sample", "compare"])
def test_a_record_that_is_a_pipe_is_not_waited_for(command, ganbench_here, tmp_path) -> None:
    (tmp_path / "seed0").mkdir()
    for name in ("record.json", "checkpoint.pt"):
        os.mkfifo(tmp_path / "seed0" / name)
    assert_told(ganbench_here(command, "seed0", *(["mlp+hinge"] if command == "compare" else [])), "seed0")


def test_a_record_that_is_nested_too_deeply_is_told(ganbench_here, tmp_path) -> None:
    (tmp_path / "record.json").write_text(DEEP)
    assert_told(ganbench_here("show", "record.json"), "record.json is not a readable record")


def test_the_same_trick_named_twice_is_applied_once() -> None:
    assert [trick.label for trick in tricks_of(["ema", "ema,pacgan:2"])] == ["ema", "pacgan:2"]


def test_debug_shows_where_an_error_of_the_command_line_comes_from(ganbench_command) -> None:
    done = ganbench_command("rnu", "--debug")
    assert "Traceback" in done.stderr
    assert "no such command 'rnu'" in done.stderr


@pytest.mark.parametrize(
    "words",
    [
        ("--debug", "rnu"),
        ("--debug", "--nope"),
        ("run", "--nope", "--debug"),
        ("run", "--debug", "--arch", "dcgann", "--loss", "hinge"),
        ("run", "--arch", "dcgan", "--loss", "", "--debug"),
        ("--debug", "protocols", "show", "nope"),
        ("protocols", "--debug", "show", "nope"),
        ("protocols", "show", "nope", "--debug"),
    ],
)
def test_debug_may_stand_anywhere_and_holds_for_one_command_line(ganbench_here, words) -> None:
    with pytest.raises(GanbenchError):
        ganbench_here(*words)
    assert_told(ganbench_here(*(word for word in words if word != "--debug")))


def test_without_a_command_the_help_is_shown(ganbench_here) -> None:
    done = ganbench_here()
    assert done.returncode == 2
    assert "Usage: ganbench" in done.stdout
    assert done.stderr == ""


# -- all commands, each value in a process of its own ------------------------------------------------------------------

HOSTILE = (
    LONG,
    "\x1b]0;owned\x07",
    "a\nb",
    "file.txt/inside",
    "/proc/self/mem",
    "pipe",
)
WHOLE = (
    "show",
    "sample",
    "animate",
    "reproduce",
    "latent layers",
    "latent interpolate",
    "protocols show",
    "new-plugin",
)


@pytest.mark.slow
@pytest.mark.parametrize("value", HOSTILE, ids=[ascii(value)[:20] for value in HOSTILE])
def test_no_command_is_brought_down_by_its_arguments(value, ganbench_command, tmp_path) -> None:
    (tmp_path / "file.txt").write_text("text")
    os.mkfifo(tmp_path / "pipe")
    before = sorted(tmp_path.iterdir())
    commands = [(*command.split(), value) for command in WHOLE if (command, value) != ("new-plugin", "pipe")]
    commands += [("compare", value, "mlp+hinge"), ("leaderboard", f"./{value}"), ("plugins", value)]
    commands += [
        ("run", f"--{kind}", value, *rest) for kind, *rest in (("arch", "--loss", "hinge"), ("loss", *RUN[1:3]))
    ]
    commands += [(*RUN, option, value) for option in ("--protocol", "--trick", "--device", "--seed", "--set", "--jobs")]
    commands += [("latent", "maximise", value, "--layer", "l"), ("time", "--device", value), ("time", f"./{value}")]
    commands += [("doctor", f"--{value}"), (value,), ("run", f"--{value}")]
    for command in commands:
        assert_told(ganbench_command(*command, timeout=60))
    assert sorted(tmp_path.iterdir()) == before
