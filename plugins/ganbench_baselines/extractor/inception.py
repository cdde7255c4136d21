"""Inception v3 (Szegedy et al. 2016) with the TensorFlow weights that most papers use for FID, by torch-fidelity.

It has 2,048 features and the unbiased logits of 1,008 classes. Images are resized to 299x299 as in TensorFlow 1
(bilinear, no antialiasing), and a single channel is repeated to three. `inception-clean` resizes as clean-fid does.

The weights are a 96 MB file: the one given as ``inception:PATH``, else the one in the environment variable
GANBENCH_INCEPTION, else the official one in the data folder, where ``ganbench download inception`` puts it, or in torch
hub's cache. If both lack it, it is downloaded to the cache, unless GANBENCH_OFFLINE is set.
"""

from __future__ import annotations

import hashlib
import os
import sys
from io import BytesIO
from pathlib import Path

import torch
from torch import Tensor
from torch_fidelity.feature_extractor_inceptionv3 import URL_INCEPTION_V3, FeatureExtractorInceptionV3

from ganbench import DataError, Download, Extractor, RemoteFile, Unsupported, data_folder, hookimpl

VARIABLE = "GANBENCH_INCEPTION"
OFFLINE = "GANBENCH_OFFLINE"
HINT = (
    "`ganbench download inception` fetches them; "
    f"or download {URL_INCEPTION_V3} to {{target}}, or name a copy: {{name}}:PATH or {VARIABLE}=PATH"
)
FILE = URL_INCEPTION_V3.rpartition("/")[2]
MIRROR = "https://github.com/mseitzer/pytorch-fid/releases/download/fid_weights/pt_inception-2015-12-05-6726825d.pth"
FOLDER = "inception"
SHA256_START = "6726825d"
MINI_BATCH = 32  # at 299x299, a batch of 500 needs more than 5 GB of activations
ON_A_GPU = 125  # 32 do not keep a large one busy


class Inception(Extractor):
    """``x[B, 1 or 3, H, W]`` in uint8 -> (``features[B, 2048]``, ``logits[B, 1008]``).

    Accepts any weights for this network; their hash is part of every score's name.
    """

    name, version = "inception", "1"

    def __init__(self, state: dict[str, Tensor]) -> None:
        super().__init__()
        # torch-fidelity unpickles any file, so it gets a copy of the tensors that were already checked
        copy = BytesIO()
        torch.save(state, copy)
        copy.seek(0)
        self.network = FeatureExtractorInceptionV3(
            "inception-v3-compat", ["2048", "logits_unbiased"], feature_extractor_weights_path=copy
        )
        self.network.to(memory_format=torch.channels_last)  # 1.3 to 1.7 times as fast on a CPU, equal to within 6e-7

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Features and logits; ``Unsupported`` for anything but uint8 images."""
        if x.ndim != 4 or x.shape[1] not in (1, 3) or x.dtype != torch.uint8:
            raise Unsupported(f"{self.name} judges uint8 images of one or three channels")
        parts = [self.look(part.expand(-1, 3, -1, -1)) for part in x.split(ON_A_GPU if x.is_cuda else MINI_BATCH)]
        features, logits = zip(*parts, strict=True)
        return torch.cat(features), torch.cat(logits)

    def look(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Features and logits of a mini batch of RGB images."""
        return self.network(x)


def find_weights(argument: str, name: str = Inception.name) -> tuple[Path, bool]:
    """(weights file, whether it must be the official one), for the extractor of that name.

    Raises:
        DataError: the file does not exist, or the official one cannot be downloaded.
    """
    for path, named_in in ((argument, f"{name}:PATH"), (os.environ.get(VARIABLE, ""), VARIABLE)):
        if path:
            file = Path(path).expanduser()
            if not file.is_file():
                raise DataError(f"the Inception weights '{file}' do not exist", f"check the path in {named_in}")
            return file, False
    if (fetched := data_folder() / FOLDER / FILE).is_file():
        return fetched, True
    cached = Path(torch.hub.get_dir()) / "checkpoints" / FILE
    if not cached.is_file() and os.environ.get(OFFLINE):
        raise DataError(f"the Inception weights {FILE} are not on this machine", HINT.format(target=cached, name=name))
    if not cached.is_file():
        _download(cached, name)
    return cached, True


def _download(target: Path, name: str) -> None:
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        torch.hub.download_url_to_file(URL_INCEPTION_V3, str(target), SHA256_START, sys.stderr.isatty())
    except (OSError, RuntimeError) as error:  # no network or no disk space; a wrong hash is a RuntimeError
        raise DataError(
            f"the Inception weights {FILE} are not on this machine and cannot be downloaded ({error})",
            HINT.format(target=target, name=name),
        ) from error


def read_weights(file: Path, official: bool) -> dict[str, Tensor]:
    """Load tensors and nothing else (``weights_only``), on the CPU regardless of where they were saved.

    Raises:
        DataError: the file is damaged, or is not the official one although it has to be.
    """
    content = file.read_bytes()
    found = hashlib.sha256(content).hexdigest()
    if official and not found.startswith(SHA256_START):
        raise DataError(
            f"'{file}' is damaged: its sha256 begins with {found[:8]}, not {SHA256_START}",
            "delete it, and it will be downloaded again",
        )
    try:
        return torch.load(BytesIO(content), map_location="cpu", weights_only=True)
    except Exception as error:  # the unpickler may raise anything
        raise DataError(
            f"'{file}' cannot be read as weights ({type(error).__name__})",
            f"replace it with {URL_INCEPTION_V3}",
        ) from error


def build(kind: type[Inception], argument: str) -> Inception:
    """Inception with its weights; the module's docstring says where they are looked for.

    Raises:
        DataError: they are missing, damaged, or those of another network.
    """
    file, official = find_weights(argument, kind.name)
    state = read_weights(file, official)
    try:
        return kind(state)
    except Exception as error:  # not a dictionary, or not for this network
        raise DataError(
            f"'{file}' holds weights of another network ({str(error).splitlines()[0]})",
            f"use Inception v3 with torch-fidelity's layer names: {URL_INCEPTION_V3}",
        ) from error


@hookimpl
def ganbench_extractor(argument: str) -> Extractor:
    """Inception as torch-fidelity has it."""
    return build(Inception, argument)


@hookimpl
def ganbench_download() -> Download:
    """The official weights, from torch-fidelity, or else the same file from pytorch-fid."""
    return Download(
        "https://github.com/toshas/torch-fidelity",
        "Apache 2.0",
        "Szegedy et al. (2016), Rethinking the Inception architecture for computer vision",
        (RemoteFile((URL_INCEPTION_V3, MIRROR), f"sha256:{SHA256_START}", f"{FOLDER}/{FILE}"),),
        96_000_000,
    )
