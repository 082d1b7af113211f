"""What a format cannot hold of a bundle: counted, named, and refused unless it may be lost."""

from dataclasses import dataclass, field

import polars as pl

from rustybt.data.errors import BundleError

#: Rows that are named; the others are counted.
_NAMED = 20
#: Of these, how many a message spells out.
_SHOWN = 5


class ExportError(BundleError, ValueError):
    """A bundle cannot be exported as it was asked.

    Attributes
    ----------
    counts : dict of str to int
        Rule -> rows that break it, where the format cannot hold the bundle.
    examples : list of str
        The first of these rows.
    """

    def __init__(self, message: str, losses: "Losses | None" = None) -> None:
        super().__init__(message)
        self.counts = dict(losses.counts) if losses else {}
        self.examples = list(losses.examples) if losses else []


@dataclass
class Losses:
    """Collects what a format cannot hold.

    Attributes
    ----------
    counts : dict of str to int
        Rule -> rows that break it.
    examples : list of str
        The first of these rows, in words.
    notes : list of str
        What the format holds in another way, in sentences.
    """

    counts: dict[str, int] = field(default_factory=dict)
    examples: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    def add(self, rule: str, rows: pl.DataFrame, text: pl.Expr) -> None:
        """Count rows that break a rule, and name the first of them.

        Parameters
        ----------
        rule : str
            What is lost, in words.
        rows : polars.DataFrame
            With ``symbol`` and ``timestamp``.
        text : polars.Expr
            What is wrong with a row, in words.
        """
        if rows.is_empty():
            return
        self.counts[rule] = self.counts.get(rule, 0) + len(rows)
        room = rows.head(max(_NAMED - len(self.examples), 0))
        line = pl.format("{} {}: {}", "symbol", pl.col("timestamp").cast(pl.String), text)
        self.examples += room.select(line.alias("line"))["line"].to_list()

    def error(self, target: str) -> ExportError:
        """The refusal."""
        counted = "; ".join(f"{count:,} x {rule}" for rule, count in self.counts.items())
        lines = self.examples[:_SHOWN]
        more = sum(self.counts.values()) - len(lines)
        if more > 0:
            lines.append(f"... and {more:,} more")
        shown = "\n  ".join(lines)
        return ExportError(
            f"{target} cannot hold all of the bundle: {counted}\n  {shown}\n"
            "Allow the loss (lossy=True, --lossy), which is reported then, or export to parquet, "
            "which holds everything.",
            self,
        )
