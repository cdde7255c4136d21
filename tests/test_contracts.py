"""What conditional GANs, translators and settings of architectures need from the core, tested with installed
packages."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from types import SimpleNamespace

import pytest
import torch
from torch import nn

from ganbench import GAN, Dataset, DataSpec, Extractor, Split, settings_of
from ganbench.contracts.protocol_file import read_toml
from ganbench.errors import ProtocolError, Unsupported
from ganbench.evaluation.judge import Judge
from ganbench.evaluation.sampling import sample
from ganbench.evaluation.yardsticks import draw
from ganbench.runs.players import refuse_unmet
from ganbench.training.batches import Stream

CPU = torch.device("cpu")
N = 40


def pairs(n: int = N, seed: int = 0) -> Split:
    """Images and their negatives."""
    x = torch.randint(0, 256, (n, 1, 8, 8), generator=torch.Generator().manual_seed(seed), dtype=torch.uint8)
    return Split(x, torch.arange(n) % 3, source=255 - x, paired=True)


class Negative(GAN):
    """Translates without a mistake, both ways."""

    conditional = True

    def __init__(self) -> None:
        super().__init__(nn.Conv2d(1, 1, 1), nn.Sequential(nn.Flatten(), nn.Linear(64, 1), nn.Flatten(0)), z_dim=1)

    def sample(self, batch):
        return -batch.source

    def sample_back(self, batch):
        return -batch.real


# -- data --------------------------------------------------------------------------------------------------------------


def test_pairs_stay_together_in_parts_and_batches_and_the_others_do_not() -> None:
    both = Dataset("negatives", DataSpec((1, 8, 8), source=(1, 8, 8)), pairs(), pairs(20, seed=1))
    for split in (both.train[torch.tensor([7, 3])], both.part("all"), both.part("test")):
        assert torch.equal(split.source, 255 - split.x)
        assert split.paired
    real, _, source = Stream(both.train, 16, 0, CPU).draw()
    assert torch.allclose(source, -real, atol=1e-6)
    real, _, source = Stream(replace(both.train, paired=False), 16, 0, CPU).draw()
    assert not torch.equal(source, -real)


def test_a_fingerprint_tells_pairing_rate_and_selection() -> None:
    plain = Dataset("negatives", DataSpec((1, 8, 8)), replace(pairs(), paired=False), pairs(20, seed=1))
    others = [
        replace(plain, train=pairs()),
        replace(plain, spec=replace(plain.spec, rate=8.0)),
        replace(plain, selection=pairs(10, seed=2)),
    ]
    assert len({dataset.fingerprint for dataset in (plain, *others)}) == 4
    assert replace(plain).fingerprint == plain.fingerprint


def test_fakes_of_a_translator_are_laid_out_like_the_reals() -> None:
    like = pairs()
    fakes = sample(Negative(), like, 0, CPU, batch=7)
    assert torch.equal(fakes.x, like.x)
    assert torch.equal(fakes.source, like.source)
    assert fakes.paired
    assert torch.equal(fakes.labels, like.labels)
    assert sample(Negative(), replace(like, paired=False), 0, CPU).labels is None
    assert (
        sample(GAN(nn.Identity(), nn.Identity(), 1).eval(), replace(like, x=like.x[:, :, 0, 0].float()), 0, CPU).source
        is None
    )


# -- what a metric is given --------------------------------------------------------------------------------------------


class Halves(Extractor):
    name, version = "halves", "1"

    def forward(self, x):
        return x.flatten(1).double()[:, :32], None


class Looks:
    """A metric that scores one thing it is given."""

    version = 1

    def __init__(self, of, column: str = "seen") -> None:
        self.columns, self.of, self.column = {column: "info"}, of, column

    def __call__(self, evaluation):
        return {self.column: float(self.of(evaluation))}


def judged(of, **given) -> dict[str, float]:
    dataset = Dataset("negatives", DataSpec((1, 8, 8), source=(1, 8, 8)), pairs(), pairs(20, seed=1))
    judge = Judge(dataset, dataset.test, {"looks": Looks(of)}, Halves(), CPU)
    gan = Negative().eval()
    fakes = sample(gan, dataset.test, 0, CPU)
    return judge.score(fakes, 0, **({"generator": gan} | given)).scores


def test_a_metric_sees_sources_pairs_labels_and_all_parts_of_the_data() -> None:
    assert judged(lambda e: torch.equal(e.real_source, 255 - e.real)) == {"seen": 1}
    assert judged(lambda e: torch.equal(e.fake_source, e.real_source) and e.paired) == {"seen": 1}
    assert judged(lambda e: len(e.dataset.train) + len(e.fake_labels)) == {"seen": N + 20}


def test_a_metric_can_have_samples_made_the_same_way_for_other_conditions() -> None:
    def cycle_error(evaluation):
        again = evaluation.remake(Split(evaluation.fake, None, evaluation.fake_source, paired=True))
        return (again.source.float() - evaluation.real_source.float()).abs().max()

    assert judged(cycle_error) == {"seen": 0}
    assert judged(lambda e: e.remake is None, generator=None) == {"seen": 1}


def test_what_a_metric_does_to_its_evaluation_no_other_metric_sees() -> None:
    def meddles(evaluation):
        evaluation.real, evaluation.fake_labels = evaluation.real[:1], None
        evaluation.doubts.append("hardly any samples")
        return evaluation.features().real.shape[0]

    def looks(evaluation):
        assert not evaluation.doubts
        return len(evaluation.real) + len(evaluation.fake_labels)

    dataset = Dataset("negatives", DataSpec((1, 8, 8), source=(1, 8, 8)), pairs(), pairs(20, seed=1))
    metrics = {"first": Looks(meddles, "first"), "second": Looks(looks, "second")}
    judge = Judge(dataset, dataset.test, metrics, Halves(), CPU)
    verdict = judge.score(dataset.test, 0)
    assert verdict.scores == {f"first@{judge.tag}": 20, "second": 40}
    assert verdict.doubts == ["hardly any samples"]


def test_a_column_that_comes_from_a_view_is_named_after_its_extractor() -> None:
    class Rows(Halves):
        name = "rows"

    rows = Rows()

    def of_rows(evaluation):
        view = evaluation.view(evaluation.real.flatten(0, 2), evaluation.fake.flatten(0, 2), extractor=rows)
        return view.features().real.shape[1]

    assert judged(of_rows) == {f"seen@{rows.tag}": 8}
    assert judged(lambda e: e.features().real.shape[1]) == {f"seen@{Halves().tag}": 32}
    assert judged(lambda e: len(e.view(e.real, e.fake).real)) == {"seen": 20}


# -- yardsticks --------------------------------------------------------------------------------------------------------


def test_yardsticks_of_a_dataset_stand_beside_the_cores_and_unknown_ones_are_named() -> None:
    identity = {"identity": lambda like, seed: Split(like.source, source=like.x)}
    dataset = Dataset("negatives", DataSpec((1, 8, 8)), pairs(), pairs(20, seed=1), yardsticks=identity)
    _, real, fakes, remake = draw("identity", dataset, dataset.test, "test", 0)
    assert real is dataset.test
    assert torch.equal(fakes.x, dataset.test.source)
    assert torch.equal(remake(fakes).x, dataset.test.x)
    assert torch.equal(fakes.labels, dataset.test.labels)
    with pytest.raises(ProtocolError, match=r"(?s)no yardstick 'identiy' for negatives.*real data.*identity"):
        draw("identiy", dataset, dataset.test, "test", 0)


def test_class_gaussians_have_the_moments_of_each_class_and_need_classes() -> None:
    rng = torch.Generator().manual_seed(0)
    labels = torch.arange(6000) % 3
    x = labels[:, None] * 5.0 + torch.randn(6000, 2, generator=rng) * (labels[:, None] + 1)
    dataset = Dataset("points", DataSpec((2,), 3, bounded=False), Split(x, labels), Split(x[:9], labels[:9]))
    fakes = draw("class gaussians", dataset, dataset.train, "train", 0).fake
    for label in range(3):
        ours = fakes.x[fakes.labels == label]
        assert ours.mean(0).sub(5 * label).abs().max() < 0.2
        assert ours.std(0).sub(label + 1).abs().max() < 0.2
    bare = replace(dataset, train=Split(x))
    with pytest.raises(Unsupported, match="needs labelled data"):
        draw("class gaussians", bare, bare.train, "train", 0)


# -- settings of an arch -----------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Settings:
    demodulation: bool = True
    weight: float = 10.0


def test_settings_take_what_the_user_set_and_refuse_other_names_and_types() -> None:
    assert settings_of(Settings, {}) == Settings()
    assert settings_of(Settings, {"weight": 0, "demodulation": False}) == Settings(False, 0.0)
    with pytest.raises(ProtocolError, match=r"(?s)arch.wieght: no such setting.*did you mean 'weight'"):
        settings_of(Settings, {"wieght": 1})
    with pytest.raises(Unsupported):  # so that a grid leaves it out, and goes on with those that have it
        settings_of(Settings, {"wieght": 1})
    with pytest.raises(ProtocolError, match=r"(?s)demodulation=maybe: Expected `bool`, got `str`.*the default is True"):
        settings_of(Settings, {"demodulation": "maybe"})


ARCH = '''
    """A translator from elsewhere."""
    from dataclasses import dataclass
    from torch import nn
    from ganbench import GAN, hookimpl, settings_of

    @dataclass(frozen=True)
    class Settings:
        gain: float = 1.0

    class Translator(GAN):
        conditional = True
        def fake(self, batch): return (self.settings.gain * self.generator(batch.source)).tanh()
        def sample_back(self, batch): return self.generator(batch.real).tanh()

    @hookimpl
    def ganbench_arch(data, settings):
        D = nn.Sequential(nn.Flatten(), nn.Linear(64, 1), nn.Flatten(0))
        return Translator(nn.Conv2d(1, 1, 3, padding=1), D, 1, settings=settings_of(Settings, settings))
'''
DATASET = '''
    """Images and their negatives."""
    import torch
    from ganbench import Dataset, DataSpec, Split, hookimpl

    def pairs(n, seed, paired):
        x = torch.randint(0, 256, (n, 1, 8, 8), generator=torch.Generator().manual_seed(seed), dtype=torch.uint8)
        return Split(x, torch.zeros(n, dtype=torch.int64), 255 - x, paired)

    @hookimpl
    def ganbench_dataset():
        spec = DataSpec((1, 8, 8), classes=1, source=(1, 8, 8))
        return Dataset("negatives", spec, pairs(64, 0, False), pairs(32, 1, True), selection=pairs(32, 2, True),
                       yardsticks={"identity": lambda like, seed: Split(like.source, source=like.x)})
'''
METRIC = '''
    """How far translations are from their truth."""
    from ganbench import Unsupported, hookimpl

    class Paired:
        columns, version, needs = {"error": "min"}, 1, ("back", "labels")
        def __call__(self, evaluation):
            if not evaluation.paired:
                raise Unsupported("needs pairs")
            there = (evaluation.real.double() - evaluation.fake).abs().mean()
            back = (evaluation.real_source.double() - evaluation.fake_source).abs().mean()
            return {"error": (there + back).item()}

    @hookimpl
    def ganbench_metric(): return Paired()
'''
RULES = """
name = "negatives-v1"
dataset = "negatives"
seeds = [0]
[training]
budget_kimg = 0.32
batch = 8
[evaluation]
samples = 32
reference = "test"
metrics = ["paired"]
headline = "error"
checks = 2
yardsticks = ["identity"]
"""


@pytest.fixture
def translation(install, tmp_path):
    """A package with a translator, its data and its metric, and the rules of a comparison."""
    for kind, name, code in (
        ("arch", "translator", ARCH),
        ("dataset", "negatives", DATASET),
        ("metric", "paired", METRIC),
    ):
        install("pairs", kind, name, code)
    (tmp_path / "rules.toml").write_text(RULES)
    return "run", "--protocol", "rules.toml", "--loss", "lsgan"


def test_a_translator_runs_is_looked_at_and_stands_beside_the_datasets_yardstick(
    translation, ganbench_command, tmp_path
) -> None:
    done = ganbench_command(*translation, "--arch", "translator", "--set", "arch.gain=2")
    assert done.returncode == 0, done.stderr
    assert "identity" in done.stdout
    record = json.loads((tmp_path / "runs/negatives-v1/translator+lsgan+arch.gain=2/seed0/record.json").read_text())
    assert record["recipe"]["arch.gain"] == 2
    assert record["changes"] == {"arch.gain": "2"}
    assert len(record["curve"]) == 2  # looks are scored on the selection split, which has pairs
    identity = json.loads((tmp_path / "runs/negatives-v1/identity/seed0/record.json").read_text())
    assert identity["scores"]["error"] > 100


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (("--arch", "translator", "--set", "arch.gian=2"), "--set arch.gian: no such setting did you mean 'gain'?"),
        (("--arch", "mlp", "--set", "arch.gain=2"), "the arch 'mlp' has no setting 'gain' it has: none"),
        (("--arch", "mlp"), "mlp does not translate both ways, but the metric 'paired' of negatives-v1 needs that"),
    ],
)
def test_what_an_arch_cannot_do_is_said_before_it_is_trained(translation, ganbench_command, arguments, told) -> None:
    done = ganbench_command(*translation, *arguments)
    assert done.returncode == 2
    assert told in " ".join(done.stderr.split())


def test_a_headline_of_labels_is_refused_where_the_data_have_none() -> None:
    gan, data = GAN(nn.Linear(2, 2), nn.Linear(2, 1), 2), Split(torch.zeros(4, 2))
    gan.conditional = True
    unlabelled = Dataset("plain", DataSpec((2,), bounded=False), data, data)
    rules = SimpleNamespace(name="rules-v1", evaluation=SimpleNamespace(headline="accuracy"))
    job = SimpleNamespace(arch="builtin:cgan", protocol=rules)
    scored = {"accuracy": SimpleNamespace(needs=("labels",), columns={"accuracy": "max"})}
    with pytest.raises(Unsupported, match="'plain' has no labels, but the metric 'accuracy' of rules-v1 needs them"):
        refuse_unmet(job, gan, unlabelled, scored)
    labelled = Split(data.x, torch.tensor([0, 1, 0, 1]))
    refuse_unmet(job, gan, Dataset("told", DataSpec((2,), 2, bounded=False), labelled, labelled), scored)
    rules.evaluation.headline = "fid"  # what does not rank is absent instead
    refuse_unmet(job, gan, unlabelled, scored)


def test_paths_of_a_pair_of_folders_are_taken_from_the_rules_file(tmp_path) -> None:
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
    (tmp_path / "rules.toml").write_text(RULES.replace('= "negatives"', '= "folder-pair:a,b"'))
    assert read_toml(tmp_path / "rules.toml").dataset == f"folder-pair:{tmp_path / 'a'},{tmp_path / 'b'}"
