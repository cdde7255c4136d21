"""The hooks that a plugin module can implement.

Each component has one entry point (the group is ``ganbench.<kind>``, the name is the component's name, the value is
its module), and each module has one hook of its kind. A hook *builds* an object, which training and evaluation then
call directly. A hook implementation may omit any argument it does not need; arguments are only ever added.
"""

# mypy: disable-error-code="empty-body"
# (a hookspec has a name, arguments and a docstring; plugins provide the body)

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, get_args

import pluggy

from ganbench.contracts.kind import Kind

if TYPE_CHECKING:
    from ganbench.contracts.arch import GAN
    from ganbench.contracts.data import Dataset, DataSpec
    from ganbench.contracts.download import Download
    from ganbench.contracts.executor import Executor, Places
    from ganbench.contracts.extractor import Extractor
    from ganbench.contracts.loss import Loss
    from ganbench.contracts.metric import Metric
    from ganbench.contracts.protocol import Protocol
    from ganbench.contracts.samples import Samples
    from ganbench.contracts.trick import Trick

hookspec = pluggy.HookspecMarker("ganbench")
hookimpl = pluggy.HookimplMarker("ganbench")
"""Decorator that marks the hooks in a plugin module."""

KINDS: tuple[Kind, ...] = get_args(Kind)
API_VERSION = 6
"""Version of the plugin API, raised whenever a hook gains an argument or a contract gains a member."""


@hookspec
def ganbench_arch(data: DataSpec, d_norm: str | None, width: int, z_dim: int, settings: Mapping[str, Any]) -> GAN:
    """Build the players: ``G: z[B, Z] -> x[B, *data.shape]`` and ``D: x[B, *data.shape] -> logit[B]``.

    ``x`` lies in [-1, 1] if ``data.bounded``. D returns a logit, with no sigmoid or other activation at the end. Draw
    weights from torch's default generator, which the core has seeded.

    Args:
        data: the shape of one sample and the number of classes.
        d_norm: the normalisation that the loss needs in D: ``"none"`` (nothing that mixes the samples of a batch),
            ``"spectral"``, or None for the architecture's own choice.
        width: the protocol's base channel count.
        z_dim: the protocol's latent size.
        settings: what the user set with ``--set arch.<name>=<value>``. An architecture with its own settings converts
            this to a dataclass with ``settings_of(Settings, settings)`` and passes it to ``GAN(..., settings=...)``.

    Raises:
        Unsupported: the architecture cannot handle the data or the normalisation; the message says why.

    Example::

        from torch import nn
        from ganbench import GAN, Unsupported, hookimpl


        @hookimpl
        def ganbench_arch(data, width, z_dim):
            if len(data.shape) != 1:
                raise Unsupported("needs points: one row of numbers per sample")
            (features,) = data.shape
            return GAN(
                generator=nn.Sequential(nn.Linear(z_dim, width), nn.ReLU(), nn.Linear(width, features)),
                discriminator=nn.Sequential(nn.Linear(features, width), nn.ReLU(), nn.Linear(width, 1), nn.Flatten(0)),
                z_dim=z_dim,
            )
    """


@hookspec
def ganbench_loss() -> Loss:
    """Build the adversarial objective. :class:`ganbench.Loss` documents every attribute.

    Example::

        from torch.nn.functional import relu
        from ganbench import hookimpl


        class Hinge:
            def d_loss(self, D, real, fake):
                return relu(1 - D(real)).mean() + relu(1 + D(fake)).mean()

            def g_loss(self, D, real, fake):
                return -D(fake).mean()


        @hookimpl
        def ganbench_loss():
            return Hinge()
    """


@hookspec
def ganbench_trick(argument: str) -> Trick:
    """Build a modification of training that works with any architecture and loss. See :class:`ganbench.Trick`.

    Args:
        argument: the text after the colon, as in ``--trick instance-noise:0.1``; empty if there is none.

    Raises:
        Unsupported: the argument is invalid; the message says what is valid.

    Example::

        import torch
        from ganbench import Trick, hookimpl


        class Flip(Trick):
            def match(self, match, turn):
                def seen(x):
                    coins = torch.rand(len(x), *[1] * (x.ndim - 1), device=x.device)
                    return match.D(torch.where(coins < 0.5, x.flip(-1), x))

                return match._replace(D=seen)


        @hookimpl
        def ganbench_trick():
            return Flip()
    """


@hookspec
def ganbench_metric() -> Metric:
    """Build a metric. See :class:`ganbench.Metric`.

    Example::

        from ganbench import hookimpl


        class MeanGap:
            columns = {"mean_gap": "min"}
            version = 1

            def __call__(self, evaluation):
                real, fake = evaluation.real.double(), evaluation.fake.double()
                return {"mean_gap": (real.mean() - fake.mean()).abs().item()}


        @hookimpl
        def ganbench_metric():
            return MeanGap()
    """


@hookspec
def ganbench_dataset(argument: str, resolution: int | None) -> Dataset:
    """Load real data into memory.

    Args:
        argument: the text after the colon, as in ``folder:PATH``, or empty. It is split at commas. Whole numbers are
            parameters, which a protocol's digest covers. Anything else is a path, which the digest leaves out. Write a
            folder named ``2024`` as ``./2024``.
        resolution: the protocol's image size in pixels, or None for that of the data.

    Raises:
        DataError: the data cannot be read; the message names the file.
        Unsupported: the data do not come at that resolution.

    Example::

        import torch
        from ganbench import Dataset, DataSpec, Split, hookimpl


        @hookimpl
        def ganbench_dataset():
            rng = torch.Generator().manual_seed(0)
            points = torch.randn(2000, 2, generator=rng)
            return Dataset("blob", DataSpec((2,), bounded=False), train=Split(points[:1000]), test=Split(points[1000:]))
    """


@hookspec
def ganbench_protocol() -> Protocol | Mapping[str, Any]:
    """Return the frozen rules of one comparison. The protocol's name must equal that of the entry point.

    Example::

        from ganbench import Evaluating, Protocol, Training, hookimpl


        @hookimpl
        def ganbench_protocol():
            return Protocol(
                name="blob-v1",
                dataset="blob",
                seeds=(0, 1, 2, 3, 4),
                training=Training(budget_kimg=10, batch=64),
                evaluation=Evaluating(
                    samples=1000,
                    metrics=("density-coverage",),
                    headline="coverage",
                    extractor="raw",
                ),
            )
    """


@hookspec
def ganbench_extractor(argument: str) -> Extractor:
    """Build the network whose feature space the metrics use. See :class:`ganbench.Extractor`.

    Args:
        argument: the text after the colon, as in ``inception:PATH``; empty if there is none.

    Raises:
        DataError: the weights are missing or are not the expected ones.

    Example::

        from ganbench import Extractor, hookimpl


        class Raw(Extractor):
            name, version = "raw", "1"

            def forward(self, x):
                return x.flatten(1).double(), None


        @hookimpl
        def ganbench_extractor():
            return Raw()
    """


@hookspec
def ganbench_executor(argument: str, places: Places) -> Executor:
    """Build an executor, which runs jobs somewhere: in processes of this machine, on a cluster, in a queue.

    See :class:`ganbench.Executor`. ``ganbench run --executor NAME`` chooses one.

    Args:
        argument: the text after the colon, as in ``ray:10.0.0.1:6379``, or that of ``--address``; empty if there is
            none.
        places: how many jobs to run at a time, and on which device, as far as the user said.

    Raises:
        Unsupported: the argument is invalid, or the machines cannot be reached; the message says what to do.

    Example::

        import signal
        from concurrent.futures import BrokenExecutor, ProcessPoolExecutor, ThreadPoolExecutor
        from contextlib import suppress
        from multiprocessing import get_context
        from queue import Empty

        from ganbench import Executor, Stopping, hookimpl, lost, perform


        class Pool(Executor):
            def __init__(self, workers):
                self.workers, self.asked = workers, False

            def stop(self):
                self.asked = True

            def run(self, jobs):
                with get_context("spawn").Manager() as manager, ThreadPoolExecutor(self.workers) as threads:
                    said, halt = manager.Queue(), manager.Event()
                    runs = [threads.submit(self.one, job, said, halt) for job in jobs]
                    while not all(run.done() for run in runs) or not said.empty():
                        if self.asked and not halt.is_set():
                            halt.set()
                            yield Stopping()
                        with suppress(Empty):
                            yield said.get(timeout=0.25)

            def one(self, job, said, halt):
                if self.asked:
                    return
                # a process for each run, so that one that dies costs no other; Ctrl-C is left to this one
                process = ProcessPoolExecutor(1, get_context("spawn"), signal.signal, (signal.SIGINT, signal.SIG_IGN))
                with process, suppress(BrokenExecutor):
                    process.submit(perform, job, said.put, halt.is_set).result()
                    return
                said.put(lost(job, "its process died"))


        @hookimpl
        def ganbench_executor(places):
            return Pool(places.jobs or 2)
    """


@hookspec
def ganbench_download() -> Download:
    """Say what ``ganbench download NAME`` fetches, or what to fetch by hand. Optional, for datasets and extractors.

    The hook stands in the same module as ``ganbench_dataset`` or ``ganbench_extractor``, which finds the files below
    ``ganbench.data_folder()``.

    Example::

        from ganbench import Download, RemoteFile, hookimpl


        @hookimpl
        def ganbench_download():
            return Download(
                homepage="https://example.org/blobs",
                licence="CC BY 4.0",
                citation="A. Author (2024), Ten thousand blobs",
                files=(
                    RemoteFile(
                        urls=("https://example.org/blobs.npy",),
                        checksum="sha256:9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08",
                        path="blobs/blobs.npy",
                    ),
                ),
                size=12_000_000,
            )
    """


@hookspec
def ganbench_samples(path: str, data: DataSpec | None) -> Samples | None:
    """Read somebody's samples from a folder or an archive, as they are. Optional, for datasets of files.

    The hook stands in the same module as ``ganbench_dataset``. ``ganbench evaluate PATH`` asks each dataset that has it
    until one returns samples. Do not crop or resize: that would change scores.

    Args:
        path: of a folder or a file that exists.
        data: the format of the protocol's samples, or None where two sets are compared without a protocol.

    Returns:
        The samples, or None if the path holds no files of this kind, or ``data`` are of another kind.

    Raises:
        DataError: the files are of this kind, but cannot be read.

    Example::

        from pathlib import Path

        import numpy as np
        import torch
        from ganbench import Samples, hookimpl


        @hookimpl
        def ganbench_samples(path, data):
            files = sorted(Path(path).glob("*.xyz"))
            if not files:
                return None
            points = np.stack([np.loadtxt(file) for file in files])
            return Samples(torch.from_numpy(points), f"{len(files)} points in {Path(path).name}")
    """
