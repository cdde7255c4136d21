"""`ganbench download`, from a server on this machine: whole, resumed, checked, or refused in one sentence."""

from __future__ import annotations

import errno
import hashlib
import io
import re
import tarfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from commands import command_here
from served import Host, serving
from standard_files import write_all

from ganbench import DataError, Download, RemoteFile
from ganbench.contracts.progress import shown_by
from ganbench.data import fetching
from ganbench.data.fetching import fetch
from ganbench.plugins import optional
from ganbench.plugins.downloads import download_of, find_offers, offering

CONTENT = bytes(range(256)) * 4000
NOWHERE = "http://127.0.0.1:1"  # nothing listens at this port


def md5(content: bytes) -> str:
    return f"md5:{hashlib.md5(content, usedforsecurity=False).hexdigest()}"


@pytest.fixture
def host(monkeypatch) -> Iterator[Host]:
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    with serving(Host({"/blob": CONTENT})) as there:
        yield there


def blob(*hosts: str, checksum: str = md5(CONTENT)) -> RemoteFile:
    return RemoteFile(tuple(f"{host}/blob" for host in hosts), checksum, "set/blob")


def refused(file: RemoteFile, root: Path) -> DataError:
    with pytest.raises(DataError) as caught:
        fetch([file], root)
    assert "\n" not in caught.value.message
    assert not (root / "set" / "blob").exists()
    return caught.value


def test_a_file_is_stored_where_it_belongs_with_its_progress(host, tmp_path, monkeypatch) -> None:
    monkeypatch.setattr("ganbench.contracts.progress.SECONDS", 0)
    seen = []
    with shown_by(lambda *what: seen.append(what)):
        assert fetch([blob(host.address)], tmp_path) == 1
    assert (tmp_path / "set" / "blob").read_bytes() == CONTENT
    assert seen[-1] == ("fetching blob", len(CONTENT), len(CONTENT))
    assert [file.name for file in (tmp_path / "set").iterdir()] == ["blob"]


def test_a_file_that_is_there_and_right_is_not_fetched_again(host, tmp_path) -> None:
    fetch([blob(host.address)], tmp_path)
    assert fetch([blob(host.address)], tmp_path) == 0
    assert len(host.asked) == 1
    (tmp_path / "set" / "blob").write_bytes(b"something else")
    assert fetch([blob(host.address)], tmp_path) == 1


def test_a_download_that_is_cut_goes_on_where_it_stopped(host, tmp_path) -> None:
    host.cuts = [300_000, 200_000]
    assert fetch([blob(host.address)], tmp_path) == 1
    assert [wanted for _, wanted in host.asked] == ["", "bytes=300000-", "bytes=500000-"]
    assert (tmp_path / "set" / "blob").read_bytes() == CONTENT


def test_what_an_interrupted_command_left_is_kept_and_used(host, tmp_path) -> None:
    host.cuts = [300_000, 0]
    refused(blob(host.address), tmp_path)
    assert fetch([blob(host.address)], tmp_path) == 1
    assert host.asked[-1][1] == "bytes=300000-"


def test_a_server_without_ranges_sends_all_of_it_again(host, tmp_path) -> None:
    host.cuts, host.ranges = [300_000], False
    assert fetch([blob(host.address)], tmp_path) == 1
    assert (tmp_path / "set" / "blob").read_bytes() == CONTENT


@pytest.mark.parametrize("left", [b"x" * 1000, CONTENT + b"more", CONTENT])
def test_what_another_file_left_is_no_obstacle(left, host, tmp_path) -> None:
    (tmp_path / "set").mkdir()
    (tmp_path / "set" / ".blob.part").write_bytes(left)
    assert fetch([blob(host.address)], tmp_path) == 1
    assert (tmp_path / "set" / "blob").read_bytes() == CONTENT


def test_another_checksum_is_refused_and_nothing_of_it_stays(host, tmp_path) -> None:
    error = refused(blob(host.address, checksum=md5(b"other")), tmp_path)
    assert "127.0.0.1: what it sends has another checksum" in error.message
    assert list((tmp_path / "set").iterdir()) == []


def test_of_a_checksum_eight_digits_are_enough_and_seven_are_not(host, tmp_path) -> None:
    digits = hashlib.sha256(CONTENT).hexdigest()
    refused(blob(host.address, checksum=f"sha256:{digits[:7]}"), tmp_path)
    assert fetch([blob(host.address, checksum=f"sha256:{digits[:8]}")], tmp_path) == 1


def test_the_next_mirror_is_tried_if_one_has_no_such_file_or_another(host, tmp_path) -> None:
    with serving(Host({})) as empty, serving(Host({"/blob": b"another"})) as wrong:
        assert fetch([blob(NOWHERE, empty.address, wrong.address, host.address)], tmp_path) == 1
    assert (tmp_path / "set" / "blob").read_bytes() == CONTENT


def test_without_a_network_the_message_says_what_to_put_where(tmp_path) -> None:
    error = refused(blob(NOWHERE), tmp_path)
    assert error.message == "blob cannot be fetched (127.0.0.1: Connection refused)"
    assert f"fetch by hand {NOWHERE}/blob into {tmp_path / 'set'}, and then repeat it" in error.hint


def test_every_server_that_fails_is_named_with_its_reason(tmp_path) -> None:
    with serving(Host({})) as empty:
        error = refused(blob(NOWHERE, empty.address), tmp_path)
    assert "Connection refused; 127.0.0.1: HTTP 404" in error.message


def test_of_several_files_all_that_are_missing_stand_in_the_hint(host, tmp_path) -> None:
    files = [blob(host.address), *(RemoteFile((f"{NOWHERE}/{name}",), md5(b""), f"set/{name}") for name in "ab")]
    with pytest.raises(DataError) as caught:
        fetch(files, tmp_path)
    assert f"by hand {NOWHERE}/a {NOWHERE}/b into {tmp_path / 'set'}," in caught.value.hint


def test_a_full_disk_is_said_and_what_is_there_is_kept(host, tmp_path, monkeypatch) -> None:
    class Full(io.FileIO):
        def write(self, content: bytes) -> int:
            if self.tell() > 500_000:
                raise OSError(errno.ENOSPC, "No space left on device")
            return super().write(content)

    with monkeypatch.context() as patch:
        patch.setattr(Path, "open", lambda path, mode="r", **other: Full(path, mode.replace("b", "")))
        error = refused(blob(host.address), tmp_path)
    assert error.message == f"blob cannot be stored in {tmp_path}: No space left on device"
    assert "--data-root" in error.hint
    assert fetch([blob(host.address)], tmp_path) == 1
    assert int(host.asked[-1][1].removeprefix("bytes=").removesuffix("-")) > 500_000


# -- archives ----------------------------------------------------------------------------------------------------------


def packed(members: dict[str, bytes], *links: tuple[str, str]) -> bytes:
    content = io.BytesIO()
    with tarfile.open(fileobj=content, mode="w:gz") as tar:
        for name, held in members.items():
            member = tarfile.TarInfo(name)
            member.size = len(held)
            tar.addfile(member, io.BytesIO(held))
        for name, target in links:
            member = tarfile.TarInfo(name)
            member.type, member.linkname = tarfile.SYMTYPE, target
            tar.addfile(member)
    return content.getvalue()


def archive(host: Host, content: bytes, **unpack: bytes) -> RemoteFile:
    host.files["/set.tar.gz"] = content
    wanted = {f"set/{name}": md5(held) for name, held in unpack.items()}
    return RemoteFile((f"{host.address}/set.tar.gz",), md5(content), "set.tar.gz", wanted)


def test_of_an_archive_only_the_files_that_are_read_are_kept(host, tmp_path) -> None:
    root = tmp_path / "data"
    content = packed({"set/one": b"1", "../outside": b"!", "set/other": b"?", "/absolute": b"!"}, ("set/link", "/etc"))
    file = archive(host, content, one=b"1")
    assert fetch([file], root) == 1
    stored = [path.relative_to(tmp_path).as_posix() for path in tmp_path.rglob("*") if path.is_file()]
    assert [path for path in stored if not path.endswith(".lock")] == ["data/set/one"]
    assert fetch([file], root) == 0


def test_an_archive_fetched_by_hand_is_unpacked(host, tmp_path) -> None:
    content = packed({"set/one": b"1"})
    (tmp_path / "set.tar.gz").write_bytes(content)
    assert fetch([archive(host, content, one=b"1")], tmp_path) == 1
    assert host.asked == []
    assert not (tmp_path / "set.tar.gz").exists()


def test_an_archive_without_a_file_or_with_another_one_is_refused(host, tmp_path) -> None:
    content = packed({"set/one": b"1"}, ("set/two", "one"))
    with pytest.raises(DataError, match="does not hold set/two"):
        fetch([archive(host, content, one=b"1", two=b"1")], tmp_path)
    with pytest.raises(DataError, match=r"set/one .* has another checksum"):
        fetch([archive(host, content, one=b"2")], tmp_path)


# -- the command -------------------------------------------------------------------------------------------------------


def test_what_offers_downloads_is_found_without_importing_it() -> None:
    names = {source.name for source in offering()}
    assert {"mnist", "mnist-10k", "fashion-mnist", "kmnist", "cifar10", "cifar100", "svhn", "stl10"} <= names
    assert {"inception", "celeba", "ffhq", "lsun", "imagenet", "hf"} <= names
    assert "digits" not in names


@pytest.mark.parametrize("source", offering(), ids=lambda source: source.name)
def test_every_offer_can_be_fetched_or_says_how_to_get_it_by_hand(source) -> None:
    offer = download_of(source)
    assert offer.licence
    assert offer.citation
    assert offer.homepage.startswith("http")
    assert bool(offer.files) != bool(offer.by_hand)
    assert (offer.size > 0) == bool(offer.files)
    for file in offer.files:
        assert all(url.startswith("http") for url in file.urls)
        for path, checksum in {file.path: file.checksum, **file.kept}.items():
            assert not path.startswith(("/", ".."))
            algorithm, _, digits = checksum.partition(":")
            assert len(digits) in {"md5": (32,), "sha256": (8, 64)}[algorithm]


def test_sets_that_torchvision_knows_have_its_checksums() -> None:
    from torchvision.datasets import CIFAR10, CIFAR100, KMNIST, MNIST, STL10, SVHN, FashionMNIST

    known = {digits for each in (MNIST, FashionMNIST, KMNIST) for _, digits in each.resources}
    known |= {each.tgz_md5 for each in (CIFAR10, CIFAR100, STL10)}
    known |= {digits for each in (CIFAR10, CIFAR100, STL10) for _, digits in (*each.train_list, *each.test_list)}
    known |= {digits for _, _, digits in SVHN.split_list.values()}
    offers = [download_of(source) for source in offering() if source.kind == "dataset"]
    ours = [checksum for offer in offers for file in offer.files for checksum in (file.checksum, *file.unpack.values())]
    assert len(ours) > 20
    assert [checksum for checksum in ours if checksum.removeprefix("md5:") not in known] == []


@pytest.mark.parametrize("name", ["mnist", "mnist-10k", "fashion-mnist", "kmnist", "cifar10", "cifar100", "svhn"])
def test_what_is_fetched_is_what_the_dataset_reads(name, host, tmp_path, monkeypatch) -> None:
    """The real list of files, with small ones in the same formats and places."""
    import gzip
    from dataclasses import replace

    from ganbench import plugins

    made, root, files = write_all(tmp_path / "made"), tmp_path / "root", []
    (source,) = find_offers([name])
    for file in download_of(source).files:
        kept = {path: made / path for path in file.kept}
        held = {path: there.read_bytes() for path, there in kept.items() if there.exists()}
        held |= {path: gzip.compress((made / path[:-3]).read_bytes()) for path in kept if path.endswith(".gz")}
        content = packed(held) if file.unpack else held[file.path]
        host.files[f"/{file.path}"] = content
        sums = {path: md5(held[path]) for path in file.unpack}
        files.append(replace(file, urls=(f"{host.address}/{file.path}",), checksum=md5(content), unpack=sums))
    assert fetch(files, root) == len(files)
    monkeypatch.setenv("GANBENCH_DATA", str(root))
    got = plugins.build(plugins.find("dataset", name), argument="", resolution=None)
    monkeypatch.setenv("GANBENCH_DATA", str(made))
    assert got.fingerprint == plugins.build(plugins.find("dataset", name), argument="", resolution=None).fingerprint


@pytest.fixture
def offered(host, monkeypatch) -> Download:
    """What `mnist` offers, from the server here."""
    monkeypatch.setenv("GANBENCH_DATA", "none")  # --data-root changes it; here, it is restored
    offer = Download("https://example.org", "CC0", "A. Author (2024)", (blob(host.address),), 1_024_000)
    monkeypatch.setattr("ganbench.cli.download.download_of", lambda source: offer)
    return offer


def test_the_command_fetches_and_says_where_licence_and_citation(offered, tmp_path) -> None:
    done = command_here(tmp_path)("download", "mnist", "--data-root", tmp_path / "data")
    assert done.returncode == 0
    assert f"mnist is in {tmp_path / 'data'}: 1 file fetched and checked" in done.stdout
    assert "licence: CC0" in done.stdout
    assert "cite: A. Author (2024) (https://example.org)" in done.stdout
    again = command_here(tmp_path)("download", "mnist", "--data-root", tmp_path / "data")
    assert f"mnist is here already, in {tmp_path / 'data'}" in again.stdout
    assert "yes" in command_here(tmp_path)("download", "--data-root", "data").stdout


def test_without_a_name_the_command_lists_sizes_licences_and_what_is_here(tmp_path, monkeypatch) -> None:
    monkeypatch.setenv("GANBENCH_DATA", str(tmp_path))
    write_all(tmp_path)
    lines = command_here(tmp_path)("download").stdout.splitlines()
    rows = {line.split()[0]: line for line in lines if line.strip()}
    assert "30.9 MB" in rows["fashion-mnist"]
    assert "MIT" in rows["fashion-mnist"]
    assert "yes" in rows["svhn"]
    assert "yes" not in rows["inception"]
    assert "by hand" in rows["celeba"]


@pytest.mark.parametrize(
    ("name", "said", "hint"),
    [
        ("mnits", "nothing called 'mnits' can be fetched - did you mean 'mnist'?", "cifar10"),
        ("digits", "'digits' has nothing to fetch", "cifar10"),
        ("celeba", "'celeba' cannot be fetched by a program (non-commercial research only)", "list_eval_partition.txt"),
        ("lsun:bedroom", "'lsun' cannot be fetched by a program", "lmdb.zip"),
    ],
)
def test_what_cannot_be_fetched_is_said_in_one_sentence(name, said, hint, tmp_path) -> None:
    done = command_here(tmp_path)("download", name)
    assert done.returncode == 2
    assert said in done.stderr
    assert hint in done.stderr


def test_one_that_cannot_be_fetched_does_not_keep_others_from_it(host, tmp_path, monkeypatch) -> None:
    monkeypatch.setenv("GANBENCH_DATA", str(tmp_path / "data"))
    here = Download("https://example.org", "CC0", "A. Author (2024)", (blob(host.address),), 1_024_000)
    by_hand = Download("https://example.org", "secret", "A. Author (2024)", by_hand="write to the author")
    offers = {"mnist": by_hand, "kmnist": here, "svhn": by_hand}
    monkeypatch.setattr("ganbench.cli.download.download_of", lambda source: offers[source.name])
    done = command_here(tmp_path)("download", *offers)
    assert done.returncode == 2
    assert "kmnist is in" in done.stdout
    assert re.findall(r"error: '(\w+)' cannot be fetched", done.stderr) == ["mnist", "svhn"]
    assert done.stderr.count(f"write to the author; the data folder is {tmp_path / 'data'}") == 2


def test_a_hook_that_returns_something_else_is_blamed_on_its_package(install_here) -> None:
    install_here(
        "ganbench-odd",
        "dataset",
        "odd-set",
        """
        from ganbench import hookimpl
        @hookimpl
        def ganbench_dataset(): ...
        @hookimpl
        def ganbench_download():
            return "https://example.org"
        """,
        module="odd_set",
    )
    optional.defining.cache_clear()
    (source,) = find_offers(["odd-set"])
    with pytest.raises(Exception, match=r"odd-set \(ganbench-odd 1.0\) did not return a ganbench.Download"):
        download_of(source)
    optional.defining.cache_clear()


def test_the_data_root_of_a_run_is_the_data_folder_of_its_workers(ganbench_command, tmp_path) -> None:
    write_all(tmp_path / "mine")
    (tmp_path / "small.toml").write_text(PROTOCOL)
    known = {"GANBENCH_DATA": str(tmp_path / "elsewhere")}
    row = ("run", "--protocol", "small.toml", "--arch", "mlp", "--loss", "hinge", "--dry-run")  # tries a few iterations
    done = ganbench_command(*row, "--data-root", "mine", env=known)
    assert done.returncode == 0, done.stderr
    assert "from a few iterations" in done.stdout


PROTOCOL = """
name = "small"
dataset = "mnist"
seeds = [0, 1]
resolution = 8
[training]
budget_kimg = 0.128
batch = 8
width = 4
[evaluation]
samples = 20
metrics = ["fid"]
headline = "fid"
extractor = "raw"
"""


def test_the_weights_of_inception_are_found_where_they_are_fetched_to(tmp_path, monkeypatch) -> None:
    from ganbench_baselines.extractor import inception

    monkeypatch.setenv("GANBENCH_DATA", str(tmp_path))
    monkeypatch.delenv("GANBENCH_INCEPTION", raising=False)
    (file,) = inception.ganbench_download().files
    assert fetching.is_there(file, tmp_path) is False
    (tmp_path / file.path).parent.mkdir()
    (tmp_path / file.path).write_bytes(b"weights")
    assert inception.find_weights("") == (tmp_path / file.path, True)
