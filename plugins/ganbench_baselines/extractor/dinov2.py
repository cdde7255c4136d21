"""DINOv2 ViT-L/14 (Oquab et al. 2023), whose features Stein et al. (2023) found to agree best with human judgement.

It has 1,024 features, the normalised class token. Images are resized to 224x224 by Pillow's bicubic filter for 8-bit
images, as in Stein et al.'s code. FD-DINOv2 is the metric `fid` on these features.

The weights are a file of 1.2 GB: the one given as ``dinov2:PATH`` (torch's format or safetensors, with the names of
DINOv2 or timm), else the official one in the data folder, where ``ganbench download dinov2`` puts it. The network comes
from the package timm: ``pip install 'ganbench[timm]'``.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor
from torch.nn.functional import interpolate

from ganbench import Download, Extractor, RemoteFile, hookimpl
from ganbench_baselines.extractor.vit import VisionTransformer, build

MODEL = "vit_large_patch14_dinov2"
SIDE, PATCH = 224, 14
OFFSET = 0.1  # that DINOv2 adds to the size of the grid before it computes by how much positions are stretched
MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
DOWNLOAD = Download(
    "https://github.com/facebookresearch/dinov2",
    "Apache 2.0",
    "Oquab et al. (2023), DINOv2: learning robust visual features without supervision",
    (
        RemoteFile(
            ("https://dl.fbaipublicfiles.com/dinov2/dinov2_vitl14/dinov2_vitl14_pretrain.pth",),
            "sha256:d5383ea8f4877b2472eb973e0fd72d557c7da5d3611bd527ceeb1d7162cbf428",
            "dinov2/dinov2_vitl14_pretrain.pth",
        ),
    ),
    1_217_586_395,
)


class DINOv2(VisionTransformer):
    """``x[B, 1 or 3, H, W]`` in uint8 -> (``features[B, 1024]``, None); ``architecture`` makes the network smaller."""

    name, version = "dinov2", "1"

    def __init__(self, state: Mapping[str, Tensor], **architecture: int) -> None:
        known = {name: value for name, value in state.items() if name != "mask_token"}  # used in training only
        known["pos_embed"] = positions(known["pos_embed"])
        super().__init__(MODEL, known, SIDE, MEAN, STD, **architecture)


def positions(embedded: Tensor) -> Tensor:
    """``[1, 1 + n², d]`` for a grid of n x n patches, 37 in the official file -> ``[1, 257, d]``, as DINOv2 does it.

    timm antialiases here and has no offset, which changes the features.
    """
    token, patches = embedded[:, :1], embedded[:, 1:]
    old, new = round(patches.shape[1] ** 0.5), SIDE // PATCH
    if old == new:
        return embedded
    grid = patches.unflatten(1, (old, old)).movedim(3, 1)
    stretched = interpolate(grid, scale_factor=(new + OFFSET) / old, mode="bicubic")
    return torch.cat([token, stretched.flatten(2).mT], dim=1)


@hookimpl
def ganbench_extractor(argument: str) -> Extractor:
    """DINOv2 with its weights; the module's docstring says where they are looked for."""
    return build(DINOv2, "dinov2", argument, DOWNLOAD)


@hookimpl
def ganbench_download() -> Download:
    """The official weights."""
    return DOWNLOAD
