"""From names to players: build the GAN, the loss and the tricks of a run, and check that they fit together."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any

import msgspec
import torch

from ganbench import plugins
from ganbench.contracts.arch import GAN, normalisation
from ganbench.contracts.data import Batch, Dataset, DataSpec, to_signal
from ganbench.contracts.executor import TrainingJob
from ganbench.contracts.latents import LAWS
from ganbench.contracts.loss import Loss, LossTraits
from ganbench.contracts.metric import NEEDS, Metric
from ganbench.contracts.protocol import Recipe, RecipeLayer, Resolved, resolve_recipe
from ganbench.contracts.settings import names_of, refuse_unheard
from ganbench.contracts.trick import Trick
from ganbench.device.untouched import in_eval_mode, preserved_rng
from ganbench.errors import PluginError, ProtocolError, UnknownSetting, Unsupported, blaming, listed
from ganbench.plugins.source import Source

OWN = "own"
"""The law of z of an arch that overrides ``sample_latent``."""


@dataclass(frozen=True)
class Players:
    """What a run trains, and under which rules.

    ``loss`` is the named objective with the user's settings; ``played`` is the same after the tricks have changed it.
    ``origins`` maps each field of the recipe to the layer that set it.
    """

    gan: GAN
    loss: Loss
    played: Loss
    tricks: tuple[Trick, ...]
    recipe: Recipe
    origins: dict[str, str]


def build_players(job: TrainingJob, dataset: Dataset) -> Players:
    """Build everything that a job names, with weights drawn from the seed's init stream, and resolve its recipe.

    The recipe is that of the protocol, changed by the arch, the loss, the protocol's rules for this loss, the tricks
    and the user, in this order.

    Raises:
        Unsupported: arch, loss, tricks and data do not fit together.
        PluginError: a plugin broke its contract.
    """
    _, objective, *others = job.players
    loss = played = _build_loss(job)
    tricks = {f"trick {trick.name}": build_trick(trick.text) for trick in others}
    for title, trick in tricks.items():
        with _naming(f"the {title} has no meaning for {objective.name}"):
            played = trick.loss(played)
    gan = _build_gan(job, dataset, LossTraits(played).d_norm, tricks)
    resolved = _with_law(gan, job.players[0].name, _resolve(job, gan, LossTraits(played), tricks))
    return Players(gan, loss, played, tuple(tricks.values()), resolved.recipe, resolved.origins)


def _build_gan(job: TrainingJob, dataset: Dataset, wish: str | None, tricks: Mapping[str, Trick]) -> GAN:
    source = plugins.find("arch", job.arch)
    norms = [trick.d_norm for trick in tricks.values() if trick.d_norm is not None]
    if len(set(norms)) > 1:
        raise Unsupported(f"the tricks want D with {' and with '.join(norms)} normalisation", "choose one of them")
    d_norm = norms[0] if norms else wish
    build = partial(_build_arch, source, job, d_norm)
    for title, trick in tricks.items():
        build = partial(_act, title, trick, build)
    with preserved_rng(torch.device("cpu")):
        torch.manual_seed(job.protocol.seed(job.seed, "init"))
        gan = build(dataset.spec)
    for needed in (wish, d_norm):
        _check_norm(source.name, gan, needed)
    _check_players(source, gan, dataset, logits=not tricks)  # a trick may have D judge something other than samples
    return gan


def _build_arch(source: Source, job: TrainingJob, d_norm: str | None, data: DataSpec) -> GAN:
    asked = resolve_recipe(job.protocol.training, [RecipeLayer("--set", job.recipe_changes)]).recipe
    elsewhere = (
        "choose another --arch, or another size of the data in the protocol"
        if job.protocol.dataset_ref.parts
        else "choose another --protocol (see `ganbench plugins protocol`), or another --arch"
    )
    arguments = {"data": data, "width": asked.width, "z_dim": asked.z_dim, "settings": job.arch_changes}
    try:
        with _naming(f"{source.name} cannot play on {job.protocol.dataset}", elsewhere):
            gan: GAN = plugins.build(source, d_norm=d_norm, **arguments)
    except Unsupported as error:
        if d_norm is None or not _builds(source, arguments):
            raise
        cause = error.__cause__
        why = cause.message if isinstance(cause, Unsupported) else error.message
        raise _Named(
            f"{source.name} has no D with the normalisation '{d_norm}' that {_who_wants_it(job)} needs: {why}",
            "choose another --arch or --loss",
        ) from error
    refuse_unheard(source.name, gan.settings, job.arch_changes)
    return gan


def _builds(source: Source, arguments: Mapping[str, Any]) -> bool:
    """Whether an arch can be built if it may choose the normalisation of D."""
    try:
        plugins.build(source, d_norm=None, **arguments)
    except Unsupported:
        return False
    return True


def _who_wants_it(job: TrainingJob) -> str:
    """The tricks that choose the normalisation of D, or else the loss."""
    _, loss, *tricks = job.players
    return " and ".join(trick.text for trick in tricks if build_trick(trick.text).d_norm) or loss.name


def _act(title: str, trick: Trick, build: Callable[[DataSpec], GAN], data: DataSpec) -> GAN:
    with _naming(f"the {title} cannot be applied here"):
        return trick.players(build, data)


def _resolve(job: TrainingJob, gan: GAN, traits: LossTraits, tricks: Mapping[str, Trick]) -> Resolved:
    training, (arch, loss, *_) = job.protocol.training, job.players
    layers = [
        RecipeLayer(f"arch {arch.name}", gan.recipe),
        RecipeLayer("the loss", {"d_steps": traits.d_steps, **traits.recipe}),
        RecipeLayer("the protocol, for this loss", job.protocol.rules_of(loss.name).recipe),
    ]
    for title, trick in tricks.items():
        layers.append(RecipeLayer(title, trick.recipe(resolve_recipe(training, layers).recipe)))
    return resolve_recipe(training, [*layers, RecipeLayer("--set", job.recipe_changes)])


def _with_law(gan: GAN, arch: str, resolved: Resolved) -> Resolved:
    """Give the GAN the recipe's law of z; for one with a law of its own, say so in the recipe.

    Raises:
        Unsupported: the recipe asks for a law that the arch does not follow.
    """
    law, origin = resolved.recipe.latent, resolved.origins["latent"]
    if type(gan).sample_latent is GAN.sample_latent:
        if law == OWN:
            raise Unsupported(f"{arch} has no law of its own for z", f"choose one of: {', '.join(LAWS)}")
        gan.latent = law
        return resolved
    if origin != "protocol" and law != OWN:
        raise Unsupported(f"{arch} draws z by a law of its own, so latent={law} has no effect", "leave it out")
    recipe = msgspec.structs.replace(resolved.recipe, latent=OWN)
    return Resolved(recipe, {**resolved.origins, "latent": f"arch {arch}"})


class _Named(Unsupported):
    """An error that already names the component that declines."""


@contextmanager
def _naming(who: str, otherwise: str = "") -> Iterator[None]:
    """Put ``who`` before the message of an ``Unsupported``; ``otherwise`` is the next step if the error has none."""
    try:
        yield
    except _Named:
        raise
    except Unsupported as error:
        raise _Named(f"{who}: {error.message}", error.hint or otherwise) from error


def _build_loss(job: TrainingJob) -> Loss:
    """The loss, with the settings from the protocol and those that the user changed.

    Raises:
        UnknownSetting: the loss has no such setting.
        ProtocolError: a value has the wrong type.
    """
    source = plugins.find("loss", job.loss)
    loss: Loss = plugins.build(source)
    asked = job.protocol.rules_of(source.name).settings
    loss = with_settings(loss, source.name, asked, f"the protocol {job.protocol.name}: ")
    return with_settings(loss, source.name, job.loss_changes, "--set ")


def with_settings(loss: Loss, name: str, settings: Mapping[str, Any], where: str) -> Loss:
    """The loss called ``name`` with other settings. Messages about a wrong one begin with ``where``, its origin.

    Raises:
        UnknownSetting: the loss has no such setting.
        ProtocolError: a value has the wrong type.
    """
    known = names_of(loss)
    for setting, value in settings.items():
        if setting not in known:
            why = f"{where}loss.{setting}: the loss '{name}' has no setting '{setting}'"
            raise UnknownSetting(why, f"it has: {', '.join(known) or 'none'}")
        now = getattr(loss, setting)
        if isinstance(now, (int, float)) and not isinstance(value, (int, float)):
            raise ProtocolError(f"{where}loss.{setting}={value}: expected a number", f"it is {now} by default")
    return dataclasses.replace(loss, **settings) if settings else loss  # type: ignore[type-var]  # what has settings is a dataclass


def build_trick(reference: str) -> Trick:
    """The trick of that name, built with the argument after the colon.

    Raises:
        Unsupported: its argument is invalid.
    """
    source = plugins.find("trick", reference)
    trick: Trick = plugins.build(source, argument=source.argument)
    return trick


def refuse_unmet(job: TrainingJob, gan: GAN, dataset: Dataset, metrics: Mapping[str, Metric]) -> None:
    """Reject a headline whose metric needs something that the data lack or the arch does not do.

    Columns of other such metrics are merely absent (``unmet_by``).

    Raises:
        Unsupported: the headline cannot be scored.
    """
    for name, need, what in _unmet(job, gan, dataset, metrics):
        if job.protocol.evaluation.headline in metrics[name].columns:
            raise Unsupported(f"{what}, but the metric '{name}' of {job.protocol.name} needs {need}", _OTHERWISE[need])


_OTHERWISE = {
    "them": "leave that metric out of the protocol",
    "that": "choose another --arch or --protocol",
}


def unmet_by(job: TrainingJob, gan: GAN, dataset: Dataset, metrics: Mapping[str, Metric]) -> list[str]:
    """A sentence for each metric, except the headline's, that cannot score this row."""
    return [
        f"the metric '{name}' cannot score {job.entry}: {what}"
        for name, _, what in _unmet(job, gan, dataset, metrics)
        if job.protocol.evaluation.headline not in metrics[name].columns
    ]


def _unmet(
    job: TrainingJob, gan: GAN, dataset: Dataset, metrics: Mapping[str, Metric]
) -> Iterator[tuple[str, str, str]]:
    """Yield (metric, its need in a word, what the data or the arch lack)."""
    met = {"labels": gan.conditional, "back": type(gan).sample_back is not GAN.sample_back}
    lacks = {"labels": "takes no labels", "back": "does not translate both ways"}
    for name, metric in metrics.items():
        for need in getattr(metric, "needs", ()):
            if need not in NEEDS:
                raise PluginError(f"the metric '{name}' needs '{need}', which has no meaning", f"use {listed(NEEDS)}")
            if need == "labels" and dataset.train.labels is None:
                yield name, "them", f"'{dataset.name}' has no labels"
            elif need in met and not met[need]:
                yield name, "that", f"{job.players[0].name} {lacks[need]}"


def _check_norm(arch: str, gan: GAN, wish: str | None) -> None:
    built = normalisation(gan.discriminators())
    if wish == "none" and "batch" in built:
        raise Unsupported(
            f"the loss treats each sample separately, but {arch} has batch normalisation in D",
            "make the arch accept d_norm and leave it out",
        )
    if wish == "spectral" and "spectral" not in built:
        raise Unsupported(f"the loss needs spectral normalisation in D, but {arch} was built with {built}")


def _check_players(source: plugins.Source, gan: GAN, dataset: Dataset, *, logits: bool) -> None:
    """Try two samples before any training and, if ``logits``, check what D returns for them."""
    real = to_signal(dataset.train.x[:2])
    labels = None if dataset.train.labels is None else dataset.train.labels[:2]
    given = None if dataset.train.source is None else to_signal(dataset.train.source[:2])
    players = [*gan.generators(), *gan.discriminators()]
    untouched = preserved_rng(torch.device("cpu"))
    with blaming(f"{source} cannot play on two samples"), torch.no_grad(), untouched, in_eval_mode(*players):
        batch = Batch(real, gan.sample_latent(2, torch.Generator().manual_seed(0)), labels, given)
        made, back = gan.sample(batch), None if given is None else gan.sample_back(batch)
        said = [match.D(match.real) for match in gan.matches(batch, gan.fake(batch))] if logits else []
    for what, x, shape in (("shape", made, dataset.spec.shape), ("source", back, dataset.spec.source)):
        if x is not None and tuple(x.shape) != (2, *(shape or ())):
            raise PluginError(
                f"{source}: two samples have shape {tuple(x.shape)}, but {dataset.name} needs {(2, *(shape or ()))}",
                f"build the generator for data.{what}",
            )
    for logit in said:
        if tuple(logit.shape) != (2,):
            raise PluginError(
                f"{source}: D returns shape {tuple(logit.shape)} for two samples, but a loss expects two logits",
                "end D in nn.Flatten(0)",
            )
