"""Conditional GANs: labels reach both players, and every claim about these architectures holds."""

from __future__ import annotations

import importlib
from dataclasses import replace
from functools import partial
from typing import Any

import pytest
import torch
from torch import Tensor

from ganbench.contracts.arch import GAN, count_parameters
from ganbench.contracts.data import Batch, DataSpec, Split
from ganbench.contracts.protocol import Recipe
from ganbench.errors import ProtocolError, Unsupported
from ganbench.training.batches import Stream
from ganbench.training.trainer import Trainer
from ganbench_baselines.arch import acgan, cgan, cgan_mlp
from ganbench_baselines.arch.conditional import ConditionalGAN
from ganbench_baselines.loss import r1
from ganbench_baselines.trick import minibatch_stddev

ARCHES = {"cgan": cgan, "cgan-mlp": cgan_mlp, "acgan": acgan}
LOSSES = ("non_saturating", "wgan_gp", "hinge", "r1", "rpgan_r1_r2")
SPEC = DataSpec((1, 8, 8), classes=4)
N = 8

every_arch = pytest.mark.parametrize("name", ARCHES)


def build(
    name: str, data: DataSpec = SPEC, d_norm: str | None = None, z_dim: int = 6, **settings: Any
) -> ConditionalGAN:
    given = {"data": data, "d_norm": d_norm, "width": 8, "z_dim": z_dim, "settings": settings}
    hook = ARCHES[name].ganbench_arch
    code = hook.__code__
    gan = hook(**{key: given[key] for key in code.co_varnames[: code.co_argcount]})
    assert isinstance(gan, ConditionalGAN)
    return gan


def batch_for(gan: GAN, n: int = N, seed: int = 0) -> Batch:
    rng = torch.Generator().manual_seed(seed)
    x = torch.rand(n, *SPEC.shape, generator=rng) * 2 - 1
    return Batch(x, gan.sample_latent(n, rng), torch.arange(n) % SPEC.classes)


def relabelled(batch: Batch) -> Batch:
    assert batch.labels is not None
    return replace(batch, labels=(batch.labels + 1) % SPEC.classes)


# -- what they share ---------------------------------------------------------------------------------------------------


@every_arch
def test_the_label_decides_what_g_makes_of_a_latent(name):
    gan = build(name).eval()
    batch = batch_for(gan)
    assert gan.conditional
    assert gan.sample(batch).shape == batch.real.shape
    apart = (gan.sample(batch) - gan.sample(relabelled(batch))).flatten(1).abs().amax(1)
    assert (apart > 1e-4).all()


@pytest.mark.parametrize("name", ["cgan", "cgan-mlp"])
def test_d_is_told_the_labels_of_the_batch_where_the_match_is_made(name):
    gan = build(name, d_norm="none").eval()
    batch = batch_for(gan)
    (match,) = gan.matches(batch, gan.fake(batch))
    said = match.D(batch.real)
    assert torch.equal(said, gan.discriminator(batch.real, batch.labels))
    (other,) = gan.matches(relabelled(batch), gan.fake(batch))
    assert ((said - other.D(batch.real)).abs() > 1e-6).all()
    assert torch.equal(match.real, batch.real)


@every_arch
def test_the_embedding_of_labels_is_gs_and_is_averaged(name):
    gan = build(name)
    twin, batch = gan.averaged_copy().eval(), batch_for(gan)
    before = twin.sample(batch)
    with torch.no_grad():
        for p in gan.generator_params():
            p.add_(1.0)
    assert torch.equal(twin.sample(batch), before)
    owned = sum(p.numel() for p in gan.generator_params())
    assert owned == count_parameters([gan.generator])
    assert owned + count_parameters([gan.discriminator]) == count_parameters([gan])


@every_arch
@pytest.mark.parametrize("classes", [0, 1])
def test_data_without_classes_are_declined_in_a_sentence(name, classes):
    with pytest.raises(Unsupported, match="needs data of two classes or more") as caught:
        build(name, replace(SPEC, classes=classes))
    assert "--protocol" in caught.value.hint


@every_arch
def test_an_unknown_normalisation_of_d_is_declined(name):
    with pytest.raises(Unsupported, match="instance"):
        build(name, d_norm="instance")


@every_arch
@pytest.mark.parametrize("loss", LOSSES)
def test_every_loss_plays_two_iterations_and_moves_both_players(name, loss):
    objective = importlib.import_module(f"ganbench_baselines.loss.{loss}").ganbench_loss()
    gan = build(name, d_norm=getattr(objective, "d_norm", None))
    before = [[p.clone() for p in module.parameters()] for module in (gan.generator, gan.discriminator)]
    play(gan, objective, updates=2)
    for module, old in zip((gan.generator, gan.discriminator), before, strict=True):
        assert all(p.isfinite().all() for p in module.parameters())
        assert sum(not torch.equal(p, q) for p, q in zip(module.parameters(), old, strict=True)) > len(old) / 2


@pytest.mark.parametrize("name", ["cgan", "acgan"])
def test_a_layer_that_looks_at_the_minibatch_finds_the_end_of_d(name):
    gan = minibatch_stddev.ganbench_trick("4").players(partial(build, name), SPEC)
    batch = batch_for(gan)
    (match,) = gan.matches(batch, gan.fake(batch))
    assert match.D(batch.real).shape == (N,)
    assert any(isinstance(module, minibatch_stddev.StandardDeviation) for module in gan.discriminator.modules())


def bars() -> Split:
    """Class k is a bright bar in rows 2k and 2k+1."""
    rng, labels = torch.Generator().manual_seed(0), torch.arange(256) % SPEC.classes
    rows = torch.arange(8) // 2 == labels[:, None]
    x = torch.where(rows[:, None, :, None], 0.8, -0.8) + 0.1 * torch.randn(256, 1, 8, 8, generator=rng)
    return Split(x.clamp(-1, 1), labels)


def play(gan: GAN, loss: Any, updates: int, batch: int = N, lr: float = 5e-3) -> GAN:
    data = Stream(bars(), batch, 1, torch.device("cpu"))
    trainer = Trainer(gan, loss, data, Recipe(lr=lr, betas=(0.0, 0.99), ema=0.9), updates, 2, 3)
    trainer.advance(updates)
    return trainer.averaged.eval()


def recognised(gan: GAN, n: int = 200) -> float:
    """The share of samples whose brightest bar is that of their label."""
    batch = batch_for(gan, n)
    with torch.inference_mode():
        brightness = gan.sample(batch).view(n, SPEC.classes, -1).mean(2)
    return (brightness.argmax(1) == batch.labels).double().mean().item()


@every_arch
def test_g_learns_to_make_the_class_that_it_is_asked_for(name):
    rate = 1e-3 if name == "cgan-mlp" else 5e-3
    assert recognised(play(build(name, d_norm="none"), r1.ganbench_loss(), updates=100, batch=32, lr=rate)) > 0.95


def test_without_its_classifier_an_acgan_does_not_learn_what_labels_mean():
    gan = play(build("acgan", d_norm="none", auxiliary=0), r1.ganbench_loss(), updates=100, batch=32)
    assert recognised(gan) < 0.6


# -- AC-GAN ------------------------------------------------------------------------------------------------------------


def surprise(logits: Tensor, labels: Tensor) -> Tensor:
    """-E log P(C = c), by definition."""
    return -(logits.exp() / logits.exp().sum(1, keepdim=True))[torch.arange(len(labels)), labels].log().mean()


def test_the_auxiliary_terms_are_equation_3_times_their_weight():
    gan = build("acgan", auxiliary=0.5)
    batch = batch_for(gan)
    fake = gan.fake(batch).detach()
    of_real = surprise(gan.discriminator.classify(batch.real), batch.labels)
    of_fake = surprise(gan.discriminator.classify(fake), batch.labels)
    d_terms, g_terms = (dict(terms(batch, fake)) for terms in (gan.d_extra, gan.g_extra))
    torch.testing.assert_close(d_terms, {"d_auxiliary": 0.5 * (of_real + of_fake)})
    torch.testing.assert_close(g_terms, {"g_auxiliary": 0.5 * of_fake})


def test_logit_and_classes_come_from_one_body():
    gan = build("acgan")
    heads = {"classes.weight", "classes.bias", "source.weight", "source.bias"}
    names = {name for name, _ in gan.discriminator.named_parameters()}
    assert heads < names
    assert all(name.startswith("body.") for name in names - heads)
    batch = batch_for(gan)
    value = gan.d_extra(batch, gan.fake(batch).detach())["d_auxiliary"]
    gradients = torch.autograd.grad(value, list(gan.discriminator.body.parameters()))
    assert all(gradient.abs().sum() > 0 for gradient in gradients)


def test_d_is_not_told_the_label():
    gan = build("acgan", d_norm="none").eval()
    batch = batch_for(gan)
    one, other = (gan.matches(given, batch.real)[0].D(batch.real) for given in (batch, relabelled(batch)))
    assert torch.equal(one, other)


def test_a_weight_of_nothing_leaves_the_classifier_out():
    gan = build("acgan", auxiliary=0)
    batch = batch_for(gan)
    assert not hasattr(gan.discriminator, "classes")
    fake = gan.fake(batch)
    assert gan.d_extra(batch, fake) == gan.g_extra(batch, fake) == {}
    assert gan.settings == acgan.Settings(auxiliary=0)


def test_a_setting_that_there_is_not_is_refused_by_name():
    with pytest.raises(ProtocolError, match=r"arch\.auxilary"):
        build("acgan", auxilary=0)


@pytest.mark.parametrize("weight", [-1.0, float("nan")])
def test_a_weight_that_makes_no_sense_is_refused(weight):
    with pytest.raises(ProtocolError, match=r"arch\.auxiliary"):
        build("acgan", auxiliary=weight)


# -- the paper's networks ----------------------------------------------------------------------------------------------


def test_at_the_papers_size_layers_have_the_parameters_that_section_4_1_counts():
    with torch.device("meta"):
        gan = build("cgan-mlp", DataSpec((1, 28, 28), classes=10), z_dim=100, batch_norm=False, dropout=0.5)
    g = (100 + 1) * 200 + (10 + 1) * 1000 + (200 + 1000 + 1) * 1200 + (1200 + 1) * 784
    d = (784 + 1) * 240 * 5 + (10 + 1) * 50 * 5 + (240 + 50 + 1) * 240 * 4 + (240 + 1)
    assert (g, d) == (2_413_984, 1_224_351)
    assert count_parameters([gan.generator]) == g
    assert count_parameters([gan.discriminator]) == d


def test_half_of_the_papers_hidden_units_drop_out_in_training_and_none_in_sampling():
    gan = build("cgan-mlp", batch_norm=False, dropout=0.5)
    batch = batch_for(gan)
    dropped = [gan.generator.joint(torch.ones(2, 1200)), gan.generator.of_z(torch.ones(2, 6))]
    assert all((h[0] != h[1]).any() for h in dropped)
    widths: list[int] = []
    gan.discriminator.dropout.register_forward_hook(lambda module, given, made: widths.append(made.shape[1]))
    (match,) = gan.matches(batch, batch.real)
    assert not torch.equal(match.D(batch.real), match.D(batch.real))
    assert widths == [240 + 50, 240] * 2
    gan.eval()
    assert torch.equal(gan.sample(batch), gan.sample(batch))


def test_a_maxout_unit_is_the_largest_of_its_pieces():
    layer = cgan_mlp.Maxout(7, units=5, pieces=3, norm="none").double()
    x = torch.randn(50, 7, dtype=torch.float64)
    torch.testing.assert_close(layer(x), layer.linear(x).view(50, 5, 3).amax(2))


def test_latents_fill_the_unit_hypercube_evenly():
    z = build("cgan-mlp").sample_latent(20_000, torch.Generator().manual_seed(0))
    assert z.min() >= 0
    assert z.max() < 1
    torch.testing.assert_close(z.mean(0), torch.full((6,), 0.5), atol=0.01, rtol=0)
    torch.testing.assert_close(z.var(0), torch.full((6,), 1 / 12), atol=0.003, rtol=0)


def test_points_are_made_without_bounds():
    gan = build("cgan-mlp", DataSpec((2,), classes=4, bounded=False)).eval()
    with torch.no_grad():
        gan.generator.last.bias.fill_(5.0)
    x = gan.sample(Batch(torch.zeros(3, 2), gan.sample_latent(3, torch.Generator()), torch.tensor([0, 1, 3])))
    assert x.shape == (3, 2)
    assert x.min() > 2


@pytest.mark.parametrize("name", ["cgan", "acgan"])
def test_the_bodies_of_dcgan_want_images(name):
    with pytest.raises(Unsupported, match="needs 2-D images"):
        build(name, DataSpec((2,), classes=4, bounded=False))
