"""The checks of protocols: each finds what is planted for it, and valid rules pass."""

from __future__ import annotations

import itertools
from types import ModuleType
from typing import Any

import pytest
import torch
from msgspec.structs import replace
from planted import assert_found

from ganbench import Evaluating, LossRules, Protocol, Training
from ganbench.contracts.protocol_file import to_toml
from ganbench.errors import PluginError, ProtocolError
from ganbench.plugins.protocols import load_protocol
from ganbench.testing import CHECKS, ConformanceError, check_protocol, protocol_findings

RING = load_protocol("ring-v1")


def rules(**changes: Any) -> Protocol:
    """ring-v1 with some rules changed; those of its evaluation are given by their names."""
    inner = {name: changes.pop(name) for name in list(changes) if name in Evaluating.__struct_fields__}
    return replace(RING, **changes, evaluation=replace(RING.evaluation, **inner))


def by_the_clock() -> ModuleType:
    module, ticks = ModuleType("own"), itertools.count()
    module.ganbench_protocol = lambda: rules(name="ring-v2", seeds=(next(ticks),))
    return module


def precise() -> ModuleType:
    module = ModuleType("own")

    def ganbench_protocol() -> Protocol:
        torch.set_default_dtype(torch.float64)
        return RING

    module.ganbench_protocol = ganbench_protocol
    return module


BROKEN: dict[str, Any] = {
    "rules-are-rules-of-protocols": rules(training=Training(budget_kimg=1, batch=0)),
    "name-says-which-version-of-the-rules": rules(name="ring"),
    "rules-are-frozen": by_the_clock(),
    "everything-that-is-named-is-installed": rules(dataset="no-such-data"),
    "headline-is-a-column-that-ranks": rules(headline="no_such_column"),
    "losses-have-the-settings-that-are-asked-of-them": rules(losses={"wgan-gp": LossRules(settings={"wait": 1.0})}),
    "there-are-enough-samples": rules(samples=10**9),
    "real-samples-can-be-judged": rules(extractor=None, metrics=(*RING.evaluation.metrics, "fid")),
    "global-switches-stay-as-they-are": precise(),
}


@pytest.mark.parametrize("check", CHECKS["protocol"].names)
def test_every_check_finds_what_it_is_there_for_and_says_how_to_mend_it(check: str) -> None:
    assert_found("protocol", check, protocol_findings(BROKEN[check]))


def test_a_metric_that_is_missing_is_named_once() -> None:
    (finding,) = protocol_findings(rules(metrics=(*RING.evaluation.metrics, "no-such-metric")))
    assert finding.check == "everything-that-is-named-is-installed"
    assert "no metric called 'no-such-metric'" in finding.seen


def test_data_that_are_not_on_this_machine_are_no_fault_of_the_rules(tmp_path) -> None:
    assert protocol_findings(rules(dataset=f"folder:{tmp_path / 'nowhere'}")) == []


def test_a_file_a_mapping_and_a_name_are_checked_as_the_object_is(tmp_path) -> None:
    file = tmp_path / "mine.toml"
    file.write_text(to_toml(rules(name="mine-v1")), "utf-8")
    check_protocol(file)
    check_protocol(str(file))
    check_protocol("ring-v1")
    check_protocol(RING)
    plain = {"name": "mine-v1", "dataset": "ring", "seeds": [0, 1], "training": {"budget_kimg": 1}}
    evaluation = {"samples": 100, "metrics": ["modes"], "headline": "modes_hit"}
    assert protocol_findings({**plain, "evaluation": evaluation}) == []
    (finding,) = protocol_findings({**plain, "evaluation": {**evaluation, "sample": 3}})
    assert "unknown field 'sample'" in finding.seen
    with pytest.raises(ProtocolError, match="cannot read the protocol file"):
        check_protocol("no-such.toml")
    with pytest.raises(PluginError, match="did you mean 'ring-v1'"):
        check_protocol("rink-v1")
    with pytest.raises(ConformanceError, match=r"the protocol Protocol fails 1"):
        check_protocol(rules(name="ring"))
