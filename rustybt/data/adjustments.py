"""Corporate actions: splits and dividends as frames, and what they do to prices.

Conventions are zipline's, so that no number is ever turned around at a door:

- ``ratio`` of a split is what prices before its ex-date are multiplied by, and volumes divided
  by: a 4:1 split is 0.25.
- ``amount`` of a dividend is cash per share as traded on the ex-date, not adjusted for later
  splits. The ratio that it gives is ``1 - amount / close of the session before the ex-date``,
  by which prices before the ex-date are multiplied.

An event acts on the bars BEFORE its ex-date. Seen from a date, only events with an ex-date on or
before that date have happened, so an adjusted view never looks ahead.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import date
from functools import cache
from typing import Any

import polars as pl

from rustybt.data.bars import ORIGIN_COLUMNS, PRICE_COLUMNS
from rustybt.data.errors import BarSchemaError, BarValidationError

SPLITS = pl.Schema({"symbol": pl.String(), "ex_date": pl.Date(), "ratio": pl.Float64()})
DIVIDENDS = pl.Schema(
    {
        "symbol": pl.String(),
        "ex_date": pl.Date(),
        "amount": pl.Float64(),
        "declared_date": pl.Date(),
        "record_date": pl.Date(),
        "pay_date": pl.Date(),
    }
)
MERGERS = SPLITS
STOCK_DIVIDENDS = pl.Schema(
    {
        "symbol": pl.String(),
        "ex_date": pl.Date(),
        "payment_symbol": pl.String(),
        "ratio": pl.Float64(),
        "declared_date": pl.Date(),
        "record_date": pl.Date(),
        "pay_date": pl.Date(),
    }
)

#: Kind of event -> columns and types of its frame.
EVENT_SCHEMAS = {
    "splits": SPLITS,
    "dividends": DIVIDENDS,
    "mergers": MERGERS,
    "stock_dividends": STOCK_DIVIDENDS,
}


def _empty(kind: str) -> pl.DataFrame:
    return _schema_only(kind).clone()


@cache  # an ingest makes hundreds
def _schema_only(kind: str) -> pl.DataFrame:
    return pl.DataFrame(schema=EVENT_SCHEMAS[kind])


@dataclass(frozen=True)
class Events:
    """The corporate actions of some symbols.

    Attributes
    ----------
    splits, dividends, mergers, stock_dividends : polars.DataFrame
        In the schemas of `EVENT_SCHEMAS`, sorted by (symbol, ex_date).
    notes : tuple of str
        What happened that none of these can hold, a sentence each: spin-offs, dividends in another
        currency. They are recorded with a bundle.
    """

    splits: pl.DataFrame = field(default_factory=lambda: _empty("splits"))
    dividends: pl.DataFrame = field(default_factory=lambda: _empty("dividends"))
    mergers: pl.DataFrame = field(default_factory=lambda: _empty("mergers"))
    stock_dividends: pl.DataFrame = field(default_factory=lambda: _empty("stock_dividends"))
    notes: tuple[str, ...] = ()

    def items(self) -> list[tuple[str, pl.DataFrame]]:
        """(kind, frame) of each kind of event."""
        return [(kind, getattr(self, kind)) for kind in EVENT_SCHEMAS]

    def __len__(self) -> int:
        return sum(len(frame) for _, frame in self.items())


#: Two dividends may share an ex-date (a regular and a special one); two of these may not.
_ONCE_A_DATE = ("splits", "mergers")


def conform_events(kind: str, frame: pl.DataFrame) -> pl.DataFrame:
    """Bring a frame of events of one kind into its schema, sorted; absent dates become null.

    Raises
    ------
    BarSchemaError
        If the symbol, the ex-date or the value is missing or of a wrong type.
    BarValidationError
        If a ratio or an amount is not above zero, or an event stands there twice.
    """
    schema = EVENT_SCHEMAS[kind]
    required = [name for name in schema if name in ("symbol", "ex_date", "ratio", "amount")]
    missing = [name for name in required if name not in frame.columns]
    if missing:
        raise BarSchemaError(f"{kind} have no column {', '.join(missing)}")
    try:
        typed = frame.select(
            (pl.col(name) if name in frame.columns else pl.lit(None)).cast(dtype).alias(name)
            for name, dtype in schema.items()
        )
    except pl.exceptions.PolarsError as error:
        raise BarSchemaError(f"{kind} cannot be read as {schema}: {error}") from error
    if typed.is_empty():
        return typed
    origin = frame.select(name for name in ORIGIN_COLUMNS if name in frame.columns)
    _require_valid_events(kind, typed.hstack(origin))
    return typed.sort("symbol", "ex_date", maintain_order=True)


def merge_events(parts: Iterable[Events]) -> Events:
    """Several sets of events as one."""
    listed = list(parts)
    frames: dict[str, Any] = {}
    for kind in EVENT_SCHEMAS:
        found = [getattr(part, kind) for part in listed]
        found = [frame for frame in found if len(frame)]
        if found:
            frames[kind] = conform_events(kind, pl.concat([_empty(kind), *found]))
    notes = dict.fromkeys(note for part in listed for note in part.notes)
    return Events(**frames, notes=tuple(notes))


def _require_valid_events(kind: str, events: pl.DataFrame) -> None:
    value = "amount" if kind == "dividends" else "ratio"
    bad = ~(pl.col(value).is_finite() & (pl.col(value) > 0)).fill_null(False)
    no_key = pl.col("ex_date").is_null() | pl.col("symbol").is_null()
    wrong = bad | no_key
    if kind in _ONCE_A_DATE:
        wrong |= pl.struct("symbol", "ex_date").is_duplicated()
    found = events.filter(wrong)
    if found.is_empty():
        return
    shown = pl.col(value).cast(pl.String).fill_null("missing")
    message = (
        pl.when(no_key).then(pl.format("an event of the {} has no symbol or date", pl.lit(kind)))
        .when(bad).then(pl.format("{} {} must be above zero", pl.lit(value), shown))
        .otherwise(pl.format("the {} have this date twice", pl.lit(kind)))
    )  # fmt: skip
    raise BarValidationError(
        found.select(
            pl.lit(kind).alias("rule"),
            "symbol",
            pl.col("ex_date").alias("timestamp"),
            message.alias("message"),
            *(name for name in ORIGIN_COLUMNS if name in events.columns),
        )
    )


def price_ratios(daily: pl.DataFrame, events: Events) -> pl.DataFrame:
    """All events that move past prices, as ratios.

    Parameters
    ----------
    daily : polars.DataFrame
        RAW daily bars, from which the close before a dividend's ex-date is taken.

    Returns
    -------
    polars.DataFrame
        ``symbol``, ``ex_date``, ``kind``, ``ratio``. A dividend without an earlier close, or as
        large as that close, gives none.
    """
    closes = daily.select("symbol", pl.col("timestamp").alias("ex_date"), "close").sort("ex_date")
    dividends = (
        events.dividends.sort("ex_date")
        .join_asof(
            closes,
            on="ex_date",
            by="symbol",
            strategy="backward",
            allow_exact_matches=False,
            check_sortedness=False,
        )
        .with_columns(ratio=1.0 - pl.col("amount") / pl.col("close"))
        .filter(pl.col("ratio") > 0)
    )
    parts = [("split", events.splits), ("merger", events.mergers), ("dividend", dividends)]
    return pl.concat(
        frame.select("symbol", "ex_date", pl.lit(kind).alias("kind"), "ratio")
        for kind, frame in parts
    ).sort("symbol", "ex_date", "kind")


def adjust(
    bars: pl.DataFrame, ratios: pl.DataFrame, as_of: date, session: str = "timestamp"
) -> pl.DataFrame:
    """Bars as they are seen from a date.

    Parameters
    ----------
    bars : polars.DataFrame
        RAW bars.
    ratios : polars.DataFrame
        As `price_ratios` returns them; leave a kind out to adjust for the others only.
    as_of : datetime.date
        Only events with an ex-date up to this date are applied.
    session : str
        The column of `bars` that holds the session's date.

    Returns
    -------
    polars.DataFrame
        The same rows; prices times every later ratio, volume divided by every later split.
    """
    happened = ratios.filter(pl.col("ex_date") <= as_of).sort("symbol", "ex_date", descending=True)
    split = pl.when(pl.col("kind") == "split").then(pl.col("ratio")).otherwise(1.0)
    # After a reversed cumulative product, the first event after a bar carries all later ones.
    cumulative = happened.select(
        "symbol",
        "ex_date",
        pl.col("ratio").cum_prod().over("symbol").alias("_price"),
        split.cum_prod().over("symbol").alias("_split"),
    ).unique(["symbol", "ex_date"], keep="last")
    ordered = bars.with_row_index("_order").with_columns(pl.col(session).alias("_session"))
    joined = ordered.sort("_session").join_asof(
        cumulative.sort("ex_date"),
        left_on="_session",
        right_on="ex_date",
        by="symbol",
        strategy="forward",
        allow_exact_matches=False,
        check_sortedness=False,
    )
    price, shares = pl.col("_price").fill_null(1.0), pl.col("_split").fill_null(1.0)
    adjusted = joined.sort("_order").with_columns(
        *(pl.col(name) * price for name in PRICE_COLUMNS), volume=pl.col("volume") / shares
    )
    return adjusted.select(bars.columns)


def unadjust(bars: pl.DataFrame, ratios: pl.DataFrame) -> pl.DataFrame:
    """Undo a provider's back-adjustment: the inverse of `adjust` with every event applied.

    Parameters
    ----------
    bars : polars.DataFrame
        Daily bars that the provider adjusted for all of `ratios`.
    ratios : polars.DataFrame
        The provider's own events, ``symbol``, ``ex_date``, ``kind``, ``ratio``.
    """
    inverse = ratios.with_columns(ratio=1.0 / pl.col("ratio"))
    last = ratios["ex_date"].max()
    return bars if last is None else adjust(bars, inverse, as_of=last)  # type: ignore[arg-type]
