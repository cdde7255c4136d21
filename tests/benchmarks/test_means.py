"""Every technique that may make a training loop faster, each against the same loop without it, on one core here.

Those that pay off are in ``ganbench.training``; the others are measured here, so that nobody has to try them again.
``tox -e bench`` prints the gains; ``leaderboards/speed/README.md`` holds them for the machines that we had.
"""

from __future__ import annotations

import copy
import time
from collections.abc import Callable

import pytest
import torch
from test_against_textbook import SIZES, Duel
from torch import Tensor, nn
from torch.nn.functional import softplus
from versus import versus

from ganbench.contracts.data import Batch

Pair = tuple[Callable[[], object], Callable[[], object]]
"""(with the means, without it)"""


def data(duel: Duel) -> Pair:
    """A batch by index from resident bytes, against a DataLoader that converts one picture after another."""
    return duel.ours.stream.draw, lambda: next(duel.theirs.batches)


def optimiser(duel: Duel, **kind: bool) -> Pair:
    """D's and G's step by one kind of Adam, against what ``torch.optim.Adam(params, lr)`` takes."""
    steps = []
    for settings in (kind, {}):
        networks = copy.deepcopy([duel.ours.gan.generator, duel.ours.gan.discriminator])
        adams = [torch.optim.Adam(network.parameters(), 2e-4, **settings) for network in networks]
        for p in (p for network in networks for p in network.parameters()):
            p.grad = torch.full_like(p, 1e-3)
        steps.append(lambda adams=adams: [adam.step() for adam in adams])
    return steps[0], steps[1]


def set_to_none(duel: Duel) -> Pair:
    """D's gradients made anew, against zeroed and added to."""
    D, real = duel.ours.gan.discriminator, duel.ours.stream.draw()[0]

    def update(to_none: bool) -> None:
        D.zero_grad(set_to_none=to_none)
        D(real).mean().backward()

    return lambda: update(True), lambda: update(False)


def layout(duel: Duel) -> Pair:
    """A whole iteration in channels-last, against the same in torch's own order."""
    return Duel(duel.size, duel.name, layout="channels-last").step_ours, duel.step_ours


def bf16(duel: Duel) -> Pair:
    """A whole iteration in bfloat16, against the same in float32."""
    return Duel(duel.size, duel.name, "bf16").step_ours, duel.step_ours


def linear_first_layer(duel: Duel) -> Pair:
    """G's first layer as a Linear and a reshape, against a transposed convolution of a 1x1 image; both directions."""
    first = duel.ours.gan.generator[0]
    z = torch.randn(duel.ours.stream.batch, first.in_features)
    channels = first.out_features // 16
    transposed = nn.ConvTranspose2d(first.in_features, channels, 4, 1, 0, bias=False)

    def run(layer: nn.Module, x: Tensor) -> None:
        y = layer(x)
        y.backward(torch.ones_like(y))

    return lambda: run(first, z), lambda: run(transposed, z[:, :, None, None])


def joint_pass(duel: Duel) -> Pair:
    """One pass of D over real and fake, against one over each."""
    D, batch, fake = duel.ours.gan.discriminator, *_batch(duel)
    params = list(D.parameters())

    def joint() -> None:
        logit = D(torch.cat([batch.real, fake]))
        n = len(fake)
        (softplus(-logit[:n]).mean() + softplus(logit[n:]).mean()).backward(inputs=params)

    def apart() -> None:
        (softplus(-D(batch.real)).mean() + softplus(D(fake)).mean()).backward(inputs=params)

    return joint, apart


def needed_gradients(duel: Duel) -> Pair:
    """G's turn with gradients for G alone, against gradients for D's weights, too."""
    gan = duel.ours.gan
    z = torch.randn(duel.ours.stream.batch, gan.z_dim)
    params = list(gan.generator.parameters())

    def turn(inputs: list[nn.Parameter] | None) -> None:
        gan.zero_grad(set_to_none=True)
        softplus(-gan.discriminator(gan.generator(z))).mean().backward(inputs=inputs)

    return lambda: turn(params), lambda: turn(None)


def fakes_without_graph(duel: Duel) -> Pair:
    """Fakes for D's turn made under no_grad, against made with G's graph and detached."""
    G, batch = duel.ours.gan.generator, _batch(duel)[0]
    return torch.no_grad()(lambda: G(batch.z)), lambda: G(batch.z).detach()


def one_backward(duel: Duel) -> Pair:
    """Loss and gradient penalty in one backward pass, against one for each."""
    D, batch, fake = duel.ours.gan.discriminator, *_batch(duel)
    params = list(D.parameters())

    def terms() -> tuple[Tensor, Tensor]:
        x = (0.5 * batch.real + 0.5 * fake).requires_grad_(True)
        (gradient,) = torch.autograd.grad(D(x).sum(), x, create_graph=True)
        penalty = (gradient.flatten(1).norm(dim=1) - 1).square().mean()
        return D(fake).mean() - D(batch.real).mean(), 10 * penalty

    def apart() -> None:
        for term in terms():
            term.backward(inputs=params)

    return lambda: sum(terms()).backward(inputs=params), apart


def compiled(duel: Duel) -> Pair:
    """G's and D's turns through torch.compile'd networks, against plain ones (no penalty: compiled networks have no
    double backward)."""
    gan, batch = duel.ours.gan, _batch(duel)[0]

    def turns(G: nn.Module, D: nn.Module) -> None:
        with torch.no_grad():
            fake = G(batch.z)
        (softplus(-D(batch.real)).mean() + softplus(D(fake)).mean()).backward(
            inputs=list(gan.discriminator.parameters())
        )
        softplus(-D(G(batch.z))).mean().backward(inputs=list(gan.generator.parameters()))

    fast = torch.compile(gan.generator), torch.compile(gan.discriminator)
    began = time.perf_counter()
    turns(*fast)
    print(f"\n{duel.size}: compiled in {time.perf_counter() - began:.0f} s")
    return lambda: turns(*fast), lambda: turns(gan.generator, gan.discriminator)


def two_threads(duel: Duel) -> Pair:
    """An iteration on two threads, against one on one: two runs side by side would have 2."""

    def on(threads: int) -> None:
        torch.set_num_threads(threads)
        duel.step_ours()

    return lambda: on(2), lambda: on(1)


def _batch(duel: Duel) -> tuple[Batch, Tensor]:
    real = duel.ours.stream.draw()[0]
    batch = Batch(real, torch.randn(len(real), duel.ours.gan.z_dim))
    with torch.no_grad():
        return batch, duel.ours.gan.generator(batch.z)


MEANS: dict[str, tuple[str, Callable[[Duel], Pair]]] = {
    "resident data": ("non-saturating", data),
    "fused Adam": ("non-saturating", lambda duel: optimiser(duel, fused=True)),
    "foreach Adam": ("non-saturating", lambda duel: optimiser(duel, foreach=True)),
    "set_to_none": ("non-saturating", set_to_none),
    "linear first layer": ("non-saturating", linear_first_layer),
    "needed gradients only": ("non-saturating", needed_gradients),
    "fakes without a graph": ("non-saturating", fakes_without_graph),
    "one backward for loss and penalty": ("wgan-gp", one_backward),
    "one D pass over real and fake": ("wgan-gp", joint_pass),
    "channels-last": ("non-saturating", layout),
    "channels-last, wgan-gp": ("wgan-gp", layout),
    "bf16": ("non-saturating", bf16),
    "bf16, wgan-gp": ("wgan-gp", bf16),
    "two threads": ("non-saturating", two_threads),
    "torch.compile": ("non-saturating", compiled),
}


@pytest.mark.filterwarnings("ignore:The .grad attribute")  # torch's compiler looks where it should not
@pytest.mark.parametrize("means", list(MEANS))
@pytest.mark.parametrize("size", list(SIZES))
def test_what_a_means_gains(benchmark, size, means) -> None:
    torch.set_num_threads(1)
    loss, pair = MEANS[means]
    ours, theirs = pair(Duel(size, loss))
    versus(benchmark, ours, theirs, f"{size}: {means}", rounds=7, seconds=0.3)
