"""Scores by name, in full and in short."""

from __future__ import annotations

import json
import pickle

import pandas as pd
import pytest
from toy import TAG

from ganbench import GanbenchError, Scores
from ganbench.errors import UnknownScore

FID, IS, OTHER = f"fid@{TAG}", f"is@{TAG}", "is@inception:5a6b7c8d"
SCORES = {FID: 1.5, IS: 9.0, OTHER: 7.0, "modes_covered": 10.0}


@pytest.fixture
def scores() -> Scores:
    return Scores(SCORES, {"mode_kl": "no sample is of high quality"})


def test_a_score_is_found_by_its_name_in_full_or_in_short(scores) -> None:
    assert scores[FID] == scores["fid"] == scores.get("fid") == 1.5
    assert scores["modes_covered"] == 10.0
    assert "fid" in scores
    assert FID in scores
    assert scores[IS] == 9.0


def test_a_short_name_that_several_scores_have_is_an_error_that_lists_them(scores) -> None:
    for ask in (scores.__getitem__, scores.get, scores.__contains__):
        with pytest.raises(GanbenchError) as caught:
            ask("is")
        assert not isinstance(caught.value, KeyError), "`get` would hide it"
        assert str(caught.value) == f"2 scores are called 'is'\nchoose one: {IS} and {OTHER}"


def test_an_unknown_name_is_an_error_with_the_names_there_are_and_what_was_meant(scores) -> None:
    with pytest.raises(KeyError) as caught:
        scores["fidd"]
    assert str(caught.value) == (
        f"no score called 'fidd' - did you mean 'fid'?\nscores: fid, {IS}, {OTHER}, modes_covered"
    )
    assert scores.get("fidd") is None
    assert scores.get("fidd", 3.0) == 3.0
    assert "fidd" not in scores
    assert 3 not in scores


def test_a_column_without_a_score_says_why(scores) -> None:
    with pytest.raises(UnknownScore, match="there is no mode_kl: no sample is of high quality"):
        scores["mode_kl"]
    with pytest.raises(UnknownScore, match="there is no fid: the run is diverged"):
        Scores({}, {}, "the run is diverged")["fid"]
    with pytest.raises(UnknownScore, match="scores: none"):
        Scores({})["fid"]


def test_scores_are_a_dictionary_for_everybody_else(scores) -> None:
    assert scores == SCORES
    assert dict(scores) == SCORES
    assert json.loads(json.dumps(scores)) == SCORES
    assert pd.Series(scores).to_dict() == SCORES
    again = pickle.loads(pickle.dumps(scores))
    assert again["fid"] == 1.5
    assert again.absent == scores.absent
