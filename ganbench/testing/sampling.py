"""Conformance checks of an architecture: how it samples."""

from __future__ import annotations

from collections.abc import Iterator

import torch

from ganbench.device.untouched import in_eval_mode
from ganbench.testing.built import SAMPLES, Built, first_of, same_values, sampled, some
from ganbench.testing.findings import Checks, Finding
from ganbench.testing.randomness import replay, rng

CHECKS: Checks[Built] = Checks("arch")


@CHECKS.add
def a_sample_depends_on_its_latent_alone(case: Built) -> Iterator[Finding]:
    """With G in eval mode, a sample must not depend on the rest of its batch.

    In train mode, batch normalisation would mix samples, and dropout would draw random numbers.
    """
    gan = case.copy()
    batch = case.batch(gan)
    with torch.inference_mode(), in_eval_mode(gan):
        whole = gan.sample(batch)
        half = gan.sample(first_of(batch, SAMPLES // 2))
    gap = (whole[: SAMPLES // 2] - half).abs().max()
    if gap > 1e-4 * max(1.0, float(whole.abs().max())):
        yield Finding(
            seen=f"samples of the same latents differ by {gap:.2g} between batches of {SAMPLES} and {SAMPLES // 2}",
            expected="the same samples",
            mend="do not call .train() in sample(), use running statistics, and mix no samples in G",
        )


@CHECKS.add
def sampling_changes_nothing(case: Built) -> Iterator[Finding]:
    """Sampling must have no side effects: a run that is sampled more often must stay the same.

    Sampling must not change batch-norm statistics or averages, or the mode of a module.
    """
    gan = case.copy()
    before = {name: value.clone() for name, value in gan.state_dict().items()}
    with torch.inference_mode(), in_eval_mode(gan):
        modes = [module.training for module in gan.modules()]
        gan.sample(case.batch(gan))
        now = [module.training for module in gan.modules()]
    changed = [name for name, value in gan.state_dict().items() if not same_values(value, before[name])]
    if changed:
        yield Finding(
            f"sample() changed {some(changed)}", "the same state before and after", "do not switch to train mode"
        )
    if now != modes:
        yield Finding(
            "sample() switched modules between train and eval mode",
            "unchanged modes",
            "leave .train() and .eval() to the core",
        )


@CHECKS.add
def sampling_draws_from_the_latent_stream_alone(case: Built) -> Iterator[Finding]:
    """Evaluation latents come from their own stream, shared by every combination with the same seed.

    If sampling draws from elsewhere, scores are not reproducible, and draws from torch's default generator change the
    training.
    """
    gan = case.copy()
    one, other = (replay(lambda: sampled(gan, case.batch(gan)), seed) for seed in (1, 2))
    if other.drew or not torch.equal(one.value, other.value):
        yield Finding(
            seen=f"sampling drew from {other.drew}" if other.drew else "samples change with the global seed",
            expected="samples that depend on latents, labels and sources alone",
            mend="draw with the generator passed to sample_latent; in eval mode, use a fixed noise buffer",
        )


@CHECKS.add
def latents_follow_from_their_generator(case: Built) -> Iterator[Finding]:
    """The latent stream is stored in the checkpoint, and shared by every combination with the same seed."""
    one, same, other = (case.gan.sample_latent(SAMPLES, rng(seed)) for seed in (1, 1, 2))
    if len(one) != SAMPLES or not torch.equal(one, same):
        yield Finding(
            seen=f"{len(one)} latents for {SAMPLES}"
            if len(one) != SAMPLES
            else "different latents under the same generator",
            expected=f"{SAMPLES} latents that depend on the generator alone",
            mend="draw every latent with generator=rng",
        )
    elif torch.equal(one, other):
        yield Finding("the same latents for every seed", "latents drawn with rng", "draw with generator=rng")
