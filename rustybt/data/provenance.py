"""Who supplied which bars, and where others said otherwise: for sources made of several providers.

A bundle that was made from such a source keeps both frames beside its bars.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import ClassVar

import polars as pl

#: One row for each time that a provider was asked for a symbol. ``first`` and ``last`` are the
#: days it was asked for, both included, null where the request was open; ``outcome`` is
#: ``supplied``, or ``compared``, or why neither.
SUPPLIERS = pl.Schema(
    {
        "symbol": pl.String(),
        "frequency": pl.String(),
        "provider": pl.String(),
        "first": pl.Date(),
        "last": pl.Date(),
        "bars": pl.Int64(),
        "outcome": pl.String(),
    }
)
#: One row for each value on which two providers differ. ``timestamp`` of a daily bar is the
#: midnight of its session. ``field`` is a column of the bars, or ``bar``, with values 1 and 0,
#: where only one of the two has the bar at all.
DISAGREEMENTS = pl.Schema(
    {
        "symbol": pl.String(),
        "frequency": pl.String(),
        "timestamp": pl.Datetime("us", "UTC"),
        "field": pl.String(),
        "provider": pl.String(),
        "value": pl.Float64(),
        "other": pl.String(),
        "other_value": pl.Float64(),
        "relative_difference": pl.Float64(),
    }
)

SUPPLIERS_FILE = "suppliers.parquet"
DISAGREEMENTS_FILE = "disagreements.parquet"
SUPPLIED, COMPARED = "supplied", "compared"


@dataclass(frozen=True)
class Provenance:
    """Where bars came from.

    Attributes
    ----------
    suppliers : polars.DataFrame
        In the schema `SUPPLIERS`.
    disagreements : polars.DataFrame
        In the schema `DISAGREEMENTS`; the provider whose bars were taken stands in ``provider``.
    """

    #: Words of the notes, by which those of an earlier version are known.
    NOTES: ClassVar[tuple[str, ...]] = ("bars by provider: ", "providers disagree on ")

    suppliers: pl.DataFrame = field(default_factory=lambda: pl.DataFrame(schema=SUPPLIERS))
    disagreements: pl.DataFrame = field(default_factory=lambda: pl.DataFrame(schema=DISAGREEMENTS))

    def notes(self) -> list[str]:
        """What a person should know of it, in sentences."""
        taken = self.suppliers.filter(pl.col("outcome") == SUPPLIED)
        counts = taken.group_by("provider", maintain_order=True).agg(pl.col("bars").sum())
        listed = ", ".join(f"{name} {bars:,}" for name, bars in counts.rows())
        told = [f"{self.NOTES[0]}{listed}; see {SUPPLIERS_FILE}"]
        if len(self.disagreements):
            symbols = self.disagreements["symbol"].n_unique()
            told.append(
                f"{self.NOTES[1]}{len(self.disagreements):,} values of {symbols:,} symbols: "
                f"see {DISAGREEMENTS_FILE}"
            )
        return told

    def tables(self) -> dict[str, pl.DataFrame]:
        """Both frames, by the name of the file that keeps each in a version."""
        return {SUPPLIERS_FILE: self.suppliers, DISAGREEMENTS_FILE: self.disagreements}


def read_provenance(directory: Path) -> Provenance | None:
    """What was written into a directory; None if nothing was."""
    if not (directory / SUPPLIERS_FILE).is_file():
        return None
    files = (SUPPLIERS_FILE, DISAGREEMENTS_FILE)
    return Provenance(*(pl.read_parquet(directory / name) for name in files))


def merge_provenance(parts: "Iterable[Provenance | None]") -> Provenance | None:
    """Several as one; None if there is none."""
    found = [part for part in parts if part is not None]
    if not found:
        return None
    return Provenance(
        pl.concat([part.suppliers for part in found]),
        pl.concat([part.disagreements for part in found]),
    )
