"""Writes a protocol as an editable TOML file, with the unit and the meaning of every field beside it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import msgspec

from ganbench.contracts.protocol import Evaluating, Protocol, Training
from ganbench.plain import plain

MEANINGS: Mapping[type[msgspec.Struct], Mapping[str, str]] = {
    Protocol: {
        "name": "name of the table and of the folder of its runs; changed rules need a new name",
        "description": "one or two sentences, shown above the table",
        "dataset": "PLUGIN:PATH; paths are relative to this file",
        "resolution": "pixels per side, to which images are cropped and resized; none: the data's own",
        "seeds": "one run per seed; 5 seeds give tight intervals, 1 gives none",
        "losses": "settings of individual losses, e.g. losses.wgan-gp.settings.weight = 1.0",
    },
    Training: {
        "budget_kimg": "thousands of real samples shown to D, the same for every row",
        "batch": "batch size: real samples per D update",
        "optimizer": "adam, rmsprop or sgd; a loss may ask for another one, with its own betas",
        "lr": "learning rate of G, and of D unless d_lr is set",
        "d_lr": "learning rate of D, if it differs from that of G",
        "betas": "Adam's beta1 and beta2",
        "eps": "Adam's epsilon",
        "ema": "decay per G update of the averaged generator (EMA), which is scored; 0: no averaging",
        "lr_decay": "last share of the budget, over which the learning rate falls linearly to 0",
        "d_steps": "D updates per G update; a loss may ask for more",
        "width": "channels of the first layer",
        "z_dim": "dimensions of the latent",
        "latent": "law of the latent: normal, uniform, sphere, bernoulli or censored-normal",
        "timeout": "seconds after which a run is stopped; 0: never",
        "precision": "float32, tf32 or bf16: the lowest precision that training may use",
        "layout": "contiguous or channels-last: memory layout of images in convolutions",
        "augment": "random changes of the reals that D sees: flip, flip-vertical, rotate, shift:PIXELS",
    },
    Evaluating: {
        "samples": "fakes per evaluation, compared with as many reals",
        "reference": "split of the reals that fakes are compared with: train, test or all",
        "draws": "evaluations of each generator; the score is their mean",
        "extractor": "the judge: the network whose features of reals and fakes are compared",
        "metrics": "what is measured; `ganbench plugins metric` lists all metrics",
        "headline": "the score that ranks the rows",
        "shown": "further scores in the table; if empty, the first five",
        "target": "a value of the headline; tables report how long it takes to reach it",
        "checks": "looks during training, each with a picture of samples and a score",
        "yardsticks": "rows made without training, which give the scores a scale",
    },
}
"""The meaning of every field."""
EXAMPLES: Mapping[str, Any] = {"resolution": 32, "d_lr": 2e-4, "target": 2.0, "extractor": "raw"}
"""Example values for optional fields: TOML has no null, so an unset field is shown as a comment."""


def commented(protocol: Protocol, preamble: str = "", beside: Mapping[str, str] | None = None) -> str:
    """Return all rules as TOML that ``read_toml`` accepts, with a comment for each field.

    Args:
        protocol: the rules.
        preamble: text for the top of the file, written as comments.
        beside: field name -> a further comment above that field.
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
    """Yield a line for each field in the order of ``MEANINGS``, with comments aligned where they fit."""
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
    import tomlkit  # imported here because most commands only read

    return tomlkit.dumps(rules).rstrip("\n")
