"""Spectral normalisation of every layer of D, in place of D's own normalisation (Miyato et al. 2018)."""

from __future__ import annotations

from ganbench import Trick, hookimpl


class SpectralNorm(Trick):
    """Asks the architecture for a D whose layers are spectrally normalised."""

    d_norm = "spectral"


@hookimpl
def ganbench_trick() -> Trick:
    """Build the trick."""
    return SpectralNorm()
