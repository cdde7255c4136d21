"""Our training loop against the usual public one: the same networks, data, batch, mathematics and thread count.

``tox -e bench`` runs both, round by round in turn, in one process; the ratio of each pair of rounds cancels what else
the machine is doing. What is compared is checked first: from the same seeds both loops come to the same weights.
``--device cuda`` does the same on a GPU, where a step is several iterations.
"""

from __future__ import annotations

import copy
from typing import Any

import pytest
import torch
from textbook_loop import TextbookLoop, textbook_networks
from torch import Tensor
from versus import versus

from ganbench import DataSpec, Split, plugins
from ganbench.contracts.loss import LossTraits
from ganbench.contracts.protocol import Layout, Precision, Recipe
from ganbench.training.batches import Stream
from ganbench.training.precision import MEMORY_FORMATS, lay_out, tensor_cores
from ganbench.training.trainer import Trainer
from ganbench_baselines.arch import dcgan

CPU = torch.device("cpu")
SIZES = {"digits-16": (1, 16, 32, 32, 64), "dcgan-32": (3, 32, 64, 64, 100)}
"""Name -> channels, side, batch, width, Z: that of digits-16-v1, and the original DCGAN's at 32 pixels."""
GPU_SIZES = {**SIZES, "dcgan-64": (3, 64, 64, 64, 100)}
"""At 64 pixels a CPU takes too long."""
RULES: list[dict[str, Any]] = [
    {"layout": "channels-last"},
    {"precision": "tf32"},
    {"precision": "bf16"},
    {"precision": "bf16", "layout": "channels-last"},
]
SECONDS = {"cpu": 1.0, "cuda": 0.1}
"""About as long our loop takes in a round."""
ITERATIONS = {"cpu": 1, "cuda": 20}
"""Of a step: in a run, too, our loop waits for a GPU only after many."""


class Duel:
    """Both loops on copies of the same networks."""

    def __init__(
        self,
        size: str,
        name: str,
        precision: Precision = "float32",
        layout: Layout = "contiguous",
        device: torch.device = CPU,
    ) -> None:
        self.size, self.name, self.device = size, name, device
        self.precision, self.title = precision, f"{size} x {name}, {precision}, {layout}"
        self.iterations = ITERATIONS[device.type]
        channels, side, batch, width, z_dim = GPU_SIZES[size]
        rng = torch.Generator().manual_seed(0)
        x = torch.randint(0, 256, (1500, channels, side, side), generator=rng, dtype=torch.uint8)
        loss = plugins.build(plugins.find("loss", name))
        traits = LossTraits(loss)
        torch.manual_seed(0)
        gan = dcgan.ganbench_arch(DataSpec((channels, side, side)), traits.d_norm, width, z_dim).to(device)
        self.before = copy.deepcopy(gan)
        twins = textbook_networks(channels, side, width, z_dim, traits.d_norm is None)
        for twin, ours in zip(twins, (gan.generator, gan.discriminator), strict=True):
            for theirs, mine in zip(twin.to(device).parameters(), ours.parameters(), strict=True):
                theirs.data.copy_(as_textbook(mine.detach(), theirs))
        recipe = Recipe(lr=2e-4, betas=traits.recipe["betas"], d_steps=traits.d_steps)
        lay_out(gan, layout)
        stream = Stream(Split(x), batch, 0, device, MEMORY_FORMATS[layout])
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
        self.images = batch * recipe.d_steps * self.iterations

    def step_ours(self) -> None:
        self.ours.advance(self.ours.d_done + self.iterations * self.ours.recipe.d_steps)

    def step_theirs(self) -> None:
        # In float32 both have the same arithmetic; beside any other, theirs has the TF32 that torch begins with.
        with tensor_cores("float32" if self.precision == "float32" else "tf32"):
            for _ in range(self.iterations):
                self.theirs.step()

    def fight(self, benchmark: Any, tolerance: float) -> None:
        """Check that both loops do the same thing, then time them."""
        for _ in range(3):
            self.ours.advance(self.ours.d_done + self.ours.recipe.d_steps)
            self.theirs.step()
        assert self.apart() < tolerance
        if self.device.type == "cuda":
            self.step_ours()  # records its graph before it is timed
        benchmark.extra_info |= {"images": self.images, "iterations": self.iterations, "mode": self.ours.mode}
        versus(benchmark, self.step_ours, self.step_theirs, self.title, seconds=SECONDS[self.device.type])

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


def skip_at_64_pixels_on_a_cpu(size: str, device: torch.device) -> None:
    if size not in SIZES and device.type == "cpu":
        pytest.skip("takes too long on a CPU")


@pytest.mark.parametrize("loss", ["non-saturating", "wgan-gp"])
@pytest.mark.parametrize("size", list(GPU_SIZES))
def test_our_loop_against_the_textbooks(benchmark, device, size, loss) -> None:
    skip_at_64_pixels_on_a_cpu(size, device)
    torch.set_num_threads(1)
    Duel(size, loss, device=device).fight(benchmark, 0.02)


@pytest.mark.parametrize("rule", RULES, ids=lambda r: "+".join(r.values()))
@pytest.mark.parametrize("loss", ["non-saturating", "wgan-gp"])
@pytest.mark.parametrize("size", list(GPU_SIZES))
def test_our_loop_in_what_a_protocol_may_allow(benchmark, device, size, loss, rule) -> None:
    skip_at_64_pixels_on_a_cpu(size, device)
    if device.type == "cpu" and rule.get("precision") == "tf32":
        pytest.skip("a CPU has no TF32")
    torch.set_num_threads(1)
    Duel(size, loss, **rule, device=device).fight(benchmark, 0.3 if "precision" in rule else 0.05)
