"""R3GAN: the paper's numbers of parameters, its initialisation, its resampling, and what it declines."""

from __future__ import annotations

import math

import pytest
import torch
from torch import nn
from torch.nn.functional import conv2d, interpolate, pad
from torch.testing import assert_close

from ganbench import plugins
from ganbench.contracts.arch import GAN, count_parameters, normalisation
from ganbench.contracts.data import Batch, DataSpec
from ganbench.errors import ProtocolError, Unsupported
from ganbench.testing import check_arch
from ganbench_baselines.arch import r3gan
from ganbench_baselines.arch.r3gan import Block, Resampled, doubling, halving


def build(side: int = 16, colours: int = 1, width: int = 32, d_norm: str | None = "none", **settings: object) -> GAN:
    return r3gan.ganbench_arch(DataSpec((colours, side, side)), d_norm, width, 64, settings)


def blocks_of(network: nn.Module) -> list[Block]:
    return [module for module in network.modules() if isinstance(module, Block)]


# -- the paper's networks ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("side", "finest", "g", "d"),
    [(32, 768, 20.73, 20.68), (64, 384, 22.43, 22.38), (256, 96, 23.06, 23.01)],
    ids=["Stacked MNIST", "FFHQ-64", "FFHQ-256"],
)
def test_g_and_d_have_as_many_parameters_as_the_paper_prints(side, finest, g, d):
    """Huang et al. 2024, appendix D, table 9: the columns without classes, in millions."""
    with torch.device("meta"):
        gan = build(side, colours=3, width=4 * finest)
    assert round(count_parameters(gan.generators()) / 1e6, 2) == g
    assert round(count_parameters(gan.discriminators()) / 1e6, 2) == d


def test_the_model_of_the_roadmap_has_as_many_parameters_as_config_e():
    """Table 2, in thousands."""
    with torch.device("meta"):
        gan = build(256, colours=3, width=384)
    assert round(count_parameters(gan.generators()) / 1e3) == 23_058
    assert round(count_parameters(gan.discriminators()) / 1e3) == 23_010


def test_the_cifar_10_model_is_that_of_stacked_mnist_and_what_tells_it_the_class():
    """Table 9 has 20.78 and 21.28 million; appendix D: G's z is joined by an embedding of the class, as long as z, and
    D projects its 768 features onto one (no bias anywhere)."""
    with torch.device("meta"):
        gan = build(32, colours=3, width=3072)
    embedding_g, more_of_z = 10 * 64, 64 * 768
    embedding_d, features = 10 * 768, 768 * 768 - 768  # in place of one logit
    assert round((count_parameters(gan.generators()) + embedding_g + more_of_z) / 1e6, 2) == 20.78
    assert round((count_parameters(gan.discriminators()) + embedding_d + features) / 1e6, 2) == 21.28


def test_a_block_is_an_inverted_bottleneck_with_groups_of_sixteen():
    first, grouped, last = (layer for layer in Block(32, 1).branch if isinstance(layer, nn.Conv2d))
    assert [first.out_channels, grouped.out_channels, last.out_channels] == [64, 64, 32]
    assert [layer.kernel_size for layer in (first, grouped, last)] == [(1, 1), (3, 3), (1, 1)]
    assert grouped.out_channels // grouped.groups == 16
    assert [layer.bias is not None for layer in (first, grouped, last)] == [True, True, False]


@pytest.mark.parametrize("side", [16, 28, 64])
def test_there_are_two_blocks_at_each_resolution_unless_set_otherwise(side):
    resolutions = {16: 3, 28: 3, 64: 5}[side]
    for gan, each in ((build(side), 2), (build(side, blocks=1), 1)):
        for network in (gan.generator, gan.discriminator):
            assert len(blocks_of(network)) == each * resolutions


def test_nothing_is_normalised():
    gan = build(d_norm=None)
    assert normalisation([gan.generator, gan.discriminator]) == "none"


# -- initialisation ----------------------------------------------------------------------------------------------------


def test_every_block_is_the_identity_at_first():
    gan = build()
    for network in (gan.generator, gan.discriminator):
        for block in blocks_of(network):
            x = torch.randn(2, block.branch[0].in_channels, 4, 4)
            assert torch.equal(block(x), x)


def test_other_convolutions_begin_at_he_s_scale_over_the_fourth_root_of_the_depth():
    torch.manual_seed(0)
    first, _, grouped, *_ = Block(256, 16).branch
    for layer, fan_in in ((first, 256), (grouped, 16 * 9)):
        expected = math.sqrt(2 / (1 + 0.2**2) / fan_in) / 2
        assert layer.weight.std().item() == pytest.approx(expected, rel=0.02)
        assert not layer.bias.any()


def test_the_depth_is_that_of_the_whole_network():
    torch.manual_seed(0)
    shallow, deep = (blocks_of(build(width=512, blocks=n).discriminator)[-1].branch[0].weight.std() for n in (1, 16))
    assert (shallow / deep).item() == pytest.approx(2, rel=0.05)


# -- resampling --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("n", [4, 6, 14, 32])
def test_resampling_keeps_constants_inside_and_fades_towards_the_zeros_outside(n):
    x = torch.full((2, 3, n, n), 0.7)
    small, large = Resampled(halving(n), halving(n))(x), Resampled(doubling(n), doubling(n))(x)
    assert small.shape[-2:] == (n // 2, n // 2)
    assert_close(small[..., 1:-1, 1:-1], torch.full_like(small[..., 1:-1, 1:-1], 0.7))
    assert_close(large[..., 1:-1, 1:-1], torch.full_like(large[..., 1:-1, 1:-1], 0.7))
    assert_close(small[..., 0, n // 4], torch.full((2, 3), 0.7 * (7 / 8 if n > 4 else 49 / 64)))
    assert_close(large[..., 0, n], torch.full((2, 3), 0.7 * 3 / 4))


def test_doubling_is_bilinear_interpolation_among_zeros():
    x = torch.randn(2, 3, 7, 4)
    around = interpolate(pad(x, (1, 1, 1, 1)), scale_factor=2, mode="bilinear", align_corners=False)
    assert_close(Resampled(doubling(7), doubling(4))(x), around[..., 2:-2, 2:-2])


def test_halving_is_the_mean_of_four_pixels_after_a_low_pass_filter():
    """Appendix E: bilinear resampling is averaging after the kernel [1, 2, 1]; the authors' code pads with zeros."""
    x = torch.randn(5, 1, 8, 6)
    four = torch.tensor([1.0, 3.0, 3.0, 1.0])
    expected = conv2d(pad(x, (1, 1, 1, 1)), torch.outer(four, four)[None, None] / 64, stride=2)
    assert_close(Resampled(halving(8), halving(6))(x), expected)


# -- the contract ------------------------------------------------------------------------------------------------------


def test_it_keeps_the_contract():
    check_arch("r3gan", DataSpec((1, 16, 16), classes=10), width=32)


@pytest.mark.parametrize("shape", [(3, 28, 28), (1, 24, 16), (3, 64, 64)])
def test_samples_and_logits_have_the_shapes_of_the_data(shape):
    gan = r3gan.ganbench_arch(DataSpec(shape), None, 8, 5, {})
    x = gan.generator(torch.randn(2, 5))
    assert x.shape == (2, *shape)
    assert gan.discriminator(x).shape == (2,)


def test_samples_are_cut_to_the_range_of_the_data_and_fakes_are_not():
    gan = build()
    batch = Batch(real=torch.zeros(4, 1, 16, 16), z=100 * torch.randn(4, 64))
    assert gan.fake(batch).abs().max() > 1
    assert gan.sample(batch).abs().max() == 1


@pytest.mark.parametrize("d_norm", ["spectral", "batch"])
def test_a_loss_that_asks_for_normalisation_is_declined(d_norm):
    with pytest.raises(Unsupported, match=f"cannot build D with {d_norm} normalisation"):
        build(d_norm=d_norm)


@pytest.mark.parametrize("shape", [(2,), (1, 1024), (3, 8, 16, 16), (1, 4, 4), (1, 30, 30), (1, 16, 32)])
def test_other_data_are_declined(shape):
    with pytest.raises(Unsupported, match="needs "):
        r3gan.ganbench_arch(DataSpec(shape), None, 8, 8, {})


def test_a_setting_that_it_has_not_is_refused():
    with pytest.raises(ProtocolError, match="no such setting"):
        build(block=1)


def test_a_resolution_without_blocks_is_refused():
    with pytest.raises(Unsupported, match="blocks is 0"):
        build(blocks=0)


def test_it_is_installed():
    assert plugins.find("arch", "r3gan").module == r3gan.__name__
