"""Looks for what goes wrong when samples travel: copies, swapped channels, JPEG, missing classes.

Each check compares the samples with what real data would give, so that properties of the data raise no alarm.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterator, Sequence
from itertools import permutations

import torch
from torch import Tensor
from torch.nn.functional import adaptive_avg_pool2d

from ganbench.contracts.data import Dataset, Split, to_signal
from ganbench.errors import listed

COPIES = 0.002
"""A share of copies up to this is not worth a sentence, unless the real data have fewer."""
NEAR = 0.1
"""The share of samples closer to a training image than 99 % of held-out images are, above which they are copies."""
ENOUGH = 100
"""Images of a split that are needed to say how close held-out ones are."""
EXACT, NEARLY = "exact copies of training samples", "nearly copies of a training"
"""What sentences on copies have in common."""
CHANNELS = ("red", "green", "blue")
CLEARER = 4.0
"""Channels count as swapped if another order brings the mean colours so many times closer to those of real images."""
ROUNDED = 9 / 2**15
"""Sounds and points that differ no more than this are the same, stored as WAV, as text, or with half precision: some
steps of 16 bits. For points, it is in units of the standard deviation."""
PLACES = 16
"""The number of values of a sample, those that vary most, by which its nearest neighbour is found."""
BLOCK = 8
"""Pixels a side of the blocks that JPEG compresses."""
SMOOTHED = 0.05
"""By how much the share of small coefficients in JPEG's own blocks exceeds that in shifted ones, if JPEG was used."""
SMALL = 1.5
"""Coefficients up to this count as small; rounding of pixels to 8 bits leaves about 0.3."""
SEEN = 4000
"""Samples that are enough for statistics of colours and coefficients."""
RARE = 0.05
"""A class with less than this share of the samples that it should have is missing."""
MOST_NAMED = 10
"""Missing classes that are named; more are counted."""
EXPECTED = 20.0
"""Samples of a class that must be expected before its absence means anything."""


def faults_of(fake: Split, data: Dataset, classified: Tensor | None) -> list[str]:
    """Sentences on what may be wrong with samples.

    Args:
        fake: the samples as stored, with their labels if they have any.
        data: the real data.
        classified: the class of each sample according to a classifier, ``[N]``; None without one.
    """
    drawn = len(data.spec.shape) in (3, 4) and fake.x.dtype == torch.uint8
    images, hashes = drawn and len(data.spec.shape) == 3, [*_hashes(fake.x)]
    known = {*_hashes(data.train.x)}
    copied = torch.tensor([one in known for one in hashes])
    rounded = _rounded_copies(fake.x, data) & ~copied if fake.x.is_floating_point() else torch.zeros_like(copied)
    return [
        *_copies(copied | rounded, rounded),
        *_duplicates(hashes, data.train.x),
        *(_near_copies(fake.x[~copied], data) if drawn else []),
        *(_swapped_channels(fake.x, data.train.x) if images and data.spec.shape[0] == 3 else []),
        *(_compressed(fake.x[_firsts(hashes)], data.train.x) if images else []),
        *_missing_classes(fake, data, classified),
    ]


def copying(found: Sequence[str]) -> str:
    """The first of the sentences that says that samples are copies of training samples; empty if none does."""
    return next((sentence for sentence in found if EXACT in sentence or NEARLY in sentence), "")


def _hashes(x: Tensor) -> Iterator[bytes]:
    for one in x:
        yield hashlib.blake2b(one.contiguous().numpy().tobytes(), digest_size=16).digest()


def _firsts(hashes: Sequence[bytes]) -> list[int]:
    """The index of the first of all samples with the same content, in their order."""
    return sorted({one: place for place, one in reversed([*enumerate(hashes)])}.values())


def _rounded_copies(fake: Tensor, data: Dataset) -> Tensor:
    """Which samples of floats are training samples but for rounding, ``[N]``; none if held-out ones are as often."""
    scale = 1.0 if data.spec.bounded else float(data.train.x.double().std())
    found = _within(fake, data.train.x, ROUNDED * scale)
    usual = float(_within(data.test.x[:SEEN], data.train.x, ROUNDED * scale).double().mean())
    return found if float(found.double().mean()) > 2 * usual else torch.zeros_like(found)


def _within(x: Tensor, train: Tensor, tolerance: float) -> Tensor:
    """Which samples differ from the nearest training sample by no more than the tolerance in every value, ``[N]``."""
    from scipy.spatial import cKDTree  # takes a moment to import

    flat = train.flatten(1).double()
    places = flat.var(0).topk(min(PLACES, flat.shape[1])).indices
    some = x.flatten(1).double()
    _, nearest = cKDTree(flat[:, places].numpy()).query(
        some[:, places].numpy(), p=math.inf, distance_upper_bound=1.01 * tolerance
    )
    near = torch.from_numpy(nearest) < len(flat)  # the index of none is beyond the last
    near[near.clone()] = (some[near] - flat[nearest[near.numpy()]]).abs().amax(1) <= tolerance
    return near


def _duplicates(hashes: Sequence[bytes], real: Tensor) -> list[str]:
    repeated, usual = len(hashes) - len({*hashes}), len(real) - len({*_hashes(real)})
    if not repeated or repeated / len(hashes) <= max(COPIES, 2 * usual / len(real)):
        return []
    own = f" ({usual:,} of {len(real):,} in the training data)" if usual else ""
    return [f"{repeated:,} of {len(hashes):,} samples repeat another one exactly{own}"]


def _copies(copied: Tensor, rounded: Tensor) -> list[str]:
    """A sentence on copies, ``[N]``, some of which are rounded."""
    copies = int(copied.sum())
    if copies / len(copied) <= COPIES:
        return []
    return [f"{copies:,} of {len(copied):,} samples are {EXACT}{', but for rounding' if rounded.any() else ''}"]


def _near_copies(fake: Tensor, data: Dataset) -> list[str]:
    """Whether many samples are far closer to one training image than to the next ones, which blurring does not change.

    Distances are of images, or of two frames of clips, averaged to 8 x 8 pixels. The ratio of the nearest to the tenth
    nearest distance is small for a copy, but not for a blurred mean. Held-out images give the limit that one in a
    hundred of them falls below.
    """
    train, test = (_small_images(x) for x in (data.train.x, data.test.x[:SEEN]))
    if min(len(train), len(test), len(fake)) < ENOUGH:
        return []
    limit = float(_isolation(test, train).quantile(0.01))
    near = _isolation(_small_images(fake[:SEEN]), train) < limit
    share = float(near.float().mean())
    if share <= NEAR or int(near.sum()) < 5:
        return []
    noun = "image" if data.train.x.ndim == 4 else "clip"
    return [
        f"{100 * share:.0f} % of the samples are {NEARLY} {noun}: much closer to it than to any other; this is true of "
        f"only 1 % of held-out {noun}s"
    ]


def _small_images(x: Tensor) -> Tensor:
    """``[N, C * 64]``: images averaged to 8 x 8 pixels; of clips the first and the last frame, ``[N, C * 2 * 64]``."""
    pictures = x if x.ndim == 4 else x[:, :, [0, -1]].flatten(1, 2)
    parts = (adaptive_avg_pool2d(to_signal(part), 8).flatten(1) for part in pictures.split(SEEN))
    return torch.cat(list(parts))


def _isolation(x: Tensor, train: Tensor) -> Tensor:
    """The distance of each row to its nearest training row over that to its tenth nearest, ``[N]``."""
    found = []
    for part in x.split(500):
        nearest = torch.cdist(part, train, compute_mode="donot_use_mm_for_euclid_dist").topk(10, largest=False).values
        found.append(nearest[:, 0] / nearest[:, -1].clamp(min=1e-6))
    return torch.cat(found)


def _swapped_channels(fake: Tensor, real: Tensor) -> list[str]:
    """Whether another order of channels brings the distribution of mean colours much closer to that of real images."""
    made, true = (_colours(x) for x in (fake, real))
    distances = {order: _distance(made[:, list(order)], true) for order in permutations(range(3))}
    best, usual = min(distances, key=lambda order: distances[order]), (0, 1, 2)
    noise = _distance(true[::2], true[1::2])  # what two halves of the real images differ by
    if best == usual or distances[usual] < CLEARER * max(distances[best], noise):
        return []
    names = listed([CHANNELS[channel] for channel in best])
    return [f"the channels look swapped: in the order {names}, mean colours are much closer to those of real images"]


def _colours(x: Tensor) -> Tensor:
    """The mean and the standard deviation of each channel of some images, ``[N, 3, 2]`` in float64."""
    some = to_signal(x[:SEEN]).double().flatten(2)
    return torch.stack([some.mean(-1), some.std(-1)], dim=-1)


def _distance(one: Tensor, other: Tensor) -> float:
    """Squared distance between means of ``[N, 3, 2]``, in units of the variance of the second set."""
    scale = other.var(0).clamp(min=1e-12)
    return float(((one.mean(0) - other.mean(0)).square() / scale).sum())


def _compressed(fake: Tensor, real: Tensor) -> list[str]:
    """Whether the images, all of them different, were stored as JPEG, while the real ones were not.

    Quantisation makes high frequencies vanish in blocks of 8 x 8 pixels that begin at the image's corner, but not in
    blocks that begin elsewhere.
    """
    if min(fake.shape[-2:]) < 2 * BLOCK or len(fake) < ENOUGH:
        return []
    made, true = (_vanished(x[:SEEN]) for x in (fake, real))
    if made - max(true, 0.0) <= SMOOTHED:
        return []
    return [
        "the samples look as if they had been stored as JPEG: the share of high frequencies that vanish is "
        f"{made:.2f} higher in JPEG's blocks of 8 x 8 pixels than in shifted ones ({true:.2f} in the training data)"
    ]


def _vanished(x: Tensor) -> float:
    """By how much the share of small high-frequency coefficients in JPEG's blocks exceeds that in shifted blocks."""
    light = _light(x)
    return _small_share(light) - _small_share(light[..., BLOCK // 2 :, BLOCK // 2 :])


def _light(x: Tensor) -> Tensor:
    """JPEG's brightness, ``[N, H, W]``, 0 to 255."""
    weights = torch.tensor([0.299, 0.587, 0.114] if x.shape[1] == 3 else [1.0 / x.shape[1]] * x.shape[1])
    return (x.float() * weights[:, None, None]).sum(1)


def _small_share(light: Tensor) -> float:
    height, width = (size // BLOCK * BLOCK for size in light.shape[-2:])
    blocks = light[..., :height, :width].unfold(1, BLOCK, BLOCK).unfold(2, BLOCK, BLOCK)
    blocks = blocks.reshape(-1, BLOCK, BLOCK)
    busy = blocks[blocks.amax((1, 2)) - blocks.amin((1, 2)) > BLOCK]  # flat blocks say nothing
    if not len(busy):
        return 0.0
    transform = _cosines()
    order = torch.arange(BLOCK)
    high = order[:, None] + order >= BLOCK
    found = (transform @ busy @ transform.T)[:, high]
    return float((found.abs() <= SMALL).float().mean())


def _cosines() -> Tensor:
    """The orthonormal discrete cosine transform of 8 values, ``[8, 8]``."""
    k, n = torch.arange(BLOCK)[:, None], torch.arange(BLOCK)
    basis: Tensor = torch.cos(math.pi * (2 * n + 1) * k / (2 * BLOCK)) * (2 / BLOCK) ** 0.5
    basis[0] /= 2**0.5
    return basis


def _missing_classes(fake: Split, data: Dataset, classified: Tensor | None) -> list[str]:
    """Classes that hardly any sample was made for, or looks like."""
    if data.train.labels is None:
        return []
    shares = torch.bincount(data.train.labels, minlength=data.spec.classes).double() / len(data.train)
    told = []
    for what, labels in (("was made for", fake.labels), ("looks like", classified)):
        if labels is None:
            continue
        expected = shares * len(labels)
        counts = torch.bincount(labels, minlength=data.spec.classes)
        gone = [k for k in range(len(shares)) if expected[k] >= EXPECTED and counts[k] < RARE * expected[k]]
        if gone:
            told.append(f"hardly any sample {what} {_classes(gone, data)}")
    return told


def _classes(gone: Sequence[int], data: Dataset) -> str:
    """``class 'cat'``; ``the classes 'cat' and 'dog'``; only the first of many."""
    if len(gone) == 1:
        return data.class_title(gone[0])
    names = [f"'{data.class_names[k]}'" if data.class_names else str(k) for k in gone[:MOST_NAMED]]
    more = [f"{len(gone) - MOST_NAMED:,} more"] if len(gone) > MOST_NAMED else []
    return f"the classes {listed([*names, *more])}"
