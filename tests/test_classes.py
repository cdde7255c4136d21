"""Classes are matched by name: the data's with an extractor's, in every metric that compares them."""

from __future__ import annotations

import warnings
from dataclasses import replace
from functools import cache
from pathlib import Path

import pytest
import torch
from msgspec.structs import replace as changed
from PIL import Image
from torch import Tensor

import ganbench
from ganbench.contracts.classes import class_places
from ganbench.contracts.data import Dataset, DataSpec, Oracle, Split
from ganbench.contracts.evaluation import Evaluation
from ganbench.contracts.extractor import Extractor
from ganbench.errors import DataError, GanbenchError, ProtocolError, Unsupported
from ganbench.evaluation.enough import shortages
from ganbench.plugins.protocols import load_protocol
from ganbench.records.store import read
from ganbench.report import pictures
from ganbench.runs.setup import prepare
from ganbench_baselines.dataset import digits, drums, folder, folder_pair, folder_wav
from ganbench_baselines.extractor import clips_cnn, digits_cnn, drums_cnn
from ganbench_baselines.metric import intra_fid, label_accuracy, modes
from ganbench_baselines.metric.guessing import doubts_of_guessing

WORDS = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")


@cache
def every_digit() -> Split:
    return digits.ganbench_dataset(None).part("all")


class Named(Extractor):
    """Features are the samples; the logits say what each sample's first number is."""

    name, version = "named", "1"

    def __init__(self, *names: str) -> None:
        super().__init__()
        self.class_names = names
        self.confusion = torch.eye(len(names)) * 100

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        logits = torch.full((len(x), len(self.class_names)), -9.0)
        logits[torch.arange(len(x)), x[:, 0].long()] = 9.0
        return x, logits


def data(names: tuple[str, ...], per_class: int = 50) -> Dataset:
    """Points whose first number is the place of their class among ``("a", "b", "c")``."""
    labels = torch.arange(len(names)).repeat_interleave(per_class)
    x = torch.randn(len(labels), 2, generator=torch.Generator().manual_seed(0))
    x[:, 0] = torch.tensor(["abc".index(name.lower()) if name.lower() in "abc" else 0 for name in names])[labels]
    split, classes = Split(x, labels), len(names)
    oracle = Oracle(torch.full((classes,), 1 / classes))
    return Dataset("mine", DataSpec((2,), classes, bounded=False), split, split, oracle, class_names=names)


def evaluation(names: tuple[str, ...], extractor: Extractor) -> Evaluation:
    of, rng = data(names), torch.Generator().manual_seed(0)
    x, labels = of.train.x, of.train.labels
    return Evaluation(
        x, x, of.spec, rng, real_labels=labels, fake_labels=labels, oracle=of.oracle, extractor=extractor, dataset=of
    )


def paint(root: Path, names: dict[int, str], per_class: int = 12) -> Path:
    """Real digits in folders of these names."""
    split, seen = every_digit(), dict.fromkeys(names, 0)
    assert split.labels is not None
    for image, label in zip(split.x, split.labels.tolist(), strict=True):
        if label in names and seen[label] < per_class:
            seen[label] += 1
            path = root / names[label] / f"{seen[label]:03d}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(image[0].numpy()).save(path)
    return root


def rules(path: Path, samples: int = 60) -> ganbench.Protocol:
    smoke = load_protocol("smoke-v1")
    judged = changed(
        smoke.evaluation,
        metrics=["label-accuracy"],
        headline="label_accuracy",
        samples=samples,
        reference="all",
        target=None,
        yardsticks=["real data"],
    )
    return changed(smoke, name="mine", dataset=f"folder:{path}", evaluation=judged)


# -- matching ----------------------------------------------------------------------------------------------------------


def test_the_order_of_names_does_not_matter():
    assert class_places(Named("a", "b", "c"), 3, data(("c", "a", "b"))) == [2, 0, 1]
    assert class_places(Named("a", "b", "c"), 3, data(("B", "C", "a"))) == [1, 2, 0]
    assert class_places(Named("Café"), 1, replace(data(("x",)), class_names=("cafe\u0301",))) == [0]


def test_classes_without_names_are_taken_to_be_numbered_alike():
    assert class_places(Named("a", "b"), 2, replace(data(("b", "a")), class_names=())) == [0, 1]
    unnamed = Named("a", "b")
    unnamed.class_names = ()
    assert class_places(unnamed, 2, data(("b", "a"))) == [0, 1]


@pytest.mark.parametrize(
    ("names", "said"),
    [
        (("a", "b"), "named tells 3 classes apart (only named has 'c'), but mine has 2"),
        (("a", "x", "y"), "the classes of mine are called 'x', 'y', but named calls them 'b', 'c'"),
    ],
)
def test_other_classes_are_refused_by_number_and_by_name(names, said):
    with pytest.raises(Unsupported) as caught:
        class_places(Named("a", "b", "c"), 3, data(names))
    assert caught.value.message == said


def test_a_long_list_of_classes_is_cut():
    many = tuple(f"n{i}" for i in range(8))
    with pytest.raises(Unsupported, match="'n0', 'n1', 'n2', 'n3', 'n4' and 3 more"):
        class_places(Named("a", "b", "c"), 3, data(many))


@pytest.mark.parametrize(
    ("of", "extractor"),
    [
        (digits.ganbench_dataset, digits_cnn.load),
        (digits.ganbench_dataset, clips_cnn.load),
        (lambda none: drums.ganbench_dataset("", none), drums_cnn.load),
    ],
)
def test_shipped_extractors_name_their_classes_as_their_data_do(of, extractor):
    classes = len(extractor().class_names)
    assert class_places(extractor(), classes, of(None)) == list(range(classes))


# -- metrics -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("names", [("a", "b", "c"), ("c", "a", "b")])
def test_label_accuracy_of_perfect_samples_is_1_in_any_order_of_names(names):
    it = evaluation(names, Named("a", "b", "c"))
    assert label_accuracy.ganbench_metric()(it) == {"label_accuracy": 1.0, "label_accuracy_real": 1.0}
    assert it.doubts == []


def test_modes_are_counted_in_the_datas_order_of_names():
    names = ("c", "a", "b")
    it = evaluation(names, Named("a", "b", "c"))
    rare = it.real_labels == 0
    keep = (~rare | (rare.cumsum(0) <= 2)).nonzero().flatten()  # two samples of "c", and fifty of the others
    few = replace(it, fake=it.fake[keep], oracle=Oracle(torch.tensor([2.0, 50.0, 50.0]) / 102))
    assert modes.ganbench_metric()(few)["mode_kl_raw"] == pytest.approx(-2 / (2 * len(keep)), abs=5e-3)


def test_modes_of_other_classes_have_no_score():
    with pytest.raises(Unsupported, match="the classes of mine are called 'x'"):
        modes.ganbench_metric()(evaluation(("a", "b", "x"), Named("a", "b", "c")))


def test_reals_that_a_classifier_only_guesses_are_mentioned():
    for metric in (label_accuracy, modes):
        it = evaluation(("c", "a", "b"), Named("a", "b", "c"))
        it.dataset = replace(it.dataset, class_names=())
        metric.ganbench_metric()(it)
        assert it.doubts == [
            "the extractor finds the labels of 0% of the real samples, and guessing finds 33%: either it was made for "
            "other data, or the labels are wrong"
        ]


def test_guessing_is_measured_by_the_most_frequent_class():
    labels = torch.tensor([0] * 90 + [1] * 10)
    assert doubts_of_guessing(0.92, labels, "it")
    assert not doubts_of_guessing(0.93, labels, "it")
    assert not doubts_of_guessing(0.34, torch.arange(10), "it")


def test_a_class_without_enough_samples_is_called_by_its_name():
    it = evaluation(("a", "b", "c"), Named("a", "b", "c"))
    lacking = replace(it, fake=it.fake[:101], fake_labels=it.fake_labels[:101])
    absent = intra_fid.ganbench_metric()(lacking)["intra_fid"]
    assert absent.reason == "class 'c' has 50 real and 1 fake samples; both need 2"
    assert "class 7" in replace(it.dataset, class_names=()).class_title(7)


def test_a_class_with_fewer_samples_than_features_is_mentioned_with_intra_fid():
    it = evaluation(("a", "b", "c"), Named("a", "b", "c"))
    few = replace(it, fake=it.fake[:102], fake_labels=it.fake_labels[:102])
    intra_fid.ganbench_metric()(few)
    (doubt,) = few.doubts
    assert doubt.startswith("2 samples of class 'c' are no more than the 2 features")


# -- from a folder to a record -----------------------------------------------------------------------------------------


def test_folders_that_are_called_as_the_judge_calls_its_classes_are_scored_right(tmp_path):
    path = paint(tmp_path / "numbers", {label: str(label) for label in range(10)})
    with warnings.catch_warnings():
        warnings.simplefilter(
            "ignore", ganbench.errors.Doubt
        )  # the extractor was made for the digits, not for a folder
        judge = prepare(rules(path), "cpu").judge
        scores = ganbench.evaluate(judge.reference.x, rules(path), labels=judge.reference.labels, device="cpu")
    assert next(score for name, score in scores.items() if "real" in name) > 0.95


@pytest.mark.parametrize(
    ("names", "said"),
    [
        (dict(enumerate(WORDS)), "the classes of folder:it are called 'eight', 'five', 'four', 'nine', 'one' and 5"),
        (
            {label: str(label) for label in range(1, 10)},
            "digits-cnn tells 10 classes apart (only digits-cnn has '0'), but",
        ),
    ],
)
def test_folders_of_other_classes_than_the_judges_are_refused_before_training(tmp_path, names, said):
    path = paint(tmp_path / "it", names)
    with pytest.raises(ProtocolError) as caught:
        prepare(rules(path), "cpu")
    assert caught.value.message.startswith(f"the metric 'label-accuracy' compares classes by name: {said}")
    assert "leave 'label-accuracy' out of the protocol" in caught.value.hint


def test_class_folders_give_the_data_their_names(tmp_path):
    found = folder.ganbench_dataset(argument=str(paint(tmp_path, {1: "b", 2: "a"})), resolution=None)
    assert found.class_names == ("a", "b")
    assert found.class_called("b") == 1
    with pytest.raises(DataError) as caught:
        found.class_called("1")
    assert str(caught.value) == f"'{found.name}' has no class '1'\nits classes are a, b"


def test_classes_without_names_are_called_by_number():
    numbered = replace(data(("a", "b")), class_names=())
    assert numbered.class_called("1") == 1
    with pytest.raises(GanbenchError, match="its classes are 0, 1"):
        numbered.class_called("2")


def test_a_run_writes_down_the_names_of_its_classes(tmp_path):
    runs = ganbench.run("mlp", "hinge", "smoke-v1", seeds=[0], out=tmp_path, device="cpu", progress=False)
    assert read(runs[0].folder / "record.json").class_names == tuple("0123456789")


# -- too few -----------------------------------------------------------------------------------------------------------


def test_fewer_training_samples_than_a_batch_are_mentioned_with_the_next_step():
    small = data(("a", "b"), per_class=5)
    assert shortages(small, 10) == []
    (said,) = shortages(small, 11)
    assert said.startswith("mine has 10 training samples, fewer than a batch of 11, so every batch repeats some: lower")
    translated = replace(small, train=replace(small.train, source=small.train.x[:3]))
    assert "3 training inputs" in shortages(translated, 10)[0]


def test_classes_too_small_to_learn_or_to_judge_are_called_by_name(tmp_path):
    paint(tmp_path, {0: "many", 1: "more"})
    paint(tmp_path, {2: "lonely"}, per_class=1)
    found = folder.ganbench_dataset(argument=str(tmp_path), resolution=None)
    (said,) = shortages(found, 1)
    assert said == (
        f"in {found.name}, class 'lonely' (1 to train on and 0 held out) has too few samples to learn or evaluate: "
        "add some, or leave it out"
    )


def test_a_long_list_of_small_classes_is_cut():
    labels = torch.arange(8)
    split = Split(torch.zeros(8, 2), labels)
    (said,) = shortages(Dataset("mine", DataSpec((2,), 8, bounded=False), split, split), 1)
    assert "class 4 (1 to train on and 1 held out) and 3 more have too few samples" in said


def test_what_is_too_few_is_said_before_training_and_stands_in_the_record(tmp_path):
    path = paint(tmp_path / "it", {label: str(label) for label in range(10)}, per_class=3)
    own = rules(path, samples=30)
    with pytest.warns(ganbench.errors.Doubt) as caught:
        doubts = prepare(own, "cpu").doubts
    said = [doubt for doubt in doubts if "fewer than a batch" in doubt]
    assert said
    assert {*said} <= {str(warning.message) for warning in caught}


# -- the rest of what a folder may be ----------------------------------------------------------------------------------


def test_a_class_that_is_called_otherwise_than_in_the_finished_run_is_noticed(tmp_path):
    path = paint(tmp_path / "it", {0: "a", 1: "b"}, per_class=20)
    smoke = load_protocol("smoke-v1")
    own = changed(
        smoke,
        name="mine",
        dataset=f"folder:{path}",
        evaluation=changed(
            smoke.evaluation, metrics=["fid"], extractor="raw", samples=20, target=None, yardsticks=["noise"]
        ),
    )

    def run() -> ganbench.Runs:
        return ganbench.run("mlp", "hinge", own, out=tmp_path / "runs", device="cpu", progress=False)

    with pytest.warns(ganbench.errors.Doubt):
        run()
    (path / "b").rename(path / "c")
    with pytest.warns(ganbench.GanbenchWarning) as caught:
        assert run()[0].record.class_names == ("a", "c")
    told = f"the classes of folder:{path} have changed since the last run (a, b, now a, c); finished jobs are repeated"
    assert told in [str(warning.message) for warning in caught]


def test_names_with_a_line_break_stay_on_their_line(tmp_path):
    found = folder.ganbench_dataset(argument=str(paint(tmp_path, {1: "new\nline", 2: "a"})), resolution=None)
    assert found.class_names == ("a", "new\\nline")


@pytest.mark.parametrize("dataset", ["folder", "folder-pair", "folder-wav"])
def test_the_home_folder_of_nobody_is_a_sentence(dataset):
    where = "~nobody-here/a,~nobody-here/b" if dataset == "folder-pair" else "~nobody-here/a"
    source = ganbench.plugins.find("dataset", f"{dataset}:{where}")
    with pytest.raises(DataError, match="begins with a home folder that is not known"):
        ganbench.plugins.build(source, argument=source.argument, resolution=None)


def test_a_pair_of_the_same_folder_is_refused(tmp_path):
    path = paint(tmp_path / "it", {0: "a"})
    with pytest.raises(DataError, match="are the same"):
        folder_pair.ganbench_dataset(argument=f"{path},{path / '..' / 'it'}", resolution=None)


def test_what_is_no_number_of_samples_is_named(tmp_path):
    with pytest.raises(DataError, match=r"'abc' after '.*' is no number of samples"):
        folder_wav.ganbench_dataset(argument=f"{tmp_path},abc,16000", resolution=None)


def test_missing_labels_are_mentioned_by_evaluate():
    x = prepare(load_protocol("digits-16-cond-v1"), "cpu").judge.reference.x
    with pytest.warns(ganbench.errors.Doubt) as caught:
        scores = ganbench.evaluate(x, "digits-16-cond-v1", device="cpu")
    said = [str(warning.message) for warning in caught]
    assert "no labels were given, so intra-fid, label-accuracy and cas have no score" in said
    assert "there is no intra_fid: needs the labels of reals and of fakes" in said
    assert "intra_fid" in scores.absent


def test_two_kinds_of_labels_for_ten_classes_are_refused():
    x = prepare(load_protocol("digits-16-cond-v1"), "cpu").judge.reference.x
    with pytest.raises(DataError, match="the labels are True and False, but the data have 10 classes"):
        ganbench.evaluate(x, "digits-16-cond-v1", labels=torch.ones(len(x), dtype=torch.bool), device="cpu")


def test_translations_without_a_truth_are_drawn_beside_as_many_sources(tmp_path):
    rng = torch.Generator().manual_seed(0)
    x, source = (torch.randint(256, (n, 3, 16, 16), generator=rng, dtype=torch.uint8) for n in (27, 12))
    spec = DataSpec((3, 16, 16), source=(3, 16, 16))
    fakes, reals = Split(x, source=source), Split(x, source=source)
    assert pictures.picture_of(fakes, spec, reals).ndim == 3
    assert len(pictures.thumbnail(x[:8], source[:5])) == 16
