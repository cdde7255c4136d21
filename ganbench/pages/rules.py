"""A protocol's rules, and how to read its table, in words. The texts returned are not escaped."""

from __future__ import annotations

from typing import NamedTuple

from ganbench.contracts.origin import Origin
from ganbench.contracts.protocol import LossRules
from ganbench.leaderboards.entries import YardstickEntry
from ganbench.leaderboards.table import Table


class Rule(NamedTuple):
    """One rule of a protocol; ``code`` is a name or a setting, shown as code, and ``more`` follows it."""

    name: str
    code: str
    more: str = ""


def rules_in_words(table: Table) -> list[Rule]:
    """The data, the budget, the evaluation, the settings of single losses, the headline, the seeds and the digest."""
    protocol, found = table.protocol, []
    if protocol is not None:
        training, judging = protocol.training, protocol.evaluation
        draws = f"{judging.draws} x " if judging.draws > 1 else ""
        samples = f"at the end of the budget on {draws}{judging.samples} samples"
        found = [
            Rule(
                "data",
                str(protocol.dataset_ref.without_folders()),
                f"at {protocol.resolution} px" if protocol.resolution else "",
            ),
            *_origins(table),
            Rule(
                "budget",
                "",
                f"{training.budget_kimg:g} thousand real samples shown to D, in batches of {training.batch}",
            ),
            *([Rule("augmentation", "", ", ".join(training.augment))] if training.augment else []),
            Rule("judged", "", samples),
            *([Rule("features", str(judge.without_folders()))] if (judge := protocol.extractor_ref) else []),
            *(Rule(f"loss {loss}", _asked(asked)) for loss, asked in protocol.losses.items()),
        ]
    found.append(Rule("headline", table.headline))
    return [*found, Rule("seeds", "", ", ".join(map(str, table.seeds))), Rule("digest", table.digest)]


def _origins(table: Table) -> list[Rule]:
    """Who made the data and under which terms, and how samples were made from their files, as records say."""
    found = dict.fromkeys(record.origin for row in table.rows for record in row.records)
    cited = dict.fromkeys(filter(None, (_cited(origin) for origin in found)))
    made = dict.fromkeys(origin.conversion for origin in found if origin.conversion)
    return [*(Rule("data by", "", text) for text in cited), *(Rule("samples", "", text) for text in made)]


def _cited(origin: Origin) -> str:
    terms = f"licence: {origin.licence}" if origin.licence else ""
    return "; ".join(filter(None, (origin.citation, terms)))


def _asked(asked: LossRules) -> str:
    """What a protocol sets for one loss: ``lr = 0.0001, weight = 0.1``."""
    return ", ".join(f"{name} = {value}" for name, value in (asked.recipe | asked.settings).items())


def how_to_read(table: Table, yardsticks: str) -> str:
    """A paragraph on how to read the table; ``yardsticks`` says how they are set apart, "in italics"."""
    drawn = f" Yardsticks, {yardsticks}, are not trained; the same code scores them."
    return (
        "Every row is trained on the same data, with the same number of real samples shown to its discriminator, and "
        f"scored at the end of the budget. Its rank by {table.label(table.headline)} is a range: any rank in it is "
        "consistent with the seeds. A row whose seeds differ widely has a wide range."
        + (drawn if table.block("yardstick") else "")
        + _floor(table)
    )


def _floor(table: Table) -> str:
    """What the score of real data means."""
    rows = [record.self_checks.fake for row in table.block("entry") for record in row.well if record.self_checks]
    real = [row for row in table.rows if row.entry == YardstickEntry("real data")]
    few = min((record.self_checks.fake for row in real for record in row.records if record.self_checks), default=0)
    if not real:
        return ""
    if rows and few < max(rows):
        return (
            f" Real data score slightly worse than a perfect generator would, because there are only {few} samples on "
            f"either side, while rows are scored on {max(rows)}."
        )
    return " Real data score as well as a perfect generator would."
