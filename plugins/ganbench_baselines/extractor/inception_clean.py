"""Inception v3 (Szegedy et al. 2016) on images resized as by clean-fid (Parmar, Zhang and Zhu 2022).

Pillow's bicubic resizing to 299x299, with antialiasing, in float32; everything else is as in `inception`, the weights
included. A resizing without antialiasing, as in TensorFlow 1, gives other scores, so this is an extractor of its own
with a name of its own: ``inception-clean``, or ``inception-clean:PATH`` for weights that you have.
"""

from __future__ import annotations

from torch import Tensor

from ganbench import Download, Extractor, hookimpl
from ganbench_baselines.extractor import inception
from ganbench_baselines.extractor.resizing import as_floats

SIDE = 299


class InceptionClean(inception.Inception):
    """``x[B, 1 or 3, H, W]`` in uint8 -> (``features[B, 2048]``, ``logits[B, 1008]``)."""

    name, version = "inception-clean", "1"

    def look(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Features and logits of a mini batch of RGB images; torch-fidelity's network would resize them its own way."""
        x = (as_floats(x, SIDE).clamp(0, 255) - 128) / 128
        *layers, classifier = self.network.children()
        for layer in layers:
            x = layer(x)
        features = x.flatten(1)
        return features, features @ classifier.weight.T


@hookimpl
def ganbench_extractor(argument: str) -> Extractor:
    """Inception with clean-fid's resizing; its weights are looked for as those of `inception` are."""
    return inception.build(InceptionClean, argument)


@hookimpl
def ganbench_download() -> Download:
    """The same weights as those of `inception`."""
    return inception.ganbench_download()
