"""The checks of feature extractors: each finds what is planted for it, and sound ones pass."""

from __future__ import annotations

from collections.abc import Callable
from types import ModuleType
from typing import Any

import pytest
import torch
from planted import assert_found
from torch import Tensor, nn

from ganbench import DataSpec, Extractor, Unsupported
from ganbench.testing import CHECKS, ConformanceError, check_extractor, extractor_findings

POINTS = DataSpec((2,), bounded=False)


class Linear(Extractor):
    """Points -> four features and three logits, from weights that are the same each time."""

    name, version = "linear", "1"

    def __init__(self) -> None:
        super().__init__()
        rng = torch.Generator().manual_seed(0)
        self.layer, self.head = nn.Linear(2, 4), nn.Linear(4, 3)
        for p in self.parameters():
            p.data.copy_(torch.randn(p.shape, generator=rng))
        self.confusion = 10 * torch.eye(3)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor | None]:
        if x.dim() != 2:
            raise Unsupported("reads points")
        features = self.layer(self.before(x))
        return features, self.head(features)

    def before(self, x: Tensor) -> Tensor:
        return x


def made(build: Callable[[], Extractor]) -> ModuleType:
    """A module with the hook."""
    module = ModuleType("own")
    module.ganbench_extractor = build
    return module


def extractor(**members: Any) -> Extractor:
    return type("Own", (Linear,), members)()


class Constant(Linear):
    """A tensor that is neither in the hash nor moved to a device."""

    def __init__(self) -> None:
        super().__init__()
        self.shift = torch.ones(2)

    def before(self, x):
        return x + self.shift


class Fresh(Linear):
    """Weights that differ each time."""

    def __init__(self) -> None:
        super().__init__()
        nn.init.normal_(self.layer.weight)


def declining(self, x):
    raise Unsupported("reads graphs")


def threaded() -> Extractor:
    torch.set_num_threads(2)
    return Linear()


def greedy(self, x):
    torch.set_grad_enabled(True)
    torch.set_default_dtype(torch.float64)
    return x


BROKEN: dict[str, Any] = {
    "extractor-is-named-and-versioned": extractor(version=1),
    "extractor-reads-some-data": extractor(forward=declining),
    "features-and-logits-have-the-shapes-of-the-contract": extractor(
        forward=lambda self, x: (self.layer(x).squeeze(), None) if x.dim() == 2 else declining(self, x)
    ),
    "confusion-belongs-to-the-classifier": extractor(forward=lambda self, x: (Linear.forward(self, x)[0], None)),
    "class-names-belong-to-the-logits": extractor(class_names=("cat", "dog")),
    "a-sample-is-read-by-itself": extractor(before=lambda self, x: x - x.mean(0)),
    "features-follow-from-the-samples": extractor(before=lambda self, x: x + 0.1 * torch.randn_like(x)),
    "weights-are-all-in-the-hash": Constant(),
    "a-diverged-sample-is-seen": extractor(before=lambda self, x: x.nan_to_num()),
    "extractor-follows-its-samples-to-another-device": made(Constant),
    "global-switches-stay-as-they-are": extractor(before=greedy),
}


@pytest.mark.parametrize("check", CHECKS["extractor"].names)
def test_every_check_finds_what_it_is_there_for_and_says_how_to_mend_it(check: str) -> None:
    assert_found("extractor", check, extractor_findings(BROKEN[check], POINTS))


@pytest.mark.parametrize(
    ("check", "broken"),
    [
        ("weights-are-all-in-the-hash", made(Fresh)),
        ("global-switches-stay-as-they-are", made(threaded)),
        ("features-follow-from-the-samples", extractor(before=lambda self, x: x.mul_(2))),
        ("features-follow-from-the-samples", extractor(before=lambda self, x: 0 * x)),
        ("extractor-is-named-and-versioned", extractor(name="my net")),
        ("extractor-is-named-and-versioned", extractor(gate=2.0)),
        ("extractor-is-named-and-versioned", nn.Linear(1, 1)),
        ("a-sample-is-read-by-itself", extractor(before=lambda self, x: self.train() and x / x.norm())),
    ],
)
def test_other_ways_to_break_the_contract_are_found(check: str, broken: Any) -> None:
    assert_found("extractor", check, extractor_findings(broken, POINTS))


def test_a_sound_extractor_raises_no_false_alarm() -> None:
    assert extractor_findings(Linear()) == []
    assert extractor_findings(made(Linear)) == []


def test_one_that_reads_none_of_the_data_says_so() -> None:
    (finding,) = extractor_findings(Linear(), DataSpec((3, 8, 8)))
    assert finding.check == "extractor-reads-some-data"
    assert "DataSpec" in finding.mend


def test_the_error_names_what_was_checked() -> None:
    with pytest.raises(ConformanceError, match="the extractor Own fails"):
        check_extractor(extractor(version=1))
    with pytest.raises(ConformanceError, match="the extractor own fails"):
        check_extractor(made(Fresh))
    check_extractor("raw")
    with pytest.raises(TypeError, match="given the class Linear"):
        check_extractor(Linear)
