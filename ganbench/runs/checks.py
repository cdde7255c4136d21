"""What a record must pass before it joins others: sealed, finished, under known rules, and in its place.

``ganbench merge`` and ``ganbench verify`` share these checks.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

from msgspec.structs import replace

from ganbench import plugins
from ganbench.contracts.protocol import Protocol
from ganbench.errors import GanbenchError, PluginError, RecordError
from ganbench.leaderboards.naming import possible_names
from ganbench.plugins.metadata import canonical
from ganbench.plugins.protocols import load_protocol
from ganbench.plugins.source import Source
from ganbench.records.record import FINISHED, Record, Role, YardstickRecord
from ganbench.records.store import read
from ganbench.records.strips import NAMES, PICTURE, SOUND, read_strip
from ganbench.runs.folders import rows_of

PUBLISHED = re.compile(r".+\+seed\d+(\+[0-9a-f]{8})?\.json")
"""The name of a published record."""


class Unfinished(RecordError):
    """The run of a record is not over, or never began."""


class Check(NamedTuple):
    """Something that was checked, and what is wrong with it. ``note``: why it could not be checked."""

    what: str
    error: GanbenchError | None = None
    note: str = ""


class Checked(NamedTuple):
    """A file and its checks. ``record`` is None if it cannot be read."""

    file: Path
    record: Record | None
    checks: tuple[Check, ...]

    @property
    def problem(self) -> Check | None:
        """The first check that failed."""
        return next((check for check in self.checks if check.error), None)


class Rules:
    """The protocols that records are checked by: those given by name or file, and the installed ones.

    ``names`` are the names of all of them.

    Raises:
        GanbenchError: a given one does not exist, or its fields are invalid.
    """

    def __init__(self, given: Iterable[str] = ()) -> None:
        self._found = {rules.name: rules for rules in map(load_protocol, given)}
        self._digests = dict[str, str]()
        self.names = {*self._found, *(source.name for source in plugins.of_kind("protocol"))}

    def of(self, record: Record) -> Protocol:
        """The protocol that a record names.

        Raises:
            GanbenchError: it is neither given nor installed, or its plugin is broken.
        """
        name = record.protocol
        if name not in self._found:
            self._found[name] = installed_rules(name)
        return self._found[name]

    def digest_of(self, record: Record) -> str:
        """The digest of the protocol that a record names; computing it takes milliseconds, so it is kept.

        Raises:
            GanbenchError: as for ``of``.
        """
        name = record.protocol
        if name not in self._digests:
            self._digests[name] = self.of(record).digest
        return self._digests[name]


def installed_rules(name: str) -> Protocol:
    """The installed protocol that a record names.

    Raises:
        GanbenchError: there is none, or its plugin is broken.
    """
    if any(source.name == name for source in plugins.of_kind("protocol")):
        return load_protocol(name)
    raise PluginError(
        f"the record was made under the protocol '{name}', which is not installed",
        "install the package that provides it, or give its rules: --protocol FILE.toml",
    )


def check(file: Path, rules: Rules) -> Checked:
    """Every check of a record that needs neither its code nor another run."""
    sealed = "format, seal, and scores that are the means of their draws"
    try:
        record = read(file)
    except RecordError as error:
        return Checked(file, None, (Check(sealed, error),))
    tests: dict[str, Callable[[Path, Record, Rules], None]] = {
        "a run that is over": _refuse_unfinished,
        f"the rules of {record.protocol}": _refuse_other_rules,
        "the name and folder of its file": _refuse_misplaced,
        "samples of its own weights": _refuse_other_samples,
    }
    found = (Check(what, _error_of(test, file, record, rules)) for what, test in tests.items())
    return Checked(file, record, (Check(sealed), *found))


def _error_of(
    test: Callable[[Path, Record, Rules], None], file: Path, record: Record, rules: Rules
) -> GanbenchError | None:
    try:
        test(file, record, rules)
    except GanbenchError as error:
        return error
    return None


def _refuse_unfinished(file: Path, record: Record, rules: Rules) -> None:
    if record.status not in FINISHED:
        raise Unfinished(f"{file} says '{record.status}'", "finish the run with the same `ganbench run`")


def _refuse_other_rules(file: Path, record: Record, rules: Rules) -> None:
    try:
        digest = rules.digest_of(record)
    except GanbenchError as error:
        raise RecordError(f"{file} cannot be checked: {error.message}", error.hint) from error
    if digest != record.digest:
        raise RecordError(
            f"{file} was made under {record.protocol} with digest {record.digest}; these rules have {digest}",
            "give the old rules with --protocol FILE, or install the version that had them",
        )


def _refuse_misplaced(file: Path, record: Record, rules: Rules) -> None:
    """Compare names in the path with what the record says. A file that was moved out of its folders has none."""
    home, row, seed = ("", "", *file.absolute().parts[:-1])[-3:]
    if isinstance(record, YardstickRecord) and re.search(r"[/\\\0]|^\.*$", record.yardstick):  # it may be any text
        why = f"{file} is of a yardstick that no folder can be named after, '{record.yardstick}'"
        raise RecordError(why, "run it again")
    if any("\0" in row for row in rows_of(record)):
        raise RecordError(f"{file} is of a row that no folder can be named after", "run it again")
    says = f"{record.entry}, seed {record.seed}, of {record.protocol}"
    hint = "restore the file to the run that it belongs to"
    known = {*rules.names, record.protocol}
    if file.name == "record.json" and re.fullmatch(r"seed\d+", seed):
        misplaced = home in known and (home != record.protocol or row not in rows_of(record))
        if misplaced or seed != f"seed{record.seed}":
            raise RecordError(f"{file} is in the wrong folder: it is the record of {says}", hint)
    elif seed == "records" or PUBLISHED.fullmatch(file.name):
        misplaced = seed == "records" and row in known and row != record.protocol
        if misplaced or file.name not in possible_names(record):
            raise RecordError(f"{file} has the name of another record: it is that of {says}", hint)


def _refuse_other_samples(file: Path, record: Record, rules: Rules) -> None:
    for strip in strips_of(file):
        if read_strip(strip).weights != record.bits.weights:
            raise RecordError(
                f"{strip} shows samples of other weights than those of {file}",
                "copy the whole folder of the run again, or delete the samples",
            )


def strips_of(file: Path) -> list[Path]:
    """The strips that lie where those of a record would: beside it, or in ``strips/`` of a published folder."""
    if file.name == "record.json":
        places = [os.path.join(file.parent, name) for name in NAMES]
    else:
        places = [os.path.join(file.parent, "..", "strips", f"{file.stem}{suffix}") for suffix in (PICTURE, SOUND)]
    return [Path(path) for path in places if os.path.isfile(path)]


def check_code(file: Path, record: Record) -> Iterator[Check]:
    """Compare the code of every component of a record with that of the installed plugins, without importing them."""
    for role in dict.fromkeys(record.components):
        yield _check_component(file, role)


def _check_component(file: Path, role: Role) -> Check:
    kind, part = role
    what = f"the code of the {kind} {part.name} ({part.package} {part.version})"
    install = f"pip install {part.package}=={part.version}"
    source = _installed(role)
    if source is None:
        missing = f"{file} needs the {kind} '{part.name}' of {part.package}, which is not installed"
        return Check(what, RecordError(missing, install))
    now = source.source_hash
    if now == part.source:
        return Check(what)
    if replace(part, source=now).hash_kind != part.hash_kind:
        return Check(what, note="its hash was computed differently then")
    if source.version != part.version:
        said = f"{file}: {role.plugin} was that of {part.package} {part.version}; {source.version} has other code"
        return Check(what, RecordError(said, install))
    said = f"{file}: {role.plugin} was edited; its code is not that of {part.package} {part.version} installed here"
    return Check(what, RecordError(said, "run it again with released code, or raise the version of the package"))


def _installed(role: Role) -> Source | None:
    part = role.component
    try:
        source = plugins.find(role.kind, f"{part.package}:{part.name}")
    except PluginError:
        return None
    return source if canonical(source.package) == canonical(part.package) else None
