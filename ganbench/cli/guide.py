"""What ``ganbench --help`` prints: the commands in groups and in the order of use, each with an example."""

from __future__ import annotations

from typing import NamedTuple

TRAIN, LOOK, TRUST, EXTEND = "Train and compare", "Look at a run", "Check", "Rules and plugins"


class Guide(NamedTuple):
    """A command's group, its purpose in a few words, and an example."""

    group: str
    purpose: str
    example: str


GUIDES = {
    "run": Guide(TRAIN, "Train and judge combinations and print their table.", "run --arch dcgan --loss wgan-gp"),
    "leaderboard": Guide(TRAIN, "Print your rows among the published ones.", "leaderboard digits-16-v2"),
    "compare": Guide(
        TRAIN, "Say which of two rows is better, and how certain that is.", "compare dcgan+r1 dcgan+wgan-gp"
    ),
    "merge": Guide(TRAIN, "Bring the runs of many machines into one folder.", "merge machine-a machine-b --out runs"),
    "evaluate": Guide(
        TRAIN,
        "Score anybody's samples, or compare two sets.",
        "evaluate samples.zip --protocol digits-16-v2",
    ),
    "download": Guide(TRAIN, "Fetch data sets and weights ahead of time.", "download mnist cifar10"),
    "data": Guide(TRAIN, "List, check or remove arrays prepared from large data sets.", "data list"),
    "status": Guide(LOOK, "Show how far the runs of another terminal are.", "status --watch"),
    "show": Guide(LOOK, "Print everything about a run, or sum up a row's seeds.", "show runs/digits-16-v2/dcgan+r1"),
    "sample": Guide(
        LOOK,
        "Draw new samples from a trained generator.",
        "sample runs/digits-16-v2/dcgan+r1/seed0 -n 64 --out grid.png",
    ),
    "animate": Guide(
        LOOK, "Replay a run's training as an animation.", "animate runs/digits-16-v2/dcgan+r1/seed0 --out it.gif"
    ),
    "latent": Guide(
        LOOK,
        "Interpolate in G's latent space; see what activates a layer.",
        "latent layers runs/digits-16-v2/dcgan+r1/seed0",
    ),
    "reproduce": Guide(
        TRUST, "Repeat a record's run and compare the two.", "reproduce runs/digits-16-v2/dcgan+r1/seed0"
    ),
    "verify": Guide(TRUST, "Check a submitted record, its code and its run.", "verify runs/digits-16-v2/dcgan+r1"),
    "time": Guide(TRUST, "Measure the speed of rows on an idle machine.", "time digits-16-v2"),
    "doctor": Guide(TRUST, "Print what a bug report needs.", "doctor"),
    "protocols": Guide(EXTEND, "List the protocols, or print one in full.", "protocols show digits-16-v2 > mine.toml"),
    "new-protocol": Guide(
        EXTEND,
        "Write a protocol for your own data, with a judge and a budget.",
        "new-protocol mine.toml --images photos",
    ),
    "plugins": Guide(EXTEND, "List and check the installed components.", "plugins arch"),
    "new-plugin": Guide(EXTEND, "Create a plugin package of your own.", "new-plugin my-gan --loss"),
}


def in_order(names: list[str]) -> list[str]:
    """The names in the order of use; unknown ones come last."""
    known = [*GUIDES]
    return sorted(names, key=lambda name: known.index(name) if name in known else len(known))
