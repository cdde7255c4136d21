"""Parts shared by `dinov2` and `clip`: vision transformers of the package timm, with weights from a file."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

import torch
from safetensors.torch import load_file
from torch import Tensor, nn

from ganbench import DataError, Download, Extractor, Unsupported, data_folder
from ganbench_baselines.extractor.resizing import as_bytes

MINI_BATCH = 32  # at 336x336, the activations of a batch of 500 would need 10 GB
ON_A_GPU = 125  # 32 do not keep a large one busy


class VisionTransformer(Extractor):
    """``x[B, 1 or 3, H, W]`` in uint8 -> (``features[B, d]``, None).

    Images are resized to ``side`` x ``side`` by Pillow's bicubic filter for 8-bit images, scaled to [0, 1], and
    standardised by ``mean`` and ``std`` of red, green and blue. A single channel is repeated to three.

    Args:
        model: the name of the network in timm.
        state: its weights. Their hash is part of every score's name.
        side: of the images that it sees, in pixels.
        mean: subtracted from each channel.
        std: by which each channel is divided.
        architecture: further arguments of the network.

    Raises:
        DataError: timm is not installed.
        RuntimeError: the weights are those of another network.
    """

    mean: Tensor
    std: Tensor

    def __init__(
        self,
        model: str,
        state: Mapping[str, Tensor],
        side: int,
        mean: Sequence[float],
        std: Sequence[float],
        **architecture: Any,
    ) -> None:
        super().__init__()
        try:
            import timm
        except ImportError as error:
            raise DataError(
                f"the extractor '{self.name}' needs the package timm", "pip install 'ganbench[timm]'"
            ) from error
        with torch.device("meta"):  # drawing 300 million numbers, to replace them, would take seconds
            self.network: nn.Module = timm.create_model(model, pretrained=False, img_size=side, **architecture)
        self.network.load_state_dict({name: value.float() for name, value in state.items()}, assign=True)
        self.side = side
        self.register_buffer("mean", torch.tensor(mean)[:, None, None])
        self.register_buffer("std", torch.tensor(std)[:, None, None])
        self.eval().requires_grad_(False)

    def forward(self, x: Tensor) -> tuple[Tensor, None]:
        """Features; ``Unsupported`` for anything but uint8 images."""
        if x.ndim != 4 or x.shape[1] not in (1, 3) or x.dtype != torch.uint8:
            raise Unsupported(f"{self.name} judges uint8 images of one or three channels")
        return torch.cat([self.look(part) for part in x.split(ON_A_GPU if x.is_cuda else MINI_BATCH)]), None

    def look(self, x: Tensor) -> Tensor:
        """Features of a mini batch."""
        pixels = as_bytes(x, self.side).float() / 255
        return self.network((pixels - self.mean) / self.std)


V = TypeVar("V", bound=VisionTransformer)


def build(kind: Callable[[Mapping[str, Tensor]], V], name: str, argument: str, download: Download) -> V:
    """An extractor with the weights that its argument names, or else those in the data folder; nothing is downloaded.

    Raises:
        DataError: timm or the weights are missing, or they are damaged or those of another network.
    """
    how = f"`ganbench download {name}` fetches them; or name a copy: {name}:PATH"
    path = Path(argument).expanduser() if argument else data_folder() / download.files[0].path
    if not path.is_file():
        raise DataError(f"the weights of '{name}' are not in '{path}'", how)
    state = read_weights(path, how)
    try:
        return kind(state)
    except (AttributeError, KeyError, RuntimeError, TypeError, ValueError) as error:
        raise DataError(f"'{path}' holds weights of another network ({str(error).splitlines()[0]})", how) from error


def read_weights(path: Path, how: str) -> Mapping[str, Tensor]:
    """Load tensors and nothing else: from a safetensors file, or one of torch's by ``weights_only``.

    Raises:
        DataError: the file is damaged or holds something else; ``how`` says how to get the right one.
    """
    try:
        if path.suffix == ".safetensors":
            return load_file(path)
        return torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # the unpickler may raise anything
        raise DataError(f"'{path}' cannot be read as weights ({type(error).__name__})", how) from error
