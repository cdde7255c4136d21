"""Which installed datasets can read somebody's samples from files of their kind."""

from __future__ import annotations

from ganbench.contracts.data import DataSpec
from ganbench.contracts.samples import Samples
from ganbench.errors import GanbenchError, PluginError, blaming
from ganbench.plugins.loading import load
from ganbench.plugins.optional import defining

HOOK = "ganbench_samples"


def read_files(path: str, data: DataSpec | None) -> Samples | None:
    """The samples in a folder or an archive, from the first dataset that reads such files; None if none does.

    Raises:
        DataError: one reads such files, but not these.
        PluginError: one fails.
    """
    for source in defining(HOOK, "dataset"):
        hook = getattr(load(source).hook, HOOK)
        with blaming(f"{source} cannot read '{path}'", "tell its author", passing=GanbenchError):
            results = hook(path=path, data=data)
        if results and not isinstance(results[0], Samples):
            raise PluginError(f"{source} did not return a ganbench.Samples from {HOOK}", "tell its author")
        if results:
            found: Samples = results[0]
            return found
    return None
