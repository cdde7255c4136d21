"""The ResNet GANs: networks of the papers' sizes, and each part of them against its equation."""

from __future__ import annotations

from types import ModuleType
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn.functional import avg_pool2d, batch_norm, conv2d, interpolate, relu

from ganbench import GAN, DataSpec, Unsupported, plugins
from ganbench.contracts.arch import count_parameters, normalisation
from ganbench.contracts.data import Batch
from ganbench.device.untouched import in_eval_mode
from ganbench.errors import ProtocolError
from ganbench_baselines.arch import biggan_small, sngan, sngan_projection
from ganbench_baselines.arch.biggan_small import SelfAttention, overlap
from ganbench_baselines.arch.resnet import ConditionalBatchNorm, DoublingConv, DownBlock, HalvingConv, UpBlock

DIGITS = DataSpec((1, 16, 16), classes=10)
ARCHS = {"sngan": sngan, "sngan-projection": sngan_projection, "biggan-small": biggan_small}
CONDITIONAL = {name: ARCHS[name] for name in ("sngan-projection", "biggan-small")}


@pytest.fixture(autouse=True)
def _seeded() -> None:
    torch.manual_seed(3)


def built(
    arch: ModuleType,
    data: DataSpec = DIGITS,
    d_norm: str | None = None,
    width: int = 8,
    z_dim: int = 12,
    **settings: Any,
) -> GAN:
    torch.manual_seed(0)
    return arch.ganbench_arch(data, d_norm, width, z_dim, settings)


def a_batch(gan: GAN, n: int = 6, data: DataSpec = DIGITS) -> Batch:
    rng = torch.Generator().manual_seed(1)
    real = torch.rand(n, *data.shape, generator=rng) * 2 - 1
    return Batch(real, gan.sample_latent(n, rng), torch.arange(n) % data.classes)


@torch.no_grad()
def shaken(gan: GAN) -> GAN:
    """All weights changed by a little, so that none is 0 or 1 as at the beginning; in eval mode."""
    rng = torch.Generator().manual_seed(2)
    for p in gan.parameters():
        p.add_(0.3 * torch.randn(p.shape, generator=rng))
    return gan.eval()


# -- sizes -------------------------------------------------------------------------------------------------------------

PUBLISHED = {
    # Miyato et al. 2018 and Miyato and Koyama 2018, as torch-mimicry 0.1.16 builds them (SNGANGenerator32, ...)
    "sngan 32": (sngan, 128, 128, DataSpec((3, 32, 32)), 4_276_739, 1_053_825),
    "sngan 64": (sngan, 64, 128, DataSpec((3, 64, 64)), 12_220_675, 10_141_441),
    "sngan 128": (sngan, 64, 128, DataSpec((3, 128, 128)), 32_150_787, 29_017_857),
    "sngan-projection 32": (sngan_projection, 128, 128, DataSpec((3, 32, 32), classes=10), 4_304_387, 1_055_105),
    # that G is torch-mimicry's CGANPDGenerator128; D is the one above and an embedding of 1,000 classes by 1,024
    "sngan-projection 128": (sngan_projection, 64, 128, DataSpec((3, 128, 128), 1000), 41_996_931, 30_041_857),
    # Brock et al. 2019 in google/compare_gan, architectures/resnet_biggan.py ("Number of parameters"), and its test
    "biggan 128": (biggan_small, 96, 120, DataSpec((3, 128, 128), classes=1000), 70_433_988, 87_982_370),
}


@pytest.mark.parametrize("name", PUBLISHED)
def test_networks_of_the_papers_size_have_the_published_number_of_parameters(name: str) -> None:
    arch, width, z_dim, data, g, d = PUBLISHED[name]
    with torch.device("meta"):
        gan = arch.ganbench_arch(data, None, width, z_dim, {})
    assert (count_parameters(gan.generators()), count_parameters(gan.discriminators())) == (g, d)


@pytest.mark.parametrize("name", ["digits-32-cond-v1", "digits-64-v1"])
def test_the_protocols_for_a_gpu_fit_their_archs(name: str) -> None:
    protocol = plugins.build(plugins.find("protocol", name))
    rules = protocol.training
    conditional = "label-accuracy" in protocol.evaluation.metrics
    data = DataSpec((1, protocol.resolution, protocol.resolution), classes=10)
    for arch in CONDITIONAL.values() if conditional else [sngan]:
        with torch.device("meta"):
            gan = arch.ganbench_arch(data, "spectral", rules.width, rules.z_dim, {})
            z, labels = torch.empty(2, rules.z_dim), torch.empty(2, dtype=torch.int64)
            fake = gan.fake(Batch(z, z, labels))
            (match,) = gan.matches(Batch(fake, z, labels), fake)
            assert (fake.shape, match.D(fake).shape) == ((2, *data.shape), (2,))
        assert gan.conditional == conditional
    assert rules.d_updates == 50_000


@pytest.mark.parametrize("side", [16, 32, 64, 128])
@pytest.mark.parametrize("arch", ARCHS.values(), ids=ARCHS)
def test_every_side_from_16_to_128_can_be_played_on(arch: ModuleType, side: int) -> None:
    gan = built(arch, DataSpec((1, side, side), classes=10), width=2)
    batch = a_batch(gan, 2, DataSpec((1, side, side), classes=10))
    fake = gan.fake(batch)
    (match,) = gan.matches(batch, fake)
    assert (fake.shape, match.D(fake).shape) == (batch.real.shape, (2,))


# -- blocks ------------------------------------------------------------------------------------------------------------


def plain(kind: type[nn.Conv2d], before: int, after: int, side: int) -> nn.Module:
    return kind(before, after, side, padding=side // 2).double()


def test_a_doubling_convolution_is_nearest_neighbour_and_a_3x3_convolution() -> None:
    conv, x = plain(DoublingConv, 3, 5, 3), torch.randn(2, 3, 6, 6, dtype=torch.float64)
    expected = conv2d(interpolate(x, scale_factor=2), conv.weight, conv.bias, padding=1)
    torch.testing.assert_close(conv(x), expected)


def test_a_halving_convolution_is_a_3x3_convolution_and_the_mean_over_2x2() -> None:
    conv, x = plain(HalvingConv, 3, 5, 3), torch.randn(2, 3, 6, 6, dtype=torch.float64)
    torch.testing.assert_close(conv(x), avg_pool2d(conv2d(x, conv.weight, conv.bias, padding=1), 2))


def test_a_block_of_g_is_that_of_the_paper() -> None:
    block = UpBlock(3, 5, plain, lambda channels: nn.BatchNorm2d(channels).double())
    block.norm1.forward = lambda x, condition: batch_norm(x, None, None, training=True)
    block.norm2.forward = lambda x, condition: batch_norm(x, None, None, training=True)
    x = torch.randn(4, 3, 6, 6, dtype=torch.float64)
    h = interpolate(relu(batch_norm(x, None, None, training=True)), scale_factor=2)
    h = relu(batch_norm(conv2d(h, block.conv1.weight, block.conv1.bias, padding=1), None, None, training=True))
    h = conv2d(h, block.conv2.weight, block.conv2.bias, padding=1)
    beside = conv2d(interpolate(x, scale_factor=2), block.shortcut.weight, block.shortcut.bias)
    torch.testing.assert_close(block(x), h + beside)


@pytest.mark.parametrize("first", [False, True])
def test_a_block_of_d_that_halves_is_that_of_the_paper(first: bool) -> None:
    block = DownBlock(3, 4, 5, plain, first=first)
    x = torch.randn(2, 3, 6, 6, dtype=torch.float64)
    h = conv2d(x if first else relu(x), block.conv1.weight, block.conv1.bias, padding=1)
    h = avg_pool2d(conv2d(relu(h), block.conv2.weight, block.conv2.bias, padding=1), 2)
    beside = avg_pool2d(conv2d(x, block.shortcut.weight, block.shortcut.bias), 2)
    torch.testing.assert_close(block(x), h + beside)


def test_a_block_of_d_that_changes_nothing_in_size_adds_to_its_input() -> None:
    block = DownBlock(3, 3, 3, plain, down=False)
    nn.init.zeros_(block.conv2.weight)
    nn.init.zeros_(block.conv2.bias)
    x = torch.randn(2, 3, 6, 6, dtype=torch.float64)
    torch.testing.assert_close(block(x), x)


# -- spectral normalisation --------------------------------------------------------------------------------------------


def weights_of(network: nn.Module) -> dict[str, Tensor]:
    layers = (nn.Conv2d, nn.Linear, nn.Embedding)
    return {name: m.weight for name, m in network.named_modules() if isinstance(m, layers)}


def spectral_norms(network: nn.Module) -> dict[str, float]:
    return {name: torch.linalg.matrix_norm(w.flatten(1), 2).item() for name, w in weights_of(network).items()}


@pytest.mark.parametrize("arch", ARCHS.values(), ids=ARCHS)
def test_every_layer_of_d_has_spectral_norm_1(arch: ModuleType) -> None:
    gan = built(arch)
    batch = a_batch(gan)
    with torch.no_grad():
        for p in gan.discriminator.parameters():
            p.mul_(3)
        for _ in range(100):  # of the power iteration, one step a time
            (match,) = gan.matches(batch, batch.real)
            match.D(batch.real)
    gan.eval()
    norms = spectral_norms(gan.discriminator)
    assert min(norms.values()) > 0.99
    assert max(norms.values()) < 1.02


def test_g_of_biggan_is_spectrally_normalised_but_for_its_class_embedding() -> None:
    gan = built(biggan_small)
    raw = {name for name, m in gan.generator.named_modules() if name in weights_of(gan.generator)}
    bare = {name for name in raw if not hasattr(gan.generator.get_submodule(name), "parametrizations")}
    assert bare == {"embedding"}


@pytest.mark.parametrize("arch", ARCHS.values(), ids=ARCHS)
def test_a_loss_that_judges_samples_one_by_one_gets_a_plain_d(arch: ModuleType) -> None:
    assert normalisation(built(arch, d_norm="none").discriminators()) == "none"
    assert normalisation(built(arch, d_norm=None).discriminators()) == "spectral"


@pytest.mark.parametrize("arch", [sngan, sngan_projection])
def test_spectral_normalisation_can_be_left_out_unless_the_loss_asks_for_it(arch: ModuleType) -> None:
    assert normalisation(built(arch, spectral=False).discriminators()) == "none"
    with pytest.raises(Unsupported, match="asks for spectral"):
        built(arch, d_norm="spectral", spectral=False)


# -- labels ------------------------------------------------------------------------------------------------------------


def test_conditional_batch_normalisation_has_a_gain_and_a_bias_for_each_class() -> None:
    norm = ConditionalBatchNorm(4, lambda channels: nn.Embedding(3, channels))
    x, labels = torch.randn(6, 4, 5, 5), torch.tensor([0, 1, 2, 2, 1, 0])
    gain, bias = (1 + norm.gain.weight)[labels], norm.bias.weight[labels]
    expected = batch_norm(x, None, None, training=True) * gain.view(6, 4, 1, 1) + bias.view(6, 4, 1, 1)
    torch.testing.assert_close(norm(x, labels), expected)


@pytest.mark.parametrize("arch", CONDITIONAL.values(), ids=CONDITIONAL)
def test_another_label_makes_another_sample(arch: ModuleType) -> None:
    gan = shaken(built(arch))
    z, labels = a_batch(gan).z, torch.tensor([0, 1, 2, 3, 4, 5])
    one, other = gan.generator(z, labels), gan.generator(z, torch.tensor([0, 1, 2, 3, 4, 9]))
    torch.testing.assert_close(one[:5], other[:5])
    assert (one[5] - other[5]).abs().max() > 1e-3


@pytest.mark.parametrize("arch", CONDITIONAL.values(), ids=CONDITIONAL)
def test_the_label_enters_d_as_the_inner_product_with_its_embedding(arch: ModuleType) -> None:
    gan = shaken(built(arch))
    d, x = gan.discriminator, a_batch(gan).real
    with torch.no_grad():
        h = relu(d.blocks(x)).sum(dim=(2, 3))
        for label in (0, 7):
            logit = d(x, torch.full((6,), label))
            torch.testing.assert_close(logit, d.head(h).squeeze(1) + h @ d.embedding.weight[label])
        change = d(x, torch.full((6,), 7)) - d(x, torch.full((6,), 0))
    assert change.abs().min() > 0


@pytest.mark.parametrize("arch", CONDITIONAL.values(), ids=CONDITIONAL)
def test_d_is_told_the_labels_of_the_batch(arch: ModuleType) -> None:
    gan = shaken(built(arch))
    batch = a_batch(gan)
    (match,) = gan.matches(batch, gan.fake(batch))
    torch.testing.assert_close(match.D(batch.real), gan.discriminator(batch.real, batch.labels))


def test_without_projection_only_g_is_told_the_label() -> None:
    gan = shaken(built(sngan_projection, projection=False))
    x = a_batch(gan).real
    torch.testing.assert_close(gan.discriminator(x, torch.zeros(6).long()), gan.discriminator(x, torch.ones(6).long()))
    assert gan.conditional


# -- BigGAN ------------------------------------------------------------------------------------------------------------


def test_every_block_has_a_part_of_the_latent_to_itself() -> None:
    gan = shaken(built(biggan_small, DataSpec((1, 32, 32), classes=10), z_dim=14))
    maps: list[Tensor] = []
    for module in (gan.generator.dense, *gan.generator.blocks):
        module.register_forward_hook(lambda module, inputs, made: maps.append(made))
    z, labels = a_batch(gan).z, torch.zeros(6).long()
    parts = z.tensor_split(4, dim=1)
    assert [part.shape[1] for part in parts] == [4, 4, 3, 3]
    gan.generator(z, labels)
    before = list(maps)
    for place, part in enumerate(parts):
        maps.clear()
        gan.generator(torch.cat([*parts[:place], part + 1, *parts[place + 1 :]], dim=1), labels)
        differ = [not torch.equal(a, b) for a, b in zip(before, maps, strict=True)]
        assert differ == [stage >= place for stage in range(4)]


@pytest.mark.parametrize("shape", [(5, 3, 2, 2), (9, 4)])
def test_the_orthogonal_term_is_equation_3(shape: tuple[int, ...]) -> None:
    w = torch.randn(shape, dtype=torch.float64, requires_grad=True)
    filters = w.flatten(1)
    off = torch.ones(len(w), len(w), dtype=torch.float64) - torch.eye(len(w), dtype=torch.float64)
    inner = (filters @ filters.T) * off
    torch.testing.assert_close(overlap(w), inner.square().sum())
    (slope,) = torch.autograd.grad(overlap(w), w)
    torch.testing.assert_close(slope.flatten(1), 4 * inner @ filters)  # what the authors' release adds, times 2


def test_the_orthogonal_term_is_nothing_for_orthogonal_filters_of_any_length() -> None:
    w = nn.init.orthogonal_(torch.empty(5, 3, 2, 2, dtype=torch.float64)) * torch.arange(1, 6).view(5, 1, 1, 1)
    assert overlap(w).abs() < 1e-12


def test_the_orthogonal_term_is_in_float32_whatever_the_networks_compute_in() -> None:
    w = torch.randn(30, 40)
    with torch.autocast("cpu", torch.bfloat16):
        within = overlap(w)
    torch.testing.assert_close(within, overlap(w.double()).float())


def test_g_is_regularised_with_its_weight_and_not_at_all_with_weight_0() -> None:
    gan = shaken(built(biggan_small, orthogonal=0.5))
    spared = {"embedding.weight"} | {name for name, p in gan.generator.named_parameters() if p.ndim < 2}
    matrices = [p for name, p in gan.generator.named_parameters() if name not in spared]
    assert len(matrices) == 20  # of 2 blocks with 3 convolutions and 4 linear layers, 4 of attention, first and last
    expected = 0.5 * sum(overlap(w) for w in matrices)
    torch.testing.assert_close(gan.g_extra(a_batch(gan), None)["orthogonal"], expected)
    assert built(biggan_small, orthogonal=0.0).g_extra(a_batch(gan), None) == {}


def halved(m: Tensor) -> Tensor:
    """``m[B, C, 16]`` of 4x4 places -> the maximum of each 2x2, ``[B, C, 4]``."""
    return m.view(2, -1, 2, 2, 2, 2).amax(dim=(3, 5)).flatten(2)


def test_attention_is_the_sum_over_all_places_of_the_halved_map() -> None:
    attention = SelfAttention(16, lambda kind, before, after, side: kind(before, after, side, bias=False)).double()
    x = torch.randn(2, 16, 4, 4, dtype=torch.float64)
    torch.testing.assert_close(attention(x), x)  # γ = 0
    with torch.no_grad():
        attention.gamma.fill_(0.7)
    query, key, value, out = (m.weight.flatten(1) for m in attention.children())
    flat = x.flatten(2)
    f, g, h = query @ flat, halved(key @ flat), halved(value @ flat)
    expected = torch.zeros_like(flat)
    for sample in range(2):
        for place in range(16):
            weights = torch.softmax(torch.stack([f[sample, :, place] @ g[sample, :, j] for j in range(4)]), 0)
            expected[sample, :, place] = 0.7 * out @ sum(w * h[sample, :, j] for j, w in enumerate(weights))
    torch.testing.assert_close(attention(x), x + expected.view_as(x))


@pytest.mark.parametrize("side", [16, 32, 64])
def test_attention_stands_at_half_the_side_in_both_players_and_can_be_left_out(side: int) -> None:
    data = DataSpec((1, side, side), classes=10)
    gan = built(biggan_small, data, width=2)
    seen: list[int] = []
    for module in gan.modules():
        if isinstance(module, SelfAttention):
            module.register_forward_hook(lambda module, inputs, made: seen.append(made.shape[-1]))
    batch = a_batch(gan, 2, data)
    gan.discriminator(gan.fake(batch), batch.labels)
    assert seen == [side // 2, side // 2]
    without = built(biggan_small, data, width=2, attention=False)
    assert not any(isinstance(module, SelfAttention) for module in without.modules())


# -- what does not fit -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("shape", [(2,), (1, 28, 28), (1, 16, 32), (1, 8, 8), (1, 256, 256), (1, 8, 16, 16)])
@pytest.mark.parametrize("arch", ARCHS.values(), ids=ARCHS)
def test_data_of_another_shape_are_declined(arch: ModuleType, shape: tuple[int, ...]) -> None:
    with pytest.raises(Unsupported, match="needs square images with a side of 16, 32, 64 or 128"):
        built(arch, DataSpec(shape, classes=10))


@pytest.mark.parametrize("arch", CONDITIONAL.values(), ids=CONDITIONAL)
def test_data_without_classes_are_declined(arch: ModuleType) -> None:
    with pytest.raises(Unsupported, match="classes"):
        built(arch, DataSpec((1, 16, 16)))


def test_a_latent_with_fewer_numbers_than_parts_is_declined() -> None:
    with pytest.raises(Unsupported, match="splits z into 3 parts"):
        built(biggan_small, z_dim=2)


@pytest.mark.parametrize("arch", ARCHS.values(), ids=ARCHS)
def test_an_unknown_setting_is_refused(arch: ModuleType) -> None:
    with pytest.raises(ProtocolError, match="no such setting"):
        built(arch, spektral=False)


@pytest.mark.parametrize("arch", ARCHS.values(), ids=ARCHS)
def test_samples_follow_from_latents_and_labels_alone(arch: ModuleType) -> None:
    gan = shaken(built(arch))
    batch = a_batch(gan)
    with torch.inference_mode(), in_eval_mode(gan):
        once, again = gan.sample(batch), gan.sample(batch)
    assert torch.equal(once, again)
