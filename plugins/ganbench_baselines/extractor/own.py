"""Extractor for your own data, fitted to their training split in seconds: `own:FILE`; at most 64 features.

It suits images and sounds for which no network was trained, and data sets of a few hundred samples, for which a Fréchet
distance between Inception's 2,048 features would be mostly bias. It trains no network either. It computes

* the responses of 5x5 filters at the two finest resolutions up to 64 pixels, as the logarithm of the mean absolute
  response in each quarter of the image. Some filters are learnt from patches (spherical k-means on whitened patches,
  Coates and Ng 2012), others are random (in the same whitened space, so that rare fine structure has equal weight);
* the energy of each band of a Laplacian pyramid, from the full resolution down;
* a thumbnail, and the mean, spread and balance of the colours.

These values are standardised, projected on principal directions, and whitened. Another feature is how unusual a sample
is (the logarithm of its mean squared deviation), because faults may lie outside all directions in which real samples
vary. In total, there is one feature per eight training samples. If the data have classes, and a logistic regression on
these features predicts those of held-out samples well enough, it becomes the classifier, and its probabilities replace
the last directions. Sounds are treated as images of their spectrograms.

``ganbench new-protocol`` fits it and writes the file (safetensors, so nothing is unpickled). On one machine, the same
data give the same file.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from safetensors import SafetensorError
from safetensors.torch import load, save
from torch import Tensor
from torch.nn.functional import adaptive_avg_pool2d, avg_pool2d, conv2d, interpolate, normalize

from ganbench import DataError, Dataset, Split, TrainedExtractor, Unsupported, hookimpl, to_signal
from ganbench_baselines.metric.guessing import doubts_of_guessing

SEED = 0
MOST_FEATURES, PER_FEATURE = 64, 8  # training samples
FEWEST = 2 * PER_FEATURE
MOST_SAMPLES = 4000  # used for fitting: enough for 64 features
PATCH, PATCHES, LEARNT, RANDOM, ROUNDS = 5, 10_000, 24, 16, 8
SIDES, SCALES = (8, 64), 2  # smallest and largest side for filters, and the number of resolutions
WINDOW, PICTURE = 256, 64  # samples in a spectrogram's window, and the largest number of frames and bands
CLASS_SPREAD = 0.5  # of a class probability; other features have 1, since probabilities are noisier
STRENGTH = 1e-2  # the classifier's weight decay, per sample
FOLDS = 5
LARGEST_FILE = 64 << 20
HINT = "`ganbench new-protocol mine.toml --images FOLDER` trains one and names its file"


class Own(TrainedExtractor):
    """Images or sounds as stored, ``x[B, *shape]`` -> (``features[B, d]``, ``logits[B, K]`` or None)."""

    name, version = "own", "1"

    def __init__(self) -> None:
        super().__init__()
        self.trained = False

    def fit(self, dataset: Dataset) -> None:
        """Learn filters, directions and, if there are classes, a classifier from the training split.

        Raises:
            Unsupported: the data are neither images of at least 8x8 pixels nor sounds of at least 256 samples.
            DataError: there are fewer than 16 training samples, or they do not vary.
        """
        _refuse_shape(dataset.spec.shape)
        with _one_thread(), torch.no_grad():
            rng = torch.Generator().manual_seed(SEED)
            train = dataset.train[torch.randperm(len(dataset.train), generator=rng)[:MOST_SAMPLES]]
            if len(train) < FEWEST:
                raise DataError(f"{dataset.name} has {len(train)} training samples; a judge needs {FEWEST}", "add some")
            found: dict[str, Tensor] = {"shape": torch.tensor(dataset.spec.shape)}
            for number, level in enumerate(_seen_by_filters(_pyramid(_picture(train.x[: PATCHES // 10])))):
                found[f"filters{number}"] = filters(level, rng)
            self._take(found)
            found |= _directions(self._looks(train.x))
            self._take(found | {"energy": torch.tensor([0.0, 1.0], dtype=torch.float64)})
            energy = self._projected(train.x)[:, 0]
            found["energy"] = torch.stack([energy.mean(), energy.std() + 1e-3])
            self._take(found)
            self._take(found | _classifier(self._projected(train.x), train, dataset))

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor | None]:
        """Features in float64, and logits; ``Unsupported`` before training, or for samples of another shape."""
        if not self.trained:
            raise Unsupported("the extractor 'own' is not trained yet", HINT)
        wanted = tuple(self.get_buffer("shape").tolist())
        if tuple(x.shape[1:]) != wanted:
            given, own = ("x".join(map(str, shape)) for shape in (x.shape[1:], wanted))
            raise Unsupported(f"this judge was trained on samples of {own}, not of {given}", f"train one anew: {HINT}")
        features = self._projected(x)
        if "weights" not in self._buffers:
            return features, None
        logits = _logits(features, self.get_buffer("weights"))
        mean, std = self.get_buffer("probability_mean"), self.get_buffer("probability_std")
        probabilities = (logits.softmax(dim=1)[:, : len(mean)] - mean) / std
        return torch.cat([features[:, : features.shape[1] - len(mean)], probabilities], dim=1), logits

    def to_bytes(self) -> bytes:
        """The extractor's tensors as safetensors."""
        return save({name: value.contiguous() for name, value in self.state_dict().items()}, {"format": "own 1"})

    def restore(self, state: Mapping[str, Tensor]) -> None:
        """Load the tensors of a file.

        Raises:
            ValueError, RuntimeError, KeyError: they do not make up such an extractor.
        """
        shape = tuple(state["shape"].tolist())
        _refuse_shape(shape)
        if not {"filters0", "mean", "std", "directions", "energy"} <= state.keys():
            raise ValueError("tensors are missing")
        if not all(bool(value.isfinite().all()) for value in state.values()):
            raise ValueError("numbers are not finite")
        self._take(state)
        self(torch.zeros(1, *shape))

    def _take(self, state: Mapping[str, Tensor]) -> None:
        for name, value in state.items():
            self.register_buffer(name, value.clone())
        if "names" in state:
            self.class_names = tuple(json.loads(bytes(state["names"].tolist())))
        self.confusion = state.get("confusion_counts")
        self.trained = "directions" in state

    def _looks(self, x: Tensor) -> Tensor:
        return torch.cat([self._look(part) for part in x.split(100)])  # a batch of 500 large images would take a GB

    def _look(self, x: Tensor) -> Tensor:
        """``x[B, *shape] -> looks[B, D]`` in float64: all the values listed above."""
        picture = _picture(x)
        levels = _pyramid(picture)
        seen = [
            adaptive_avg_pool2d(conv2d(level, self.get_buffer(f"filters{number}")).abs(), 2).add(0.1).log().flatten(1)
            for number, level in enumerate(_seen_by_filters(levels))
        ]
        return torch.cat([*seen, *_bands(levels), *_colours(picture)], dim=1).double()

    def _projected(self, x: Tensor) -> Tensor:
        """How unusual each sample is, and its coordinates along the principal directions: ``[B, d]``."""
        deviations = (self._looks(x) - self.get_buffer("mean")) / self.get_buffer("std")
        energy = (deviations.square().mean(dim=1, keepdim=True) + 1e-6).log()
        mean, std = self.get_buffer("energy")
        return torch.cat([(energy - mean) / std, deviations @ self.get_buffer("directions")], dim=1)


# -- the values computed from a sample ---------------------------------------------------------------------------------


def _refuse_shape(shape: tuple[int, ...]) -> None:
    """Raise Unsupported for anything but images and sounds above a minimum size."""
    image = len(shape) == 3 and shape[0] in (1, 3) and min(shape[1:]) >= SIDES[0]
    if not image and not (len(shape) == 2 and shape[1] >= WINDOW):
        raise Unsupported(
            f"'own' judges images of at least {SIDES[0]}x{SIDES[0]} pixels and sounds of at least {WINDOW} samples, "
            f"not samples of {'x'.join(map(str, shape))}",
            "points are best judged by 'raw'",
        )


def _picture(x: Tensor) -> Tensor:
    """Images in [-1, 1]; sounds ``x[B, C, T]`` as logarithmic spectrograms ``[B, C, bands, frames]`` on that scale."""
    x = to_signal(x)
    if x.ndim == 4:
        return x
    hop = max(WINDOW // 4, x.shape[-1] // PICTURE)
    window = torch.hann_window(WINDOW, device=x.device)
    spectra = torch.stft(x.flatten(0, 1), WINDOW, hop, window=window, return_complex=True).abs()
    frames = min(PICTURE, max(SIDES[0], spectra.shape[-1]))
    picture = adaptive_avg_pool2d((spectra + 1e-3).log().unsqueeze(1), (PICTURE, frames)) / 6
    return picture.reshape(*x.shape[:2], PICTURE, frames)


def _pyramid(picture: Tensor) -> list[Tensor]:
    """The picture, and its successive halvings down to a side of 4 to 7."""
    levels = [picture]
    while min(levels[-1].shape[-2:]) >= SIDES[0]:
        levels.append(avg_pool2d(levels[-1], 2))
    return levels


def _seen_by_filters(levels: list[Tensor]) -> list[Tensor]:
    """The finest levels of a size that filters are applied to."""
    low, high = SIDES
    return [level for level in levels if low <= min(level.shape[-2:]) and max(level.shape[-2:]) <= high][:SCALES]


def _bands(levels: list[Tensor]) -> Iterator[Tensor]:
    """The logarithm of the energy that each halving removes from each channel, ``[B, C]``."""
    for fine, coarse in pairwise(levels):
        height, width = (2 * side for side in coarse.shape[-2:])
        lost = fine[..., :height, :width] - interpolate(coarse, scale_factor=2.0)
        yield (lost.square().mean(dim=(2, 3)) + 1e-4).log()


def _colours(picture: Tensor) -> Iterator[Tensor]:
    """A thumbnail, then mean, spread and balance of the channels."""
    mean = picture.mean(dim=(2, 3))
    yield adaptive_avg_pool2d(picture, 4).flatten(1)
    yield mean
    yield (picture.var(dim=(2, 3)) + 1e-3).log()
    yield mean[:, 1:] - mean[:, :-1]


# -- what is learnt ----------------------------------------------------------------------------------------------------


def filters(level: Tensor, rng: torch.Generator) -> Tensor:
    """``level[N, C, H, W] -> [F, C, 5, 5]``: filters learnt from its patches, then random ones, in whitened space."""
    places = level.unfold(2, PATCH, 1).unfold(3, PATCH, 1)  # a view: [N, C, h, w, 5, 5]
    number, channels, height, width = places.shape[:4]
    index = [torch.randint(side, (PATCHES,), generator=rng) for side in (number, height, width)]
    patches = places[index[0], :, index[1], index[2]].flatten(1).double()
    patches -= patches.mean(dim=0)
    values, vectors = torch.linalg.eigh(patches.T @ patches / PATCHES)
    whitening = vectors * (values + 0.01 * values.mean() + 1e-4).rsqrt() @ vectors.T
    random = torch.linalg.qr(torch.randn(len(values), len(values), generator=rng, dtype=torch.float64)).Q[:RANDOM]
    chosen = torch.cat([_centres(normalize(patches @ whitening), rng), random])
    return (chosen @ whitening).reshape(-1, channels, PATCH, PATCH).float()


def _centres(patches: Tensor, rng: torch.Generator) -> Tensor:
    """Spherical k-means that treats a patch and its negative as equal: ``patches[N, p] -> [24, p]``."""
    centres = patches[torch.randperm(len(patches), generator=rng)[:LEARNT]]
    for _ in range(ROUNDS):
        likeness = patches @ centres.T
        nearest = likeness.abs().argmax(dim=1)
        signed = patches * likeness.gather(1, nearest.unsqueeze(1)).sign()
        centres = normalize(torch.zeros_like(centres).index_add_(0, nearest, signed) + 1e-6 * centres)
    return centres


def _directions(looks: Tensor) -> dict[str, Tensor]:
    """Mean, spread, and the whitened principal directions ``[D, d]`` of ``looks[N, D]``.

    Raises:
        DataError: the looks do not vary.
    """
    mean, std = looks.mean(dim=0), looks.std(dim=0) + 1e-3
    _, values, vectors = torch.linalg.svd((looks - mean) / std, full_matrices=False)
    wanted = min(MOST_FEATURES, len(looks) // PER_FEATURE) - 1
    kept = min(wanted, int((values > 1e-6 * values[0]).sum()))
    if values[0] < 1e-3 or kept < 1:
        raise DataError("the training samples are all alike", "choose data that vary")
    return {"mean": mean, "std": std, "directions": vectors[:kept].T / values[:kept] * len(looks) ** 0.5}


class _Learnt(NamedTuple):
    """The weights of a linear classifier, ``[d + 1, K]``, and its confusion matrix ``[K, K]`` on held-out samples."""

    weights: Tensor
    confusion: Tensor


def _classifier(features: Tensor, train: Split, dataset: Dataset) -> dict[str, Tensor]:
    """The tensors of the classifier to store; none if it is not good enough."""
    learnt = None if train.labels is None else _learnt(features, train.labels, dataset.spec.classes)
    if learnt is None:
        return {}
    probabilities = _logits(features, learnt.weights).softmax(dim=1)
    places = learnt.weights.shape[1] - 1  # the last probability follows from the others
    if 2 * places > features.shape[1]:
        places = 0  # with that many classes, the directions are worth more
    names = json.dumps(dataset.class_names).encode()
    return {
        "weights": learnt.weights,
        "confusion_counts": learnt.confusion,
        "probability_mean": probabilities[:, :places].mean(dim=0),
        "probability_std": (probabilities[:, :places].std(dim=0) + 1e-3) / CLASS_SPREAD,
        "names": torch.tensor(list(names), dtype=torch.uint8),
    }


def _learnt(features: Tensor, labels: Tensor, classes: int) -> _Learnt | None:
    """A logistic regression, if it is much better than guessing."""
    from sklearn.linear_model import LogisticRegression  # takes a second to import
    from sklearn.model_selection import StratifiedKFold, cross_val_predict

    x, y = features.numpy(), labels.numpy()
    fewest = int(np.bincount(y, minlength=classes).min())
    if classes < 2 or fewest < 2:
        return None
    model = LogisticRegression(C=1 / (2 * STRENGTH * len(x)), max_iter=1000)
    folds = StratifiedKFold(min(FOLDS, fewest), shuffle=True, random_state=SEED)
    said = torch.from_numpy(cross_val_predict(model, x, y, cv=folds))
    if doubts_of_guessing((said == labels).double().mean().item(), labels, "it"):
        return None
    model.fit(x, y)
    weights = torch.from_numpy(np.vstack([model.coef_.T, model.intercept_]))
    if classes == 2:  # only the second class has weights
        weights = torch.cat([-weights / 2, weights / 2], dim=1)
    return _Learnt(weights, torch.bincount(classes * labels + said, minlength=classes**2).reshape(classes, classes))


def _logits(features: Tensor, weights: Tensor) -> Tensor:
    return features @ weights[:-1] + weights[-1]


@contextmanager
def _one_thread() -> Iterator[None]:
    """Use one thread: more threads add up in a different order, which changes the last bits."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


# -- the file ----------------------------------------------------------------------------------------------------------


def read(file: Path) -> Own:
    """Load an extractor from a file.

    Raises:
        DataError: the file does not exist, or is damaged.
    """
    if not file.is_file():
        raise DataError(f"the judge '{file}' does not exist", f"check the path after 'own:'; {HINT}")
    own = Own()
    try:
        if file.stat().st_size > LARGEST_FILE:
            raise ValueError(f"it is larger than {LARGEST_FILE >> 20} MB")
        own.restore(load(file.read_bytes()))
    except (OSError, SafetensorError, ValueError, RuntimeError, KeyError, TypeError, Unsupported) as error:
        why = " ".join(str(error).split()) or type(error).__name__
        raise DataError(f"'{file}' is no judge of 'own', or is damaged ({why[:200]})", HINT) from error
    return own


@hookimpl
def ganbench_extractor(argument: str) -> TrainedExtractor:
    """The extractor in the file ``argument``; without an argument, one that is still to be fitted."""
    return read(Path(argument).expanduser()) if argument else Own()
