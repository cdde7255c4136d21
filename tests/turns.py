"""A turn of G outside of training, with the batch, the fakes and the optimisers of a trainer."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from ganbench import Batch, Turn
from ganbench.training.trainer import Trainer


def batch_of(trainer: Trainer) -> Batch:
    """The next batch, drawn from the trainer's own streams."""
    real, labels, source = trainer.stream.draw()
    return Batch(real, trainer.gan.sample_latent(len(real), trainer.latents), labels, source, trainer.step)


def turn_of_g(trainer: Trainer, batch: Batch, fake: Any) -> Turn:
    def d_objective() -> Tensor:
        return torch.stack([*trainer.gan.d_objective(trainer.loss, batch, fake).values()]).sum()

    optimizers, progress = (trainer.optim_d, trainer.optim_g), trainer.d_done / trainer.d_updates
    return Turn("G", progress, batch, fake, trainer.gan, *optimizers, d_objective, trainer.after_d_step)
