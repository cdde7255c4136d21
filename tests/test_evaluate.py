"""``ganbench evaluate``: anybody's samples under a protocol, or one set against another."""

from __future__ import annotations

import dataclasses
import json
import subprocess
import sys
import warnings
from pathlib import Path
from typing import ClassVar

import numpy as np
import pytest
import torch
from commands import Command
from msgspec.structs import replace
from torch import Tensor
from torch.nn.functional import avg_pool2d
from torch.utils.data import DataLoader, TensorDataset

import ganbench
from ganbench import DataError, Dataset, Samples
from ganbench.cli.evaluate import _standing
from ganbench.cli.words import in_options
from ganbench.errors import Doubt, RecordError
from ganbench.leaderboards.gathering import gather, records_in
from ganbench.pages.folder import write_folder
from ganbench.plugins.protocols import load_protocol
from ganbench.records.record import ExternalRecord
from ganbench.records.store import read, read_all
from ganbench.runs.external import judge_samples, samples_of
from ganbench.runs.setup import Bench, prepare
from ganbench.samples.asked import Asked
from ganbench_baselines.dataset import digits

PROTOCOL = "smoke-v1"
N = 500


@pytest.fixture(scope="module")
def data() -> Dataset:
    return digits.ganbench_dataset(resolution=16)


@pytest.fixture
def save(tmp_path):
    """Store samples as ``x.npy`` in the folder of the command."""

    def write(x: Tensor | np.ndarray, name: str = "x.npy") -> str:
        np.save(tmp_path / name, np.asarray(x))
        return name

    return write


def record_in(folder: Path, name: str = "x") -> ExternalRecord:
    found = read(folder / "runs" / PROTOCOL / f"external~{name}" / "seed0" / "record.json")
    assert isinstance(found, ExternalRecord)
    return found


def chosen(data: Dataset, n: int = N, seed: int = 0) -> Tensor:
    return data.train.x[torch.randperm(len(data.train), generator=torch.Generator().manual_seed(seed))[:n]]


def test_the_scores_are_those_of_the_python_function(ganbench_here: Command, save, data, tmp_path) -> None:
    x = chosen(data)
    done = ganbench_here("evaluate", save(x), "--protocol", PROTOCOL, "--seed", "3")
    assert done.returncode == 0, done.stderr
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", Doubt)
        assert record_in(tmp_path).scores == ganbench.evaluate(x, PROTOCOL, seed=3)
    assert "x: 500 samples in x.npy (1x16x16, uint8 from 0 to 255), under smoke-v1" in done.stdout
    assert "found: 500 of 500 samples are exact copies of training samples" in done.stdout


def test_a_record_keeps_what_was_stated_assumed_and_found(ganbench_here: Command, save, data, tmp_path) -> None:
    x = chosen(data, 700).permute(0, 2, 3, 1)
    words = ["--name", "my model", "--by", "me", "--link", "https://example.org", "--parameters", "1200000"]
    done = ganbench_here("evaluate", save(x), "--protocol", PROTOCOL, *words, "--cost", "2 GPU hours")
    assert done.returncode == 0, done.stderr
    external = record_in(tmp_path, "my-model").external
    assert external.name == "my model"
    assert external.given == 700
    assert external.assumed == (
        "channels come last: the samples have shape (700, 16, 16, 1)",
        "of 700 samples, 500 were drawn with seed 0",
    )
    assert str(external.declared) == "me states 1,200,000 parameters, 2 GPU hours, https://example.org"
    assert "assumed: of 700 samples, 500 were drawn" in done.stdout
    shown = ganbench_here("show", f"runs/{PROTOCOL}/external~my-model").stdout
    assert "me states 1,200,000 parameters" in shown
    assert "not checked" in shown


def test_the_row_stands_below_the_trained_ones_without_a_rank(ganbench_here: Command, save, data, tmp_path) -> None:
    ganbench_here("evaluate", save(chosen(data)), "--protocol", PROTOCOL, "--name", "mine")
    table, errors = gather(PROTOCOL, tmp_path / "runs")
    assert not errors
    (row,) = table.block("external")
    assert (row.part, row.rank, table.title(row)) == ("external", None, "external mine")
    done = ganbench_here("leaderboard", PROTOCOL)
    assert "mine" in done.stdout
    assert "external" in done.stdout
    assert "exact copies of training samples" in done.stdout
    assert "mine§" in done.stdout
    flat = json.loads(ganbench_here("leaderboard", PROTOCOL, "--format", "json").stdout)
    assert [row["external"]["name"] for row in flat["rows"] if row["kind"] == "external"] == ["mine"]


def test_pages_show_the_row_with_what_is_known_of_it(ganbench_here: Command, save, data, tmp_path) -> None:
    ganbench_here("evaluate", save(chosen(data)), "--protocol", PROTOCOL, "--name", "<mine>", "--cost", "<b>much</b>")
    records, _ = read_all(records_in(tmp_path / "runs" / PROTOCOL))
    write_folder(records, load_protocol(PROTOCOL), tmp_path / "site" / PROTOCOL)
    page = (tmp_path / "site" / PROTOCOL / "index.html").read_text()
    assert "Samples from elsewhere" in page
    assert "external &lt;mine&gt;" in page
    assert ">§</abbr>" in page
    assert "&lt;b&gt;much&lt;/b&gt;" in page
    assert "<b>much" not in page
    readme = (tmp_path / "site" / PROTOCOL / "README.md").read_text()
    assert "## Samples from elsewhere" in readme


def test_too_few_samples_are_refused(ganbench_here: Command, save, data) -> None:
    done = ganbench_here("evaluate", save(chosen(data, 499)), "--protocol", PROTOCOL)
    assert done.returncode == 2
    assert "499 samples were given, but smoke-v1 compares 500" in done.stderr
    assert "--against" in done.stderr


def test_floats_from_0_to_1_need_their_range(ganbench_here: Command, save, data, tmp_path) -> None:
    name = save((chosen(data).float() / 255).numpy())
    done = ganbench_here("evaluate", name, "--protocol", PROTOCOL)
    assert done.returncode == 2
    assert "--range 0,1" in done.stderr
    assert ganbench_here("evaluate", name, "--protocol", PROTOCOL, "--range", "0,1").returncode == 0
    scores = record_in(tmp_path).scores
    ganbench_here("evaluate", save(chosen(data), "bytes.npy"), "--protocol", PROTOCOL)
    assert scores == record_in(tmp_path, "bytes").scores


@pytest.mark.parametrize(
    ("x", "says"),
    [
        (np.zeros((N, 1, 12, 12), np.uint8), "resize them to 16x16"),
        (np.zeros((N, 3, 16, 16), np.float32) + np.arange(3).reshape(1, 3, 1, 1), "reduce the 3 channels"),
        (np.full((N, 1, 16, 16), np.nan, np.float32), "not finite"),
    ],
)
def test_samples_that_do_not_fit_are_refused_with_the_next_step(x, says, ganbench_here: Command, save) -> None:
    done = ganbench_here("evaluate", save(x), "--protocol", PROTOCOL)
    assert done.returncode == 2
    assert says in done.stderr
    assert "Traceback" not in done.stderr


def test_other_samples_of_the_same_name_replace_nothing(ganbench_here: Command, save, data, tmp_path) -> None:
    ganbench_here("evaluate", save(chosen(data)), "--protocol", PROTOCOL)
    before = record_in(tmp_path)
    save(chosen(data, seed=1))
    done = ganbench_here("evaluate", "x.npy", "--protocol", PROTOCOL)
    assert done.returncode == 2
    assert "holds the result of other samples called 'x'" in done.stderr
    assert record_in(tmp_path) == before
    assert ganbench_here("evaluate", "x.npy", "--protocol", PROTOCOL, "--force").returncode == 0
    assert record_in(tmp_path).bits != before.bits


def test_further_metrics_change_no_other_score(ganbench_here: Command, save, data, tmp_path) -> None:
    name = save(chosen(data))
    ganbench_here("evaluate", name, "--protocol", PROTOCOL, "--name", "plain")
    done = ganbench_here("evaluate", name, "--protocol", PROTOCOL, "--name", "more", "--metric", "memorisation")
    assert done.returncode == 0, done.stderr
    plain, more = (record_in(tmp_path, name) for name in ("plain", "more"))
    assert {*more.scores} > {*plain.scores}
    assert {name: more.scores[name] for name in plain.scores} == plain.scores
    assert more.digest == plain.digest == load_protocol(PROTOCOL).digest


def test_a_record_of_samples_from_elsewhere_cannot_be_reproduced(ganbench_here: Command, save, data) -> None:
    ganbench_here("evaluate", save(chosen(data)), "--protocol", PROTOCOL)
    done = ganbench_here("reproduce", f"runs/{PROTOCOL}/external~x/seed0")
    assert done.returncode == 2
    assert "the samples of 'x' were made elsewhere" in done.stderr


def test_either_a_protocol_or_another_set_is_named(ganbench_here: Command, save, data) -> None:
    name = save(chosen(data))
    for words in ([], ["--protocol", PROTOCOL, "--against", name]):
        done = ganbench_here("evaluate", name, *words)
        assert done.returncode == 2
        assert "name either a protocol or another set" in done.stderr


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["--protocol", PROTOCOL, "--extractor", "raw"], "--extractor cannot be used here: a protocol has"),
        (["--against", "y.npy", "--name", "a", "--cost", "1"], "--name and --cost cannot be used here: comparing two"),
        (["--against", "y.npy", "--labels", "y.txt"], "--labels cannot be used here"),
        (["--protocol", PROTOCOL, "--link", "notalink"], "'notalink' is no address of a page"),
        (["--protocol", PROTOCOL, "--link", "javascript:alert(1)"], "is no address of a page"),
    ],
)
def test_options_that_nothing_would_use_are_refused(words, says, ganbench_here: Command) -> None:
    done = ganbench_here("evaluate", "x.npy", *words)
    assert done.returncode == 2
    assert says in done.stderr


def test_contradicting_options_are_refused_before_torch_is_imported(tmp_path) -> None:
    code = (
        "import sys; from ganbench.cli.main import main; sys.argv = ['ganbench', 'evaluate', 'x.npy']\n"
        "try: main()\n"
        "except SystemExit as end: print(end.code, 'torch' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.stdout.split() == ["2", "False"], done.stderr


@pytest.mark.parametrize(
    ("labels", "says"),
    [
        ("3\n" * 100, "the labels have shape (100,), but 500 samples need (500,)"),
        ("1\n10\n" * 250, "the labels go from 1 to 10, but those of smoke-v1 go from 0 to 9"),
        ("1.5\n" * 500, "labels must be integers from 0 to 9"),
        ("zero\n" * 500, "'digits' has no class 'zero'"),
    ],
)
def test_wrong_labels_are_refused_even_where_no_metric_needs_them(
    labels, says, ganbench_here: Command, save, data, tmp_path
) -> None:
    (tmp_path / "labels.txt").write_text(labels)
    done = ganbench_here("evaluate", save(chosen(data)), "--protocol", PROTOCOL, "--labels", "labels.txt")
    assert done.returncode == 2
    assert says in done.stderr
    assert "give labels - 1" not in done.stderr
    assert "Traceback" not in done.stderr


def test_labels_that_no_metric_needs_are_mentioned(ganbench_here: Command, save, data, tmp_path) -> None:
    (tmp_path / "labels.txt").write_text("".join(f"{k % 10}.0\n" for k in range(N)))
    done = ganbench_here("evaluate", save(chosen(data)), "--protocol", PROTOCOL, "--labels", "labels.txt")
    assert done.returncode == 0, done.stderr
    assert "found: labels were given, but no metric of smoke-v1 needs them" in done.stdout


def test_labels_in_the_samples_file_are_checked_too(ganbench_here: Command, data, tmp_path) -> None:
    np.savez(tmp_path / "x.npz", samples=chosen(data).numpy(), labels=np.zeros(100, np.int64))
    done = ganbench_here("evaluate", "x.npz", "--protocol", PROTOCOL)
    assert done.returncode == 2
    assert "the labels have shape (100,), but 500 samples need (500,)" in done.stderr


def test_samples_of_two_functions_of_a_file_have_two_names(ganbench_here: Command, tmp_path) -> None:
    (tmp_path / "gan.py").write_text(
        "import torch\n"
        "def one(n): return torch.randint(256, (n, 1, 16, 16), dtype=torch.uint8)\n"
        "def other(n): return one(n)"
    )
    for name in ("one", "other"):
        done = ganbench_here("evaluate", f"gan.py:{name}", "--protocol", PROTOCOL, "--trust")
        assert done.returncode == 0, done.stderr
        assert record_in(tmp_path, f"gan-{name}").external.name == f"gan-{name}"
    told = ganbench_here("evaluate", "gan.py:one", "--protocol", PROTOCOL).stderr
    assert "give --trust" in told
    assert "trust=True" not in told


def test_a_good_score_of_copies_is_said_to_mean_nothing(ganbench_here: Command, save, data, tmp_path) -> None:
    ganbench_here("evaluate", save(chosen(data)), "--protocol", PROTOCOL)
    record = replace(record_in(tmp_path), protocol="digits-16-v2")
    copies = _standing(record, tmp_path)
    said, _, why = copies.partition(", but this means nothing: ")
    assert why == "500 of 500 samples are exact copies of training samples"
    honest = replace(record, external=replace(record.external, found=()))
    assert _standing(honest, tmp_path) == said
    assert said.endswith("scored better by fid")


def test_a_comparison_says_which_set_a_note_is_about(ganbench_here: Command, save, data, tmp_path) -> None:
    one, other = chosen(data, 300), chosen(data, 300, seed=1)
    save(one, "one.npy")
    save(other.permute(0, 2, 3, 1), "other.npy")
    words = ["--against", "one.npy", "--extractor", "raw", "--metric", "fid", "--json"]
    found = json.loads(ganbench_here("evaluate", "other.npy", *words).stdout)
    assert found["assumed"] == ["the first set: channels come last: the samples have shape (300, 16, 16, 1)"]


def test_two_sets_are_compared_without_a_protocol(ganbench_here: Command, save, data) -> None:
    one, other = save(chosen(data, 300)), save(chosen(data, 400, seed=1), "y.npy")
    done = ganbench_here("evaluate", one, "--against", other, "--extractor", "digits-cnn", "--json")
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert "300 samples are compared with 400" in found["assumed"]
    same = json.loads(ganbench_here("evaluate", one, "--against", one, "--extractor", "raw", "--json").stdout)
    fid = next(name for name in found["scores"] if name.startswith("fid@digits-cnn"))
    assert found["scores"][fid] > 0
    assert next(value for name, value in same["scores"].items() if name.startswith("fid@raw")) < 1e-6


def test_the_scale_of_float_images_must_be_named_to_compare_them(ganbench_here: Command, save, data) -> None:
    one = save((chosen(data, 300).float() / 255).numpy())
    done = ganbench_here("evaluate", one, "--against", one, "--extractor", "raw")
    assert done.returncode == 2
    assert "--range 0,1" in done.stderr
    assert ganbench_here("evaluate", one, "--against", one, "--extractor", "raw", "--range", "0,1").returncode == 0


# -- from Python -------------------------------------------------------------------------------------------------------


def judged(samples, **options):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", Doubt)
        return ganbench.evaluate(samples, PROTOCOL, **options)


def test_paths_loaders_iterators_and_functions_give_the_scores_of_the_array(save, data, tmp_path) -> None:
    x = chosen(data)
    wanted = judged(x)
    loader = DataLoader(TensorDataset(x, torch.zeros(N)), batch_size=64)
    alone = DataLoader(TensorDataset(x), batch_size=64)
    for samples in (tmp_path / save(x), loader, alone, iter(x.split(100)), lambda n: x[:n], lambda n: (x[:n], [0] * n)):
        assert judged(samples) == wanted
    assert judged(loader).assumed[0] == "500 samples from DataLoader (1x16x16, uint8 from 0 to 255)"


def test_a_function_is_told_the_number_the_seed_and_the_labels(data) -> None:
    told = {}

    def make(n, seed, labels):
        told.update(n=n, seed=seed, labels=labels)
        return chosen(data, n)

    judged(make, seed=7)
    assert (told["n"], told["seed"], len(told["labels"])) == (N, 7, N)


def test_something_that_makes_no_samples_is_refused() -> None:
    with pytest.raises(DataError, match="samples cannot be taken from int"):
        judged(3)
    with pytest.raises(DataError, match="does not say which arguments it takes"):
        judged(torch.randn)


@pytest.mark.parametrize("module", [torch.nn.Linear(2, 2), torch.nn.Sequential(torch.nn.Linear(2, 2))])
def test_a_module_is_refused_with_the_function_to_give_instead(module) -> None:
    with pytest.raises(DataError, match="is a torch module, which does not say what it takes") as caught:
        judged(module)
    assert "lambda n: G(torch.randn(n, z_dim))" in caught.value.hint


@pytest.fixture(scope="module")
def bench() -> Bench:
    return prepare(load_protocol(PROTOCOL), "cpu")


def test_labels_of_loaders_and_functions_are_kept(bench, data) -> None:
    x, labels = chosen(data), torch.arange(N) % 10
    loader = DataLoader(TensorDataset(x, labels), batch_size=64)
    for source in (loader, zip(x.split(50), labels.split(50), strict=True), lambda n: (x[:n], labels[:n])):
        assert torch.equal(samples_of(source, bench, Asked(1)).labels, labels)
    offered = bench.judge.reference.labels
    assert torch.equal(samples_of(lambda n, labels: x[:n], bench, Asked(1)).labels, offered)


def test_labels_that_a_generator_had_to_be_given_are_no_reason_for_a_doubt(bench, data) -> None:
    x = chosen(data)
    made = samples_of(lambda n, labels: x[:n], bench, Asked(1))
    assert not any("labels were given" in told for told in judge_samples(made, bench, "it").external.found)
    with pytest.warns(Doubt) as caught:
        ganbench.evaluate(lambda n: (x[:n], torch.arange(n) % 10), PROTOCOL)
    assert any("labels were given, but no metric of smoke-v1 needs them" in str(one.message) for one in caught)


def test_a_number_of_labels_that_is_not_that_of_the_samples_is_refused(bench, data) -> None:
    x = chosen(data, 700)
    wrong = samples_of(iter([x]), bench, Asked(1))
    with pytest.raises(DataError, match=r"the labels have shape \(100,\), but 700 samples need \(700,\)"):
        judge_samples(dataclasses.replace(wrong, labels=torch.zeros(100)), bench, "it")


@pytest.mark.parametrize(
    ("said", "typed"),
    [
        (
            "pass range=(0, 1) if they are, or range=(-1, 1) if not",
            "give --range 0,1 if they are, or --range -1,1 if not",
        ),
        ("range=(0.5, 1) was given", "--range 0.5,1 was given"),
        ("leave out `range`", "leave out --range"),
        ("read it first, then pass trust=True: it", "read it first, then give --trust: it"),
        ("pass their number: z_dim=128", "give their number: --z-dim 128"),
        ("they begin at 1: give labels - 1", "they begin at 1: store labels - 1"),
        ("give labels[:, 0]", "store labels[:, 0]"),
        ("the channel axis is missing: give samples[:, None]", "the channel axis is missing: store samples[:, None]"),
        (
            "give samples.clip(-1, 1); otherwise, pass their range",
            "store samples.clip(-1, 1); otherwise, give their range",
        ),
    ],
)
def test_the_command_line_says_options_where_python_says_arguments(said, typed) -> None:
    assert in_options(said) == typed


def test_faults_are_warnings(data) -> None:
    with pytest.warns(Doubt, match="exact copies of training samples"):
        ganbench.evaluate(iter(chosen(data).split(100)), PROTOCOL)


# -- foreign models ----------------------------------------------------------------------------------------------------


def principal(data: Dataset, n: int, k: int = 12) -> Tensor:
    """Samples of a linear decoder with normal latents, as blurry as those of a variational autoencoder."""
    x = data.train.x.flatten(1).double()
    mean = x.mean(0)
    _, values, axes = torch.linalg.svd(x - mean, full_matrices=False)
    z = torch.randn(n, k, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    made = mean + (z * values[:k] / len(x) ** 0.5) @ axes[:k]
    return made.round().clamp(0, 255).to(torch.uint8).view(n, 1, 16, 16)


def test_foreign_models_stand_where_they_belong(data) -> None:
    held_out = data.test.x[:N] if len(data.test) >= N else torch.cat([data.test.x, chosen(data, N - len(data.test))])
    copier = chosen(data)[torch.arange(N) % 100]
    blurry = avg_pool2d(chosen(data).float(), 3, 1, 1).round().to(torch.uint8)
    noise = torch.randint(256, (N, 1, 16, 16), generator=torch.Generator().manual_seed(0)).to(torch.uint8)
    fids = [judged(x)["fid"] for x in (held_out, copier, principal(data, N), noise)]
    assert fids == sorted(fids)
    assert judged(blurry)["fid"] > judged(held_out)["fid"]


def test_a_record_needs_a_name(tmp_path, data, bench) -> None:
    with pytest.raises(RecordError, match="cannot write a record"):
        judge_samples(Samples(chosen(data), "some"), bench, "", out=tmp_path)


# -- several processes -------------------------------------------------------------------------------------------------


def test_several_processes_give_the_bits_of_one(data, monkeypatch) -> None:
    from ganbench.contracts.extractor import extract
    from ganbench.runs import extraction
    from ganbench_baselines.extractor.digits_cnn import load

    monkeypatch.setattr(extraction, "PAYS", 0.0)
    x, cpu = data.part("all").x, torch.device("cpu")
    alone = extract(load(), x, cpu)
    with extraction.by_processes(2, cpu):
        together = extract(load(), x, cpu)
    assert all(torch.equal(one, other) for one, other in zip(alone, together, strict=True))


def test_an_extractor_that_cannot_be_sent_works_in_this_process(data, monkeypatch) -> None:
    from ganbench.contracts.extractor import Extractor, extract
    from ganbench.runs import extraction

    class Local(Extractor):
        name, version = "local", "1"

        def forward(self, x):
            return x.flatten(1).double(), None

    monkeypatch.setattr(extraction, "PAYS", 0.0)
    with extraction.by_processes(2, torch.device("cpu")):
        features, _ = extract(Local(), data.train.x[:1200], torch.device("cpu"))
    assert torch.equal(features, data.train.x[:1200].flatten(1).double())


def test_features_of_large_sets_are_kept_in_parts_so_a_killed_evaluation_goes_on(data, monkeypatch) -> None:
    from ganbench.contracts import features as store
    from ganbench.contracts.memo import Memo
    from ganbench_baselines.extractor.digits_cnn import load

    class Disk(Memo):
        """Keeps every result, and fails at the third, as a kill does."""

        kept: ClassVar[dict[str, object]] = {}

        def found(self, samples, name, compute, holds=None):
            if samples not in self.kept:
                if len(self.kept) == killed_after:
                    raise KeyboardInterrupt
                self.kept[samples] = compute()
                looked.append(samples)
            return self.kept[samples]

    monkeypatch.setattr(store, "MANY", 500)
    x, looked, killed_after = data.part("all").x, [], 2
    whole = store.FeatureStore(x, x, load(), torch.device("cpu")).features()
    with pytest.raises(KeyboardInterrupt):
        store.FeatureStore(x, x, load(), torch.device("cpu"), Disk()).features()
    killed_after = -1
    again = store.FeatureStore(x, x, load(), torch.device("cpu"), Disk()).features()
    assert len(looked) == 4
    assert torch.equal(again.real, whole.real)
    assert torch.equal(again.real_logits, whole.real_logits)
