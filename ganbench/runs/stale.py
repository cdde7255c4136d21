"""What has changed since a run finished: its code, and the extractor that judged it."""

from __future__ import annotations

import sys
import warnings
from contextlib import redirect_stdout
from functools import cached_property

from ganbench import plugins
from ganbench.contracts.executor import Job
from ganbench.contracts.protocol import Protocol
from ganbench.errors import Doubt, GanbenchError, listed
from ganbench.records.record import Record
from ganbench.runs.basis import basis_now, basis_of


class Now:
    """The installed plugins and the extractor of a protocol, as they are now."""

    def __init__(self, protocol: Protocol) -> None:
        self.protocol = protocol

    def changes_since(self, record: Record, job: Job) -> str:
        """What differs from the finished ``record`` of ``job``, as the end of a sentence; empty if nothing does.

        Code hashes of an older format are not comparable. The worker, not this method, checks data from a path.
        """
        said, then, now = [], basis_of(record), basis_now(job)._replace(extractor=self.extractor or None)
        changed = then.differences(now)
        if changed.code:
            said.append(f"the code of {listed(list(map(str, changed.code)))} has changed since")
        if changed.extractor:
            self._forget()
            said.append(f"the extractor has changed since ({then.extractor}, now {now.extractor})")
        return ", and ".join(said)

    @cached_property
    def extractor(self) -> str:
        """The extractor's tag, which holds the hash of its weights; empty, with a warning, if it cannot be built.

        Only the plugin knows where its weights come from (its package, a path, an environment variable), so it has to
        be built. That takes a second or two, and happens only if there is a finished run.
        """
        name = self.protocol.evaluation.extractor
        if not name:
            return ""
        from ganbench.device.untouched import preserved_rng
        from ganbench.runs.setup import pick_device

        source = plugins.find_for(self.protocol.name, "extractor", name)
        try:
            with redirect_stdout(sys.stderr), preserved_rng(pick_device("cpu")):
                return str(plugins.build(source, argument=source.argument).tag)
        except GanbenchError as error:
            why = f"finished runs are kept, but whether {name} has changed since is unknown: {error.message}"
            warnings.warn(Doubt(why), stacklevel=2)
            return ""

    @staticmethod
    def _forget() -> None:
        """Drop the old extractor, which this process may still hold if it has carried out runs itself."""
        from ganbench.runs.setup import forget

        forget()
