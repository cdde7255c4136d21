"""The same iterations as the engine's, written by hand for one model: only what no loop can leave out.

No watch for the first NaN, no tricks, no lazy terms, no means of the losses, no budget, no checkpoint: the data, the
latents, the loss, gradients for the player whose turn it is, Adam, and the average of G. From the same seeds it
reaches the same weights, bit for bit; the extra time of the engine is the price of all the rest.
"""

from __future__ import annotations

import copy

import torch
from torch import Tensor

from ganbench import GAN
from ganbench.contracts.loss import Loss
from ganbench.contracts.protocol import Recipe


class BareLoop:
    """Trains ``gan`` under ``loss`` on a CPU.

    Args:
        gan: its ``generator`` and ``discriminator`` are played with, and nothing else of it.
        loss: the objective.
        x: ``uint8 [N, C, H, W]``, or ``float32 [N, F]``.
        recipe: of Adam; ``batch``: real images per D update.
        seeds: of data order, latents, and of what the loss draws.
    """

    def __init__(
        self, gan: GAN, loss: Loss, x: Tensor, recipe: Recipe, batch: int, seeds: tuple[int, int, int]
    ) -> None:
        self.G, self.D, self.loss, self.x, self.recipe, self.batch = (
            gan.generator,
            gan.discriminator,
            loss,
            x,
            recipe,
            batch,
        )
        self.z_dim, self.averaged = gan.z_dim, copy.deepcopy(self.G).requires_grad_(False)
        self.G_params, self.D_params = list(self.G.parameters()), list(self.D.parameters())
        self.opt_G = torch.optim.Adam(self.G_params, recipe.lr, recipe.betas, recipe.eps, fused=True)
        self.opt_D = torch.optim.Adam(self.D_params, recipe.lr, recipe.betas, recipe.eps, fused=True)
        self.data, self.latents = (torch.Generator().manual_seed(seed) for seed in seeds[:2])
        torch.manual_seed(seeds[2])
        self.step = 0

    def advance(self, iterations: int) -> None:
        """``d_steps`` updates of D and one of G, this many times."""
        for _ in range(iterations):
            for _ in range(self.recipe.d_steps):
                self.update_d()
            self.update_g()
            self.average()
            self.step += 1

    def update_d(self) -> None:
        self.real = self.x[torch.randint(len(self.x), (self.batch,), generator=self.data)]
        if self.real.dtype == torch.uint8:
            self.real = self.real.float().div_(127.5).sub_(1)
        with torch.no_grad():
            fake = self.G(self.z())
        self.opt_D.zero_grad()
        self.loss.d_loss(self.D, self.real, fake).backward(inputs=self.D_params)
        self.opt_D.step()

    def update_g(self) -> None:
        self.opt_G.zero_grad()
        self.loss.g_loss(self.D, self.real, self.G(self.z())).backward(inputs=self.G_params)
        self.opt_G.step()

    def z(self) -> Tensor:
        return torch.randn(self.batch, self.z_dim, generator=self.latents)

    @torch.no_grad()
    def average(self) -> None:
        decay = min(self.recipe.ema, (1 + self.step) / (10 + self.step))
        torch._foreach_lerp_(list(self.averaged.parameters()), self.G_params, 1 - decay)
        for buffer, current in zip(self.averaged.buffers(), self.G.buffers(), strict=True):
            buffer.copy_(current)
