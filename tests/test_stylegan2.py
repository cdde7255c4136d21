"""StyleGAN2: every layer against its closed form or a judge, the networks against the published counts."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from scipy.signal import upfirdn
from torch import nn
from torch.nn.functional import conv2d, conv_transpose2d, interpolate, leaky_relu, pad

from ganbench import Batch, DataSpec, Unsupported
from ganbench.contracts.arch import count_parameters, normalisation
from ganbench.contracts.data import Split
from ganbench.contracts.protocol import Recipe, RecipeLayer, Training, resolve_recipe
from ganbench.errors import ProtocolError
from ganbench.testing import check_arch
from ganbench.training.batches import Stream
from ganbench.training.trainer import Trainer
from ganbench_baselines.arch import style_layers, style_networks, stylegan2
from ganbench_baselines.arch.style_layers import EqualisedConv, EqualisedLinear, Filter, StyledConv, modulated_conv
from ganbench_baselines.arch.style_networks import MinibatchStd, Residual, channels_by_side
from ganbench_baselines.arch.stylegan2 import StyleGAN2, ganbench_arch, usual
from ganbench_baselines.loss.non_saturating import NonSaturating
from ganbench_baselines.trick import pacgan


def built(side: int = 8, channels: int = 1, width: int = 4, z_dim: int = 6, d_norm: str | None = None, **settings):
    data = DataSpec((channels, side, side))
    return ganbench_arch(data=data, d_norm=d_norm, width=width, z_dim=z_dim, settings=settings)


def batch_for(gan: StyleGAN2, n: int = 4, step: int = 0) -> Batch:
    return Batch(torch.randn(n, *gan.discriminator.shape), torch.randn(n, gan.z_dim), step=step)


# -- size --------------------------------------------------------------------------------------------------------------


def test_at_1024_pixels_g_and_d_have_the_published_numbers_of_weights():
    """The official release prints 29,012,513 for D (configuration F, 1024 px) and, with 2 mapping layers, 28,794,124
    for G; six more layers of 512² + 512 make the 30,370,060 of the paper's 8. All learned weights are counted, the
    strengths of the noise included; its constant maps are not learned."""
    with torch.device("meta"):
        paper, short = (built(1024, 3, width=64, z_dim=512, mapping_layers=layers) for layers in (8, 2))
    assert count_parameters([paper.generator]) == 30_370_060
    assert count_parameters([short.generator]) == 28_794_124
    assert count_parameters([paper.discriminator]) == 29_012_513


def test_a_layer_of_the_1024_pixel_networks_has_the_published_number_of_weights():
    with torch.device("meta"):
        gan = built(1024, 3, width=64, z_dim=512)
    layers, images = gan.generator.synthesis.layers, gan.generator.synthesis.to_image
    assert [count_parameters([layer]) for layer in (*layers[9:11], *layers[-2:])] == [1442561, 721409, 51297, 25665]
    assert [count_parameters([layer]) for layer in images[-2:]] == [33027, 16515]
    blocks = gan.discriminator.blocks
    assert [count_parameters([blocks[-1].first]), count_parameters([blocks[0].around])] == [2_359_808, 2048]
    assert count_parameters([gan.discriminator.conv]) == 2_364_416


def test_width_is_the_number_of_channels_at_half_the_side_and_512_the_most():
    assert channels_by_side(DataSpec((1, 16, 16)), 32) == {4: 64, 8: 32, 16: 16}
    assert channels_by_side(DataSpec((3, 256, 256)), 256) == {
        4: 512,
        8: 512,
        16: 512,
        32: 512,
        64: 512,
        128: 256,
        256: 128,
    }


def test_the_settings_of_a_size_are_the_published_ones():
    small, large = usual(32, None), usual(1024, None)
    assert usual(16, None).r1_gamma == 0.1  # not published: measured
    assert small.r1_gamma == pytest.approx(0.01, rel=0.03)
    assert (small.mapping_layers, small.mixing, small.path_length) == (2, 0.0, 0.0)
    assert large.r1_gamma == 10
    assert (large.mapping_layers, large.mixing, large.path_length) == (8, 0.9, 2.0)


def test_a_recipe_is_proposed_that_the_core_understands():
    for side, lr in ((16, 8e-3), (32, 2.5e-3)):
        recipe = resolve_recipe(Training(budget_kimg=1), [RecipeLayer("arch", built(side=side).recipe)]).recipe
        assert (recipe.lr, recipe.betas, recipe.eps) == (lr, (0.0, 0.99), 1e-8)


# -- layers ------------------------------------------------------------------------------------------------------------


def test_equalised_layers_keep_unit_variance_and_store_unit_weights():
    x = torch.randn(4000, 50)
    layer = EqualisedLinear(50, 200, scale=style_layers.ACTIVATED, lr_multiplier=0.01)
    assert layer(x).var().item() == pytest.approx(2, rel=0.05)
    assert (layer.weight * 0.01).std().item() == pytest.approx(1, rel=0.03)
    u = style_layers.activate(layer(x))
    assert u.square().mean().item() == pytest.approx(1 + 0.2**2, rel=0.05)
    images = EqualisedConv(32, 64, 3)(torch.randn(8, 32, 8, 8))[..., 1:-1, 1:-1]
    assert images.var().item() == pytest.approx(1, rel=0.1)


def test_a_layer_that_learns_a_hundredth_as_fast_moves_a_hundredth_as_far():
    x, moved = torch.randn(16, 8), []
    for multiplier in (1.0, 0.01):
        layer = EqualisedLinear(8, 3, bias=1.0, lr_multiplier=multiplier)
        before = [p.detach().clone() for p in layer.scaled()]
        layer(x).sum().backward()
        torch.optim.Adam(layer.parameters(), 0.1).step()
        moved.append([(now - then).abs().mean().item() for now, then in zip(layer.scaled(), before, strict=True)])
    assert moved[1] == pytest.approx([0.01 * step for step in moved[0]], rel=1e-3)


def test_resampling_is_that_of_scipy():
    x, kernel = torch.randn(2, 3, 6, 6, dtype=torch.double), np.array([1.0, 3, 3, 1]) / 8
    down, up = Filter().double().down(x), Filter().double().up(x)
    for axes_up, factor, ours in ((1, 1, down), (2, 4, up)):
        judge = x.numpy()
        for axis in (2, 3):
            judge = upfirdn(kernel, judge, up=axes_up, axis=axis)
        if factor == 1:
            judge = judge[:, :, 2:-1:2, 2:-1:2]  # a padding of 1 is an offset of 2 in the full convolution
        else:
            judge = 4 * judge[:, :, 1:, 1:]
            judge = judge[:, :, :12, :12]
        np.testing.assert_allclose(ours.numpy(), judge, atol=1e-12)


def test_doubling_is_bilinear_away_from_the_border():
    x = torch.randn(1, 2, 6, 6)
    inside = (..., slice(1, -1), slice(1, -1))
    ours, judge = Filter().up(x), interpolate(x, scale_factor=2, mode="bilinear", align_corners=False)
    torch.testing.assert_close(ours[inside], judge[inside])


def own_weights(weight: torch.Tensor, style: torch.Tensor, demodulate: bool) -> torch.Tensor:
    """Equations 1 and 3, a weight for each sample: [B, O, I, K, K]."""
    own = weight[None] * style[:, None, :, None, None]
    if demodulate:
        own = own / (own.square().sum((2, 3, 4), keepdim=True) + 1e-8).sqrt()
    return own


@pytest.mark.parametrize("demodulate", [True, False])
@pytest.mark.parametrize("kernel", [1, 3])
def test_scaling_inputs_and_outputs_is_convolving_with_weights_of_each_samples_own(kernel, demodulate):
    x, style = torch.randn(5, 4, 8, 8).double(), torch.randn(5, 4).double()
    weight = torch.randn(7, 4, kernel, kernel).double()
    explicit = [
        conv2d(sample[None], own, padding=kernel // 2)
        for sample, own in zip(x, own_weights(weight, style, demodulate), strict=True)
    ]
    ours = modulated_conv(x, weight, style, demodulate=demodulate, scale=1.5)
    torch.testing.assert_close(ours, 1.5 * torch.cat(explicit))


def test_the_same_holds_where_the_sides_are_doubled():
    x, style, weight = torch.randn(5, 4, 8, 8).double(), torch.randn(5, 4).double(), torch.randn(7, 4, 3, 3).double()
    filter = Filter().double()
    explicit = [
        filter.blur(conv_transpose2d(sample[None], own.transpose(0, 1), stride=2), 1, 4.0)
        for sample, own in zip(x, own_weights(weight, style, True), strict=True)
    ]
    torch.testing.assert_close(modulated_conv(x, weight, style, upsample=filter), torch.cat(explicit))


def test_demodulated_outputs_have_unit_variance_whatever_the_style():
    x, weight = torch.randn(16, 32, 24, 24), torch.randn(48, 32, 3, 3)
    style = torch.randn(16, 32).exp() * torch.logspace(-2, 2, 16)[:, None]  # four orders of magnitude
    inside = modulated_conv(x, weight, style)[..., 1:-1, 1:-1]
    assert inside.std((2, 3)).mean(1).sub(1).abs().max() < 0.06
    assert modulated_conv(x, weight, style, demodulate=False)[..., 1:-1, 1:-1].std((1, 2, 3)).max() > 100


def test_a_doubled_map_keeps_its_variance():
    x, weight, style = torch.randn(16, 32, 16, 16), torch.randn(32, 32, 3, 3), torch.ones(16, 32)
    inside = modulated_conv(x, weight, style, upsample=Filter())[..., 2:-2, 2:-2]
    assert 0.3 < inside.var().item() < 1.1  # the filter takes what lies beyond half the old sampling rate


def test_a_styled_layer_is_convolution_noise_bias_and_activation_in_this_order():
    layer = StyledConv(3, 5, 4, 8, up=False, demodulation=True, noise=True).eval()
    with torch.no_grad():
        layer.strength.fill_(0.7)
        layer.conv.bias.normal_()
    x, w = torch.randn(2, 3, 8, 8), torch.randn(2, 4)
    plain = modulated_conv(x, layer.conv.scaled()[0], layer.style(w))
    expected = math.sqrt(2) * leaky_relu(plain + 0.7 * layer.noise + layer.conv.bias[:, None, None], 0.2)
    torch.testing.assert_close(layer(x, w), expected)


def test_noise_is_drawn_in_training_one_map_a_sample_and_constant_in_evaluation():
    layer = StyledConv(3, 5, 4, 8, up=False, demodulation=True, noise=True)
    x = torch.zeros(6, 5, 8, 8)
    drawn, again = layer.noise_for(x), layer.noise_for(x)
    assert drawn.shape == (6, 1, 8, 8)
    assert not torch.equal(drawn, again)
    layer.eval()
    before = torch.get_rng_state()
    assert torch.equal(layer.noise_for(x), layer.noise_for(x))
    assert torch.equal(before, torch.get_rng_state())


def test_minibatch_std_is_the_mean_deviation_within_groups_of_four():
    x = torch.randn(8, 3, 2, 2)
    seen = MinibatchStd()(x)
    assert torch.equal(seen[:, :3], x)
    for i in range(8):
        group = x[i % 2 :: 2].numpy()
        np.testing.assert_allclose(seen[i, 3].numpy(), np.std(group, axis=0).mean(), rtol=1e-5)


def test_minibatch_std_takes_the_whole_batch_where_four_does_not_divide_it():
    x = torch.randn(6, 3, 2, 2)
    np.testing.assert_allclose(MinibatchStd()(x)[:, 3].numpy(), np.std(x.numpy(), axis=0).mean(), rtol=1e-5)
    assert MinibatchStd()(x[:1])[0, 3].max() == pytest.approx(1e-4)  # one sample has no deviation


# -- networks ----------------------------------------------------------------------------------------------------------


def test_the_image_is_the_sum_of_what_every_resolution_adds():
    synthesis = built(side=32, mixing=0.0).generator.synthesis.eval()
    w = torch.randn(3, 1, 6).expand(-1, synthesis.styles, -1)
    whole = synthesis(w)
    parts = []
    for kept in range(len(synthesis.to_image)):
        gan = built(side=32)
        gan.generator.synthesis.load_state_dict(synthesis.state_dict())
        part = gan.generator.synthesis.eval()
        for place, layer in enumerate(part.to_image):
            if place != kept:
                nn.init.zeros_(layer.conv.weight)
        parts.append(part(w))
    assert len(parts) == 4
    torch.testing.assert_close(sum(parts), whole)
    torch.testing.assert_close(parts[0], doubled_thrice(synthesis, w))


def doubled_thrice(synthesis: style_networks.Synthesis, w: torch.Tensor) -> torch.Tensor:
    """What the 4x4 map adds to an image of 32x32."""
    x = synthesis.layers[0](synthesis.constant.expand(len(w), -1, -1, -1), w[:, 0])
    image = synthesis.to_image[0](x, w[:, 1])
    for _ in range(3):
        image = synthesis.filter.up(image)
    return image


def test_a_residual_block_is_two_ways_over_the_root_of_two():
    block = Residual(4, 6, None)
    x = torch.randn(3, 4, 8, 8)
    first = math.sqrt(2) * leaky_relu(conv2d(x, block.first.weight / 6, padding=1), 0.2)
    kernel = torch.outer(*[torch.tensor([1.0, 3, 3, 1]) / 8] * 2)
    blurred = conv2d(pad(first, (2, 2, 2, 2)), kernel.expand(4, 1, 4, 4), groups=4)
    second = math.sqrt(2) * leaky_relu(conv2d(blurred, block.second.weight / 6, stride=2), 0.2)
    small = conv2d(pad(x, (1, 1, 1, 1)), kernel.expand(4, 1, 4, 4), groups=4, stride=2)
    around = conv2d(small, block.around.weight / 2)
    torch.testing.assert_close(block(x), (second + around) / math.sqrt(2))


def test_latents_are_normalised_so_that_their_length_says_nothing():
    gan = built().eval()
    z = torch.randn(3, 6)
    torch.testing.assert_close(gan.generator(z), gan.generator(7 * z))


def test_style_mixing_crosses_from_one_latent_to_another_at_a_random_layer():
    generator = built(side=64, mixing=1.0).generator.train()
    z = torch.randn(200, 6)
    own, styles = generator.mapping(z), generator.styles(z)
    same = (styles - own[:, None]).abs().amax(2) < 1e-6
    crossings = same.sum(1)
    assert torch.equal(same, torch.arange(generator.synthesis.styles) < crossings[:, None])  # own first, then the other
    assert set(crossings.tolist()) == set(range(1, generator.synthesis.styles))
    last = styles[:, -1]
    assert all(torch.equal(row[k], row[-1]) for row, k in zip(styles, crossings.tolist(), strict=True))
    assert len(last.unique(dim=0)) == 200


def test_style_mixing_takes_the_share_that_was_asked_for_and_none_in_evaluation():
    generator = built(side=16, mixing=0.25).generator
    z = torch.randn(2000, 6)
    own = generator.mapping(z)
    mixed = ((generator.styles(z)[:, -1] - own).abs().amax(1) > 1e-6).float().mean().item()
    assert mixed == pytest.approx(0.25, abs=0.03)
    torch.testing.assert_close(generator.eval().styles(z)[:, -1], own)


def test_samples_follow_from_their_latent_and_lie_in_the_range_of_images():
    gan = built().eval()
    with torch.no_grad():
        for layer in gan.generator.synthesis.layers:
            layer.strength.fill_(1.0)
        gan.generator.synthesis.to_image[-1].conv.bias.fill_(0.9)
    batch = batch_for(gan)
    one = gan.sample(batch)
    torch.manual_seed(5)
    assert torch.equal(one, gan.sample(batch))
    assert one.abs().max() == 1
    assert gan.fake(batch).abs().max() > 1


# -- lazy terms --------------------------------------------------------------------------------------------------------


class LinearD(nn.Module):
    shape = (1, 8, 8)

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(64))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x.flatten(1) @ self.weight


def test_lazy_r1_of_a_linear_d_is_half_gamma_w_squared_every_sixteenth_time():
    gan = built(r1_gamma=3)
    gan.discriminator = LinearD()
    term = gan.d_extra(batch_for(gan), None)["r1"]
    assert term.every == 16
    torch.testing.assert_close(term.compute(), 1.5 * gan.discriminator.weight.square().sum())
    (slope,) = torch.autograd.grad(term.compute(), gan.discriminator.weight)
    torch.testing.assert_close(slope, 3 * gan.discriminator.weight.detach())


def test_r1_shows_packs_to_a_d_that_judges_packs():
    gan = built(r1_gamma=1)
    gan.discriminator = built(channels=2).discriminator
    packs = pacgan.ganbench_trick("2")
    batch = Batch(torch.randn(4, 1, 8, 8), torch.randn(4, 6), view=lambda match: packs.match(match, None))
    value = gan.d_extra(batch, torch.randn(4, 1, 8, 8))["r1"].compute()
    assert value.isfinite()


def of_path_length(**settings) -> StyleGAN2:
    return built(width=2, z_dim=3, path_length=2, **settings).double()


def path_length(gan: StyleGAN2, batch: Batch) -> torch.Tensor:
    """The weighted term, with the same draws every time and a = 0 before."""
    gan.mean_length.zero_()
    torch.manual_seed(3)
    return gan.g_extra(batch, None)["path_length"].compute()


def test_path_length_is_the_deviation_of_the_length_of_the_jacobian_times_noise():
    gan = of_path_length(noise=False)
    z = torch.randn(3, 3, dtype=torch.double)
    value = path_length(gan, Batch(torch.zeros(0), z))
    w = gan.generator.styles(z).detach()
    torch.manual_seed(3)
    y = torch.randn(3, 1, 8, 8, dtype=torch.double) / 8
    lengths = []
    for sample, noise in zip(w, y, strict=True):
        jacobian = torch.func.jacrev(lambda v: gan.generator.synthesis(v[None])[0])(sample)  # [1, 8, 8, L, W]
        product = torch.einsum("chw,chwlv->lv", noise, jacobian)
        lengths.append(product.square().sum(1).mean().sqrt())
    length = torch.stack(lengths)
    a = 0.01 * length.mean()
    torch.testing.assert_close(gan.mean_length, a)
    torch.testing.assert_close(value, 2 * (length - a).square().mean())


def test_the_gradient_of_path_length_is_that_of_finite_differences(monkeypatch):
    gan = of_path_length()
    with torch.no_grad():
        for layer in gan.generator.synthesis.layers:
            layer.strength.fill_(0.3)
    batch = Batch(torch.zeros(0), torch.randn(3, 3, dtype=torch.double))
    weights = [p for p in gan.generator.parameters() if p.requires_grad]
    monkeypatch.setattr(stylegan2, "PATH_LENGTH_DECAY", 1.0)  # a counts as a constant: here it stays 0
    slopes = torch.autograd.grad(path_length(gan, batch), weights, allow_unused=True)
    direction = [torch.randn_like(p) for p in weights]
    ours = sum((s * d).sum() for s, d in zip(slopes, direction, strict=True) if s is not None)
    ends = []
    for step in (1e-6, -1e-6):
        with torch.no_grad():
            for p, d in zip(weights, direction, strict=True):
                p.add_(d, alpha=step)
        ends.append(path_length(gan, batch).item())
        with torch.no_grad():
            for p, d in zip(weights, direction, strict=True):
                p.sub_(d, alpha=step)
    assert ours.item() == pytest.approx((ends[0] - ends[1]) / 2e-6, rel=1e-5)


def test_weight_two_on_the_mean_over_layers_is_the_papers_weight():
    for side in (8, 64, 256):
        with torch.device("meta"):
            layers = built(side).generator.synthesis.styles
        gamma = math.log(2) / (side**2 * (math.log(side) - math.log(2)))
        assert gamma == pytest.approx(2 / layers / side**2)


# -- what is built -----------------------------------------------------------------------------------------------------


def test_a_loss_with_a_penalty_of_its_own_gets_neither_r1_nor_minibatch_std():
    gan = built(d_norm="none")
    assert gan.discriminator.minibatch_std is None
    assert gan.d_extra(batch_for(gan), None) == {}
    assert set(built().d_extra(batch_for(gan), None)) == {"r1"}


def test_under_spectral_normalisation_every_layer_of_d_has_norm_one():
    gan = built(d_norm="spectral", width=8)
    layers = [m for m in gan.discriminator.modules() if isinstance(m, style_layers.Equalised)]
    assert len(layers) == 7
    for layer in layers:
        used = layer.scaled()[0].flatten(1) / layer.bias_gain
        assert torch.linalg.matrix_norm(used, 2).item() == pytest.approx(1, rel=0.05)
    assert normalisation(gan.discriminators()) == "spectral"


def test_settings_take_their_part_away():
    gan = built(side=16, demodulation=False, noise=False, mapping_layers=0, r1_gamma=0, minibatch_std=False)
    assert not any("strength" in name or "mapping" in name for name, _ in gan.named_parameters())
    assert not gan.d_extra(batch_for(gan), None)
    assert gan.discriminator.minibatch_std is None
    spread = [built(side=16, demodulation=keep).generator for keep in (True, False)]
    spread[1].load_state_dict(spread[0].state_dict())
    z = torch.randn(4, 6)
    assert not torch.allclose(spread[0].eval()(z), spread[1].eval()(z))


@pytest.mark.parametrize(
    "shape", [(2,), (1, 1024), (3, 28, 28), (1, 16, 32), (3, 4, 4), (3, 2048, 2048), (3, 4, 16, 16)]
)
def test_what_is_no_square_image_of_a_power_of_two_is_declined(shape):
    with pytest.raises(Unsupported, match="needs"):
        ganbench_arch(data=DataSpec(shape), d_norm=None, width=8, z_dim=8, settings={})


@pytest.mark.parametrize(
    ("settings", "d_norm", "sentence"),
    [
        ({"demodulate": False}, None, "no such setting"),
        ({"mixing": 2}, None, "mixing"),
        ({"mapping_layers": -1}, None, "mapping_layers"),
        ({"minibatch_std": True}, "none", "each sample judged by itself"),
        ({}, "batch", "cannot build D with batch"),
    ],
)
def test_a_setting_that_makes_no_sense_is_declined_with_a_sentence(settings, d_norm, sentence):
    with pytest.raises((Unsupported, ProtocolError), match=sentence):
        built(d_norm=d_norm, **settings)


def test_everything_switched_on_keeps_the_contract():
    def everything(data, d_norm, width, z_dim):
        settings = {"mixing": 0.5, "path_length": 2.0, "mapping_layers": 3}
        return ganbench_arch(data=data, d_norm=d_norm, width=width, z_dim=z_dim, settings=settings)

    check_arch(everything, DataSpec((3, 8, 8)), width=4, z_dim=4)


@pytest.mark.parametrize(("side", "channels"), [(64, 1), (256, 3)])
def test_two_iterations_at_a_larger_size_change_every_weight_and_stay_finite(side, channels):
    gan = built(side, channels, width=2, z_dim=8)
    images = Split(torch.randint(256, (4, channels, side, side), dtype=torch.uint8))
    before = {name: p.detach().clone() for name, p in gan.named_parameters()}
    trainer = Trainer(gan, NonSaturating(), Stream(images, 2, 0, torch.device("cpu")), Recipe(), 2, 0, 0)
    losses = trainer.advance(2).losses
    assert set(losses) == {"d_loss", "g_loss", "r1"} | ({"path_length"} if side >= 128 else set())
    assert all(math.isfinite(value) for value in losses.values())
    assert not [name for name, p in gan.named_parameters() if torch.equal(p, before[name])]
