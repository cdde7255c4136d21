"""Protocols: the frozen rules of one comparison, their digest, their named seed streams, and the recipe of a run."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterable, Mapping
from typing import Annotated, Any, Literal, NamedTuple, get_args, get_origin, get_type_hints

import msgspec
from msgspec import Meta, Struct

from ganbench.contracts.allowed import broken_rule, shortened
from ganbench.contracts.component_ref import ComponentRef
from ganbench.errors import ProtocolError, closest

# These limits are far above any useful value. They catch typing errors before any training starts.
LARGEST_RATE = 1e38
"""For learning rates and Adam's eps: about the largest float32. A rate that is too large for a GAN makes it diverge."""
LARGEST_BATCH = 1_000_000
"""Real samples per D update. BigGAN used 2048; a million points of a toy problem still fit into memory."""
LARGEST_WIDTH = 16_384
"""Channels, and dimensions of z. A single 3x3 convolution of this width has 2.4 billion weights."""
MOST_STEPS = 1000
"""D updates per G update. WGAN used 100 at the start."""
LARGEST_BUDGET = 1e8
"""kimg. StyleGAN was shown 25,000, BigGAN 300,000."""
LONGEST = 365 * 24 * 3600.0
"""One year in seconds."""
MOST_SAMPLES = 1_000_000_000
"""Per evaluation. A dataset with fewer samples is refused when it is loaded."""
MOST_LISTED = 1000
"""Entries in a list of seeds, metrics or columns."""
LARGEST_SCORE = 1e300
"""For the target of the headline and the settings of losses: any finite number."""
LONGEST_NAME = 100
"""Characters. A protocol's name is also a folder name."""
EXAMPLE = "`ganbench protocols show digits-16-v2 > mine.toml` writes a complete example"
"""The hint for the author of a protocol file."""
EXAMPLE_OF_LOSSES = "for example: losses.wgan-gp.settings.weight = 0.1"

Rate = Annotated[float, Meta(gt=0, le=LARGEST_RATE)]
Share = Annotated[float, Meta(ge=0, lt=1)]
Width = Annotated[int, Meta(ge=1, le=LARGEST_WIDTH)]
Seed = Annotated[int, Meta(ge=0, le=2**31 - 1)]
Latent = Literal["normal", "uniform", "sphere", "bernoulli", "censored-normal", "own"]
Augmentation = Annotated[
    str,
    Meta(
        pattern=r"^(flip|flip-vertical|rotate|shift:[1-9][0-9]{0,2})\Z",
        title="flip, flip-vertical, rotate, or shift:PIXELS",
    ),
]
Precision = Literal["float32", "tf32", "bf16"]
Layout = Literal["contiguous", "channels-last"]
Name = Annotated[
    str,
    Meta(
        pattern=rf"^[A-Za-z0-9][A-Za-z0-9._-]{{0,{LONGEST_NAME - 1}}}\Z",
        title=f"a name of at most {LONGEST_NAME} letters, digits, '.', '_' and '-' that begins with a letter or digit",
    ),
]
_CONTROL = r"\x00-\x08\x0b-\x1f\x7f-\x9f\u2028\u2029"
Text = Annotated[str, Meta(pattern=rf"^[^{_CONTROL}]*\Z", title="text without control characters")]
Words = Annotated[
    str, Meta(pattern=rf"^[^\s{_CONTROL}]([^{_CONTROL}\t\n]*[^\s{_CONTROL}])?\Z", title="a name on one line")
]
Listed = Annotated[tuple[Words, ...], Meta(max_length=MOST_LISTED)]
# Fields may be added to these classes, but a default must never change: digests omit values that equal their default.


class Recipe(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Settings that protocol, arch, loss, tricks and ``--set`` may each state, in this order; the last one wins.

    ``lr`` is the learning rate of G and D, ``d_lr`` that of D where it differs. ``ema`` is the decay per G update of
    the averaged generator, warmed up as min(ema, (1+t)/(10+t)); 0 turns averaging off. ``width`` is the base number of
    channels. ``lr_decay`` is the last share of the budget, over which the learning rate falls linearly to 0. ``latent``
    is the law of z (``contracts/latents.py``); an arch that draws z by a law of its own has ``"own"``.
    """

    optimizer: Literal["adam", "rmsprop", "sgd"] = "adam"
    lr: Rate = 2e-4
    d_lr: Rate | None = None
    betas: tuple[Share, Share] = (0.5, 0.999)
    eps: Rate = 1e-8
    ema: Share = 0.995
    lr_decay: Annotated[float, Meta(ge=0, le=1)] = 0.0
    d_steps: Annotated[int, Meta(ge=1, le=MOST_STEPS)] = 1
    width: Width = 32
    z_dim: Width = 64
    latent: Latent = "normal"


class Training(Recipe, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """The defaults of the recipe, plus settings that no plugin may change.

    ``budget_kimg``: thousands of real samples shown to D. ``batch``: real samples per D update. ``timeout``: seconds
    after which a run ends as ``timeout`` (0: never). ``precision``: the lowest precision that matrix products and
    convolutions may use in training; weights, optimiser moments, samples and scores are float32. ``layout``: the memory
    layout of images in convolutions; it affects speed, and the last bits of results. ``augment``: random changes of the
    real images that D sees, in this order; those that fakes are compared with stay as they are.
    """

    budget_kimg: Annotated[float, Meta(gt=0, le=LARGEST_BUDGET)]
    batch: Annotated[int, Meta(ge=1, le=LARGEST_BATCH)] = 64
    timeout: Annotated[float, Meta(ge=0, le=LONGEST)] = 0.0
    precision: Precision = "float32"
    layout: Layout = "contiguous"
    augment: Annotated[tuple[Augmentation, ...], Meta(max_length=MOST_LISTED)] = ()

    @property
    def d_updates(self) -> int:
        """Number of D updates that the budget pays for, independent of ``d_steps``."""
        return max(1, math.ceil(self.budget_kimg * 1000 / self.batch))


class Evaluating(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """How a trained generator is scored.

    ``samples``: number of fakes, and of reals from the split ``reference``, per evaluation. ``draws``: evaluations with
    independent latents; the score is their mean. ``headline``: the column that ranks. ``checks``: looks during
    training, each with a picture of samples and the headline on the selection split, from separate latents; a look
    changes no weight. ``target``: a value of the headline; the time to first reach it is reported. ``yardsticks``: rows
    made without training, either built-in ones (``evaluation/yardsticks.py``) or the dataset's own. ``shown``: the
    score columns that a table shows beside the headline by default; if empty, the first five that have a direction.
    """

    samples: Annotated[int, Meta(ge=1, le=MOST_SAMPLES)]
    metrics: Annotated[tuple[Words, ...], Meta(min_length=1, max_length=MOST_LISTED)]
    headline: Words
    extractor: Words | None = None
    reference: Literal["train", "test", "all"] = "train"
    draws: Annotated[int, Meta(ge=1, le=1000)] = 1
    checks: Annotated[int, Meta(ge=1, le=1000)] = 8
    target: Annotated[float, Meta(ge=-LARGEST_SCORE, le=LARGEST_SCORE)] | None = None
    yardsticks: Listed = ("real data", "gaussian fit", "one class", "noise")
    shown: Listed = ()

    @property
    def selection(self) -> Literal["train", "test"]:
        """The split that looks during training are scored on: the one that is not ``reference``.

        If ``reference`` is "all", it is the held-out split.
        """
        return "train" if self.reference == "test" else "test"


class LossRules(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A protocol's settings for one loss, for papers that use different settings on such data than elsewhere.

    ``recipe``: fields of ``Recipe`` that override those of the loss. ``settings``: the loss's own settings by name, as
    in ``--set loss.weight=0.1``.
    """

    recipe: dict[str, Any] = {}
    settings: dict[str, Any] = {}


class Protocol(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """The frozen, named, versioned rules of one comparison.

    ``losses``: loss name -> rules for that loss. They are part of the protocol, so rows that follow them are not
    custom.
    """

    name: Name
    dataset: Words
    seeds: Annotated[tuple[Seed, ...], Meta(min_length=1, max_length=MOST_LISTED)]
    training: Training
    evaluation: Evaluating
    description: Text = ""
    resolution: Annotated[int, Meta(ge=4, le=4096)] | None = None
    losses: Annotated[dict[Words, LossRules], Meta(max_length=MOST_LISTED)] = {}

    @property
    def digest(self) -> str:
        """12 hex digits: a hash of every rule that a record depends on (not description, target, ``shown`` or paths).

        Protocols with the same digest give the same records.
        """
        plain = msgspec.to_builtins(self) | {"description": ""}
        judge = self.extractor_ref
        plain["evaluation"] = plain["evaluation"] | {
            "target": None,
            "shown": (),
            "extractor": judge and str(judge.without_paths()),  # the names of scores contain a hash of its weights
        }
        plain["dataset"] = str(self.dataset_ref.without_paths())  # records hold a hash of the folder's content
        plain["losses"] = _as_floats(plain["losses"])
        rules = msgspec.convert(plain, Protocol)  # 48 and 48.0 are the same rule
        return hashlib.sha256(msgspec.json.encode(_without_defaults(rules), order="sorted")).hexdigest()[:12]

    @property
    def dataset_ref(self) -> ComponentRef:
        """``dataset``, parsed."""
        return ComponentRef.of(self.dataset)

    @property
    def extractor_ref(self) -> ComponentRef | None:
        """``evaluation.extractor``, parsed; None if there is none."""
        return ComponentRef.of(self.evaluation.extractor) if self.evaluation.extractor else None

    def rules_of(self, loss: str) -> LossRules:
        """Return the rules for the loss of that name; empty if ``losses`` has none."""
        return self.losses.get(loss, LossRules())

    @property
    def reads_paths(self) -> bool:
        """Whether the data or the extractor are read from a path, whose content may change."""
        judge = self.extractor_ref
        return bool(self.dataset_ref.paths or (judge and judge.paths))

    def seed(self, seed: int, stream: str) -> int:
        """Return the seed of a named stream (init, data, latent, penalty, evaluation, ...).

        It is 63 bits of ``sha256("digits-16-v2|0|data")`` and depends on nothing else, so runs of the same seed are
        paired.
        """
        digest = hashlib.sha256(f"{self.name}|{seed}|{stream}".encode()).digest()
        return int.from_bytes(digest[:8], "big") >> 1


def parse(rules: Mapping[str, Any], origin: str) -> Protocol:
    """Build a protocol from a mapping, and check every field.

    Args:
        rules: the fields, as read from TOML; ``digest`` is ignored.
        origin: where they come from, for error messages.

    Raises:
        ProtocolError: a field is unknown, missing, or has a wrong type or value; the message names the field.
    """
    rules = {k: v for k, v in rules.items() if k != "digest"}
    _reject_unknown(rules, Protocol, origin)
    for section, kind in (("training", Training), ("evaluation", Evaluating)):
        if isinstance(rules.get(section), Mapping):
            _reject_unknown(rules[section], kind, f"{origin}, section [{section}]")
    if isinstance(rules.get("losses"), Mapping):
        _check_losses(rules["losses"], origin)
    try:
        protocol = msgspec.convert(rules, Protocol)
    except msgspec.ValidationError as error:
        raise ProtocolError(f"{origin}: {broken_rule(error, Protocol, rules)}", _choices(error) or EXAMPLE) from error
    _reject_repeated(protocol, origin)
    return protocol


class RecipeLayer(NamedTuple):
    """Settings from ``origin`` (``arch dcgan``, ``the loss``, ``--set``) that override those of earlier layers."""

    origin: str
    settings: Mapping[str, Any]


class Resolved(NamedTuple):
    """A recipe, and field -> the origin of the last layer that states it (``protocol`` if none does)."""

    recipe: Recipe
    origins: dict[str, str]


def resolve_recipe(training: Training, layers: Iterable[RecipeLayer]) -> Resolved:
    """Override the protocol's recipe with each layer in order.

    Raises:
        ProtocolError: a layer states an unknown field, or a value of the wrong type or outside the limits.
    """
    fields = Recipe.__struct_fields__
    merged = {name: getattr(training, name) for name in fields}
    origins = dict.fromkeys(fields, "protocol")
    for origin, settings in layers:
        merged |= settings
        origins |= dict.fromkeys(settings, origin)
        _check_recipe(settings, merged, origin if origin.startswith("--") else f"the recipe of {origin}")
    return Resolved(msgspec.convert(merged, Recipe), origins)


def _check_recipe(
    given: Mapping[str, Any], merged: Mapping[str, Any], where: str, example: str = "for example: --set lr=1e-4"
) -> None:
    """Check the fields ``given`` in ``where``, which are already part of the whole recipe ``merged``."""
    _reject_unknown(given, Recipe, where)
    try:
        msgspec.convert(merged, Recipe)
    except msgspec.ValidationError as error:
        hint = _choices(error) or example
        raise ProtocolError(f"{where}: {broken_rule(error, Recipe, merged)}", hint) from error


def _check_losses(losses: Mapping[str, Any], origin: str) -> None:
    """Check the sections for individual losses; error messages name the loss."""
    for loss, asked in losses.items():
        where = f"{origin}, section [losses.{shortened(loss)}]"
        if not isinstance(asked, Mapping):
            raise ProtocolError(f"{where}: must be a section, not {shortened(asked)}", EXAMPLE_OF_LOSSES)
        _reject_unknown(asked, LossRules, where)
        for name, given in asked.items():
            if not isinstance(given, Mapping):
                raise ProtocolError(f"{where}: `{name}` must be a section, not {shortened(given)}", EXAMPLE_OF_LOSSES)
        _check_recipe(asked.get("recipe", {}), asked.get("recipe", {}), where, EXAMPLE_OF_LOSSES)
        for name, value in asked.get("settings", {}).items():
            if not _is_setting(value):
                what = "text, true, false, or a finite number, or a list of these"
                raise ProtocolError(f"{where}: `{shortened(name)}` must be {what}, not {shortened(value)}")


def _is_setting(value: Any, *, in_list: bool = False) -> bool:
    if isinstance(value, (list, tuple)) and not in_list:
        return all(_is_setting(one, in_list=True) for one in value)
    return isinstance(value, str) or (isinstance(value, (int, float)) and abs(value) <= LARGEST_SCORE)


def _reject_unknown(given: Mapping[str, Any], kind: type[Struct], where: str) -> None:
    for name in given:
        if name not in kind.__struct_fields__:
            close = closest(str(name), kind.__struct_fields__)
            hint = f"did you mean '{close}'?" if close else f"known: {', '.join(kind.__struct_fields__)}"
            raise ProtocolError(f"{where}: unknown field {shortened(name)}", hint)


def _reject_repeated(protocol: Protocol, origin: str) -> None:
    """Refuse repeated entries, which would be trained, scored or shown twice."""
    if len(set(protocol.seeds)) < len(protocol.seeds):
        raise ProtocolError(f"{origin}: `seeds` lists the same seed twice", "list each seed once")
    lists = {f"evaluation.{name}": getattr(protocol.evaluation, name) for name in ("metrics", "yardsticks", "shown")}
    for name, listed in {**lists, "training.augment": protocol.training.augment}.items():
        if twice := [one for one in listed if listed.count(one) > 1]:
            raise ProtocolError(f"{origin}: `{name}` lists {twice[0]!r} twice", "list each name once")


def _choices(error: Exception) -> str:
    """Return the hint for a setting that takes one of a few words, or an empty string for any other."""
    name = str(error).partition(" - at `$.")[2].rstrip("`").rpartition(".")[2]
    wanted = (get_type_hints(Training) | get_type_hints(Evaluating)).get(name)
    words = get_args(wanted) if get_origin(wanted) is Literal else ()
    return f"{name} is one of: {', '.join(words)}" if words else ""


def _as_floats(value: Any) -> Any:
    """Return the value with all integers converted to floats."""
    if isinstance(value, dict):
        return {name: _as_floats(one) for name, one in value.items()}
    if isinstance(value, (list, tuple)):
        return [_as_floats(one) for one in value]
    return float(value) if isinstance(value, int) and not isinstance(value, bool) else value


def _without_defaults(value: Any) -> Any:
    """Return the value as plain values; structs keep only the fields that differ from their defaults."""
    if isinstance(value, dict):
        return {name: _without_defaults(one) for name, one in value.items()}
    if not isinstance(value, Struct):
        return value
    given = {info.name: (getattr(value, info.name), _default(info)) for info in msgspec.structs.fields(value)}
    return {name: _without_defaults(now) for name, (now, default) in given.items() if now != default}


def _default(info: msgspec.structs.FieldInfo) -> Any:
    return info.default if info.default_factory is msgspec.NODEFAULT else info.default_factory()
