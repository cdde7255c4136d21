"""Components passed from Python instead of a package: networks and functions, known until the process ends.

Each becomes a module with a hook, so that the rest of GANBench treats it like a plugin. Its rows are *custom*.
"""

from __future__ import annotations

import copy
import hashlib
import inspect
import re
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from types import CodeType, ModuleType
from typing import Any

import torch
from torch import nn

from ganbench import plugins
from ganbench.contracts.arch import GAN
from ganbench.contracts.data import DataSpec
from ganbench.contracts.executor import UNPACKAGED
from ganbench.contracts.kind import Kind
from ganbench.contracts.trick import Trick
from ganbench.errors import PluginError
from ganbench.plugins.hookspecs import hookimpl
from ganbench.plugins.source import Source
from ganbench.plugins.syntax import BYTECODE, TREE, Digest, combined, digest_of, sha256

ARCH_ARGUMENTS = ("data", "d_norm", "width", "z_dim", "settings")


@dataclass(frozen=True, order=True)
class Unpackaged(Source):
    """A component passed from Python.

    ``code`` is the hash of its source, settings and weights: ``ast1:...``, or ``text1:...`` if the source of a part
    cannot be parsed on its own, or ``code1:...`` if a part has no source.
    """

    code: str = ""

    @property
    def source_hash(self) -> str:
        """``code``, because there is no file to hash."""
        return self.code


def source_of(kind: Kind, thing: Any) -> Source:
    """Return the component for a name or an object.

    Args:
        kind: determines which objects are valid. ``arch`` takes a ``GAN``, a pair (generator, discriminator) of
            modules, or a function that builds either from any of ``data``, ``d_norm``, ``width``, ``z_dim`` and
            ``settings``. ``loss`` takes an object with ``d_loss`` and ``g_loss``, or a pair of such functions.
            ``trick`` takes a ``Trick``.
        thing: the object, or a name (``dcgan``, ``pacgan:2``).

    Raises:
        PluginError: no component has that name, or the object is not valid for the kind.
    """
    if isinstance(thing, str):
        return plugins.find(kind, thing)
    build = {"arch": _arch, "loss": _loss, "trick": _trick}[kind](thing)
    code = combined(("", making) for making in _makings(thing))
    name = re.sub(r"\W+", "-", _name(thing)).strip("-")
    module = ModuleType(f"ganbench_unpackaged_{kind}_{code.replace(':', '_')}", f"{name}, passed from Python.")
    setattr(module, f"ganbench_{kind}", hookimpl(build))
    sys.modules[module.__name__] = module
    source = Unpackaged(kind, name, UNPACKAGED, "0", module.__name__, code=code)
    plugins.hand_over(source)
    return source


def _arch(thing: Any) -> Callable[..., GAN]:
    if isinstance(thing, nn.Module) and not isinstance(thing, GAN):
        raise PluginError(f"a {type(thing).__name__} is a single network", "pass (generator, discriminator), or a GAN")
    if callable(thing) and not isinstance(thing, nn.Module):
        wanted = [name for name in inspect.signature(thing).parameters if name in ARCH_ARGUMENTS]
        make = thing
    elif isinstance(thing, GAN) or _are(nn.Module, thing):
        wanted = []

        def make() -> Any:
            return copy.deepcopy(thing)
    else:
        raise PluginError(
            f"a {type(thing).__name__} is not an architecture",
            "pass a name, a GAN, (generator, discriminator), or a function that builds them",
        )

    def ganbench_arch(data: DataSpec, d_norm: str | None, width: int, z_dim: int) -> GAN:
        given = {"data": data, "d_norm": d_norm, "width": width, "z_dim": z_dim}
        built = make(**{name: given[name] for name in wanted})
        return GAN(built[0], built[1], z_dim) if _are(nn.Module, built) else built

    return ganbench_arch


class _Pair:
    """A loss made from two functions."""

    def __init__(self, d_loss: Callable[..., torch.Tensor], g_loss: Callable[..., torch.Tensor]) -> None:
        self.d_loss, self.g_loss = d_loss, g_loss


def _loss(thing: Any) -> Callable[[], Any]:
    if isinstance(thing, Sequence) and len(thing) == 2 and all(map(callable, thing)):
        thing = _Pair(*thing)
    if isinstance(thing, type) or not all(callable(getattr(thing, side, None)) for side in ("d_loss", "g_loss")):
        name = thing.__name__ if isinstance(thing, type) else type(thing).__name__
        hint = (
            f"call it: {name}()"
            if isinstance(thing, type)
            else "pass a name, an object with d_loss and g_loss, or a pair of functions"
        )
        raise PluginError(f"{name} is not a loss", hint)
    return lambda: thing


def _trick(thing: Any) -> Callable[[], Trick]:
    if not isinstance(thing, Trick):
        raise PluginError(f"a {type(thing).__name__} is not a trick", "pass a name, or a ganbench.Trick")
    return lambda: thing


def _are(kind: type, pair: Any) -> bool:
    return isinstance(pair, Sequence) and len(pair) == 2 and all(isinstance(one, kind) for one in pair)


def _name(thing: Any) -> str:
    if isinstance(thing, Sequence):
        return _name(thing[0])
    return getattr(thing, "__name__", type(thing).__name__)


# -- hashes of objects ---------------------------------------------------------------------------------------


def _makings(thing: Any, depth: int = 0) -> list[Digest]:
    """Hash the sources, settings and weights of an object, so that the hashes change whenever the object does."""
    if isinstance(thing, Sequence) and not isinstance(thing, str):
        return [making for one in thing for making in _makings(one, depth)]
    if isinstance(thing, nn.Module):
        kinds = {type(module) for module in thing.modules() if not type(module).__module__.startswith("torch.")}
        weights = hashlib.sha256()
        for name, value in thing.state_dict().items():
            weights.update(name.encode() + value.detach().cpu().contiguous().view(torch.uint8).numpy().tobytes())
        return [*sorted(map(_source, kinds)), _setting(repr(thing)), _setting(weights.hexdigest())]
    if inspect.isroutine(thing) or isinstance(thing, type):
        cells = getattr(thing, "__closure__", None) or ()
        inner = [_makings(cell.cell_contents, depth + 1) for cell in cells] if depth < 3 else []
        defaults = _setting(repr(getattr(thing, "__defaults__", None)))
        return [_source(thing), defaults, *(making for one in inner for making in one)]
    settings = vars(thing) if hasattr(thing, "__dict__") else {}
    inner = [_makings(value, depth + 1) for value in settings.values()] if depth < 3 else []
    plain = _setting(repr(thing) if not settings else "")
    return [_source(type(thing)), plain, *map(_setting, settings), *(making for one in inner for making in one)]


def _setting(text: str) -> Digest:
    return Digest(TREE, sha256([text]))


def _source(code: Any) -> Digest:
    """Hash the source of a class or function, or its bytecode if it has no source."""
    try:
        text = inspect.getsource(code)
    except (OSError, TypeError):
        bytecode = _bytecode(getattr(code, "__code__", None))
        return Digest(BYTECODE, sha256([bytecode])) if bytecode else _setting(repr(code))
    return digest_of(text.encode(), indented=text[0].isspace())


def _bytecode(code: CodeType | None) -> str:
    if code is None:
        return ""
    constants = [_bytecode(const) if isinstance(const, CodeType) else repr(const) for const in code.co_consts]
    return "\n".join([code.co_code.hex(), *code.co_names, *constants])
