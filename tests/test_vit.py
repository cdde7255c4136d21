"""The extractors dinov2 and clip, small and with random weights, against PyTorch's own transformer layers."""

from __future__ import annotations

import sys
from collections.abc import Callable

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import save_file
from torch import Tensor, nn
from torch.nn.functional import conv2d, gelu, layer_norm

from ganbench.errors import DataError, Unsupported
from ganbench_baselines.extractor import clip, dinov2, vit

WIDTH, DEPTH, HEADS, PATCH, OUT = 16, 2, 2, 14, 6
SMALL = {"embed_dim": WIDTH, "depth": DEPTH, "num_heads": HEADS}
BLOCK = {"norm1": (WIDTH,), "attn.qkv": (3 * WIDTH, WIDTH), "attn.proj": (WIDTH, WIDTH), "norm2": (WIDTH,)}
BLOCK |= {"mlp.fc1": (4 * WIDTH, WIDTH), "mlp.fc2": (WIDTH, 4 * WIDTH)}


def drawn(shapes: dict[str, tuple[int, ...]]) -> dict[str, Tensor]:
    rng = torch.Generator().manual_seed(3)
    return {name: torch.randn(shape, generator=rng) / shape[-1] ** 0.5 for name, shape in shapes.items()}


def with_biases(layers: dict[str, tuple[int, ...]]) -> dict[str, tuple[int, ...]]:
    return {
        f"{name}.{kind}": shape[:end] for name, shape in layers.items() for kind, end in (("weight", 4), ("bias", 1))
    }


def blocks() -> dict[str, tuple[int, ...]]:
    return with_biases({f"blocks.{i}.{name}": shape for i in range(DEPTH) for name, shape in BLOCK.items()})


@pytest.fixture(scope="module")
def of_dinov2() -> dict[str, Tensor]:
    """Weights with the official names; the grid has 20 x 20 patches."""
    shapes = {"cls_token": (1, 1, WIDTH), "pos_embed": (1, 401, WIDTH), "mask_token": (1, WIDTH), **blocks()}
    shapes |= with_biases({"patch_embed.proj": (WIDTH, 3, PATCH, PATCH), "norm": (WIDTH,)})
    return drawn(shapes | {f"blocks.{i}.ls{k}.gamma": (WIDTH,) for i in range(DEPTH) for k in (1, 2)})


@pytest.fixture(scope="module")
def of_clip() -> dict[str, Tensor]:
    """Weights with the names of Hugging Face."""
    inside, block = "vision_model.embeddings.", "vision_model.encoder.layers.{}.{}"
    names = {"norm1": "layer_norm1", "norm2": "layer_norm2", "attn.proj": "self_attn.out_proj"}
    names |= {"mlp.fc1": "mlp.fc1", "mlp.fc2": "mlp.fc2"}
    layers = {block.format(i, new): BLOCK[name] for i in range(DEPTH) for name, new in names.items()}
    layers |= {block.format(i, f"self_attn.{k}_proj"): (WIDTH, WIDTH) for i in range(DEPTH) for k in "qkv"}
    layers |= {f"vision_model.{name}": (WIDTH,) for name in ("pre_layrnorm", "post_layernorm")}
    shapes = {f"{inside}class_embedding": (WIDTH,), f"{inside}position_embedding.weight": (577, WIDTH)}
    shapes |= {f"{inside}patch_embedding.weight": (WIDTH, 3, PATCH, PATCH), "visual_projection.weight": (OUT, WIDTH)}
    unseen = {"text_model.final_layer_norm.weight": (WIDTH,), f"{inside}position_ids": (577,)}
    return drawn(with_biases(layers) | shapes | unseen)


def images(channels: int = 3, height: int = 32, width: int = 32) -> Tensor:
    rng = torch.Generator().manual_seed(5)
    return torch.randint(256, (3, channels, height, width), generator=rng, dtype=torch.uint8)


def pixels(x: Tensor, side: int, mean: tuple[float, ...], std: tuple[float, ...]) -> Tensor:
    """Images as Pillow and the published preprocessing make them."""
    resized = [
        np.asarray(Image.fromarray(one.permute(1, 2, 0).numpy()).resize((side, side), Image.Resampling.BICUBIC))
        for one in x
    ]
    scaled = torch.from_numpy(np.stack(resized)).float() / 255
    return ((scaled - torch.tensor(mean)) / torch.tensor(std)).permute(0, 3, 1, 2)


def layer(weights: dict[str, Tensor], activation: Callable[[Tensor], Tensor], eps: float) -> nn.Module:
    """PyTorch's transformer layer from the weights of one of timm's blocks."""
    judge = nn.TransformerEncoderLayer(
        WIDTH, HEADS, 4 * WIDTH, 0, activation, eps, batch_first=True, norm_first=True
    ).eval()  # fmt: skip
    names = {"norm1": "norm1", "norm2": "norm2", "attn.proj": "self_attn.out_proj"}
    names |= {"mlp.fc1": "linear1", "mlp.fc2": "linear2"}
    state = {f"{new}.{kind}": weights[f"{old}.{kind}"] for old, new in names.items() for kind in ("weight", "bias")}
    state |= {f"self_attn.in_proj_{kind}": weights[f"attn.qkv.{kind}"] for kind in ("weight", "bias")}
    judge.load_state_dict(state)
    return judge


def of_block(state: dict[str, Tensor], i: int) -> dict[str, Tensor]:
    start = f"blocks.{i}."
    return {name.removeprefix(start): value for name, value in state.items() if name.startswith(start)}


def patches(x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
    return conv2d(x, weight, bias, stride=PATCH).flatten(2).mT


def test_dinov2_computes_what_pytorchs_transformer_layers_do(of_dinov2):
    w = of_dinov2
    x = patches(
        pixels(images(), 224, dinov2.MEAN, dinov2.STD), w["patch_embed.proj.weight"], w["patch_embed.proj.bias"]
    )
    x = torch.cat([w["cls_token"].expand(3, -1, -1), x], dim=1) + dinov2.positions(w["pos_embed"])
    for i in range(DEPTH):
        own = of_block(w, i)
        for gamma, scaled in (("ls1.gamma", "attn.proj"), ("ls2.gamma", "mlp.fc2")):
            own[f"{scaled}.weight"] = own[gamma][:, None] * own[f"{scaled}.weight"]
            own[f"{scaled}.bias"] = own[gamma] * own[f"{scaled}.bias"]
        x = layer(own, gelu, 1e-6)(x)
    expected = layer_norm(x[:, 0], (WIDTH,), w["norm.weight"], w["norm.bias"], 1e-6)
    features, logits = dinov2.DINOv2(w, **SMALL)(images())
    assert logits is None
    assert features.shape == (3, WIDTH)
    assert torch.allclose(features, expected, atol=1e-5)
    assert expected.std(dim=0).max() > 1e-3


def test_dinov2_stretches_positions_by_its_own_rule():
    """The cubic follows a slope to 0.06, away from the edges; without the offset, it would be off by 0.2 at the end."""
    slope = torch.arange(37.0)[:, None].expand(37, 37).reshape(1, -1, 1)
    found = dinov2.positions(torch.cat([torch.full((1, 1, 1), 9.0), slope], dim=1))
    expected = (torch.arange(16) + 0.5) * 37 / 16.1 - 0.5
    assert found.shape == (1, 257, 1)
    assert found[0, 0] == 9
    assert torch.allclose(found[0, 1:].reshape(16, 16)[1:-1], expected[1:-1, None].expand(-1, 16), rtol=0, atol=0.06)
    same = torch.randn(1, 257, 2)
    assert dinov2.positions(same) is same


def test_clip_computes_what_pytorchs_transformer_layers_do(of_clip):
    w = of_clip
    x = patches(pixels(images(), 336, clip.MEAN, clip.STD), w["vision_model.embeddings.patch_embedding.weight"], None)
    token = w["vision_model.embeddings.class_embedding"].expand(3, 1, -1)
    x = torch.cat([token, x], dim=1) + w["vision_model.embeddings.position_embedding.weight"]
    x = layer_norm(x, (WIDTH,), w["vision_model.pre_layrnorm.weight"], w["vision_model.pre_layrnorm.bias"])
    for i in range(DEPTH):
        start = f"vision_model.encoder.layers.{i}."
        own = {name.removeprefix(start): value for name, value in w.items() if name.startswith(start)}
        for kind in ("weight", "bias"):
            own[f"attn.qkv.{kind}"] = torch.cat([own[f"self_attn.{k}_proj.{kind}"] for k in "qkv"])
            own[f"attn.proj.{kind}"] = own[f"self_attn.out_proj.{kind}"]
            own |= {f"norm{k}.{kind}": own[f"layer_norm{k}.{kind}"] for k in (1, 2)}
        x = layer(own, lambda y: y * torch.sigmoid(1.702 * y), 1e-5)(x)
    x = layer_norm(x[:, 0], (WIDTH,), w["vision_model.post_layernorm.weight"], w["vision_model.post_layernorm.bias"])
    expected = x @ w["visual_projection.weight"].T
    features, logits = clip.CLIP(w, **SMALL)(images())
    assert logits is None
    assert features.shape == (3, OUT)
    assert torch.allclose(features, expected, atol=1e-5)
    assert expected.std(dim=0).max() > 1e-3


def test_clip_sees_the_central_square(of_clip):
    extractor, wide = clip.CLIP(of_clip, **SMALL), images(width=41)
    assert torch.equal(extractor(wide)[0], extractor(wide[:, :, :, 4:36])[0])


def test_clip_takes_the_names_of_timm_too(of_clip):
    renamed = clip.CLIP(clip.in_timms_names(of_clip), **SMALL)
    assert renamed.tag == clip.CLIP(of_clip, **SMALL).tag
    assert renamed.tag.startswith("clip:")


def test_one_channel_is_three_and_mini_batches_keep_their_order(of_dinov2, monkeypatch):
    extractor, gray = dinov2.DINOv2(of_dinov2, **SMALL), images(channels=1)
    whole = extractor(gray)[0]
    assert torch.equal(whole, extractor(gray.repeat(1, 3, 1, 1))[0])
    monkeypatch.setattr(vit, "MINI_BATCH", 2)
    assert torch.allclose(extractor(gray)[0], whole, atol=1e-5)


@pytest.mark.parametrize("x", [torch.zeros(1, 3, 8, 8), torch.zeros(1, 2, 8, 8, dtype=torch.uint8)])
def test_what_is_no_image_is_refused(of_dinov2, x):
    with pytest.raises(Unsupported, match="dinov2 judges uint8 images"):
        dinov2.DINOv2(of_dinov2, **SMALL)(x)


def test_the_network_of_dinov2_has_as_many_weights_as_the_official_file():
    timm = pytest.importorskip("timm")
    with torch.device("meta"):
        network = timm.create_model(dinov2.MODEL, pretrained=False, img_size=224)
    found = sum(weight.numel() for weight in network.parameters())
    assert found == 304_368_640 - 1024 * (1 + 37**2 - 16**2)  # a mask token, and positions for 518x518 images


class Small(dinov2.DINOv2):
    """What ``build`` makes of a small file."""

    def __init__(self, state: dict[str, Tensor]) -> None:
        super().__init__(state, **SMALL)


def test_weights_come_from_a_path_or_the_data_folder(of_dinov2, tmp_path, monkeypatch):
    monkeypatch.setenv("GANBENCH_DATA", str(tmp_path))
    (tmp_path / "dinov2").mkdir()
    torch.save(of_dinov2, tmp_path / dinov2.DOWNLOAD.files[0].path)
    save_file({name: value.clone() for name, value in of_dinov2.items()}, tmp_path / "w.safetensors")
    tags = {
        vit.build(Small, "small", argument, dinov2.DOWNLOAD).tag for argument in ("", str(tmp_path / "w.safetensors"))
    }
    assert len(tags) == 1


@pytest.mark.parametrize("module", [clip, dinov2])
def test_missing_weights_are_a_sentence_with_the_next_step(module, tmp_path, monkeypatch):
    monkeypatch.setenv("GANBENCH_DATA", str(tmp_path))
    for argument in ("", "nowhere.pth"):
        with pytest.raises(DataError, match=argument or r"weights of '\w+' are not in") as caught:
            module.ganbench_extractor(argument=argument)
        assert "ganbench download" in caught.value.hint
    (tmp_path / "bad.pth").write_bytes(b"not weights")
    torch.save({"pos_embed": torch.zeros(1, 257, 4), "head.weight": torch.zeros(2, 2)}, tmp_path / "other.pth")
    for name, problem in (("bad", "cannot be read as weights"), ("other", "holds weights of another network")):
        with pytest.raises(DataError, match=rf"{name}\.pth' {problem}"):
            module.ganbench_extractor(argument=str(tmp_path / f"{name}.pth"))


def test_without_timm_the_package_to_install_is_named(of_dinov2, monkeypatch):
    monkeypatch.setitem(sys.modules, "timm", None)
    with pytest.raises(DataError, match="'dinov2' needs the package timm") as caught:
        dinov2.DINOv2(of_dinov2, **SMALL)
    assert "ganbench[timm]" in caught.value.hint
