"""Small files in the formats of well-known sets of images, as their authors publish and torchvision stores them."""

from __future__ import annotations

import gzip
import pickle
import pickletools
from pathlib import Path

import numpy as np
import scipy.io
from PIL import Image

SETS = ("mnist", "mnist-10k", "fashion-mnist", "kmnist", "cifar10", "cifar100", "svhn", "stl10")
TRAIN, TEST = 60, 40
IDX_FOLDERS = {"mnist": "MNIST/raw", "fashion-mnist": "FashionMNIST/raw", "kmnist": "KMNIST/raw"}


def pixels(n: int, *shape: int, seed: int = 0) -> np.ndarray:
    """Random bytes ``[n, *shape]``, all different."""
    return np.random.default_rng(seed).integers(0, 256, (n, *shape), dtype=np.uint8)


def labels(n: int, classes: int) -> np.ndarray:
    """``[n]``: every class in turn."""
    return (np.arange(n) % classes).astype(np.uint8)


def idx(array: np.ndarray) -> bytes:
    """A file of MNIST."""
    return bytes([0, 0, 8, array.ndim]) + np.array(array.shape, ">u4").tobytes() + array.tobytes()


def write_idx(folder: Path, *, compressed: bool = False) -> None:
    """The four files of MNIST."""
    folder.mkdir(parents=True, exist_ok=True)
    for part, n, seed in (("train", TRAIN, 0), ("t10k", TEST, 1)):
        for name, array in (("images-idx3", pixels(n, 28, 28, seed=seed)), ("labels-idx1", labels(n, 10))):
            content = idx(array)
            path = folder / f"{part}-{name}-ubyte{'.gz' if compressed else ''}"
            path.write_bytes(gzip.compress(content) if compressed else content)


def as_python_2(held: object) -> bytes:
    """A pickle whose bytes are the strings of Python 2, in which CIFAR's authors wrote theirs."""
    written = bytearray(pickle.dumps(held, protocol=3))
    opcodes = {"PROTO": b"\x80\x02", "SHORT_BINBYTES": b"U", "BINBYTES": b"T"}
    for opcode, _, position in pickletools.genops(bytes(written)):
        new = opcodes.get(opcode.name, b"")
        written[position : position + len(new)] = new
    return bytes(written).replace(b"numpy._core.multiarray\n", b"numpy.core.multiarray\n")  # its name in numpy 1


def write_batches(folder: Path) -> None:
    """CIFAR-10's six batches."""
    folder.mkdir(parents=True, exist_ok=True)
    for seed, name in enumerate([*(f"data_batch_{number}" for number in range(1, 6)), "test_batch"]):
        held = {b"data": pixels(20, 3072, seed=seed), b"labels": labels(20, 10).tolist(), b"batch_label": b"one of six"}
        (folder / name).write_bytes(as_python_2(held))


def write_cifar100(folder: Path) -> None:
    """CIFAR-100's two batches."""
    folder.mkdir(parents=True, exist_ok=True)
    for seed, (name, n) in enumerate((("train", 200), ("test", 100))):
        fine = labels(n, 100)
        held = {
            b"data": pixels(n, 3072, seed=seed),
            b"fine_labels": fine.tolist(),
            b"coarse_labels": (fine // 5).tolist(),
        }
        (folder / name).write_bytes(as_python_2(held))


def write_svhn(folder: Path) -> None:
    """SVHN's cropped digits, where the label of 0 is 10."""
    folder.mkdir(parents=True, exist_ok=True)
    for seed, (name, n) in enumerate((("train", TRAIN), ("test", TEST))):
        digits = labels(n, 10)
        stored = {
            "X": pixels(n, 32, 32, 3, seed=seed).transpose(1, 2, 3, 0),
            "y": np.where(digits == 0, 10, digits)[:, None],
        }
        scipy.io.savemat(folder / f"{name}_32x32.mat", stored)


def write_stl10(folder: Path) -> None:
    """STL-10's binary files: channels, then columns, then rows."""
    folder.mkdir(parents=True, exist_ok=True)
    for seed, (name, n) in enumerate((("unlabeled_X", TRAIN), ("test_X", TEST))):
        stored = pixels(n, 96, 96, 3, seed=seed).transpose(0, 3, 2, 1)
        (folder / f"{name}.bin").write_bytes(np.ascontiguousarray(stored).tobytes())


def write_all(root: Path) -> Path:
    """Every set, in torchvision's folders."""
    for folder in IDX_FOLDERS.values():
        write_idx(root / folder)
    write_batches(root / "cifar-10-batches-py")
    write_cifar100(root / "cifar-100-python")
    write_svhn(root / "svhn")
    write_stl10(root / "stl10_binary")
    return root


def write_faces(root: Path) -> Path:
    """CelebA and FFHQ, of which few images are here: training, selection and test, or training and test."""
    rng = np.random.default_rng(0)

    def write(path: Path, *shape: int) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(rng.integers(0, 256, (*shape, 3), dtype=np.uint8)).save(path)

    parts = "0" * 20 + "1" * 5 + "2" * 10
    for number in range(1, len(parts) + 1):
        write(root / "celeba" / "img_align_celeba" / f"{number:06}.jpg", 218, 178)
    lines = [f"{number:06}.jpg {part}\n" for number, part in enumerate(parts, 1)]
    (root / "celeba" / "list_eval_partition.txt").write_text("".join(lines))
    for number in (*range(20), *range(60_000, 60_010)):
        write(root / "ffhq" / f"{number // 1000:02}000" / f"{number:05}.png", 32, 32)
    return root
