"""A protocol as a TOML file to be read and changed: every field, with its unit and its meaning beside it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import msgspec

from ganbench.contracts.protocol import Evaluating, Protocol, Training
from ganbench.plain import plain

MEANINGS: Mapping[type[msgspec.Struct], Mapping[str, str]] = {
    Protocol: {
        "name": "of the table and of the folder of its runs; give changed rules a new one",
        "description": "one or two sentences, shown above the table",
        "dataset": "PLUGIN:PATH; paths are relative to this file",
        "resolution": "pixels a side, to which images are cut and resized; none: the data's own",
        "seeds": "one run each: 5 give tight intervals, 1 gives none",
        "losses": "settings of single losses, e.g. losses.wgan-gp.settings.weight = 1.0",
    },
    Training: {
        "budget_kimg": "thousands of real samples that D is shown, the same for every row",
        "batch": "samples that an update of D sees",
        "optimizer": "adam, rmsprop or sgd; a loss may ask for another, with its own betas",
        "lr": "learning rate of G, and of D",
        "d_lr": "learning rate of D, if it is another",
        "betas": "Adam's momenta",
        "eps": "Adam's epsilon",
        "ema": "decay of the averaged generator, which is judged, for each G update; 0: none",
        "lr_decay": "share of the budget, at its end, over which the rate falls to 0",
        "d_steps": "D updates for each G update; a loss may ask for more",
        "width": "channels of the first layer",
        "z_dim": "numbers in a latent",
        "timeout": "seconds after which a run is given up; 0: never",
        "precision": "float32, tf32 or bf16: the lowest that training may use",
        "layout": "contiguous or channels-last: how convolutions keep images",
    },
    Evaluating: {
        "samples": "fakes in an evaluation, and as many reals",
        "reference": "the reals that fakes are compared with: train, test or all",
        "draws": "evaluations of each generator, whose mean is the score",
        "extractor": "the judge: the network in whose features samples are compared",
        "metrics": "what is measured: `ganbench plugins metric` lists all",
        "headline": "the score that ranks",
        "shown": "further scores in the table; if empty, the first five",
        "target": "a value of the headline, whose time is reported",
        "checks": "looks during training, each a picture and a score",
        "yardsticks": "rows without training, for scale",
    },
}
"""Of every field."""
EXAMPLES: Mapping[str, Any] = {"resolution": 32, "d_lr": 2e-4, "target": 2.0, "extractor": "raw"}
"""Of fields that may be left out, as TOML has no null."""


def commented(protocol: Protocol, preamble: str = "", beside: Mapping[str, str] | None = None) -> str:
    """The rules in full as TOML that ``read_toml`` accepts; each field has a comment.

    Args:
        protocol: the rules.
        preamble: lines that the file begins with, as comments.
        beside: further comments, above the fields with these names.
    """
    rules, beside = msgspec.to_builtins(protocol), beside or {}
    lines = [f"# {plain(line)}".rstrip() for line in preamble.split("\n")]
    sections: dict[str, type[msgspec.Struct]] = {"training": Training, "evaluation": Evaluating}
    lines += ["", *_fields(rules, Protocol, beside)]
    for section, kind in sections.items():
        lines += ["", f"[{section}]", *_fields(rules[section], kind, beside)]
    for loss, asked in rules["losses"].items():
        lines += ["", _dumped({"losses": {loss: asked}})]
    return "\n".join(lines).lstrip("\n") + "\n"


def _fields(values: Mapping[str, Any], kind: type[msgspec.Struct], beside: Mapping[str, str]) -> Iterator[str]:
    """A line for each field, in the order of their meanings, the comments below one another where they fit."""
    for name, meaning in MEANINGS[kind].items():
        value = values[name]
        if name in beside:
            yield from (f"# {plain(line)}" for line in beside[name].split("\n"))
        if name == "losses":
            yield f"# {name}: {meaning}"
        elif value is None:
            yield f"{'# ' + _dumped({name: EXAMPLES[name]}):<34} # {meaning}"
        else:
            line = _dumped({name: value})
            if len(line) > 60:
                yield f"# {name}: {meaning}"
                yield line
            else:
                yield f"{line:<34} # {meaning}"


def _dumped(rules: dict[str, Any]) -> str:
    import tomlkit  # here, as most commands only read

    return tomlkit.dumps(rules).rstrip("\n")
