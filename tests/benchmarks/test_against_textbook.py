"""Our training loop against the usual public one: the same networks, data, batch, mathematics and thread count.

``tox -e bench`` runs both, round by round in turn, in one process; the ratio of each pair of rounds cancels what else
the machine is doing. What is compared is checked first: from the same seeds both loops come to the same weights.
"""

from __future__ import annotations

import copy

import pytest
import torch
from textbook_loop import TextbookLoop, textbook_networks
from torch import Tensor
from versus import versus

from ganbench import DataSpec, Split, plugins
from ganbench.contracts.loss import LossTraits
from ganbench.contracts.protocol import Layout, Precision, Recipe
from ganbench.training.batches import Stream
from ganbench.training.precision import MEMORY_FORMATS, lay_out
from ganbench.training.trainer import Trainer
from ganbench_baselines.arch import dcgan

CPU = torch.device("cpu")
SIZES = {"digits-16": (1, 16, 32, 32, 64), "dcgan-32": (3, 32, 64, 64, 100)}
"""Name -> channels, side, batch, width, Z: that of digits-16-v1, and the original DCGAN's at 32 pixels."""
BOTH = {"precision": "bf16", "layout": "channels-last"}
SECONDS = 1.0


class Duel:
    """Both loops on copies of the same networks."""

    def __init__(self, size: str, name: str, precision: Precision = "float32", layout: Layout = "contiguous") -> None:
        self.size, self.name = size, name
        channels, side, batch, width, z_dim = SIZES[size]
        rng = torch.Generator().manual_seed(0)
        x = torch.randint(0, 256, (1500, channels, side, side), generator=rng, dtype=torch.uint8)
        loss = plugins.build(plugins.find("loss", name))
        traits = LossTraits(loss)
        torch.manual_seed(0)
        gan = dcgan.ganbench_arch(DataSpec((channels, side, side)), traits.d_norm, width, z_dim)
        self.before = copy.deepcopy(gan)
        twins = textbook_networks(channels, side, width, z_dim, traits.d_norm is None)
        for twin, ours in zip(twins, (gan.generator, gan.discriminator), strict=True):
            for theirs, mine in zip(twin.parameters(), ours.parameters(), strict=True):
                theirs.data.copy_(as_textbook(mine.detach(), theirs))
        recipe = Recipe(lr=2e-4, betas=traits.recipe["betas"], d_steps=traits.d_steps)
        lay_out(gan, layout)
        stream = Stream(Split(x), batch, 0, CPU, MEMORY_FORMATS[layout])
        self.ours = Trainer(gan, loss, stream, recipe, 10**9, 1, 2, (), precision)
        self.theirs = TextbookLoop(
            *twins,
            x,
            name,
            lr=recipe.lr,
            betas=recipe.betas,
            batch=batch,
            z_dim=z_dim,
            d_steps=recipe.d_steps,
        )
        self.images = batch * recipe.d_steps

    def step_ours(self) -> None:
        self.ours.advance(self.ours.d_done + self.ours.recipe.d_steps)

    def apart(self) -> float:
        """The distance between the weights of the two loops, as a share of how far they have moved."""
        theirs = [p.detach() for network in (self.theirs.G, self.theirs.D) for p in network.parameters()]
        ours, before = (
            [as_textbook(p.detach(), q) for p, q in zip((*g.parameters(), *d.parameters()), theirs, strict=True)]
            for g, d in ((gan.generator, gan.discriminator) for gan in (self.ours.gan, self.before))
        )

        def flat(weights: list[Tensor]) -> Tensor:
            return torch.cat([weight.flatten() for weight in weights])

        return ((flat(ours) - flat(theirs)).norm() / (flat(ours) - flat(before)).norm()).item()


def as_textbook(weight: Tensor, like: Tensor) -> Tensor:
    """A weight of ours in the shape that it has in the textbook's networks: our G begins with a linear layer, and our D
    ends in one."""
    if weight.ndim == 2 and like.ndim == 4 and len(weight) > 1:
        return weight.view(*like.shape[1:], len(like)).permute(3, 0, 1, 2).contiguous()
    return weight.reshape(like.shape)


@pytest.mark.parametrize("loss", ["non-saturating", "wgan-gp"])
@pytest.mark.parametrize("size", list(SIZES))
def test_our_loop_against_the_textbooks(benchmark, size, loss) -> None:
    torch.set_num_threads(1)
    duel = Duel(size, loss)
    for _ in range(3):
        duel.step_ours()
        duel.theirs.step()
    assert duel.apart() < 0.02
    benchmark.extra_info["images"] = duel.images
    versus(benchmark, duel.step_ours, duel.theirs.step, f"{size} x {loss}", seconds=SECONDS)


@pytest.mark.parametrize(
    "rule", [{"layout": "channels-last"}, {"precision": "bf16"}, BOTH], ids=lambda r: "+".join(r.values())
)
@pytest.mark.parametrize("loss", ["non-saturating", "wgan-gp"])
@pytest.mark.parametrize("size", list(SIZES))
def test_our_loop_in_what_a_protocol_may_allow(benchmark, size, loss, rule) -> None:
    torch.set_num_threads(1)
    duel = Duel(size, loss, **rule)
    for _ in range(3):
        duel.step_ours()
        duel.theirs.step()
    assert duel.apart() < (0.3 if "precision" in rule else 0.05)
    benchmark.extra_info["images"] = duel.images
    versus(benchmark, duel.step_ours, duel.theirs.step, f"{size} x {loss}, {'+'.join(rule.values())}", seconds=SECONDS)
