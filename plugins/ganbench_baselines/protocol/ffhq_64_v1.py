"""FFHQ's faces at 64x64, the size at which diffusion models publish (Karras et al. 2022), for a GPU.

The budget of 25 million images and the batch of 64 are StyleGAN2-ADA's for FFHQ at 256x256 (Karras et al. 2020b). As in
StyleGAN (Karras et al. 2019), FID compares 50,000 fakes with 50,000 of all 70,000 images. Karras et al. 2022 compare
with all 70,000, and train on them; here the last 10,000 are held out, and only the looks during training use them.
"""

from __future__ import annotations

from msgspec.structs import replace

from ganbench import Protocol, hookimpl
from ganbench_baselines.protocol import celeba_64_v1

LIKE = celeba_64_v1.PROTOCOL


@hookimpl
def ganbench_protocol() -> Protocol:
    """Build the rules: FFHQ at 64x64, judged by FID."""
    return replace(
        LIKE,
        name="ffhq-64-v1",
        description=(
            "Flickr-Faces-HQ, 64x64, colour: 25 million images shown to D, and 50,000 fakes against 50,000 of all "
            "70,000 images in the features of Inception (Karras et al. 2019). Meant for a GPU."
        ),
        dataset="ffhq",
        training=replace(LIKE.training, budget_kimg=25_000, lr_decay=0.0),
        evaluation=replace(LIKE.evaluation, reference="all"),
    )
