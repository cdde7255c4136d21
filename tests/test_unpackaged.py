"""The hash of objects handed over from Python."""

from __future__ import annotations

import linecache
import textwrap
from itertools import count

import pytest
from torch import nn

from ganbench.plugins.unpackaged import source_of

NUMBERS = count()

LOSS = """
    def d_loss(D, real, fake, margin=1.0):
        return (margin - D(real).logits).relu().mean() + (margin + D(fake).logits).relu().mean()

    def g_loss(D, real, fake):
        return -D(fake).logits.mean()
"""


def handed(text: str, *, readable: bool = True) -> str:
    """The hash of the loss that is defined in a text, with or without a source to read."""
    text, file, names = textwrap.dedent(text), f"<text {next(NUMBERS)}>", dict[str, object]()
    exec(compile(text, file, "exec"), names)
    if readable:
        linecache.cache[file] = len(text), None, text.splitlines(keepends=True), file
    return source_of("loss", (names["d_loss"], names["g_loss"])).source_hash


def test_comments_docstrings_and_formatting_of_an_object_do_not_count() -> None:
    dressed = LOSS.replace("        return -D", '        """Of G."""\n        # as ever\n        return -  D')
    assert handed(dressed) == handed(LOSS)
    assert handed(LOSS).startswith("ast1:")


@pytest.mark.parametrize(("old", "new"), [("return -D", "return D"), ("margin=1.0", "margin=2.0"), ("relu", "abs")])
def test_another_object_has_another_hash(old, new) -> None:
    assert handed(LOSS.replace(old, new)) != handed(LOSS)


def test_a_nested_function_has_the_hash_of_one_at_the_top() -> None:
    functions = textwrap.indent(textwrap.dedent(LOSS), "    ")
    nested = f"def both():\n{functions}\n    return d_loss, g_loss\nd_loss, g_loss = both()\n"
    assert handed(nested) == handed(LOSS)


def test_an_object_without_a_source_is_hashed_by_its_bytecode() -> None:
    assert handed(LOSS, readable=False).startswith("code1:")
    assert handed(LOSS, readable=False) == handed(LOSS, readable=False)
    assert handed(LOSS, readable=False) != handed(LOSS.replace("relu", "abs"), readable=False)


def test_a_lambda_whose_line_cannot_be_parsed_alone_is_hashed_as_text() -> None:
    split = "d_loss, g_loss = (\n    lambda D, real, fake: D(real),\n    lambda D, real, fake: D(fake))\n"
    assert handed(split).startswith("text1:")
    assert handed(split) != handed(split.replace("D(fake)", "-D(fake)"))


def test_settings_and_weights_leave_the_kind_of_hash_alone() -> None:
    class Scaled:
        def __init__(self, by: float) -> None:
            self.by = by

        def d_loss(self, D, real, fake):
            return self.by * D(real).logits.mean()

        def g_loss(self, D, real, fake):
            return self.by * D(fake).logits.mean()

    one, two = (source_of("loss", Scaled(by)) for by in (1.0, 2.0))
    assert one.source_hash.startswith("ast1:")
    assert one.source_hash != two.source_hash
    assert source_of("arch", (nn.Linear(2, 2), nn.Linear(2, 1))).source_hash.startswith("ast1:")
