"""What to say of something that no reader takes for samples: what it is, and what to give instead."""

from __future__ import annotations

import ast
from collections import Counter
from pathlib import Path

from ganbench.contracts.data import DataSpec
from ganbench.errors import DataError, listed, plural

FORMS = (
    "give a folder, .zip or .tar of images, a folder of WAV files, an array (.npy, .npz, .pt, .safetensors), "
    "a generator (.pt of TorchScript, .onnx), or path/file.py:function"
)
KINDS = {1: "points", 2: "sounds", 3: "images", 4: "clips"}
WANTED = {
    1: "give an array [N, {0}], as .npy or .npz, or a .csv with one point per line",
    2: "give a folder of WAV files, or an array [N, {0}], as .npy or .npz",
    3: "give a folder, .zip or .tar of images, or an array [N, {0}], as .npy or .npz",
    4: "give a folder of animations, or an array [N, {0}], as .npy or .npz",
}
"""What to give, by the number of axes of a sample."""
IMAGES = (".png", ".jpg", ".jpeg", ".webp", ".bmp", ".tif", ".tiff")
ANIMATIONS, SOUNDS, TABLES = (".gif", ".apng"), (".wav", ".wave"), (".csv", ".tsv", ".txt")
PICKLES = (".pkl", ".pickle", ".joblib")
FEW = 5


def unreadable(path: Path, data: DataSpec | None) -> DataError:
    """The error for a file or a folder that exists, but that nothing reads.

    Args:
        path: the file or the folder.
        data: the format of the protocol's samples; None if there is no protocol.
    """
    hint = FORMS if data is None else WANTED.get(len(data.shape), FORMS).format(", ".join(map(str, data.shape)))
    kind = "samples" if data is None else KINDS.get(len(data.shape), "samples")
    if path.is_dir():
        return DataError(_of_folder(path, kind), hint)
    if path.suffix.lower() == ".py":
        return _program(path)
    return DataError(_of_file(path, kind), hint)


def _of_folder(path: Path, kind: str) -> str:
    files = [file for file in path.rglob("*") if file.is_file() and not file.name.startswith(".")]
    if not files:
        return f"the folder '{path}' is empty"
    kinds = Counter(file.suffix.lower() or "without a suffix" for file in files).most_common(FEW)
    return f"the folder '{path}' holds no {kind}, but {listed([f'{number:,} {suffix}' for suffix, number in kinds])}"


def _of_file(path: Path, kind: str) -> str:
    suffix = path.suffix.lower()
    for suffixes, what in ((IMAGES, "image"), (ANIMATIONS, "animation"), (SOUNDS, "sound")):
        if suffix in suffixes:
            return f"'{path}' is a single {what}"
    if suffix in TABLES:
        return f"'{path}' is text, which cannot hold {kind}"
    if suffix in PICKLES:
        return f"'{path}' is a pickle, which GANBench does not open: it may run code"
    if suffix in (".zip", ".tar"):
        return f"the archive '{path}' holds no {kind}"
    return f"'{path}' is no kind of file that {kind} can be read from"


def _program(path: Path) -> DataError:
    """A Python file without the name of a function; it is not run, only parsed."""
    told = f"'{path}' is a program, but the function that makes the samples is not named"
    try:
        tree = ast.parse(path.read_bytes())
    except (SyntaxError, ValueError):
        return DataError(f"'{path}' is not valid Python", f"`python -m py_compile {path}` says why")
    names = [node.name for node in tree.body if isinstance(node, ast.FunctionDef) and not node.name.startswith("_")]
    if not names:
        return DataError(f"'{path}' has no function", "write one that makes samples, and give path/file.py:function")
    calls = [f"{path}:{name}" for name in names[:FEW]]
    more = f"; it has {plural(len(names), 'function')}" if len(names) > FEW else ""
    return DataError(told, f"name it: {' or '.join(calls)}{more}")
