"""What changes a source hash and what does not.

This file needs the standard library and pytest alone, so that it runs on each supported Python without torch:
``pytest --noconftest tests/test_source_hash.py``.
"""

from __future__ import annotations

import ast
import subprocess
import sys
import textwrap
import warnings
from itertools import count
from pathlib import Path

import pytest

from ganbench.plugins import syntax
from ganbench.plugins.source import package_hash, source_hash
from ganbench.plugins.syntax import Digest, digest_of, of_tree

NUMBERS = count()

LOSS = '''
"""A loss."""

from torch import Tensor

from ganbench import DataSpec, hookimpl
from mine.parts import gain

SCALE = 2.0


class Loss:
    """Hinge."""

    def d_loss(self, D, real, fake, margin=1.0):
        """The critic's loss."""
        return SCALE * gain(margin - D(real).logits)  # as in the paper


@hookimpl
def ganbench_loss():
    return Loss()
'''
PARTS = "def gain(x):\n    return x.relu()\n"


@pytest.fixture
def hash_of(tmp_path, monkeypatch):
    """The hash of ``mine.loss`` in a package ``mine`` of these files; each call makes a new package."""

    def hashed(loss: str = LOSS, module: str = "mine.loss", **others: str) -> str:
        root = tmp_path / str(next(NUMBERS))
        files = {module: loss, "mine.__init__": "", "mine.parts": PARTS}
        files |= {f"mine.{name}": text for name, text in others.items()}
        for name, text in files.items():
            file = root.joinpath(*name.split(".")).with_suffix(".py")
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(text, "utf-8")
        with monkeypatch.context() as patch:
            patch.syspath_prepend(root)
            source_hash.cache_clear()
            return source_hash(module)

    return hashed


def digest(text: str) -> str:
    return digest_of(textwrap.dedent(text).encode()).digits


# -- a module and its package --------------------------------------------------------------------------------


def test_the_kind_of_hash_stands_before_its_digits(hash_of) -> None:
    kind, _, digits = hash_of().partition(":")
    assert kind == "ast1"
    assert len(digits) == 12
    assert set(digits) <= set("0123456789abcdef")


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("  # as in the paper", ""),
        ('"""A loss."""', ""),
        ('"""Hinge."""', '"""The hinge loss."""'),
        ('        """The critic\'s loss."""\n', ""),
        ("SCALE * gain", "SCALE*gain"),
        ("SCALE * gain(margin - D(real).logits)", "(SCALE * gain(\n            margin - D(real).logits,\n        ))"),
        ("from ganbench import DataSpec, hookimpl", "from ganbench import hookimpl, DataSpec"),
        ("from ganbench import DataSpec, hookimpl", "from ganbench.deep.down import DataSpec, hookimpl"),
        (
            "from ganbench import DataSpec, hookimpl\nfrom mine.parts import gain",
            "from ganbench.hooks import hookimpl\nfrom mine.parts import gain\nfrom ganbench.data import DataSpec",
        ),
    ],
)
def test_what_changes_no_result_changes_no_hash(old, new, hash_of) -> None:
    assert old in LOSS
    assert hash_of(LOSS.replace(old, new)) == hash_of()


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("SCALE = 2.0", "SCALE = 2.5"),
        ("SCALE = 2.0", "SCALE = 2"),
        ("margin=1.0", "margin=2.0"),
        ("margin - D", "margin + D"),
        ("@hookimpl\n", ""),
        ("import DataSpec, hookimpl", "import Dataset, hookimpl"),
        ("import DataSpec, hookimpl", "import DataSpec as Spec, hookimpl"),
        ("import DataSpec, hookimpl", "import hookimpl"),
        ("from ganbench import", "from elsewhere import"),
        ("from mine.parts import gain", "from mine.parts import gain as gain_"),
        ("from torch import Tensor", "from torch import nn"),
        ("Tensor\n", "Tensor\nfrom mine import other\n"),
    ],
)
def test_what_may_change_a_result_changes_the_hash(old, new, hash_of) -> None:
    assert old in LOSS
    assert hash_of(LOSS.replace(old, new)) != hash_of()


def test_a_helper_in_the_same_package_counts(hash_of) -> None:
    assert hash_of(parts=PARTS.replace("relu", "sigmoid")) != hash_of()
    assert hash_of(parts=f'"""Parts."""\n\n{PARTS}  # linear\n') == hash_of()


def test_what_a_helper_imports_counts_too(hash_of) -> None:
    parts = "from .deeper import gain\n"
    assert hash_of(parts=parts, deeper=PARTS) != hash_of(parts=parts, deeper=PARTS.replace("relu", "sigmoid"))


def test_two_helpers_cannot_change_places_unseen(hash_of) -> None:
    loss = "from mine import one, two\nx = one.f() - two.f()\n"
    f, g = "f = lambda: 1", "f = lambda: 2"
    assert hash_of(loss, one=f, two=g) != hash_of(loss, one=g, two=f)


def test_a_module_that_moves_within_its_package_keeps_its_hash(hash_of) -> None:
    assert hash_of(module="mine.losses.hinge") == hash_of(module="mine.loss")


def test_a_helper_that_only_a_lazy_package_names_counts(hash_of) -> None:
    loss = "from mine.lazy import gain\n"
    lazy = "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from mine.parts import gain\n"
    one, other = (hash_of(loss, lazy=lazy, parts=parts) for parts in (PARTS, PARTS.replace("relu", "sigmoid")))
    assert one != other


def test_a_module_without_a_file_has_no_hash() -> None:
    assert source_hash("no_such_package") == source_hash("no_such_package.module") == ""


def test_a_source_that_cannot_be_parsed_is_hashed_as_text(hash_of) -> None:
    broken = "def f(:\n"
    assert hash_of(broken).startswith("text1:")
    assert hash_of(broken) == hash_of(broken)
    assert hash_of(broken) != hash_of(f"{broken}# another\n")


def test_a_broken_helper_makes_the_whole_hash_one_of_text(hash_of) -> None:
    assert hash_of(parts="def gain(:\n").startswith("text1:")


# -- a package -----------------------------------------------------------------------------------------------


def test_the_hash_of_a_package_is_over_its_files_and_their_paths(tmp_path) -> None:
    package = tmp_path / "core"
    (package / "deep").mkdir(parents=True)
    (package / "deep" / "one.py").write_text("x = 1  # one\n")
    first = package_hash(package)
    assert first.startswith("ast1:")
    (package / "deep" / "one.py").write_text('"""One."""\nx = 1\n')
    assert package_hash(package) == first
    (package / "deep" / "one.py").rename(package / "one.py")
    assert package_hash(package) != first


def test_a_folder_that_does_not_belong_to_a_package_does_not_count(tmp_path) -> None:
    package = tmp_path / "core"
    (package / "_example").mkdir(parents=True)
    (package / "one.py").write_text("x = 1\n")
    first = package_hash(package, leave_out=["_example"])
    (package / "_example" / "two.py").write_text("x = 2\n")
    assert package_hash(package, leave_out=["_example"]) == first != package_hash(package)


# -- imports from ganbench -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "spelling",
    [
        "from ganbench.data import Batch, Split",
        "from ganbench.contracts.data import (\n    Split,\n    Batch,\n)",
        "from ganbench.data import Split\nfrom ganbench.batches import Batch",
        "from ganbench import Batch as Batch, Split",
        "from ganbench import Batch, Split, Batch",
        "from ganbench import Batch  # one\n\n'''two'''\nfrom ganbench import Split",
    ],
)
def test_spellings_of_one_import_have_one_hash(spelling) -> None:
    assert digest(spelling) == digest("from ganbench import Batch, Split")


@pytest.mark.parametrize(
    "other",
    [
        "from ganbench import Batch",
        "from ganbench import Batch, Split, Oracle",
        "from ganbench import Batch, Split as Part",
        "from ganbench import Split as Batch, Batch as Split",
        "from ganbench_baselines import Batch, Split",
        "from .ganbench import Batch, Split",
        "from ganbench import *",
        "import ganbench",
    ],
)
def test_imports_of_something_else_have_another_hash(other) -> None:
    assert digest(other) != digest("from ganbench import Batch, Split")


def test_a_module_of_ganbench_is_an_object_like_any_other() -> None:
    assert digest("import ganbench.data as d") == digest("from ganbench.contracts import data as d")
    assert digest("import ganbench.data as d") != digest("import ganbench.gan as d")
    assert digest("from ganbench import plugins") != digest("from ganbench import data")


def test_a_path_that_the_code_goes_along_counts() -> None:
    assert digest("import ganbench.data\nganbench.data.f()") != digest(
        "import ganbench.core.data\nganbench.core.data.f()"
    )
    assert digest("from ganbench.data import *") != digest("from ganbench.gan import *")


def test_the_place_of_an_import_among_other_imports_does_not_count() -> None:
    assert digest("from ganbench.zoo import Z\nimport os\nfrom ganbench import A") == digest(
        "import os\nfrom ganbench import A, Z"
    )


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("X = 1\nfrom ganbench import X", "from ganbench import X\nX = 1"),
        ("from a import X\nfrom ganbench import X", "from ganbench import X\nfrom a import X"),
        ("from a import *\nfrom ganbench import X", "from ganbench import X\nfrom a import *"),
        (
            "from ganbench import A as X\nfrom ganbench import B as X",
            "from ganbench import B as X\nfrom ganbench import A as X",
        ),
        ("from ganbench import X\ndef f(): return X", "def f():\n    from ganbench import X\n    return X"),
        ("import ganbench.data as X, X", "import X, ganbench.data as X"),
    ],
)
def test_the_order_of_imports_counts_where_a_name_is_bound_twice(one, other) -> None:
    assert digest(one) != digest(other)


def test_imports_within_functions_are_compared_there() -> None:
    assert digest("def f():\n    from ganbench.b import B\n    from ganbench import A\n    return A, B") == digest(
        "def f():\n    from ganbench import A, B\n    return A, B"
    )


def test_within_ganbench_the_module_of_an_import_counts() -> None:
    one, other = b"from ganbench.table import build", b"from ganbench.plugins import build"
    assert digest_of(one, "ganbench") != digest_of(other, "ganbench")
    assert digest_of(one, "mine") == digest_of(other, "mine")


# -- what cannot change a result -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("def f():\n    '''Doc.'''", "def f(): pass"),
        ("async def f():\n    '''Doc.'''\n    await x", "async def f():\n    await x"),
        ("class A:\n    x = 1\n    '''An attribute.'''", "class A:\n    x = 1"),
        ("def f(): ...", "def f():\n    pass"),
        ("x = 1\n'''told'''\n7\nNone", "x = 1"),
        ("if x:\n    y\nelse:\n    pass", "if x:\n    y"),
        ("x = u'a' 'b'", "x = 'ab'"),
        ("x = 16, 1.0", "x = 0x10, 1.00"),
        ("f'{x}a' 'b'", "f'''{ x }ab'''"),
        ("x = 'é'", r"x = '\xe9'"),
        ("if TYPE_CHECKING:\n    from a import b\nx = 1", "x = 1"),
        ("from typing import TYPE_CHECKING, Any\nif TYPE_CHECKING:\n    import b", "from typing import Any"),
        ("import typing\nif typing.TYPE_CHECKING:\n    import b\nelse:\n    c = 1", "import typing\nc = 1"),
    ],
)
def test_these_are_one_source(one, other) -> None:
    assert digest(one) == digest(other)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("x = 'a'", "x = b'a'"),
        ("x = 1", "x = True"),
        ("x = 0", "x = None"),
        ("x = ''", "x = ..."),
        ("x = 1", "x = 1.0"),
        ("x = 1.0", "x = 1j"),
        ("x = [0]", "x = [None]"),
        ("x = 'a\\nb'", "x = 'a', 'b'"),
        ("match x:\n    case None: y", "match x:\n    case False: y"),
        ("def f(*, a, b=1): x", "def f(*, a=1, b): x"),
        ("x = {**a, 1: b}", "x = {1: a, **b}"),
        ("f'{x!r}'", "f'{x!s}'"),
        ("f'{x=}'", "f'{x}'"),
        ("f'{x:>3}'", "f'{x:<3}'"),
        ("def f(): x", "async def f(): x"),
        ("def f(x: int): x", "def f(x: float): x"),
        ("[x for y in z]", "{x for y in z}"),
        ("global a", "global b"),
        ("from . import a", "from .. import a"),
        ("if x:\n    y", "if x:\n    pass\nelse:\n    y"),
        ("if TYPE_CHECKING:\n    x\nelse:\n    y", "if TYPE_CHECKING:\n    x"),
        ("f''", ""),
        ("x", ""),
    ],
)
def test_these_are_two_sources(one, other) -> None:
    assert digest(one) != digest(other)


def test_texts_of_an_f_string_count_the_same_however_a_python_splits_them() -> None:
    def tree(*parts: ast.expr) -> Digest:
        return of_tree(ast.Module([ast.Expr(ast.JoinedStr(list(parts)))], []), package="")

    value = ast.FormattedValue(ast.Name("x", ast.Load()), -1)
    a, b, ab, empty = (ast.Constant(text) for text in ("a", "b", "ab", ""))
    assert tree(a, empty, b, value, empty) == tree(ab, value)
    assert tree(a, value, b) != tree(ab, value)


def test_a_nested_source_is_hashed_like_one_at_the_top() -> None:
    nested = "    def f():\n        return '''a\n  b'''\n"
    assert digest_of(nested.encode(), indented=True) == digest_of(b"def f():\n    return 'a\\n  b'\n")


def test_expressions_may_be_long_and_constants_large() -> None:
    assert digest("x = " + " + ".join("a" * 900)) != digest("x = " + " + ".join("a" * 901))
    assert digest("x = 0x" + "f" * 5000) != digest("x = 0x" + "f" * 5001)


def test_what_python_warns_of_is_hashed_in_silence_whatever_the_filter() -> None:
    text = rb"x = '\d'"
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        quiet = digest_of(text)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        strict = digest_of(text)
    assert not said
    assert quiet == strict
    assert quiet.kind == "ast1"


@pytest.mark.parametrize("text", [b"\xff", b"x = '\x00'", b"  x = 1", b"x = " + b"(" * 500 + b")" * 500])
def test_no_text_is_too_broken_for_a_hash(text) -> None:
    assert digest_of(text).kind == "text1"


# -- the same on every Python --------------------------------------------------------------------------------

GOLDEN = r'''
from __future__ import annotations

import contextlib
import math as m
from typing import TYPE_CHECKING, Generic, TypeVar

from ganbench import DataSpec, hookimpl
from ganbench.gan import GAN as Players

if TYPE_CHECKING:
    from collections.abc import Sequence

T = TypeVar("T", bound="Base")
NUMBERS = 1_000, 0xFF, -0.0, 1e-400, 1e999, 0.1, 2j, 12345678901234567890123, True, None, ...
TEXTS = "é\u2028\U0001F600\ud800", b"\x00\xff" b"y", u"u" "v", r"\d\n", "\N{EM DASH}", """a
    b"""


@hookimpl(tryfirst=True)
@(wrap := (lambda f, /, *a, k=None, **rest: f))
class Base(Generic[T], dict, metaclass=type):
    """A docstring."""

    width: int = 8
    """Of an attribute."""
    (depth): list[int | None] = []
    settings.name: str

    @property
    async def first(self, a, /, b: int = 1, *args: *tuple[int, ...], c, d: Sequence[T] | None = None, **kw) -> T:
        global COUNT, TOTAL
        async with self.lock() as held, other:
            pass
        async for x, *rest in self:
            yield await x
        return_ = [i async for i in x if await i if i], {k: v for k, v in x}, {*a, 1}, (y for y in z)
        del x, rest[0], self.a


def formatted(x, y, width, precision):
    plain = f"{x}" "{y}" f"" f"{{{x}}}" f"{x!r:>{width}.{precision}}{y!s}{x!a}"
    debug = f"{x=}{ y = }{x + 1 = !s:^10}{x=:{width}}"
    nested = f"{x:{'>'}{10}}|{f'{y:{width}}':>3}|{x['a']:%H:%M}|{(lambda: x)()}|{ {1: 2}[1] }"
    escaped = f"\N{DIGIT ONE}\t{x}\x41" rf"\d{x}\w" f"é{x}\u2028{y:\n}"
    return plain % debug, f"""{
        x}
    {y:}""", f"{x if y else width}{*x, y}{(z := 3)}{x != y}"


def control(subject, *, early, late=None, **rest):
    match subject:
        case None | True | -1 | 1 + 2j | "a" "b" | b"c":
            pass
        case [1, [*_], *others] | (others, 2):
            ...
        case {"key": value, m.pi: [], **remaining} if value > 1:
            raise ValueError(value) from None
        case Base(width=8, depth=Base()) | Base(1, other=_) as whole:
            assert whole, "message"
        case _:
            nonlocal_ = 1
    try:
        with contextlib.suppress(ValueError), open(subject) as file:
            file[1:2, ::3, ..., *early] @= ~late ** -1 // 2 << 3 & 4 | 5 ^ 6
    except* (OSError, TypeError) as error:
        print(*early, sep="", **rest)
    else:
        while early < late <= 3 != 4 is not None not in rest and not late or early:
            break
        else:
            late -= yield
    finally:
        for late in early, *rest:
            continue
    if early:
        return (yield from early)
    elif (late := early) is None:
        a = b = c, [d, *e] = late if early else rest
    else:
        x: int
    def inner():
        nonlocal early
        from . import sibling
        from ..up import other as another
        import os.path, sys as system
        from ganbench.extractor import Extractor
        import ganbench.data as data
        return lambda *args, **kwargs: ((yield), *args)
    return inner
'''


def test_every_python_has_this_hash_for_this_source() -> None:
    assert digest_of(GOLDEN.encode()) == ("ast1", "178a91185303e42c14bed78a59ed8c3dc844a44089cfcecf5caf3258dab33220")


def test_every_python_has_this_hash_for_this_package(hash_of) -> None:
    assert hash_of() == "ast1:fe1bb06d80da"


def test_hashing_needs_no_torch() -> None:
    hashing = "from ganbench.plugins.source import source_hash; source_hash('ganbench')"
    code = f"import sys; {hashing}; print('torch' in sys.modules)"
    root = Path(syntax.__file__).parents[2]
    done = subprocess.run([sys.executable, "-c", code], cwd=root, capture_output=True, text=True, check=True)
    assert done.stdout == "False\n"
