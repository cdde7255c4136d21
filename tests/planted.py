"""What every conformance check must do: find what was planted for it, and report it in full."""

from __future__ import annotations

import re

from ganbench.testing import CHECKS, Finding


def assert_found(kind: str, check: str, findings: list[Finding]) -> None:
    """The check found something, and not because the plugin raised an exception that it does not look for."""
    found = [finding for finding in findings if finding.check == check]
    assert found, [finding.check for finding in findings]
    for finding in found:
        assert finding.seen
        assert finding.expected
        assert finding.mend
        assert finding.why == CHECKS[kind].why(check)
        assert not re.search("Error: .*line", finding.seen), "an exception is not what this check looks for"
