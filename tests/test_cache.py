"""Results computed once: within a process and, if they were expensive, for later processes."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import weakref
from collections import Counter
from collections.abc import Callable
from functools import wraps
from pathlib import Path

import pytest
import torch
from msgspec.structs import replace
from running import carry_out, plan_of
from safetensors import safe_open
from safetensors.torch import load_file, save_file
from torch import Tensor

from ganbench.contracts import features as contract
from ganbench.contracts import memo
from ganbench.contracts.data import DataSpec
from ganbench.contracts.evaluation import Evaluation
from ganbench.contracts.extractor import Extractor, extract, is_of
from ganbench.contracts.features import FeatureStore
from ganbench.contracts.memo import Holds, Memo, Results, fingerprint
from ganbench.errors import GanbenchWarning
from ganbench.evaluation import cache, private
from ganbench.evaluation.cache import Cache
from ganbench.plugins.protocols import load_protocol
from ganbench.records.record import Component
from ganbench.runs.setup import forget, prepare
from ganbench_baselines.metric import fid

CPU = torch.device("cpu")
BASIS = {"extractor": "flat:1", "device": "cpu"}


@pytest.fixture
def folder(monkeypatch, tmp_path) -> Path:
    """An empty cache in which everything is worth a file."""
    monkeypatch.setenv("GANBENCH_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(cache, "EXPENSIVE", 0.0)
    return tmp_path / "cache"


class Work:
    """Something to compute, and how often it was."""

    def __init__(self, **results: Tensor) -> None:
        self.results = results or {"x": torch.tensor([1.0, 1 / 3], dtype=torch.float64)}
        self.times = 0

    def __call__(self) -> dict[str, Tensor]:
        self.times += 1
        return self.results

    def through(self, kept: Memo, samples: str = "s", name: str = "n") -> dict[str, Tensor]:
        return dict(kept.once(samples, name, self.compute))

    def compute(self) -> dict[str, Tensor]:
        return self()


def same(one: dict[str, Tensor], other: dict[str, Tensor]) -> bool:
    return one.keys() == other.keys() and all(torch.equal(one[k], other[k]) for k in one)


# -- files -----------------------------------------------------------------------------------------------------------


def test_another_process_finds_what_was_computed_bit_by_bit(folder) -> None:
    rng = torch.Generator().manual_seed(0)
    narrow = torch.randn(20, 3, generator=rng).double()  # as extractors give it: float32 in float64
    wide = torch.randn(20, 3, dtype=torch.float64, generator=rng)
    work = Work(narrow=narrow, wide=wide, count=torch.tensor(7))
    work.through(Cache(BASIS))
    found = work.through(Cache(BASIS))
    assert work.times == 1
    assert same(found, work.results)
    (file,) = folder.iterdir()
    stored = load_file(file)
    assert stored["narrow"].dtype == torch.float32  # in half the space
    assert stored["wide"].dtype == torch.float64


@pytest.mark.parametrize(
    "change",
    [
        {"basis": {**BASIS, "extractor": "flat:2"}},
        {"basis": {**BASIS, "device": "cuda"}},
        {"samples": "t"},
        {"name": "m"},
    ],
    ids=["weights", "device", "samples", "name"],
)
def test_what_depends_on_something_else_is_computed_anew(folder, change) -> None:
    work = Work()
    work.through(Cache(BASIS))
    work.through(Cache(change.get("basis", BASIS)), **{k: v for k, v in change.items() if k != "basis"})
    assert work.times == 2


def test_another_number_of_threads_is_another_basis(folder) -> None:
    work = Work()
    work.through(Cache(BASIS))
    torch.set_num_threads(2)
    work.through(Cache(BASIS))
    assert work.times == 2


def test_other_code_is_another_basis(folder, monkeypatch) -> None:
    work = Work()
    work.through(Cache(BASIS))
    monkeypatch.setattr(cache, "source_hash", lambda module: "edited")
    work.through(Cache(BASIS))
    assert work.times == 2


def cut(file: Path) -> None:
    file.write_bytes(file.read_bytes()[:-5])


def emptied(file: Path) -> None:
    file.write_bytes(b"")


def one_bit_off(file: Path) -> None:
    content = bytearray(file.read_bytes())
    content[-1] ^= 1
    file.write_bytes(content)


def of_something_else(file: Path) -> None:
    with safe_open(file, "pt") as content:
        metadata = {**content.metadata(), "basis": "{}"}
    save_file(load_file(file), file, metadata)


@pytest.mark.parametrize("damage", [cut, emptied, one_bit_off, of_something_else])
def test_a_damaged_file_is_computed_again_and_mended(folder, damage) -> None:
    work = Work()
    work.through(Cache(BASIS))
    (file,) = folder.iterdir()
    damage(file)
    assert same(work.through(Cache(BASIS)), work.results)
    assert work.times == 2
    work.through(Cache(BASIS))
    assert work.times == 2


def test_a_folder_that_cannot_be_written_is_no_error(folder) -> None:
    folder.write_text("a file stands where the folder should")
    work = Work()
    assert same(work.through(Cache(BASIS)), work.results)


def test_what_took_no_time_is_worth_no_file(folder, monkeypatch) -> None:
    monkeypatch.setattr(cache, "EXPENSIVE", float("inf"))
    Work().through(Cache(BASIS))
    assert not folder.exists()


def test_without_a_basis_nothing_is_written(folder) -> None:
    work, kept = Work(), Memo()
    work.through(kept)
    work.through(kept)
    assert work.times == 1
    assert not folder.exists()


def test_code_that_no_file_holds_is_no_basis(folder, monkeypatch) -> None:
    monkeypatch.setattr(Work.compute, "__module__", "typed_by_hand")
    Work().through(Cache(BASIS))
    assert not folder.exists()
    assert cache.surroundings(CPU, "mine:1", Component("mine", "yours", "1.0", "")) is None
    assert cache.surroundings(CPU, "mine:1", Component("mine", "yours", "1.0", "0a1b")) is not None


def test_nothing_half_written_is_left(folder) -> None:
    Work().through(Cache(BASIS))
    assert [file.suffix for file in folder.iterdir()] == [".safetensors"]


@pytest.mark.skipif(sys.platform != "linux", reason="other systems keep caches elsewhere")
def test_the_folder_is_the_variables_or_the_users(monkeypatch, tmp_path) -> None:
    monkeypatch.delenv("GANBENCH_CACHE", raising=False)
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    assert cache.folder() == Path.home() / ".cache" / "ganbench"
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert cache.folder() == tmp_path / "ganbench"
    monkeypatch.setenv("GANBENCH_CACHE", str(tmp_path / "mine"))
    assert cache.folder() == tmp_path / "mine"


@pytest.mark.parametrize("other", [torch.zeros(6, 2), torch.zeros(3, 4).double(), torch.eye(3, 4)])
def test_a_fingerprint_is_of_shape_type_and_content(other) -> None:
    x = torch.zeros(3, 4)
    assert fingerprint(x) == fingerprint(x.clone()) == fingerprint(torch.zeros(4, 3).T)
    assert fingerprint(x) != fingerprint(other)


# -- files from elsewhere ----------------------------------------------------------------------------------------------


def metadata_of(file: Path) -> dict[str, str]:
    with safe_open(file, "pt") as content:
        return content.metadata()


def test_results_from_elsewhere_are_deleted_and_computed_afresh(folder, monkeypatch, tmp_path) -> None:
    work = Work()
    work.through(Cache(BASIS))
    (file,) = folder.iterdir()
    with monkeypatch.context() as others:
        others.setenv("GANBENCH_CACHE", str(tmp_path / "theirs"))
        others.setenv("XDG_STATE_HOME", str(tmp_path / "their state"))
        Work(x=torch.zeros(2)).through(Cache(BASIS))
    (theirs,) = (tmp_path / "theirs").iterdir()
    save_file(load_file(theirs), file, {**metadata_of(theirs), "seal": metadata_of(file)["seal"]})
    with pytest.warns(GanbenchWarning, match=rf"{file} was not written by this user's GANBench: it was deleted"):
        assert same(work.through(Cache(BASIS)), work.results)
    assert work.times == 2
    assert same(work.through(Cache(BASIS)), work.results)  # the new file
    assert work.times == 2


def test_another_key_is_another_user(folder, monkeypatch, tmp_path) -> None:
    work = Work()
    work.through(Cache(BASIS))
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "other"))
    with pytest.warns(GanbenchWarning, match="was not written by this user's GANBench"):
        work.through(Cache(BASIS))
    assert work.times == 2


def test_a_key_is_made_once_for_the_user_alone(monkeypatch, tmp_path) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    key = private.user_key()
    assert key is not None
    assert private.user_key() == key
    (file,) = (tmp_path / "ganbench").iterdir()
    assert file.stat().st_mode & 0o777 == 0o600
    assert file.parent.stat().st_mode & 0o777 == 0o700
    file.chmod(0o644)
    assert private.user_key() is None
    file.chmod(0o600)
    file.write_bytes(b"short")
    assert private.user_key() is None


def test_without_a_place_for_the_key_nothing_is_written(folder, monkeypatch, tmp_path) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "file"))
    work = Work()
    assert same(work.through(Cache(BASIS)), work.results)
    assert not folder.exists()


def test_the_folder_is_made_for_the_user_alone(folder) -> None:
    Work().through(Cache(BASIS))
    assert folder.stat().st_mode & 0o777 == 0o700


@pytest.mark.parametrize("mode", [0o777, 0o770, 0o1777])
def test_a_folder_that_others_may_write_to_is_neither_read_nor_written(folder, mode) -> None:
    work = Work()
    work.through(Cache(BASIS))
    folder.chmod(mode)
    with pytest.warns(GanbenchWarning, match=rf"{folder} is not used, because others can write to it: run chmod go-w"):
        work.through(Cache(BASIS))
    with pytest.warns(GanbenchWarning, match="is not used"):
        work.through(Cache(BASIS), samples="t")
    assert work.times == 3
    assert len(list(folder.iterdir())) == 1


def test_a_folder_of_another_user_is_not_used(folder, monkeypatch) -> None:
    folder.mkdir()
    user = os.geteuid()
    monkeypatch.setattr(private.os, "geteuid", lambda: user + 1)
    with pytest.warns(GanbenchWarning, match="belongs to another user"):
        assert not private.is_private(folder)


def test_a_pipe_in_the_folder_is_not_waited_for(folder) -> None:
    work = Work()
    work.through(Cache(BASIS))
    (file,) = folder.iterdir()
    file.unlink()
    os.mkfifo(file)
    work.through(Cache(BASIS))
    assert work.times == 2


def judged(memo: Memo) -> Evaluation:
    return asked(sole=False, memo=memo)


class Forging(Cache):
    """The user's own cache, which keeps other features than the data give."""

    def __init__(self, forge: Callable[[Tensor], Tensor]) -> None:
        super().__init__(BASIS)
        self.forge = forge

    def found(self, samples: str, name: str, compute: Callable[[], Results], holds: Holds | None = None) -> Results:
        @wraps(compute)
        def forged() -> Results:
            return {what: self.forge(value) for what, value in compute().items()}

        return super().found(samples, name, forged, holds)


@pytest.mark.parametrize(
    "forged",
    [
        lambda x: x * 1.001,
        lambda x: x + 1,
        lambda x: x.flip(0),
        lambda x: x[:-1].contiguous(),
        lambda x: x[:, :-1].contiguous(),
        lambda x: x * float("nan"),
    ],
    ids=["a little larger", "moved", "of other samples", "too few", "too short", "no numbers"],
)
def test_features_that_are_not_those_of_the_data_are_computed_afresh(folder, forged) -> None:
    right = judged(Memo()).features().real
    judged(Forging(forged)).features()
    with pytest.warns(GanbenchWarning, match=r"does not match its data: it was deleted, and its content is recomputed"):
        assert torch.equal(judged(Cache(BASIS)).features().real, right)
    assert torch.equal(judged(Cache(BASIS)).features().real, right)


def test_last_bits_are_no_forgery_and_looking_draws_no_random_number(folder) -> None:
    forged = judged(Forging(lambda x: x * (1 + 1e-6))).features().real
    assert not torch.equal(forged, judged(Memo()).features().real)
    before = torch.get_rng_state()
    found = judged(Cache(BASIS)).features().real
    assert torch.equal(torch.get_rng_state(), before)
    assert torch.equal(found, forged)


def test_logits_that_are_missing_or_not_those_of_the_data_are_seen() -> None:
    x = torch.randn(20, 6)
    features, _ = extract(Third(), x, CPU)
    assert is_of(Third(), x, CPU, features, None)
    assert not is_of(Third(), x, CPU, features, features)
    assert not is_of(Third(), x, CPU, None, None)
    assert not is_of(Third(), x[:0], CPU, features[:0], None)


# -- a whole run -----------------------------------------------------------------------------------------------------


@pytest.fixture
def extracted(monkeypatch) -> Counter[str]:
    """How often the features of which array were computed."""
    times = Counter[str]()

    def counting(extractor: Extractor, x: Tensor, device: torch.device, **how):
        times[fingerprint(x)] += 1
        return extract(extractor, x, device, **how)

    monkeypatch.setattr(contract, "extract", counting)
    return times


@pytest.mark.parametrize("name", ["smoke-v1", "digits-16-v1"])
def test_no_array_is_put_through_the_extractor_twice_in_a_whole_command(extracted, name, tmp_path) -> None:
    protocol = load_protocol(name)
    protocol = replace(protocol, seeds=(0,), training=replace(protocol.training, budget_kimg=0.32, width=8))
    forget()
    plan = plan_of(tmp_path, rules=protocol)
    for job in plan.jobs:
        assert carry_out(job).status == "ok"
    bench = prepare(protocol, "cpu")
    for real in (bench.judge.reference, bench.selector.reference):
        assert extracted[fingerprint(real.x)] == 1
    assert set(extracted.values()) == {1}
    assert len(extracted) > len(plan.jobs)


SCORED = """
import json, sys
from ganbench.contracts import features
from ganbench.evaluation import cache
from ganbench.plugins.protocols import load_protocol
from ganbench.runs.setup import prepare

times, extract = 0, features.extract

def counting(*what, **room):
    global times
    times += 1
    return extract(*what, **room)

cache.EXPENSIVE, features.extract = 0.0, counting
judge = prepare(load_protocol("smoke-v1"), "cpu").judge
scores = judge.score(judge.dataset.train[judge.reference.labels * 0 + 3], 0).scores
print(json.dumps([times, scores]))
"""


@pytest.mark.slow
def test_a_second_process_scores_the_same_and_puts_no_reals_through_the_extractor(tmp_path) -> None:
    environment = {**os.environ, "GANBENCH_CACHE": str(tmp_path / "cache")}
    seen = []
    for _ in range(2):
        done = subprocess.run(
            [sys.executable, "-c", SCORED], env=environment, capture_output=True, text=True, check=True
        )
        seen.append(json.loads(done.stdout))
    (first, scores), (second, again) = seen
    assert (first, second) == (2, 1)  # reals and fakes; fakes
    assert again == scores


# -- features as they go by ------------------------------------------------------------------------------------------


class Third(Extractor):
    """``x[B, 6] -> x / 3`` in float32; counts the samples it is shown."""

    name, version = "third", "1"
    shown = 0

    def forward(self, x: Tensor) -> tuple[Tensor, None]:
        self.shown += len(x)
        return x.float() / 3, None


def asked(sole: bool, memo: Memo | None = None) -> Evaluation:
    rng = torch.Generator().manual_seed(0)
    real, fake, third = torch.randn(1234, 6, generator=rng), torch.randn(1300, 6, generator=rng), Third()
    store = FeatureStore(real, fake, third, CPU, memo, sole=sole)
    return Evaluation(real, fake, DataSpec((6,)), rng, extractor=third, shared=store)


def test_features_that_nobody_else_asks_for_go_by_without_being_kept(monkeypatch) -> None:
    monkeypatch.setattr(contract, "MANY", 1000)
    passing, keeping = asked(sole=True), asked(sole=False)
    metric = fid.ganbench_metric()
    assert metric(passing) == metric(keeping)
    assert passing.store.known is None
    assert passing.used_extractor
    assert keeping.store.known is not None
    assert passing.extractor.shown == keeping.extractor.shown == 1234 + 1300


def test_features_that_are_there_already_are_not_computed_again_as_they_go_by(monkeypatch) -> None:
    monkeypatch.setattr(contract, "MANY", 1000)
    given = asked(sole=True)
    features = given.features()
    assert torch.equal(torch.cat(list(given.blocks("real"))), features.real)
    assert torch.equal(torch.cat(list(given.blocks("fake"))), features.fake)
    assert given.extractor.shown == 1234 + 1300


def test_the_reals_as_fakes_are_not_put_through_the_extractor_again() -> None:
    real = asked(sole=False).real
    given = Evaluation(real, real, DataSpec((6,)), torch.Generator(), extractor=Third())
    features = given.features()
    assert features.fake is features.real
    assert given.extractor.shown == 1234


def test_of_many_sets_of_samples_the_latest_are_remembered_and_what_is_used_stays() -> None:
    kept, work = Memo(), Work()
    for samples in range(3 * memo.SETS):
        work.through(kept, "reference")
        work.through(kept, f"other {samples}")
    assert work.times == 1 + 3 * memo.SETS
    assert kept.known("reference", "n") is not None
    assert kept.known("other 0", "n") is None
    samples = ["reference", *(f"other {number}" for number in range(3 * memo.SETS))]
    assert sum(kept.known(of, "n") is not None for of in samples) == memo.SETS


def test_an_array_is_hashed_once_and_another_at_its_place_anew(monkeypatch) -> None:
    hashed: list[float] = []
    held = []  # fills the places of earlier arrays, one more in each attempt
    monkeypatch.setattr(memo, "fingerprint", lambda x: hashed.append(x.sum().item()) or f"{x.sum():g}")
    for _ in range(100):  # the place of an array that went is free for the next one, unless a thread was faster
        hashed.clear()
        held.append(torch.ones(3))
        kept, x = Memo(), torch.ones(3)
        assert [kept.fingerprint(x), kept.fingerprint(x)] == ["3", "3"]
        address = id(x)
        del x
        x = torch.zeros(3)
        if id(x) == address:
            break
    assert id(x) == address, "no other array came to lie there"
    assert kept.fingerprint(x) == "0"
    assert hashed == [3.0, 0.0]


def test_a_memo_keeps_no_array_alive() -> None:
    kept, x = Memo(), torch.ones(3)
    kept.fingerprint(x)
    seen = weakref.ref(x)
    del x
    assert seen() is None


def test_two_metrics_may_call_what_they_keep_by_the_same_name() -> None:
    def one() -> dict[str, Tensor]:
        return {"x": torch.zeros(1)}

    def other() -> dict[str, Tensor]:
        return {"x": torch.ones(1)}

    other.__module__ = "somebody.elses"
    x = torch.zeros(4, 2)
    evaluation = Evaluation(real=x, fake=x, spec=DataSpec((2,)), rng=torch.Generator())
    assert evaluation.of_reals("sum", one)["x"] == 0
    assert evaluation.of_reals("sum", other)["x"] == 1
