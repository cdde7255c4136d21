"""From names to players: the GAN and the loss of a run, built and checked against each other."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

import torch

from ganbench import plugins
from ganbench.contracts import Loss, LossTraits
from ganbench.data import Batch, Dataset, to_signal
from ganbench.errors import PluginError, ProtocolError, Unsupported
from ganbench.evaluate import in_eval_mode
from ganbench.gan import GAN, normalisation
from ganbench.protocol import Protocol, Recipe, resolve_recipe
from ganbench.train import preserved_rng


def build_players(
    protocol: Protocol, dataset: Dataset, arch: str, loss: Loss, changes: Mapping[str, Any], seed: int
) -> tuple[GAN, Recipe, dict[str, str]]:
    """The GAN with its weights drawn from the seed's init stream, and the recipe: protocol -> arch -> loss -> user.

    Raises:
        Unsupported: arch, loss and data do not fit together.
        PluginError: the arch returned something else than its contract says.
    """
    source, traits = plugins.find("arch", arch), LossTraits(loss)
    d_steps = {"d_steps": traits.d_steps, **traits.recipe}
    asked, _ = resolve_recipe(protocol.training, [("--set", changes)])
    try:
        with preserved_rng(torch.device("cpu")):
            torch.manual_seed(protocol.seed(seed, "init"))
            gan = plugins.build(source, data=dataset.spec, d_norm=traits.d_norm, width=asked.width, z_dim=asked.z_dim)
    except Unsupported as error:
        raise Unsupported(f"{source.name} cannot play on {dataset.name}: {error.message}", error.hint) from error
    if not isinstance(gan, GAN):
        raise PluginError(f"{source} returned a {type(gan).__name__}", "ganbench_arch returns a ganbench.GAN")
    _check_norm(source.name, gan, traits.d_norm)
    _check_shapes(source, gan, dataset)
    recipe, origins = resolve_recipe(
        protocol.training,
        [(f"arch {source.name}", gan.recipe), ("the loss", d_steps), ("--set", changes)],
    )
    return gan, recipe, origins


def build_loss(reference: str, changes: Mapping[str, Any]) -> Loss:
    """The loss, with the fields that the user changed (``--set loss.weight=1``).

    Raises:
        ProtocolError: the loss has no such field.
    """
    source = plugins.find("loss", reference)
    loss: Loss = plugins.build(source)
    if not changes:
        return loss
    known = [field.name for field in dataclasses.fields(loss)] if dataclasses.is_dataclass(loss) else list[str]()
    for name in changes:
        if name not in known:
            raise ProtocolError(
                f"the loss '{source.name}' has no setting '{name}'", f"it has: {', '.join(known) or 'none'}"
            )
    for name, value in changes.items():
        now = getattr(loss, name)
        if isinstance(now, (int, float)) and not isinstance(value, (int, float)):
            raise ProtocolError(f"--set loss.{name}={value}: expected a number", f"it is {now} by default")
    return dataclasses.replace(loss, **changes)  # type: ignore[type-var]


def _check_norm(arch: str, gan: GAN, wish: str | None) -> None:
    built = normalisation(gan.discriminators())
    if wish == "none" and "batch" in built:
        raise Unsupported(
            f"the loss looks at each sample by itself and {arch} has batch normalisation in D",
            "let the arch accept d_norm and leave it out",
        )
    if wish == "spectral" and "spectral" not in built:
        raise Unsupported(f"the loss needs spectral normalisation in D and {arch} was built with {built}")


def _check_shapes(source: plugins.Source, gan: GAN, dataset: Dataset) -> None:
    """One look at two samples, before anything is paid for."""
    real = to_signal(dataset.train.x[:2])
    labels = None if dataset.train.labels is None else dataset.train.labels[:2]
    given = None if dataset.train.source is None else to_signal(dataset.train.source[:2])
    with torch.no_grad(), preserved_rng(torch.device("cpu")), in_eval_mode(gan):
        batch = Batch(real, gan.sample_latent(2, torch.Generator().manual_seed(0)), labels, given)
        try:
            shape = tuple(gan.sample(batch).shape)
        except Exception as error:
            raise PluginError(f"{source} cannot make two samples: {type(error).__name__}: {error}") from error
    if shape != (2, *dataset.spec.shape):
        raise PluginError(
            f"{source}: two samples have shape {shape}, {dataset.name} needs {(2, *dataset.spec.shape)}",
            "build the generator for data.shape",
        )
