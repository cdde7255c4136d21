"""The usual public training loop, written plainly, to measure against: what most GAN repositories do every step.

Images are converted and transformed one by one in a ``DataLoader`` (for a GPU by two workers, into pinned memory);
noise is drawn where the networks are; real and fake pass through D separately; every loss is read with ``.item()``;
Adam is as ``torch.optim.Adam(params, lr)`` gives it; nobody takes care which gradients are needed. The mathematics is
that of DCGAN (Radford et al. 2015) with the non-saturating loss (Goodfellow et al. 2014) or with WGAN-GP (Gulrajani et
al. 2017, algorithm 1); batches, latents and interpolations are seeded, so that it can be compared weight by weight with
any other loop of the same mathematics.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise

import torch
from PIL import Image
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset, Sampler
from torchvision import transforms


def textbook_networks(
    channels: int, side: int, width: int, z_dim: int, batch_norm: bool
) -> tuple[nn.Module, nn.Module]:
    """DCGAN as it is usually written: G begins with a transposed convolution of a 1x1 image, D ends in a convolution.

    ``z[B, Z, 1, 1] -> x[B, C, S, S]`` and ``x -> logit[B, 1, 1, 1]``; ``batch_norm``: in D, too.
    """
    sizes = [width * 2**i for i in range((side // 4).bit_length() - 1)]
    up: list[nn.Module] = [nn.ConvTranspose2d(z_dim, sizes[-1], 4, 1, 0, bias=False)]
    for before, after in pairwise(reversed(sizes)):
        up += [nn.BatchNorm2d(before), nn.ReLU(True), nn.ConvTranspose2d(before, after, 4, 2, 1, bias=False)]
    up += [nn.BatchNorm2d(width), nn.ReLU(True), nn.ConvTranspose2d(width, channels, 4, 2, 1), nn.Tanh()]
    down: list[nn.Module] = [nn.Conv2d(channels, width, 4, 2, 1), nn.LeakyReLU(0.2, inplace=True)]
    for before, after in pairwise(sizes):
        down.append(nn.Conv2d(before, after, 4, 2, 1, bias=not batch_norm))
        down += [nn.BatchNorm2d(after)] if batch_norm else []
        down.append(nn.LeakyReLU(0.2, inplace=True))
    return nn.Sequential(*up), nn.Sequential(*down, nn.Conv2d(sizes[-1], 1, 4, 1, 0))


class Pictures(Dataset):
    """Images one at a time, as files in folders are: ``uint8 [N, C, H, W]`` -> PIL -> tensor in [-1, 1]."""

    def __init__(self, x: Tensor) -> None:
        channels = x.shape[1]
        self.pictures = [Image.fromarray(image.squeeze(-1).numpy()) for image in x.permute(0, 2, 3, 1)]
        self.transform = transforms.Compose(
            [transforms.ToTensor(), transforms.Normalize([0.5] * channels, [0.5] * channels)]
        )

    def __len__(self) -> int:
        return len(self.pictures)

    def __getitem__(self, index: int) -> Tensor:
        return self.transform(self.pictures[index])


class WithReplacement(Sampler):
    """Batches of indices without end, from a generator of their own on ``device``, as our loop draws them."""

    def __init__(self, n: int, batch: int, seed: int, device: torch.device) -> None:
        self.n, self.batch = n, batch
        self.rng = torch.Generator(device).manual_seed(seed)

    def __iter__(self) -> Iterator[list[int]]:
        while True:
            yield torch.randint(self.n, (self.batch,), generator=self.rng, device=self.rng.device).tolist()


class TextbookLoop:
    """Trains G and D the usual way, on the device where they are.

    Args:
        generator, discriminator: the networks, as ``textbook_networks`` gives them.
        images: ``uint8 [N, C, H, W]``.
        loss: ``"non-saturating"`` or ``"wgan-gp"``.
        lr, betas: Adam's.
        batch, z_dim, d_steps: sizes, and D updates per G update.
        seed: of data order (``seed``), latents (``seed + 1``) and interpolations (``seed + 2``).
    """

    def __init__(
        self,
        generator: nn.Module,
        discriminator: nn.Module,
        images: Tensor,
        loss: str,
        *,
        lr: float,
        betas: tuple[float, float],
        batch: int,
        z_dim: int,
        d_steps: int,
        seed: int = 0,
    ) -> None:
        self.G, self.D = generator, discriminator
        self.loss, self.batch, self.z_dim, self.d_steps = loss, batch, z_dim, d_steps
        self.device = next(generator.parameters()).device
        on_gpu = self.device.type == "cuda"
        self.opt_G = torch.optim.Adam(self.G.parameters(), lr=lr, betas=betas)
        self.opt_D = torch.optim.Adam(self.D.parameters(), lr=lr, betas=betas)
        self.criterion = nn.BCEWithLogitsLoss()
        data = Pictures(images)
        order = WithReplacement(len(data), batch, seed, self.device)
        self.batches = iter(DataLoader(data, batch_sampler=order, num_workers=2 * on_gpu, pin_memory=on_gpu))
        self.noise_rng = torch.Generator(self.device).manual_seed(seed + 1)
        self.mix_rng = torch.Generator(self.device).manual_seed(seed + 2)
        self.log: list[dict[str, float]] = []

    def step(self) -> None:
        """``d_steps`` updates of D, one of G."""
        for _ in range(self.d_steps):
            real = next(self.batches).to(self.device, non_blocking=True)
            d_loss = self.update_d_ns(real) if self.loss == "non-saturating" else self.update_d_gp(real)
        g_loss = self.update_g()
        self.log.append({"d_loss": d_loss, "g_loss": g_loss})

    def noise(self) -> Tensor:
        return torch.randn(self.batch, self.z_dim, 1, 1, generator=self.noise_rng, device=self.device)

    def score(self, x: Tensor) -> Tensor:
        return self.D(x).view(-1)

    def update_d_ns(self, real: Tensor) -> float:
        self.opt_D.zero_grad()
        loss_real = self.criterion(self.score(real), torch.ones(self.batch, device=self.device))
        loss_real.backward()
        fake = self.G(self.noise())
        loss_fake = self.criterion(self.score(fake.detach()), torch.zeros(self.batch, device=self.device))
        loss_fake.backward()
        self.opt_D.step()
        return loss_real.item() + loss_fake.item()

    def update_d_gp(self, real: Tensor) -> float:
        self.opt_D.zero_grad()
        fake = self.G(self.noise())
        score_real, score_fake = self.score(real), self.score(fake.detach())
        penalty = self.gradient_penalty(real, fake.detach())
        loss = score_fake.mean() - score_real.mean() + 10 * penalty
        loss.backward()
        self.opt_D.step()
        penalty.item()
        return loss.item()

    def gradient_penalty(self, real: Tensor, fake: Tensor) -> Tensor:
        mix = torch.rand(self.batch, 1, 1, 1, generator=self.mix_rng, device=self.device)
        between = (mix * real + (1 - mix) * fake).requires_grad_(True)
        scores = self.score(between)
        (gradient,) = torch.autograd.grad(
            scores, between, grad_outputs=torch.ones_like(scores), create_graph=True, retain_graph=True
        )
        return ((gradient.view(self.batch, -1).norm(2, dim=1) - 1) ** 2).mean()

    def update_g(self) -> float:
        self.opt_G.zero_grad()
        scores = self.score(self.G(self.noise()))
        ones = torch.ones(self.batch, device=self.device)
        loss = self.criterion(scores, ones) if self.loss == "non-saturating" else -scores.mean()
        loss.backward()
        self.opt_G.step()
        return loss.item()
