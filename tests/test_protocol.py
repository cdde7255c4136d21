"""Protocols are frozen: their digests are pinned, their files are checked, their seeds come from names."""

from __future__ import annotations

import hashlib
import random
import tomllib

import pytest
from msgspec import to_builtins
from msgspec.structs import replace
from running import QUICK, carry_out, job_in

from ganbench import plugins
from ganbench.cli.listing import show_protocol
from ganbench.contracts.component_ref import ComponentRef
from ganbench.contracts.protocol import Evaluating, LossRules, Protocol, RecipeLayer, Training, parse, resolve_recipe
from ganbench.contracts.protocol_file import read_toml, to_toml
from ganbench.errors import ProtocolError
from ganbench.plugins.protocols import load_protocol
from ganbench.runs.changes import parse_changes
from ganbench.runs.players import Players, build_players
from ganbench.runs.setup import prepare

PINNED = {
    "digits-16-v1": "93b076071651",
    "digits-16-long-v1": "e3e55a663b54",
    "smoke-v1": "e782f1a31702",
    "stacked-digits-v1": "5817e62ac498",
    "ring-v1": "eaeef1493e4d",
    "grid-v1": "fdcad6037bf5",
    "digits-16-cond-v1": "03f754008870",
    "digits-32-cond-v1": "906ddc133e5c",
    "digits-64-v1": "e2ca37c7dc18",
    "digits-edges-64-v1": "49b0985fea25",
    "digits-edges-v1": "7025f844c7c7",
    "drums-16k-v1": "4635f61ba417",
    "drums-v1": "85077f911576",
    "gaussian-1d-v1": "4e3970b225a9",
    "moving-digits-64-v1": "a809b023ebee",
    "moving-digits-v1": "4b6aca956f74",
    "stacked-digits-v2": "48c94ffb9254",
    "digits-edges-v2": "d480b4884a55",
    "grid-v2": "0d70864ffc8d",
    "ring-v2": "5568aa831f6d",
    "digits-16-v2": "0e865e70b459",
    "emoji-32-v1": "0248f7ff86fe",
    "emoji-32-cond-v1": "7c8bf851f002",
    "mnist-10k-28-v1": "67646af7d579",
    "mnist-28-v1": "2d49e006bd62",
    "fashion-28-v1": "d3357ed64dc6",
    "cifar10-32-v1": "236d8cd4a897",
    "celeba-64-v1": "0df10687bc5f",
    "ffhq-64-v1": "7d8585ed8ee1",
}

PINNED_DATASETS = {
    "ring": "6aa5ecfd0c29",
    "ring:": "29b02a2fb1d8",
    "other-package:ring": "8bb404480735",
    "drums:4096": "b7ebb599af82",
    "drums:04096": "fd3b1cc096a7",
    "drums:16384,16000": "b9106079ba48",
    "moving-digits:16": "7836c8543ca3",
    "folder:pictures": "276ee7297a77",
    "folder:pictures 2024": "276ee7297a77",
    "folder:./2024": "276ee7297a77",
    "folder:/data/2024": "276ee7297a77",
    "folder:pictures, mine": "276ee7297a77",
    "folder-pair:a,b": "8a497731e97b",
    "folder-pair:./2023,./2024": "8a497731e97b",
    "folder-wav:sounds": "b7f61cbf06a1",
    "folder-wav:sounds,1024,8000": "8ba0ece48100",
    "folder-wav:/elsewhere/2024,1024,8000": "8ba0ece48100",
}

MINIMAL = """
name = "mine"
dataset = "ring"
seeds = [0]
[training]
budget_kimg = 1
[evaluation]
samples = 100
metrics = ["modes"]
headline = "modes_covered"
"""


def test_the_rules_of_a_published_protocol_never_change() -> None:
    found = {s.name: load_protocol(s.name).digest for s in plugins.of_kind("protocol") if s.package == "ganbench"}
    assert found == PINNED


@pytest.mark.parametrize(("dataset", "digest"), PINNED_DATASETS.items())
def test_numbers_that_a_dataset_is_named_with_are_rules_and_paths_are_not(dataset, digest) -> None:
    """The digests of protocols that users have run by."""
    protocol = parse(tomllib.loads(MINIMAL) | {"dataset": dataset}, "here")
    assert protocol.digest == digest


def test_the_folder_called_2024_is_a_path_and_no_rule(tmp_path) -> None:
    (tmp_path / "2024").mkdir()
    (tmp_path / "pictures").mkdir()
    year = read_toml(toml(tmp_path, MINIMAL.replace('"ring"', '"folder:./2024"')))
    assert year.dataset == f"folder:{tmp_path / '2024'}"
    assert year.digest == read_toml(toml(tmp_path, MINIMAL.replace('"ring"', '"folder:pictures"'))).digest


@pytest.mark.parametrize("dataset", ["folder:2024", "folder-pair:pictures,2024", "folder-wav:2024,16384"])
def test_a_number_that_is_a_path_as_well_is_refused_with_the_way_out(dataset, tmp_path) -> None:
    (tmp_path / "2024").mkdir()
    file = toml(tmp_path, MINIMAL.replace('"ring"', f'"{dataset}"'))
    with pytest.raises(
        ProtocolError, match=f'mine.toml: the 2024 in `dataset = "{dataset}"` is a number, but'
    ) as caught:
        read_toml(file)
    assert caught.value.hint.startswith("write ./2024 if you mean the path")


def test_what_lies_in_the_working_directory_makes_no_number_a_path(tmp_path, monkeypatch) -> None:
    (tmp_path / "elsewhere").mkdir()
    file = toml(tmp_path / "elsewhere", MINIMAL.replace('"ring"', '"drums:4096,8000"'))
    rules = read_toml(file)
    (tmp_path / "4096").mkdir()
    monkeypatch.chdir(tmp_path)
    assert read_toml(file) == rules


def test_a_folder_that_a_link_leads_to_adds_no_number_to_the_rules(tmp_path) -> None:
    (tmp_path / "set,2024").mkdir()
    (tmp_path / "latest").symlink_to("set,2024")
    with pytest.raises(ProtocolError, match="between commas would be read as a number"):
        read_toml(toml(tmp_path, MINIMAL.replace('"ring"', '"folder:latest"')))


def test_numbers_of_a_dataset_are_parameters_and_anything_else_is_a_path() -> None:
    sounds = ComponentRef.of("folder-wav:my sounds,16384, 16000")
    assert sounds == ComponentRef("folder-wav", ("my sounds", "16384", " 16000"))
    assert (sounds.parameters, sounds.paths) == (("16384", "16000"), ("my sounds",))
    assert sounds.argument == "my sounds,16384, 16000"
    assert ComponentRef.of("folder-pair:./2023,-1").paths == ("./2023", "-1")
    for text in ("ring", "ring:", "drums:4096", "folder:a,,b:c", "package:name:x,1", "a: 1 ,"):
        assert str(ComponentRef.of(text)) == text
    assert not ComponentRef.of("ring:").paths


def test_only_a_path_makes_data_that_may_change() -> None:
    rules = tomllib.loads(MINIMAL)
    for dataset, extractor, reads in (
        ("ring", "raw", False),
        ("drums:4096,8000", "drums-cnn:16000", False),
        ("folder:pictures", "raw", True),
        ("ring", "inception:weights.pth", True),
    ):
        judged = rules["evaluation"] | {"extractor": extractor}
        assert parse(rules | {"dataset": dataset, "evaluation": judged}, "here").reads_paths == reads


def test_a_judges_path_is_found_beside_the_file_and_is_no_rule(tmp_path) -> None:
    (tmp_path / "mine.judge").touch()
    judged = MINIMAL.replace("[evaluation]", '[evaluation]\nextractor = "own:mine.judge"')
    rules = read_toml(toml(tmp_path, judged))
    assert rules.evaluation.extractor == f"own:{tmp_path / 'mine.judge'}"
    assert rules.digest == read_toml(toml(tmp_path, judged.replace("mine.judge", "another.judge"))).digest
    assert rules.digest != read_toml(toml(tmp_path, judged.replace("own:mine.judge", "raw"))).digest


def test_what_show_prints_is_the_same_protocol_when_it_is_read_again(tmp_path, capsys) -> None:
    for source in plugins.of_kind("protocol"):
        protocol = load_protocol(source.name)
        show_protocol(source.name)
        assert read_toml(toml(tmp_path, capsys.readouterr().out)) == protocol


def test_any_text_and_number_that_rules_may_hold_survives_its_file(tmp_path, capsys) -> None:
    """2,000 texts of what is special in TOML, in Python's regular expressions, or to terminals."""
    rng = random.Random(0)
    special = ["\\", '"', "'", '"""', "'''", "#", "=", "[", "]", "{", "\\u0041", "\\n", "$", ",", ":", ".", " "]
    special += ["ä", "\u0301", "東", "😀", "\ufeff", "\u202e", "\u200f", "\u2066", "\u00a0", "true", "1e5", "nan", "a"]

    def text(among: list[str] = special) -> str:
        return "".join(rng.choices(among, k=rng.randint(0, 12)))

    def words() -> str:
        return f"a{text()}z"

    for _ in range(200):
        evaluation = Evaluating(
            samples=rng.randint(1, 10**9),
            metrics=tuple({words() for _ in range(3)}),
            headline=words(),
            extractor=words(),
            yardsticks=tuple({words() for _ in range(3)}),
            target=rng.choice([None, -1e300, 5e-324, 0.1, 10**300]),
        )
        training = Training(budget_kimg=rng.choice([1, 1e-300, 0.1 + 0.2]), lr=rng.choice([1e38, 5e-324, 1e-5]))
        protocol = Protocol(
            name="mine",
            dataset=f"{words()}:{words()}",
            seeds=(0, 2**31 - 1),
            training=training,
            evaluation=evaluation,
            description=text([*special, "\t", "\n"]),
        )
        show_protocol(str(toml(tmp_path, to_toml(protocol))))
        assert read_toml(toml(tmp_path, capsys.readouterr().out)) == parse(to_builtins(protocol), "here")


def test_the_digest_sees_every_rule_and_neither_description_nor_what_a_table_shows() -> None:
    protocol = load_protocol("digits-16-v1")
    assert replace(protocol, description="other words").digest == protocol.digest
    assert replace(protocol, evaluation=replace(protocol.evaluation, shown=("is",))).digest == protocol.digest
    drums = replace(protocol, dataset="drums:4096")
    assert drums.digest != replace(protocol, dataset="drums:8192").digest
    wav = replace(protocol, dataset="folder-wav:here,4096")
    assert wav.digest == replace(protocol, dataset="folder-wav:there,4096").digest
    changed = [
        replace(protocol, seeds=(0, 1)),
        replace(protocol, dataset="ring"),
        replace(protocol, training=replace(protocol.training, lr=5e-3)),
        replace(protocol, training=replace(protocol.training, batch=33)),
        replace(protocol, evaluation=replace(protocol.evaluation, samples=1000)),
    ]
    assert len({p.digest for p in [protocol, *changed]}) == 6


def test_a_seed_depends_on_the_protocols_name_the_seed_and_the_stream_only() -> None:
    protocol = load_protocol("digits-16-v1")
    expected = int.from_bytes(hashlib.sha256(b"digits-16-v1|0|data").digest()[:8], "big") >> 1
    assert protocol.seed(0, "data") == expected
    streams = {protocol.seed(k, s) for k in range(5) for s in ("init", "data", "latent", "penalty", "evaluation-0")}
    assert len(streams) == 25


def toml(tmp_path, text: str):
    file = tmp_path / "mine.toml"
    file.write_text(text, "utf-8")
    return file


@pytest.mark.parametrize(
    ("before", "after", "said"),
    [
        ("budget_kimg = 1", "budget_kimg = 1\nlrr = 1", "unknown field 'lrr'"),
        ("budget_kimg = 1", "budget_kimg = -1", "training.budget_kimg"),
        ("budget_kimg = 1", 'budget_kimg = "much"', "training.budget_kimg"),
        ("budget_kimg = 1", "", "budget_kimg"),
        ("seeds = [0]", "seeds = []", "seeds"),
        ("seeds = [0]", "seeds = [0, 0]", "same seed"),
        ("seeds = [0]", "seeds = [-1]", "seeds"),
        ('dataset = "ring"', 'datset = "ring"', "unknown field 'datset'"),
        ('name = "mine"', 'name = "../mine"', "name"),
        ("[evaluation]", "[evaluating]", "unknown field 'evaluating'"),
        ("samples = 100", "samples = [", "not valid TOML"),
    ],
)
def test_a_wrong_field_is_named_with_the_file_it_stands_in(before, after, said, tmp_path) -> None:
    with pytest.raises(ProtocolError) as caught:
        read_toml(toml(tmp_path, MINIMAL.replace(before, after)))
    assert said in caught.value.message
    assert "mine.toml" in caught.value.message


def test_a_relative_folder_is_relative_to_the_protocol_file(tmp_path) -> None:
    (tmp_path / "pictures").mkdir()
    protocol = read_toml(toml(tmp_path, MINIMAL.replace('"ring"', '"folder:pictures"')))
    assert protocol.dataset == f"folder:{tmp_path / 'pictures'}"


def test_the_last_layer_of_a_recipe_wins_and_its_origin_is_kept() -> None:
    training = Training(budget_kimg=1, lr=1e-3)
    layers = [
        RecipeLayer("arch", {"lr": 2e-4, "width": 8}),
        RecipeLayer("loss", {"betas": (0.0, 0.9)}),
        RecipeLayer("--set", {"lr": 5e-5}),
    ]
    recipe, origins = resolve_recipe(training, layers)
    assert (recipe.lr, recipe.width, recipe.betas, recipe.ema) == (5e-5, 8, (0.0, 0.9), 0.995)
    assert (origins["lr"], origins["width"], origins["betas"], origins["ema"]) == ("--set", "arch", "loss", "protocol")


def test_a_recipe_with_an_unknown_or_a_wrong_setting_names_its_author() -> None:
    training = Training(budget_kimg=1)
    with pytest.raises(ProtocolError, match=r"the recipe of loss x: unknown field 'batch'"):
        resolve_recipe(training, [RecipeLayer("loss x", {"batch": 1})])
    with pytest.raises(ProtocolError, match=r"the recipe of loss x: .*betas"):
        resolve_recipe(training, [RecipeLayer("loss x", {"betas": (0.5, 1.5)})])


def test_settings_are_sorted_into_recipe_training_and_loss() -> None:
    changes = parse_changes(["lr=1e-4", "budget_kimg=2", "loss.weight=1", "optimizer=rmsprop"])
    assert changes.recipe == {"lr": 1e-4, "optimizer": "rmsprop"}
    assert changes.training == {"budget_kimg": 2}
    assert changes.loss == {"weight": 1}
    for bad in ("lr", "=1", "lr=", "colour=red"):
        with pytest.raises(ProtocolError):
            parse_changes([bad])


# -- rules for single losses -------------------------------------------------------------------------------------------

FOR_A_LOSS = """
[losses.wgan-gp]
recipe = { lr = 1e-4, betas = [0.5, 0.9] }
settings = { weight = 1 }
"""


def test_a_protocol_may_ask_other_settings_of_one_loss(tmp_path) -> None:
    protocol = read_toml(toml(tmp_path, MINIMAL + FOR_A_LOSS))
    assert protocol.rules_of("wgan-gp") == LossRules(recipe={"lr": 1e-4, "betas": [0.5, 0.9]}, settings={"weight": 1})
    assert protocol.rules_of("hinge") == LossRules()
    assert read_toml(toml(tmp_path, to_toml(protocol))) == protocol


def test_the_digest_sees_what_is_asked_of_a_loss_and_not_how_a_number_is_written(tmp_path) -> None:
    plain, asked, other, written = (
        read_toml(toml(tmp_path, MINIMAL + more)).digest
        for more in (
            "",
            FOR_A_LOSS,
            FOR_A_LOSS.replace("weight = 1", "weight = 2"),
            FOR_A_LOSS.replace("weight = 1", "weight = 1.0"),
        )
    )
    assert len({plain, asked, other}) == 3
    assert written == asked


@pytest.mark.parametrize(
    ("section", "said"),
    [
        ("losses = 3\n", "`losses` must be a section"),
        ("losses.hinge = 3\n", "section [losses.'hinge']: must be a section, not 3"),
        ("losses.hinge.recipe = 3\n", "section [losses.'hinge']: `recipe` must be a section, not 3"),
        ("losses.hinge.settings = [1]\n", "section [losses.'hinge']: `settings` must be a section, not [1]"),
        ("losses.hinge.lr = 1\n", "section [losses.'hinge']: unknown field 'lr'"),
        ("losses.hinge.recipe.lrr = 1\n", "section [losses.'hinge']: unknown field 'lrr'"),
        ("losses.hinge.settings.a = nan\n", "`'a'` must be text, true, false, or a finite number"),
        ("losses.hinge.settings.a = [1, -inf]\n", "`'a'` must be text, true, false, or a finite number"),
        (f"losses.hinge.settings.a = 1{'0' * 400}\n", "or a list of these, not 1000"),
        (f"losses.hinge.settings.{'a.' * 3000}a = 1\n", "or a list of these, not a section"),
        ("losses.hinge.settings.a = [[1]]\n", "or a list of these, not [[1]]"),
        ("losses.hinge.settings.a = 2026-11-29\n", "or a list of these, not "),
        ("losses.hinge.recipe.lr = -1\n", "section [losses.'hinge']: `lr` must be a number above 0"),
    ],
)
def test_rules_for_a_loss_that_cannot_be_are_named(section, said, tmp_path) -> None:
    with pytest.raises(ProtocolError) as caught:
        read_toml(toml(tmp_path, section + MINIMAL))
    assert said in caught.value.message
    assert "mine.toml" in caught.value.message


def test_a_run_follows_the_rules_for_its_loss_and_the_user_has_the_last_word(tmp_path) -> None:
    asked = LossRules(recipe={"lr": 5e-4, "d_steps": 2}, settings={"weight": 0.25})
    rules = replace(QUICK, losses={"wgan-gp": asked})

    def players(loss: str, *changes: str) -> Players:
        job = job_in(tmp_path, "mlp", loss, rules=rules, changes=parse_changes(changes))
        return build_players(job, prepare(rules, "cpu").dataset)

    mine, other = players("wgan-gp"), players("hinge")
    assert (mine.recipe.lr, mine.recipe.d_steps, mine.loss.weight) == (5e-4, 2, 0.25)
    assert mine.recipe.betas == (0.0, 0.9)
    assert mine.origins["lr"] == "the protocol, for this loss"
    assert (other.recipe.d_steps, other.origins["d_steps"]) == (1, "the loss")
    changed = players("wgan-gp", "lr=1e-5", "loss.weight=3")
    assert (changed.recipe.lr, changed.recipe.d_steps, changed.loss.weight) == (1e-5, 2, 3)


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"wait": 1}, "the protocol quick-v1: loss.wait: the loss 'wgan-gp' has no setting 'wait'"),
        ({"weight": "much"}, "the protocol quick-v1: loss.weight=much: expected a number"),
    ],
)
def test_a_setting_that_the_loss_lacks_is_said_with_the_protocol(settings, said, tmp_path) -> None:
    rules = replace(QUICK, losses={"wgan-gp": LossRules(settings=settings)})
    with pytest.raises(ProtocolError) as caught:
        carry_out(job_in(tmp_path, "mlp", "wgan-gp", rules=rules))
    assert caught.value.message == said


def test_the_number_of_d_updates_pays_for_the_budget() -> None:
    assert Training(budget_kimg=64, batch=32).d_updates == 2000
    assert Training(budget_kimg=0.1, batch=64).d_updates == 2


def test_a_plugins_protocol_may_be_a_plain_mapping() -> None:
    rules = {
        "name": "m",
        "dataset": "ring",
        "seeds": [0],
        "training": {"budget_kimg": 1},
        "evaluation": {"samples": 10, "metrics": ["modes"], "headline": "modes_covered"},
    }
    evaluation = Evaluating(samples=10, metrics=("modes",), headline="modes_covered")
    expected = Protocol(name="m", dataset="ring", seeds=(0,), training=Training(budget_kimg=1), evaluation=evaluation)
    assert parse(rules, "here") == expected
