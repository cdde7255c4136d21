"""The commands in the order of use, in groups, each with an example: what ``ganbench --help`` prints."""

from __future__ import annotations

from typing import NamedTuple

TRAIN, LOOK, TRUST, EXTEND = "Train and compare", "Look at a run", "Check", "Rules and plugins"


class Guide(NamedTuple):
    """A command's group, its purpose in a few words, and an example."""

    group: str
    purpose: str
    example: str


GUIDES = {
    "run": Guide(TRAIN, "Train and judge combinations, and print their table.", "run --arch dcgan --loss wgan-gp"),
    "leaderboard": Guide(TRAIN, "Print a table: your rows among the published ones.", "leaderboard digits-16-v2"),
    "compare": Guide(TRAIN, "Say which of two rows is better, and how sure that is.", "compare dcgan+r1 dcgan+wgan-gp"),
    "show": Guide(LOOK, "Print what is known about a run, or a row over its seeds.", "show runs/digits-16-v2/dcgan+r1"),
    "sample": Guide(LOOK, "Draw new samples.", "sample runs/digits-16-v2/dcgan+r1/seed0 -n 64 --out grid.png"),
    "animate": Guide(LOOK, "Watch a training again.", "animate runs/digits-16-v2/dcgan+r1/seed0 --out it.gif"),
    "latent": Guide(
        LOOK,
        "Walk through G's latent space; see what excites a layer.",
        "latent layers runs/digits-16-v2/dcgan+r1/seed0",
    ),
    "reproduce": Guide(TRUST, "Repeat a record, and compare it.", "reproduce runs/digits-16-v2/dcgan+r1/seed0"),
    "time": Guide(TRUST, "Measure how fast rows are, on an idle machine.", "time digits-16-v2"),
    "doctor": Guide(TRUST, "Print what a bug report needs.", "doctor"),
    "protocols": Guide(
        EXTEND, "List the rules of comparison, or print them.", "protocols show digits-16-v2 > mine.toml"
    ),
    "new-protocol": Guide(
        EXTEND, "Write rules for your own data, with a judge and a budget.", "new-protocol mine.toml --images photos"
    ),
    "plugins": Guide(EXTEND, "List and check what is installed.", "plugins arch"),
    "new-plugin": Guide(EXTEND, "Write a plugin package of your own.", "new-plugin my-gan --loss"),
}


def in_order(names: list[str]) -> list[str]:
    """The names in the order of use; those that the guide does not know come last."""
    known = [*GUIDES]
    return sorted(names, key=lambda name: known.index(name) if name in known else len(known))
