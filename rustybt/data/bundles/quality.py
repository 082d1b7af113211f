"""How good the bars of a version are: counted, not guessed.

``quality_score = (1 - missing) * (1 - suspect)``

- ``missing`` is the share of sessions, between each asset's first and last bar, without a bar;
- ``suspect`` is the share of daily bars that are doubtful by one of the rules of `SUSPECT`.

``quality.parquet`` lists every finding with its row: those, the gaps, and the rows that could not
be true and were refused. docs/quality.md has the formulas.
"""

from dataclasses import dataclass

import polars as pl

FILE = "quality.parquet"

#: Rules by which a bar that is there is doubtful: it counts against the score.
SUSPECT = (
    "zero_volume",
    "stale",
    "split_like_jump",
    "unmatched_split",
    "jump",
    "spike",
    "wick",
    "volume_outlier",
)
#: Rules by which a bar is missing that should be there: counted as ``missing``.
MISSING = ("gap", "calendar_conflict")
#: Rules by which a row cannot be true: it is not in the version, nor is the rest of its symbol
#: (only rows off the calendar may be left out alone).
REFUSED = ("timestamp", "duplicate", "price", "ohlc", "volume", "off_calendar", "bcolz", "events")

FINDINGS = pl.Schema(
    {
        "rule": pl.String(),
        "symbol": pl.String(),
        "timestamp": pl.Date(),
        "last": pl.Date(),
        "bars": pl.Int64(),
        "message": pl.String(),
        "period": pl.String(),
    }
)
_ORDER = ("symbol", "timestamp", "rule")


@dataclass(frozen=True)
class Quality:
    """What was counted.

    Attributes
    ----------
    expected : int
        Sessions between the first and last bar, summed over the assets.
    present : int
        Of these, sessions with a bar.
    findings : polars.DataFrame
        In the schema `FINDINGS`: ``timestamp`` and ``last`` are the first and last session of what
        was found, ``bars`` how many it is.
    """

    expected: int
    present: int
    findings: pl.DataFrame

    @property
    def missing_data_pct(self) -> float:
        """Percent of the expected sessions without a bar."""
        return 100.0 * (1.0 - self.present / self.expected) if self.expected else 0.0

    @property
    def suspect_bars(self) -> int:
        """Number of bars with at least one finding of `SUSPECT`."""
        return suspect_bars(self.findings)

    @property
    def score(self) -> float:
        """0.0 to 1.0, rounded to six places."""
        if not self.present:
            return 0.0
        suspect = min(self.suspect_bars / self.present, 1.0)
        return round((1.0 - self.missing_data_pct / 100.0) * (1.0 - suspect), 6)


def suspect_bars(findings: pl.DataFrame) -> int:
    """Number of bars with at least one finding of `SUSPECT`; one in a stale run counts once."""
    suspect = findings.filter(pl.col("rule").is_in(SUSPECT))
    runs = suspect.filter(pl.col("rule") == "stale")
    single = suspect.filter(pl.col("rule") != "stale").select("symbol", "timestamp").unique()
    inside = single.join_where(
        runs.select(pl.col("symbol").alias("of"), pl.col("timestamp").alias("first"), "last"),
        pl.col("symbol") == pl.col("of"),
        pl.col("timestamp") >= pl.col("first"),
        pl.col("timestamp") <= pl.col("last"),
    )
    return int(runs["bars"].sum()) + len(single) - len(inside)


def ordered(parts: list[pl.DataFrame]) -> pl.DataFrame:
    """Several frames of findings as one, sorted by (symbol, timestamp, rule)."""
    findings = pl.concat([pl.DataFrame(schema=FINDINGS), *parts])
    return findings.sort(_ORDER, nulls_last=True)


def of_gaps(ledger: pl.DataFrame, calendar: str, reasons: tuple[str, str]) -> pl.DataFrame:
    """The findings of rules `MISSING`, from the coverage ledger.

    Parameters
    ----------
    calendar : str
        Name and version of the calendar, for the message.
    reasons : (str, str)
        Those of a gap, and of a session that no asset has.
    """
    gap, closed = reasons
    gaps = ledger.filter(pl.col("reason") == gap).select(
        pl.lit("gap").alias("rule"),
        "symbol",
        pl.col("first").alias("timestamp"),
        "last",
        pl.col("sessions").alias("bars"),
        pl.format("no {} bar in {} sessions", "frequency", "sessions").alias("message"),
        pl.lit(None, pl.String).alias("period"),
    )
    conflicts = (
        ledger.filter(pl.col("reason") == closed)
        .group_by("frequency", "first", "last", "sessions")
        .agg(pl.len().alias("assets"))
        .select(
            pl.lit("calendar_conflict").alias("rule"),
            pl.lit(None, pl.String).alias("symbol"),
            pl.col("first").alias("timestamp"),
            "last",
            pl.col("sessions").alias("bars"),
            pl.format(
                "a session of calendar {} on which none of {} assets has a bar",
                pl.lit(calendar),
                "assets",
            ).alias("message"),
            pl.lit(None, pl.String).alias("period"),
        )
    )
    return pl.concat([gaps, conflicts])


def of_refused(rows: pl.DataFrame) -> pl.DataFrame:
    """Findings of rules `REFUSED`, from those of `BarValidationError` or of dropped rows.

    Parameters
    ----------
    rows : polars.DataFrame
        ``rule``, ``symbol``, ``timestamp`` and ``message``; one finding stays of a row.
    """
    day = pl.col("timestamp").cast(pl.Date)
    return rows.select(
        "rule",
        "symbol",
        day.alias("timestamp"),
        day.alias("last"),
        pl.lit(1, pl.Int64).alias("bars"),
        "message",
        pl.lit(None, pl.String).alias("period"),
    ).unique(["rule", "symbol", "timestamp", "message"], maintain_order=True)
