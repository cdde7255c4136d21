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
from ganbench.samples.labels import read_labels
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


def store(path: Path) -> Path:
    """Write the pixels in the format that the suffix names."""
    if path.suffix == ".npy":
        np.save(path, PIXELS.numpy())
    elif path.suffix == ".npz":
        np.savez(path, PIXELS.numpy())
    elif path.suffix == ".safetensors":
        from safetensors.torch import save_file

        save_file({"anything": PIXELS}, path)
    else:
        torch.save(PIXELS, path)
    return path


@pytest.mark.parametrize("suffix", [".npy", ".npz", ".pt", ".pth", ".safetensors"])
def test_a_single_array_needs_no_name(suffix, tmp_path) -> None:
    assert torch.equal(read(store(tmp_path / f"x{suffix}")).x, PIXELS)


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
        ("x.npy", b"", "is empty"),
        ("x.npy", bytes(4000), "is damaged, or no .npy file"),
        ("x.npy", b"garbage that is no array", "is damaged, or no .npy file"),
        ("x.npz", b"PK\3\4", "is damaged, or no .npz file"),
        ("x.npz", b"abc", "is damaged, or no .npz file"),
        ("x.pt", b"no", "is damaged, or no .pt file"),
        ("x.safetensors", b"no", "is damaged, or no .safetensors file"),
    ],
)
def test_a_damaged_file_is_named(name, content, says, tmp_path) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(DataError, match=rf"{name}'.* {says}") as caught:
        read(tmp_path / name)
    assert "pickle" not in str(caught.value)
    assert "object" not in str(caught.value)


@pytest.mark.parametrize("suffix", [".npy", ".npz", ".pt", ".safetensors"])
def test_a_file_that_ends_too_early_is_damaged(suffix, tmp_path) -> None:
    path = store(tmp_path / f"x{suffix}")
    path.write_bytes(path.read_bytes()[:2000])
    with pytest.raises(DataError, match=rf"x{suffix}' cannot be read: it is damaged"):
        read(path)


def test_objects_beside_the_samples_are_left_alone(tmp_path) -> None:
    np.savez(tmp_path / "x.npz", samples=PIXELS.numpy(), about=np.array([None], dtype=object))
    assert torch.equal(read(tmp_path / "x.npz").x, PIXELS)


def test_two_tensors_in_a_list_are_samples_and_labels(tmp_path) -> None:
    torch.save([PIXELS, LABELS], tmp_path / "x.pt")
    found = read(tmp_path / "x.pt")
    assert torch.equal(found.x, PIXELS)
    assert torch.equal(found.labels, LABELS)
    torch.save([*PIXELS[:2]], tmp_path / "x.pt")
    assert torch.equal(read(tmp_path / "x.pt").x, PIXELS[:2])


def test_a_pickled_module_is_named_with_what_to_do_instead(tmp_path) -> None:
    torch.save(torch.nn.Linear(2, 2), tmp_path / "x.pt")
    with pytest.raises(DataError, match=r"holds a pickled module \(torch.nn.modules.linear.Linear\)") as caught:
        read(tmp_path / "x.pt")
    assert "torch.jit.script" in caught.value.hint
    assert "\x1b" not in str(caught.value)


@pytest.mark.parametrize("nested", [False, True])
def test_weights_are_not_taken_for_samples(nested, tmp_path) -> None:
    weights = torch.nn.Linear(2, 2).state_dict()
    torch.save({"generator": weights, "epoch": 3} if nested else weights, tmp_path / "x.pt")
    with pytest.raises(DataError, match="looks like the weights of a network") as caught:
        read(tmp_path / "x.pt")
    assert "file.py:function" in caught.value.hint


def test_several_arrays_without_a_known_name_are_listed(tmp_path) -> None:
    np.savez(tmp_path / "x.npz", left=PIXELS.numpy(), right=PIXELS.numpy())
    with pytest.raises(DataError, match=r"holds 2 arrays \(left, right\), none of them called samples"):
        read(tmp_path / "x.npz")


def test_a_path_that_is_not_there_is_named() -> None:
    with pytest.raises(DataError, match="'nowhere' does not exist") as caught:
        read("nowhere")
    assert ".npz" in caught.value.hint


def test_a_single_number_is_no_sample(program, tmp_path) -> None:
    np.save(tmp_path / "x.npy", np.float32(3))
    with pytest.raises(DataError, match="holds a single number"):
        read(tmp_path / "x.npy")
    with pytest.raises(DataError, match="returned Tensor, not an array of samples"):
        read(f"{program}:number", TRUSTED)


def test_an_empty_array_holds_no_samples(tmp_path) -> None:
    np.save(tmp_path / "x.npy", np.zeros((0, 3, 8, 8), np.uint8))
    with pytest.raises(DataError, match="holds no samples"):
        read(tmp_path / "x.npy")


@pytest.mark.parametrize("name", ["labels.txt", "labels.npy", "labels.npz"])
def test_labels_come_from_a_file_of_their_own(name, tmp_path) -> None:
    if name == "labels.txt":
        (tmp_path / name).write_text("\n".join(map(str, LABELS.tolist())))
    elif name == "labels.npy":
        np.save(tmp_path / name, LABELS.numpy())
    else:
        np.savez(tmp_path / name, labels=LABELS.numpy())
    assert torch.equal(read_labels(tmp_path / name).long(), LABELS)


def test_labels_may_be_written_as_floats_or_as_names(tmp_path) -> None:
    file = tmp_path / "labels.txt"
    np.savetxt(file, LABELS)
    assert torch.equal(read_labels(file), LABELS.double())
    file.write_text("1 2\n3")
    assert read_labels(file).tolist() == [1, 2, 3]
    file.write_text("red panda\n7\n\n")
    assert read_labels(file) == ["red panda", "7"]
    np.save(tmp_path / "labels.npy", np.array(["cat", "dog"]))
    assert [*read_labels(tmp_path / "labels.npy")] == ["cat", "dog"]


@pytest.mark.parametrize(
    ("content", "says"),
    [(None, "labels.txt' does not exist"), (b"", "holds no labels"), (b"\xff\xfe\x00", "cannot be read as text")],
)
def test_labels_that_cannot_be_read_are_refused_with_what_to_give(content, says, tmp_path) -> None:
    if content is not None:
        (tmp_path / "labels.txt").write_bytes(content)
    with pytest.raises(DataError, match=says) as caught:
        read_labels(tmp_path / "labels.txt")
    assert "one class per line" in caught.value.hint
    assert "Errno" not in caught.value.message


# -- what cannot be read -----------------------------------------------------------------------------------------------

POINTS, SOUND = DataSpec((2,), bounded=False), DataSpec((1, 64), rate=8000)


@pytest.mark.parametrize(
    ("name", "spec", "says", "step"),
    [
        ("empty/", COLOUR, "the folder '.*empty' is empty", "a folder, .zip or .tar of images"),
        ("texts/a.txt", COLOUR, "the folder '.*texts' holds no images, but 1 .txt", "an array [N, 3, 8, 8]"),
        ("pictures/a.png", POINTS, "the folder '.*pictures' holds no points, but 1 .png", "a .csv with one point"),
        ("pictures/a.png", SOUND, "the folder '.*pictures' holds no sounds, but 1 .png", "a folder of WAV files"),
        ("one.png", COLOUR, "'.*one.png' is a single image", "a folder, .zip or .tar of images"),
        ("one.wav", SOUND, "'.*one.wav' is a single sound", "a folder of WAV files"),
        ("x.csv", COLOUR, "'.*x.csv' is text, which cannot hold images", "an array [N, 3, 8, 8]"),
        ("x.pkl", COLOUR, "'.*x.pkl' is a pickle, which GANBench does not open", "an array [N, 3, 8, 8]"),
        ("x.odd", None, "'.*x.odd' is no kind of file that samples can be read from", "path/file.py:function"),
    ],
)
def test_what_cannot_be_read_is_said_with_what_to_give(name, spec, says, step, tmp_path) -> None:
    (tmp_path / name).parent.mkdir(exist_ok=True)
    if name.endswith("/"):
        (tmp_path / name).mkdir()
    else:
        (tmp_path / name).write_bytes(b"no")
    with pytest.raises(DataError, match=says) as caught:
        read(tmp_path / name.partition("/")[0], spec=spec)
    assert step in caught.value.hint


def test_a_program_without_a_function_is_refused_with_the_names_of_its_functions(tmp_path) -> None:
    (tmp_path / "gan.py").write_text("raise SystemExit\ndef make(n): ...\ndef _own(): ...\ndef other(): ...")
    with pytest.raises(DataError, match="the function that makes the samples is not named") as caught:
        read(tmp_path / "gan.py")
    assert caught.value.hint.endswith("gan.py:other")
    assert "gan.py:make or " in caught.value.hint
    (tmp_path / "gan.py").write_text("x = 3")
    with pytest.raises(DataError, match="has no function"):
        read(tmp_path / "gan.py")


@pytest.mark.parametrize("text", ["1,2\n3,4.5\n", "x;y\n1;2\n3;4.5", "# made\n1 2\n3 4.5", "1\t2\n3\t4.5"])
def test_points_may_be_written_as_text(text, tmp_path) -> None:
    (tmp_path / "x.csv").write_text(text)
    found = read(tmp_path / "x.csv", spec=POINTS)
    assert found.x.tolist() == [[1, 2], [3, 4.5]]
    assert found.assumed == (("the first line of x.csv names the columns",) if "y" in text else ())


@pytest.mark.parametrize("line", ["5", "5,6,7", "five,6"])
def test_a_line_that_is_no_point_is_named(line, tmp_path) -> None:
    (tmp_path / "x.csv").write_text(f"1,2\n{line}\n3,4")
    with pytest.raises(DataError, match=r"line 2 of '.*x.csv'"):
        read(tmp_path / "x.csv", spec=POINTS)


# -- folders -----------------------------------------------------------------------------------------------------------


def test_images_are_read_as_they_are_in_the_order_of_their_names(tmp_path) -> None:
    files = paint_many(tmp_path / "made")
    found = read(tmp_path / "made")
    assert found.read == "10 images in 'made', 8x8, RGB"
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
    assert any("10 of 10 images" in told and "JPEG" in told for told in read(tmp_path).found)


def test_images_of_several_sizes_are_refused_rather_than_resized(tmp_path) -> None:
    files = paint_many(tmp_path / "made", 5)
    Image.open(files[3]).resize((12, 12)).save(files[3])
    with pytest.raises(DataError, match=r"1 of 5 images in '.*made' are not 8x8 like the others: 03.png") as caught:
        read(tmp_path / "made")
    assert "name the resolution" not in caught.value.hint


def test_images_that_are_no_squares_are_not_cut(tmp_path) -> None:
    paint_many(tmp_path / "made", 5, size=(12, 8))
    with pytest.raises(DataError, match=r"'.*made' are 12x8, not squares"):
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
    with pytest.raises(DataError, match=r"1 of 2 clips have not [34] frames of 8x8 like the others: \d.gif"):
        read(tmp_path, spec=DataSpec((1, 4, 8, 8)))


@pytest.mark.parametrize("suffix", [".gif", ".webp", ".png"])
@pytest.mark.parametrize("known", [True, False])
def test_frames_that_were_merged_are_repeated(suffix, known, tmp_path) -> None:
    levels = [[0, 60, 60, 120], [0, 0, 0, 60], [0, 60, 120, 180]]
    for i, clip in enumerate(levels):
        frames = [Image.fromarray(np.full((8, 8, 3), level, np.uint8)) for level in clip]
        more = {"lossless": True} if suffix == ".webp" else {}
        frames[0].save(tmp_path / f"{i}{suffix}", save_all=True, append_images=frames[1:], duration=100, **more)
    found = read(tmp_path, spec=DataSpec((3, 4 if known else 0, 8, 8)))
    assert found.x[:, 1, :, 3, 3].tolist() == levels
    assert found.assumed == ("frames of 2 of 3 animations are repeated, because they are shown for longer",)


def test_a_clip_of_the_right_length_is_left_alone_however_long_a_frame_is_shown(tmp_path) -> None:
    frames = [Image.fromarray(np.full((8, 8), 60 * t, np.uint8)) for t in range(4)]
    frames[0].save(tmp_path / "0.gif", save_all=True, append_images=frames[1:], duration=[100, 100, 100, 900])
    found = read(tmp_path, spec=DataSpec((1, 4, 8, 8)))
    assert found.x.shape == (1, 1, 4, 8, 8)
    assert not found.assumed


def test_sounds_have_the_length_of_the_data(tmp_path) -> None:
    from scipy.io import wavfile

    for i in range(3):
        wavfile.write(tmp_path / f"{i}.wav", 8000, (np.sin(np.arange(64) + i) * 20_000).astype(np.int16))
    found = read(tmp_path, spec=DataSpec((1, 64), rate=8000))
    assert found.x.shape == (3, 1, 64)
    assert found.read == f"3 sounds in '{tmp_path.name}', of 64 samples at 8,000 a second"


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

def both(n):
    return torch.zeros(n, 3, SIZE, SIZE), torch.arange(n)

def pairs():
    for start in (0, 4):
        yield torch.zeros(4, 3, SIZE, SIZE), range(start, start + 4)

def named():
    yield {"images": np.zeros((6, 3, SIZE, SIZE)), "y": [0, 1, 2, 3, 0, 1]}

def alone():
    yield [torch.zeros(6, 3, SIZE, SIZE)]

def few(labels):
    return torch.zeros(2, 3, SIZE, SIZE)

def odd():
    yield torch.zeros(2, 3), torch.zeros(3)

def uneven():
    yield torch.zeros(1, 3)
    yield torch.zeros(1, 4)

def triple(): return torch.zeros(2, 3), torch.zeros(2), torch.zeros(2, 1)
def nameless(): yield {"a": torch.zeros(2)}

def number(): return torch.tensor(3.0)

module = torch.nn.Linear(2, 2)

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
    assert "trust=True" in caught.value.hint


def test_a_function_gets_the_arguments_that_it_asks_for(program) -> None:
    found = read(f"{program}:make", TRUSTED)
    assert found.x.shape == (6, 3, 8, 8)
    assert found.x.unique().tolist() == [5]
    assert read(f"{program}:conditional", TRUSTED).x[:, 0, 0, 0].tolist() == LABELS[:6].tolist()


def test_batches_are_collected_and_repeat_with_the_seed(program) -> None:
    found = read(f"{program}:batches", TRUSTED)
    assert len(found) == 6  # one for each label
    assert torch.equal(found.x, read(f"{program}:batches", TRUSTED).x)


@pytest.mark.parametrize(
    ("name", "labels"),
    [
        ("both", [0, 1, 2, 3, 4, 5]),
        ("pairs", [0, 1, 2, 3, 4, 5, 6, 7]),
        ("named", [0, 1, 2, 3, 0, 1]),
        ("conditional", LABELS[:6].tolist()),
    ],
)
def test_the_labels_of_a_function_are_kept(name, labels, program) -> None:
    found = read(f"{program}:{name}", TRUSTED)
    assert found.labels.tolist() == labels
    assert found.x.shape[1:] == (3, 8, 8)
    given = "it made one sample for each label that it was given, in their order"
    assert (given in found.assumed) == (name == "conditional")


def test_a_batch_may_be_a_list_of_one(program) -> None:
    found = read(f"{program}:alone", TRUSTED)
    assert found.x.shape == (6, 3, 8, 8)
    assert found.labels is None


@pytest.mark.parametrize(
    ("name", "error", "says"),
    [
        ("greedy", DataError, "asks for 'weights'"),
        ("broken", PluginError, "'gan.py:broken' failed: ZeroDivisionError"),
        ("nothing", DataError, "returned str, not an array"),
        ("few", DataError, "was given 6 labels, but made 2 samples"),
        ("odd", DataError, r"labels of a batch of 2 samples are of shape \(3,\)"),
        ("uneven", DataError, r"batches hold samples of shape \(3,\) and \(4,\)"),
        ("triple", DataError, "returned tuple of 3, not an array"),
        ("nameless", DataError, "a batch holds a, and nothing called samples"),
        ("module", DataError, "Linear is a torch module"),
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
    return scripted(Generator(), tmp_path / "g.pt")


def test_torchscript_is_a_program_too(script) -> None:
    with pytest.raises(DataError, match=r"'g\.pt' is a program"):
        read(script)


def test_torchscript_makes_samples_from_normal_latents(script) -> None:
    found = read(script, TRUSTED)
    torch.manual_seed(0)
    z = torch.randn(6, 4, generator=torch.Generator().manual_seed(5))
    assert torch.allclose(found.x, Generator()(z).detach(), atol=1e-6)
    assert found.assumed == ("its 4 latents are normal, with seed 5",)


class Deconvolving(torch.nn.Module):
    """A generator of latents [B, 4, 1, 1], with noise of its own."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = torch.nn.ConvTranspose2d(4, 3, 8)

    def forward(self, z):
        return self.layer(z).tanh() + 0.001 * torch.randn(1)


def scripted(generator: torch.nn.Module, path: Path) -> Path:
    with pytest.warns(FutureWarning, match="torch.jit"):
        torch.jit.save(torch.jit.script(generator), path)
    return path


def test_torchscript_of_convolutions_gets_latents_with_two_more_axes(tmp_path) -> None:
    path, asked = scripted(Deconvolving(), tmp_path / "g.pt"), Asked(6, seed=5, trusted=True, z_dim=4)
    found = read(path, asked)
    assert found.x.shape == (6, 3, 8, 8)
    assert found.assumed == ("its 4 latents are normal and have the shape [N, 4, 1, 1], with seed 5",)
    assert torch.equal(found.x, read(path, asked).x)


def test_a_generator_that_takes_no_latents_of_this_number_says_why(tmp_path) -> None:
    path = scripted(Deconvolving(), tmp_path / "g.pt")
    with pytest.raises(PluginError, match=r"fails on latents of shape \[N, 5\] and \[N, 5, 1, 1\]: ") as caught:
        read(path, Asked(6, trusted=True, z_dim=5))
    assert "\n" not in caught.value.message
    assert "Traceback" not in caught.value.message
    assert "path/file.py:function" in caught.value.hint


def test_a_number_of_latents_other_than_the_files_is_refused(script, tmp_path) -> None:
    onnx_generator(tmp_path / "g.onnx", 4)
    for path in (script, tmp_path / "g.onnx"):
        with pytest.raises(DataError, match="takes 4 latents, but z_dim=128 was given"):
            read(path, Asked(6, trusted=True, z_dim=128))


@pytest.mark.parametrize("labelled", [False, True])
def test_onnx_of_a_fixed_batch_gets_batches_of_that_size(labelled, tmp_path) -> None:
    onnx_generator(tmp_path / "g.onnx", 4, labelled=labelled, batch=4)
    found = read(tmp_path / "g.onnx", TRUSTED)
    z = torch.cat(
        [torch.randn(4, 4, generator=(rng := torch.Generator().manual_seed(5))), torch.randn(4, 4, generator=rng)]
    )
    assert torch.allclose(found.x[:, 0, 0, 0], 0.1 * z.sum(1)[:6], atol=1e-6)
    assert len(found) == 6


def onnx_generator(path: Path, size: int | str, *, labelled: bool = False, batch: int | str = "b") -> None:
    """z [B, 4] -> tanh(z W), with W = 0.1; labels are added where there are any."""
    weights = helper.make_tensor("w", TensorProto.FLOAT, [4, 192], [0.1] * 768)
    shape = helper.make_tensor("s", TensorProto.INT64, [4], [-1, 3, 8, 8])
    inputs = [helper.make_tensor_value_info("z", TensorProto.FLOAT, [batch, size])]
    nodes = [helper.make_node("MatMul", ["z", "w"], ["m"]), helper.make_node("Reshape", ["m", "s"], ["x"])]
    if labelled:
        inputs.append(helper.make_tensor_value_info("y", TensorProto.INT64, [batch]))
        nodes.append(helper.make_node("Identity", ["y"], ["unused"]))
    outputs = [helper.make_tensor_value_info("x", TensorProto.FLOAT, [batch, 3, 8, 8])]
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
    assert "z_dim=128" in caught.value.hint
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
