"""Fréchet distance of two Gaussians, |μ_r - μ_f|² + tr(Σ_r + Σ_f - 2 (Σ_r Σ_f)^½) (Dowson and Landau 1982), in float64.

Its last term is computed in one of two ways, neither of which takes the square root of a matrix:

* Σ_r Σ_f is similar to L^T Σ_f L with L L^T = Σ_r, which is symmetric and positive. So the trace is the sum of the
  square roots of its eigenvalues. (L may be any root of Σ_r; Cholesky's is the cheapest.) Rounding moves an eigenvalue
  λ by about ε λ_max, and so its root by ε λ_max / 2 √λ, which is large if λ is close to 0.
* With A^T A = Σ_r and B^T B = Σ_f it is the nuclear norm of A B^T, the sum of its singular values. Rounding moves each
  of them by no more than about ε times the largest, at any rank. For n <= d samples, A and B are the centred and scaled
  features themselves.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from functools import cache

import numpy as np
import torch
from scipy import linalg
from threadpoolctl import ThreadpoolController  # type: ignore[import-untyped]  # has no stubs
from torch import Tensor

from ganbench import Unsupported

TOLERANCE = 1e-7
"""The slower form is used where the estimated rounding error exceeds this share of the distance. The estimate is about
a hundred times the observed error."""

Moments = Mapping[str, Tensor]
"""``n``, ``mean[d]``, and ``covariance[d, d]`` where n > d, else ``root[n, d]``: root^T root is the covariance."""


@contextmanager
def as_many_threads_as_torch() -> Iterator[None]:
    """Limit scipy's LAPACK, which would otherwise use every core, to torch's number of threads.

    With more threads, it would wait for cores that other runs keep busy (five times as long at d = 32), and the last
    bits would depend on the number of cores.
    """
    with _pools().limit(limits=torch.get_num_threads(), user_api="blas"):
        yield


@cache
def _pools() -> ThreadpoolController:
    return ThreadpoolController()  # inspects all loaded libraries, scipy's among them


@as_many_threads_as_torch()
def moments(blocks: Iterable[Tensor]) -> Moments:
    """Moments of the rows of ``x[B, d]``, block by block; at most the first d rows are kept.

    Blocks are combined as in Chan, Golub and LeVeque (1983). Each is centred at its own mean, so an offset costs no
    precision.

    Raises:
        Unsupported: there are fewer than two samples.
    """
    n, mean, rows = 0, np.zeros(0), list[np.ndarray]()
    scatter = np.zeros((0, 0), order="F")  # its upper triangle
    for block in blocks:
        x = block.double().numpy()
        m, d = x.shape
        if m == 0:
            continue
        if n == 0:
            mean, scatter = np.zeros(d), np.zeros((d, d), order="F")
        rows = [*rows, x] if n + m <= d else []
        own = x.mean(axis=0)
        step = own - mean
        deviations = np.vstack([x - own, step * (n * m / (n + m)) ** 0.5])  # one more row for the block's mean
        scatter = linalg.blas.dsyrk(1.0, deviations.T, beta=1.0, c=scatter, overwrite_c=1)
        n += m
        mean = mean + step * (m / n)
    if n < 2:
        raise Unsupported(f"a covariance needs 2 samples of each kind, not {n}")
    found = {"n": torch.tensor(n), "mean": torch.from_numpy(mean)}
    if rows:
        return {**found, "root": torch.from_numpy((np.concatenate(rows) - mean) / (n - 1) ** 0.5)}
    covariance = (scatter + np.triu(scatter, 1).T) / (n - 1)
    return {**found, "covariance": torch.from_numpy(covariance)}


@as_many_threads_as_torch()
def distance(one: Moments, other: Moments) -> float:
    """The distance between the Gaussians of two sets, not clipped: for equal sets, rounding may make it negative.

    Raises:
        ValueError: a moment is not finite.
    """
    apart = float((one["mean"] - other["mean"]).square().sum())
    spread = sum(float(of["covariance"].trace()) for of in (one, other) if "covariance" in of)
    if not np.isfinite(apart + spread):
        raise ValueError("the moments of the features are not finite")
    if "covariance" in one and "covariance" in other:
        coupling, doubt = by_eigenvalues(one["covariance"].numpy(), other["covariance"].numpy())
        value = apart + spread - 2 * coupling
        if doubt <= TOLERANCE * value:
            return value
    a, b = root(one), root(other)
    return apart + float(np.square(a).sum() + np.square(b).sum()) - 2 * by_singular_values(a, b)


def by_eigenvalues(one: np.ndarray, other: np.ndarray) -> tuple[float, float]:
    """The trace of (Σ_r Σ_f)^½ of two positive covariances, and an estimate of its rounding error."""
    try:
        lower = linalg.cholesky(one, lower=True, check_finite=False)
    except np.linalg.LinAlgError:
        return 0.0, np.inf
    similar, _ = linalg.lapack.dsygst(other, lower, itype=2, lower=1)  # L^T Σ L, at a quarter of two products' cost
    values = linalg.eigvalsh(similar, overwrite_a=True, check_finite=False)
    noise = np.finfo(float).eps * values[-1]
    if values[0] <= noise:
        return 0.0, np.inf
    roots = np.sqrt(values)
    return float(roots.sum()), float(2 * noise * np.linalg.norm(0.5 / roots))


def by_singular_values(one: np.ndarray, other: np.ndarray) -> float:
    """The trace of (Σ_r Σ_f)^½ of roots ``A[*, d], B[*, d]``."""
    product = one @ other.T
    if product.size == 0:  # if all samples are equal, the root has no rows
        return 0.0
    return float(linalg.svdvals(product, check_finite=False).sum())


def root(of: Moments) -> np.ndarray:
    """``A[rank, d]`` with A^T A = Σ: the samples themselves, or a pivoted Cholesky factor.

    The factorisation stops when only rounding errors are left of Σ (Higham 1990).
    """
    if "root" in of:
        return of["root"].numpy()
    upper, order, rank, _ = linalg.lapack.dpstrf(of["covariance"].numpy())
    found = np.zeros((rank, len(upper)))
    found[:, order - 1] = np.triu(upper)[:rank]
    return found
