"""Samples from elsewhere: files of arrays, folders, programs, and the shape they are brought into."""

from __future__ import annotations

import zipfile
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from onnx import TensorProto, helper
from painted import paint_many
from PIL import Image

from ganbench import DataError, Dataset, DataSpec, Samples, Split
from ganbench.errors import PluginError
from ganbench.samples.asked import Asked
from ganbench.samples.fitting import fitted
from ganbench.samples.reading import read_samples

PIXELS = torch.arange(20 * 3 * 8 * 8, dtype=torch.int64).remainder(251).to(torch.uint8).reshape(20, 3, 8, 8)
LABELS = torch.arange(20) % 4
COLOUR, GRAY = DataSpec((3, 8, 8), classes=4), DataSpec((1, 8, 8), classes=4)
ASKED = Asked(6, labels=LABELS[:6])
TRUSTED = Asked(6, labels=LABELS[:6], seed=5, trusted=True)


def data(spec: DataSpec, names: tuple[str, ...] = ()) -> Dataset:
    x = PIXELS[:, : spec.shape[0]]
    return Dataset("toy", spec, Split(x, LABELS), Split(x[:8], LABELS[:8]), class_names=names)


def read(path: Path | str, asked: Asked = ASKED, spec: DataSpec | None = COLOUR) -> Samples:
    return read_samples(str(path), spec, asked)


# -- arrays ------------------------------------------------------------------------------------------------------------


def test_samples_and_labels_of_a_numpy_archive_are_found_by_name(tmp_path) -> None:
    np.savez(tmp_path / "x.npz", y=LABELS.numpy(), images=PIXELS.numpy())
    found = read(tmp_path / "x.npz")
    assert torch.equal(found.x, PIXELS)
    assert torch.equal(found.labels, LABELS)
    assert found.read == "20 samples in x.npz, array 'images'"


def test_the_archives_of_guided_diffusion_are_understood(tmp_path) -> None:
    np.savez(tmp_path / "x.npz", PIXELS.permute(0, 2, 3, 1).numpy(), LABELS.numpy())
    found = fitted(read(tmp_path / "x.npz"), data(COLOUR))
    assert torch.equal(found.x, PIXELS)
    assert torch.equal(found.labels, LABELS)
    assert found.assumed == ("channels come last: the samples have shape (20, 8, 8, 3)",)


@pytest.mark.parametrize("suffix", [".npy", ".pt", ".pth", ".safetensors"])
def test_a_single_array_needs_no_name(suffix, tmp_path) -> None:
    path = tmp_path / f"x{suffix}"
    if suffix == ".npy":
        np.save(path, PIXELS.numpy())
    elif suffix == ".safetensors":
        from safetensors.torch import save_file

        save_file({"anything": PIXELS}, path)
    else:
        torch.save(PIXELS, path)
    assert torch.equal(read(path).x, PIXELS)


def test_an_array_of_another_byte_order_is_read(tmp_path) -> None:
    np.save(tmp_path / "x.npy", PIXELS.numpy().astype(">f4"))
    assert torch.equal(read(tmp_path / "x.npy").x, PIXELS.float())


class Evil:
    def __reduce__(self):
        return print, ("run",)


@pytest.mark.parametrize("suffix", [".npy", ".npz", ".pt"])
def test_pickles_are_not_opened(suffix, tmp_path, capsys) -> None:
    path = tmp_path / f"x{suffix}"
    objects = np.array([Evil()], dtype=object)
    if suffix == ".pt":
        torch.save(Evil(), path)
    elif suffix == ".npy":
        np.save(path, objects)
    else:
        np.savez(path, samples=objects)
    with pytest.raises(DataError, match="cannot be read as arrays of numbers"):
        read(path)
    assert "run" not in capsys.readouterr().out


@pytest.mark.parametrize(
    ("name", "content", "says"),
    [
        ("x.npy", b"", "cannot be read"),
        ("x.npz", b"PK\3\4", "cannot be read"),
        ("x.pt", b"no", "cannot be read"),
        ("x.safetensors", b"no", "cannot be read"),
        ("x.txt", b"no", "no installed dataset can read"),
    ],
)
def test_a_damaged_file_is_named(name, content, says, tmp_path) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(DataError, match=f"{name}.*{says}|{says}.*{name}"):
        read(tmp_path / name)


def test_several_arrays_without_a_known_name_are_listed(tmp_path) -> None:
    np.savez(tmp_path / "x.npz", left=PIXELS.numpy(), right=PIXELS.numpy())
    with pytest.raises(DataError, match=r"holds 2 arrays \(left, right\), none of them called samples"):
        read(tmp_path / "x.npz")


def test_a_path_that_is_not_there_is_named() -> None:
    with pytest.raises(DataError, match="'nowhere' does not exist") as caught:
        read("nowhere")
    assert ".npz" in caught.value.hint


def test_an_empty_array_holds_no_samples(tmp_path) -> None:
    np.save(tmp_path / "x.npy", np.zeros((0, 3, 8, 8), np.uint8))
    with pytest.raises(DataError, match="holds no samples"):
        read(tmp_path / "x.npy")


@pytest.mark.parametrize("name", ["labels.txt", "labels.npy", "labels.npz"])
def test_labels_come_from_a_file_of_their_own(name, tmp_path) -> None:
    np.save(tmp_path / "x.npy", PIXELS.numpy())
    if name == "labels.txt":
        (tmp_path / name).write_text("\n".join(map(str, LABELS.tolist())))
    elif name == "labels.npy":
        np.save(tmp_path / name, LABELS.numpy())
    else:
        np.savez(tmp_path / name, labels=LABELS.numpy())
    assert torch.equal(read(tmp_path / "x.npy", Asked(6, labels_file=tmp_path / name)).labels, LABELS)


def test_labels_that_are_no_numbers_are_refused(tmp_path) -> None:
    np.save(tmp_path / "x.npy", PIXELS.numpy())
    (tmp_path / "labels.txt").write_text("cat\ndog\n")
    with pytest.raises(DataError, match=r"labels in '.*labels.txt' cannot be read"):
        read(tmp_path / "x.npy", Asked(6, labels_file=tmp_path / "labels.txt"))


# -- folders -----------------------------------------------------------------------------------------------------------


def test_images_are_read_as_they_are_in_the_order_of_their_names(tmp_path) -> None:
    files = paint_many(tmp_path / "made")
    found = read(tmp_path / "made")
    assert found.read == "10 images in the folder made, 8x8, RGB"
    assert np.array_equal(found.x[3].permute(1, 2, 0).numpy(), np.asarray(Image.open(files[3])))
    assert found.labels is None


def test_sub_folders_are_classes_in_a_zip_too(tmp_path) -> None:
    for name in "ba":
        paint_many(tmp_path / "made" / name, 5)
    with zipfile.ZipFile(tmp_path / "made.zip", "w") as archive:
        for file in sorted((tmp_path / "made").rglob("*.png")):
            archive.write(file, file.relative_to(tmp_path))
    for place in ("made", "made.zip"):
        found = fitted(read(tmp_path / place), data(COLOUR, ("b", "c", "d", "a")))
        assert found.labels.tolist() == [3] * 5 + [0] * 5


def test_sub_folders_with_other_names_are_no_classes(tmp_path) -> None:
    for name in ("part1", "part2"):
        paint_many(tmp_path / name, 5)
    found = fitted(read(tmp_path), data(COLOUR))
    assert found.labels is None
    assert "sub-folders are not read as classes: 'toy' has no class 'part1'" in found.assumed


def test_jpeg_files_are_mentioned(tmp_path) -> None:
    paint_many(tmp_path, suffix=".jpg")
    assert any("10 images" in told and "JPEG" in told for told in read(tmp_path).found)


def test_images_of_several_sizes_are_refused_rather_than_resized(tmp_path) -> None:
    paint_many(tmp_path / "made", 5)
    paint_many(tmp_path / "made" / "large", 5, size=(12, 12))
    with pytest.raises(DataError):
        read(tmp_path / "made")


def test_animations_are_clips(tmp_path) -> None:
    frames = [Image.fromarray(np.full((8, 8), 60 * t, np.uint8)) for t in range(4)]
    for i in range(3):
        frames[0].save(tmp_path / f"{i}.gif", save_all=True, append_images=frames[1:], duration=100, loop=0)
    found = read(tmp_path, spec=DataSpec((1, 4, 8, 8)))
    assert found.x.shape == (3, 1, 4, 8, 8)
    assert found.x[0, 0, :, 0, 0].tolist() == [0, 60, 120, 180]


def test_clips_of_several_lengths_are_refused(tmp_path) -> None:
    for i, count in enumerate((3, 4)):
        frames = [Image.fromarray(np.full((8, 8), 60 * t, np.uint8)) for t in range(count)]
        frames[0].save(tmp_path / f"{i}.gif", save_all=True, append_images=frames[1:], duration=100, loop=0)
    with pytest.raises(DataError, match="not of one length and size, but 3 frames of 8x8, 4 frames of 8x8"):
        read(tmp_path, spec=DataSpec((1, 4, 8, 8)))


def test_sounds_have_the_length_of_the_data(tmp_path) -> None:
    from scipy.io import wavfile

    for i in range(3):
        wavfile.write(tmp_path / f"{i}.wav", 8000, (np.sin(np.arange(64) + i) * 20_000).astype(np.int16))
    found = read(tmp_path, spec=DataSpec((1, 64), rate=8000))
    assert found.x.shape == (3, 1, 64)
    assert found.read.startswith("3 sounds in the folder")


# -- programs ----------------------------------------------------------------------------------------------------------

PROGRAM = """
import numpy as np, torch
from beside import SIZE

def make(n, seed):
    return np.full((n, 3, SIZE, SIZE), seed, np.uint8)

def batches(labels=None):
    while True:
        yield torch.rand(4, 3, SIZE, SIZE), None

def conditional(labels, temperature=1.0):
    return labels[:, None, None, None].expand(-1, 3, SIZE, SIZE).to(torch.uint8)

def greedy(n, weights): ...
def broken(n): return 1 / 0
def nothing(): return "samples"
"""


@pytest.fixture
def program(tmp_path) -> Path:
    (tmp_path / "beside.py").write_text("SIZE = 8")
    (tmp_path / "gan.py").write_text(PROGRAM)
    return tmp_path / "gan.py"


def test_a_program_is_not_run_unless_it_is_trusted(program) -> None:
    (program.parent / "beside.py").write_text("raise SystemExit('it ran')")
    with pytest.raises(DataError, match=r"'gan\.py:make' is a program") as caught:
        read(f"{program}:make")
    assert "--trust" in caught.value.hint


def test_a_function_gets_the_arguments_that_it_asks_for(program) -> None:
    found = read(f"{program}:make", TRUSTED)
    assert found.x.shape == (6, 3, 8, 8)
    assert found.x.unique().tolist() == [5]
    assert read(f"{program}:conditional", TRUSTED).x[:, 0, 0, 0].tolist() == LABELS[:6].tolist()


def test_batches_are_collected_and_repeat_with_the_seed(program) -> None:
    found = read(f"{program}:batches", TRUSTED)
    assert len(found) == 8
    assert torch.equal(found.x, read(f"{program}:batches", TRUSTED).x)


@pytest.mark.parametrize(
    ("name", "error", "says"),
    [
        ("greedy", DataError, "asks for 'weights'"),
        ("broken", PluginError, "'gan.py:broken' failed: ZeroDivisionError"),
        ("nothing", DataError, "returned str, not an array"),
        ("missing", DataError, "has no function 'missing'"),
    ],
)
def test_a_program_that_does_not_work_is_named(name, error, says, program) -> None:
    with pytest.raises(error, match=says):
        read(f"{program}:{name}", TRUSTED)


class Generator(torch.nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.z_dim = 4
        self.layer = torch.nn.Linear(4, 192)

    def forward(self, z):
        return self.layer(z).tanh().view(-1, 3, 8, 8)


@pytest.fixture
def script(tmp_path) -> Path:
    torch.manual_seed(0)
    with pytest.warns(FutureWarning, match="torch.jit"):
        torch.jit.save(torch.jit.script(Generator()), tmp_path / "g.pt")
    return tmp_path / "g.pt"


def test_torchscript_is_a_program_too(script) -> None:
    with pytest.raises(DataError, match=r"'g\.pt' is a program"):
        read(script)


def test_torchscript_makes_samples_from_normal_latents(script) -> None:
    found = read(script, TRUSTED)
    torch.manual_seed(0)
    z = torch.randn(6, 4, generator=torch.Generator().manual_seed(5))
    assert torch.allclose(found.x, Generator()(z).detach(), atol=1e-6)
    assert found.assumed == ("its 4 latents are normal, with seed 5",)


def onnx_generator(path: Path, size: int | str, *, labelled: bool = False) -> None:
    """z [B, 4] -> tanh(z W), with W = 0.1; labels are added where there are any."""
    weights = helper.make_tensor("w", TensorProto.FLOAT, [4, 192], [0.1] * 768)
    shape = helper.make_tensor("s", TensorProto.INT64, [4], [-1, 3, 8, 8])
    inputs = [helper.make_tensor_value_info("z", TensorProto.FLOAT, ["b", size])]
    nodes = [helper.make_node("MatMul", ["z", "w"], ["m"]), helper.make_node("Reshape", ["m", "s"], ["x"])]
    if labelled:
        inputs.append(helper.make_tensor_value_info("y", TensorProto.INT64, ["b"]))
        nodes.append(helper.make_node("Identity", ["y"], ["unused"]))
    outputs = [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["b", 3, 8, 8])]
    graph = helper.make_graph(nodes, "g", inputs, outputs, [weights, shape])
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), path)


def test_onnx_makes_samples_from_normal_latents(tmp_path) -> None:
    onnx_generator(tmp_path / "g.onnx", 4)
    found = read(tmp_path / "g.onnx", TRUSTED)
    z = torch.randn(6, 4, generator=torch.Generator().manual_seed(5))
    assert torch.allclose(found.x[:, 0, 0, 0], 0.1 * z.sum(1), atol=1e-6)


def test_onnx_is_not_run_unless_it_is_trusted(tmp_path) -> None:
    onnx_generator(tmp_path / "g.onnx", 4)
    with pytest.raises(DataError, match=r"'g\.onnx' is a program"):
        read(tmp_path / "g.onnx")


def test_a_generator_of_unknown_latents_needs_their_number(tmp_path) -> None:
    onnx_generator(tmp_path / "g.onnx", "z")
    with pytest.raises(DataError, match="does not say how many latents") as caught:
        read(tmp_path / "g.onnx", TRUSTED)
    assert "--z-dim" in caught.value.hint
    assert len(read(tmp_path / "g.onnx", Asked(6, trusted=True, z_dim=4))) == 6


def test_a_generator_gets_the_labels_of_the_real_samples(tmp_path) -> None:
    onnx_generator(tmp_path / "g.onnx", 4, labelled=True)
    assert torch.equal(read(tmp_path / "g.onnx", TRUSTED).labels, LABELS[:6])
    with pytest.raises(DataError, match="takes labels, but these data have none"):
        read(tmp_path / "g.onnx", Asked(6, trusted=True))


# -- shapes ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("shape", "spec", "says"),
    [
        ((20, 8, 8), GRAY, "no axis of channels"),
        ((20, 8, 8, 1), GRAY, "channels come last"),
        ((20, 1, 8, 8), COLOUR, "the samples are gray"),
        ((20, 8, 8, 1), COLOUR, "channels come last"),
    ],
)
def test_the_only_possible_shape_is_taken_and_named(shape, spec, says) -> None:
    x = PIXELS[:, 0].reshape(shape)
    found = fitted(Samples(x, "some"), data(spec))
    assert tuple(found.x.shape[1:]) == spec.shape
    assert any(says in told for told in found.assumed)
    assert torch.equal(found.x[:, 0], PIXELS[:, 0])


def test_colour_becomes_gray_only_if_nothing_is_lost() -> None:
    equal = PIXELS[:, :1].expand(-1, 3, -1, -1)
    assert torch.equal(fitted(Samples(equal, "some"), data(GRAY)).x, PIXELS[:, :1])
    assert fitted(Samples(PIXELS, "some"), data(GRAY)).x.shape == PIXELS.shape


def test_a_size_that_does_not_fit_is_left_to_be_refused() -> None:
    x = torch.zeros(20, 3, 9, 9, dtype=torch.uint8)
    found = fitted(Samples(x, "some"), data(COLOUR))
    assert found.x.shape == x.shape
    assert not found.assumed


def test_time_before_channels_is_put_in_order() -> None:
    spec = DataSpec((3, 5, 8, 8))
    clips = torch.rand(4, 5, 3, 8, 8)
    toy = Dataset("toy", spec, Split(clips.transpose(1, 2)), Split(clips.transpose(1, 2)))
    assert torch.equal(fitted(Samples(clips, "some"), toy).x, clips.transpose(1, 2))
