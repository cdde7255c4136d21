"""Who made the data, under which terms, and how samples were made: in records, on pages, and in `ganbench show`."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator

import msgspec
import pytest
from running import carry_out, job_in
from toy import TOY, make

from ganbench import Download, Origin, plugins
from ganbench.leaderboards.table import build
from ganbench.pages.rules import rules_in_words
from ganbench.plugins.downloads import offered_by
from ganbench.plugins.protocols import load_protocol
from ganbench.plugins.source import Source
from ganbench.records.store import read, write
from ganbench.runs import setup
from ganbench_baselines.dataset import digits

ORIGIN = Origin(
    citation="A. Author (2024), Ten <b>thousand</b> blobs",
    licence="CC BY 4.0",
    homepage="https://example.org/blobs",
    conversion="central square, Lanczos filter, 8 bits",
)


@pytest.fixture
def with_origin(monkeypatch) -> Iterator[None]:
    """Datasets have this origin."""
    built = plugins.build

    def build_with_origin(source: Source, **arguments: object) -> object:
        made = built(source, **arguments)
        return dataclasses.replace(made, origin=ORIGIN) if source.kind == "dataset" else made

    monkeypatch.setattr(setup.plugins, "build", build_with_origin)
    setup.forget()
    yield
    setup.forget()


def test_the_origin_of_the_data_stands_in_the_record_of_a_run(tmp_path, with_origin) -> None:
    job = job_in(tmp_path, "mlp", "hinge")
    carry_out(job)
    assert read(job.record_file).origin == ORIGIN


def test_a_record_without_an_origin_can_be_read(tmp_path) -> None:
    record = make()
    write(record, tmp_path / "record.json")
    assert read(tmp_path / "record.json").origin == Origin()


def test_a_page_says_who_made_the_data_under_which_terms_and_how_samples_were_made() -> None:
    records = [make(seed=seed, origin=ORIGIN) for seed in range(5)]
    rules = {(rule.name, rule.more) for rule in rules_in_words(build(records, TOY))}
    assert ("data by", "A. Author (2024), Ten <b>thousand</b> blobs; licence: CC BY 4.0") in rules
    assert ("samples", "central square, Lanczos filter, 8 bits") in rules


def test_a_page_says_how_the_reals_are_augmented() -> None:
    training = msgspec.structs.replace(TOY.training, augment=("flip", "shift:2"))
    protocol = msgspec.structs.replace(TOY, training=training)
    rules = {(rule.name, rule.more) for rule in rules_in_words(build([make()], protocol))}
    assert ("augmentation", "flip, shift:2") in rules


def test_show_prints_the_origin(tmp_path, ganbench_here) -> None:
    write(make(origin=ORIGIN), tmp_path / "record.json")
    said = ganbench_here("show", "record.json", "--all").stdout
    for text in ("A. Author (2024), Ten <b>thousand</b> blobs", "CC BY 4.0", "central square, Lanczos filter, 8 bits"):
        assert text in said


def test_who_made_the_data_is_what_their_plugin_says_about_the_download() -> None:
    made = dataclasses.replace(digits.ganbench_dataset(16), origin=Origin(conversion="as stored"))
    known = setup._with_origin(made, plugins.find("dataset", "mnist-10k")).origin
    assert known.citation == "LeCun, Cortes and Burges (1998), The MNIST database of handwritten digits"
    assert (known.licence, known.conversion) == ("CC BY-SA 3.0", "as stored")
    own = dataclasses.replace(made, origin=ORIGIN)
    assert setup._with_origin(own, plugins.find("dataset", "mnist-10k")).origin == ORIGIN
    assert setup._with_origin(made, plugins.find("dataset", "digits")).origin == made.origin


def test_a_run_takes_the_origin_from_what_the_plugin_offers(monkeypatch) -> None:
    monkeypatch.setattr(setup, "offered_by", lambda source: Download("https://example.org", "CC0", "B. Author (2025)"))
    setup.forget()
    found = setup.prepare(load_protocol("smoke-v1"), "cpu").dataset.origin
    setup.forget()
    assert (found.citation, found.licence) == ("B. Author (2025)", "CC0")


def test_what_a_set_offers_is_found_whatever_its_argument() -> None:
    assert offered_by(plugins.find("dataset", "lsun:bedroom")).citation.startswith("Yu")
    assert offered_by(plugins.find("dataset", "digits")) is None
