"""Conformance checks of an architecture: D's logits, and whether divergence is visible."""

from __future__ import annotations

import copy
import math
from collections.abc import Iterator
from dataclasses import replace

import torch
from torch import Tensor, nn

from ganbench.contracts.arch import normalisation
from ganbench.contracts.loss import Match
from ganbench.testing import logit
from ganbench.testing.built import Built, flat, sampled, some, total_of, without_gradient
from ganbench.testing.findings import Checks, Finding, scalar
from ganbench.testing.randomness import seeded
from ganbench.testing.toys import Logistic

CHECKS: Checks[Built] = Checks("arch")
LARGEST_EPS = 1e-2


@CHECKS.add
def normalisation_of_d_is_as_asked(case: Built) -> Iterator[Finding]:
    """The loss states the normalisation of D that it needs, and the arch must build it or decline."""
    built = normalisation(case.gan.discriminators())
    if case.asked == "none" and "batch" in built:
        yield Finding(
            'D has batch normalisation although "none" was requested',
            "no batch normalisation",
            'leave it out if d_norm is "none"',
        )
    if case.asked == "spectral" and "spectral" not in built:
        yield Finding(
            f'D was built with {built} although "spectral" was requested',
            "spectral normalisation, or Unsupported",
            "wrap D's layers in torch.nn.utils.parametrizations.spectral_norm",
        )


@CHECKS.add
def d_judges_each_sample_by_itself(case: Built) -> Iterator[Finding]:
    """A per-sample gradient penalty needs a D that judges each sample independently.

    The penalty differentiates the sum of the logits, and treats the result as the gradient of each sample. This is
    correct only if the logit of one sample does not depend on the others: a D built with "none" must have no batch
    normalisation and no minibatch statistics.
    """
    if not case.judges_alone:
        return
    gan = case.copy()
    for place, match in enumerate(case.matches(gan)):
        x = match.real.detach().clone().requires_grad_(True)
        (gradient,) = torch.autograd.grad(match.D(x)[0], x)
        leak = gradient[1:].abs().max()
        if leak > 0:
            yield Finding(
                seen=f"match {place}: the logit of one sample depends on the others (derivative {leak:.2g})",
                expected="logits that each depend on one sample",
                mend='take the argument d_norm, and for "none" build D without batch statistics or raise Unsupported',
            )


@CHECKS.add
def d_can_be_differentiated_twice(case: Built) -> Iterator[Finding]:
    """A gradient penalty trains D through the gradient of D, so every operation in D needs a second derivative.

    An operation without one may raise an error, or may silently leave some weights without a gradient.
    """
    if not case.judges_alone:
        return
    gan = case.copy().eval()
    weights = [p for p in flat(gan.discriminator_params()) if p.requires_grad]
    names = {id(p): name for name, p in gan.named_parameters()}
    for place, match in enumerate(case.matches(gan)):
        value = _mean_squared_slope(match)
        untaught = weights
        if value.requires_grad:
            gradients = torch.autograd.grad(value, weights, allow_unused=True)
            untaught = [p for p, gradient in zip(weights, gradients, strict=True) if gradient is None]
        # a bias only moves the kinks of a network, or does not affect its slope, so it may get no gradient
        matrices = [p for p in untaught if p.dim() > 1]
        forgotten = [names.get(id(p), "?") for p in matrices if _shapes_the_slope(p, match, scalar(value))]
        if forgotten:
            yield Finding(
                seen=f"match {place}: the gradient of D depends on {some(forgotten)}, but a penalty on it does not "
                "train them",
                expected="second derivatives for every weight that matters",
                mend="use no detach and no once_differentiable inside D",
            )


def _mean_squared_slope(match: Match) -> Tensor:
    """``E |grad D(x)|²`` at the real samples."""
    with seeded(0):
        x = match.real.detach().clone().requires_grad_(True)
        (gradient,) = torch.autograd.grad(match.D(x).sum(), x, create_graph=True)
    return gradient.square().flatten(1).sum(1).mean()


def _shapes_the_slope(weight: nn.Parameter, match: Match, value: float) -> bool:
    """Whether changing this weight changes the mean squared slope; restores the weight."""
    kept = weight.detach().clone()
    with torch.no_grad():
        weight.mul_(1.5)
    changed = scalar(_mean_squared_slope(match))
    with torch.no_grad():
        weight.copy_(kept)
    return abs(changed - value) > 1e-3 * value


@CHECKS.add
def the_logit_is_free(case: Built) -> Iterator[Finding]:
    """Losses expect logits.

    A sigmoid, a tanh, a ReLU or a LeakyReLU left on D's last layer bounds or distorts the logits, and with a softplus
    loss only the samples look wrong.
    """
    gan = case.copy()
    for place, match in enumerate(case.matches(gan)):
        last = logit.last_operation(match.D(match.real))
        if last:
            yield Finding(
                seen=f"match {place}: the last operation of D is {last}",
                expected="a linear layer without an activation",
                mend="remove the activation from D's output; losses expect logits",
            )
            return
    low, high = logit.reach(gan, lambda: case.matches(gan))
    if low >= 0 or high <= 0 or max(-low, high) <= 1:
        yield Finding(
            seen=f"with weights and inputs of all sizes, D's logits stay between {low:.3g} and {high:.3g}",
            expected="unbounded logits of both signs",
            mend="end D in a linear layer; losses expect logits",
        )


@CHECKS.add
def normalisation_layers_have_a_small_eps(case: Built) -> Iterator[Finding]:
    """The second argument of BatchNorm2d is eps, not momentum.

    BatchNorm2d(n, 0.8) adds 0.8 to every variance, so small variances are not normalised.
    """
    for name, module in case.gan.named_modules():
        eps = getattr(module, "eps", None)
        if "norm" in type(module).__name__.lower() and isinstance(eps, float) and eps > LARGEST_EPS:
            yield Finding(
                seen=f"{name} is a {type(module).__name__} with eps = {eps}",
                expected=f"an eps of {LARGEST_EPS} or less (PyTorch's is 1e-5)",
                mend=f"if momentum was meant, write momentum={eps}, or rather {1 - eps:.3g} in PyTorch's convention",
            )
            return


# -- divergence --------------------------------------------------------------------------------------------------------


@CHECKS.add
def a_diverged_player_is_seen(case: Built) -> Iterator[Finding]:
    """A NaN ends a run as diverged, which is a valid result.

    A nan_to_num between the layers, on the logit or in a hook on a weight's gradient lets a broken run continue to a
    meaningless score.
    """
    gan = case.copy()
    for place, match in enumerate(case.matches(gan)):
        if match.D(torch.full_like(match.real, math.nan)).isfinite().any():
            yield Finding(f"match {place}: D gives NaN a finite logit", "NaN", "remove nan_to_num and the like from D")
    batch = case.batch(gan)
    lost = replace(
        batch,
        real=batch.real * math.nan,
        z=batch.z * math.nan,
        source=None if batch.source is None else batch.source * math.nan,
    )
    if sampled(gan, lost).isfinite().all():
        yield Finding("G turns NaN into finite samples", "NaN", "remove nan_to_num and the like from G")
    hidden = _hidden_gradients(case)
    if hidden:
        yield Finding(
            seen=f"a NaN in the loss reaches {some(hidden)} as a finite gradient",
            expected="a NaN",
            mend="remove hooks that clean gradients (register_hook, register_full_backward_hook)",
        )


def _hidden_gradients(case: Built) -> list[str]:
    """Weights whose gradient is nonzero under a finite loss, and finite under a NaN."""
    alive, lost = _gradients_under(case, 1.0), _gradients_under(case, math.nan)
    return [name for name, gradient in alive.items() if gradient.abs().sum() > 0 and lost[name].isfinite().all()]


def _gradients_under(case: Built, factor: float) -> dict[str, Tensor]:
    """The gradient of every weight in its player's update, with the loss multiplied by ``factor``.

    The players are built anew, because hooks on weights do not survive a copy.
    """
    with seeded(0):
        gan = case.again()
        state = copy.deepcopy(gan.state_dict())
        batch = case.batch(gan)
        d_total = total_of(gan.d_objective(Logistic(), batch, without_gradient(gan, batch)))
        (d_total * factor).backward(inputs=flat(gan.discriminator_params()))
        g_total = total_of(gan.g_objective(Logistic(), batch, gan.fake(batch)))
        (g_total * factor).backward(inputs=flat(gan.generator_params()))
    gradients = {name: p.grad for name, p in gan.named_parameters() if p.grad is not None}
    gan.load_state_dict(state)
    gan.zero_grad(set_to_none=True)
    return gradients
