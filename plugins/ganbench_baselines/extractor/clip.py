"""CLIP ViT-L/14 at 336 pixels (Radford et al. 2021), whose embeddings the metric `cmmd` was made for.

It has 768 features, the embeddings of images before they are scaled to length one. The central square of each image is
resized to 336x336 by Pillow's bicubic filter for 8-bit images, as in the code of CMMD (Jayasumana et al. 2024).

The weights are a file of 1.7 GB: the one given as ``clip:PATH`` (torch's format or safetensors, with the names of
Hugging Face or timm), else the official one in the data folder, where ``ganbench download clip`` puts it. The network
comes from the package timm: ``pip install 'ganbench[timm]'``.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from ganbench import Download, Extractor, RemoteFile, hookimpl
from ganbench_baselines.extractor.vit import VisionTransformer, build

MODEL = "vit_large_patch14_clip_quickgelu_336"
SIDE = 336
MEAN, STD = (0.48145466, 0.4578275, 0.40821073), (0.26862954, 0.26130258, 0.27577711)
DOWNLOAD = Download(
    "https://github.com/openai/CLIP",
    "MIT",
    "Radford et al. (2021), Learning transferable visual models from natural language supervision",
    (
        RemoteFile(
            (
                "https://huggingface.co/openai/clip-vit-large-patch14-336/resolve/"
                "ce19dc912ca5cd21c8a653c79e251e808ccabcd1/pytorch_model.bin",
            ),
            "sha256:c6032c2e0caae3dc2d4fba35535fa6307dbb49df59c7e182b1bc4b3329b81801",
            "clip/clip-vit-large-patch14-336.bin",
        ),
    ),
    1_711_974_081,
)
EMBEDDINGS, PROJECTION = "vision_model.embeddings.", "visual_projection."
TIMMS_NAMES = {
    f"{EMBEDDINGS}patch_embedding.": "patch_embed.proj.",
    "vision_model.pre_layrnorm.": "norm_pre.",
    "vision_model.post_layernorm.": "norm.",
    "vision_model.encoder.layers.": "blocks.",
    ".layer_norm": ".norm",
    ".self_attn.out_proj.": ".attn.proj.",
    ".self_attn.q_proj.": ".attn.qkv.",
    PROJECTION: "head.",
}


class CLIP(VisionTransformer):
    """``x[B, 1 or 3, H, W]`` in uint8 -> (``features[B, 768]``, None); ``architecture`` makes the network smaller."""

    name, version = "clip", "1"

    def __init__(self, state: Mapping[str, Tensor], **architecture: int) -> None:
        known = in_timms_names(state) if f"{PROJECTION}weight" in state else state
        super().__init__(MODEL, known, SIDE, MEAN, STD, num_classes=len(known["head.weight"]), **architecture)

    def look(self, x: Tensor) -> Tensor:
        """Embeddings of the central squares of a mini batch."""
        height, width = x.shape[2:]
        side = min(height, width)
        top, left = (height - side) // 2, (width - side) // 2
        return super().look(x[:, :, top : top + side, left : left + side])


def in_timms_names(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The part of Hugging Face's weights that sees images, under the names, and in the shapes, of timm."""
    seeing = {name: value for name, value in state.items() if name.startswith(("vision_model.", PROJECTION))}
    seeing.pop(f"{EMBEDDINGS}position_ids", None)  # 0, 1, 2, ..., in older files
    found = {
        "cls_token": seeing.pop(f"{EMBEDDINGS}class_embedding")[None, None],
        "pos_embed": seeing.pop(f"{EMBEDDINGS}position_embedding.weight")[None],
        "head.bias": torch.zeros(len(seeing[f"{PROJECTION}weight"])),
    }
    for name in [name for name in seeing if ".q_proj." in name]:
        seeing[name] = torch.cat([seeing[name], *(seeing.pop(name.replace(".q_", f".{key}_")) for key in "kv")])
    for name, value in seeing.items():
        renamed = name
        for theirs, timms in TIMMS_NAMES.items():
            renamed = renamed.replace(theirs, timms)
        found[renamed] = value
    return found


@hookimpl
def ganbench_extractor(argument: str) -> Extractor:
    """CLIP with its weights; the module's docstring says where they are looked for."""
    return build(CLIP, "clip", argument, DOWNLOAD)


@hookimpl
def ganbench_download() -> Download:
    """The weights that OpenAI published on Hugging Face."""
    return DOWNLOAD
