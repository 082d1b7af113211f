"""Bars: one schema, one vocabulary of frequencies, one idea of a valid row.

A frame of bars has the columns of `BAR_COLUMNS`, sorted by (symbol, timestamp) and unique in
them. `timestamp` is a `Date`, the session, for ``1d`` and longer, and a ``Datetime("us", "UTC")``
for intraday bars, labelled at the bar's END, as zipline labels them. Prices and volume are
Float64, in the currency's units and in shares (or coins). A row that is absent means no trade.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from functools import cache

import polars as pl

from rustybt.data._columns import PRICE_COLUMNS as PRICE_COLUMNS
from rustybt.data._columns import VALUE_COLUMNS as VALUE_COLUMNS
from rustybt.data.errors import (
    BarSchemaError,
    BarValidationError,
    FrequencyError,
    OptionError,
)

BAR_COLUMNS = ("symbol", "timestamp", *VALUE_COLUMNS)

#: Columns that say where a row came from; `validate` carries them into its findings.
ORIGIN_COLUMNS = ("file", "row")

INSTANT = pl.Datetime("us", "UTC")

_ALIASES = {"daily": "1d", "minute": "1m", "hourly": "1h", "weekly": "1w"}
_UNITS = {"m": timedelta(minutes=1), "h": timedelta(hours=1)}
#: What is a month to pandas, ccxt and most providers, and would be minutes in small letters.
_MONTH = re.compile(r"\d*\s*M")
_UNIT_SPELLINGS = {
    "m": "m", "min": "m", "minute": "m", "t": "m",
    "h": "h", "hour": "h",
    "d": "d", "day": "d",
    "w": "w", "week": "w", "wk": "w",
}  # fmt: skip


@dataclass(frozen=True)
class Frequency:
    """How long a bar lasts.

    Attributes
    ----------
    count : int
        Number of units.
    unit : str
        ``m`` minutes, ``h`` hours, ``d`` sessions, ``w`` weeks.
    """

    count: int
    unit: str

    @classmethod
    def parse(cls, text: "str | Frequency") -> "Frequency":
        """Read ``1d``, ``5m``, ``1h``, and zipline's ``daily`` and ``minute``.

        Capitals are as good as small letters, but for ``1M``: that is a month elsewhere, and there
        are no bars of months here.

        Raises
        ------
        FrequencyError
            If the text is none of these.
        """
        if isinstance(text, Frequency):
            return text
        spelled = _ALIASES.get(text.strip().lower(), text.strip().lower())
        match = re.fullmatch(r"(\d*)\s*([a-z]+?)s?", spelled)
        unit = _UNIT_SPELLINGS.get(match[2]) if match else None
        count = int(match[1] or 1) if match else 0
        if unit is None or count < 1 or _MONTH.fullmatch(text.strip()):
            raise FrequencyError(
                f"unknown frequency {text!r}: use 1m, 5m, 15m, 30m, 1h, 1d, daily or minute"
            )
        if unit == "m" and count % 60 == 0:
            return cls(count // 60, "h")
        return cls(count, unit)

    def __str__(self) -> str:
        return f"{self.count}{self.unit}"

    @property
    def intraday(self) -> bool:
        """Whether bars are labelled with instants rather than with sessions."""
        return self.unit in _UNITS

    @property
    def duration(self) -> timedelta:
        """Length of an intraday bar."""
        if not self.intraday:
            raise FrequencyError(f"a bar of {self} has no fixed length in time")
        return self.count * _UNITS[self.unit]

    @property
    def timestamp_dtype(self) -> pl.DataType:
        """Data type of the `timestamp` column."""
        return INSTANT if self.intraday else pl.Date()


def listed(symbols: Iterable[str]) -> list[str]:
    """The symbols as a list.

    Raises
    ------
    OptionError
        If they are one text, whose letters are symbols of stocks as well.
    """
    if isinstance(symbols, str):
        raise OptionError(f"symbols is {symbols!r}; it must be a list of names: [{symbols!r}]")
    return list(symbols)


def spelled(frequencies: Iterable[str]) -> str:
    """Frequencies in a sentence, runs of them by their ends: ``1m to 59m, 1h, 1d``."""
    runs: list[list[Frequency]] = []
    order = "mhdw"
    known = sorted(
        map(Frequency.parse, frequencies), key=lambda it: (order.index(it.unit), it.count)
    )
    for each in known:
        last = runs[-1][-1] if runs else None
        if last == Frequency(each.count - 1, each.unit):
            runs[-1].append(each)
        else:
            runs.append([each])
    return ", ".join(_spelled_run(run) for run in runs)


def _spelled_run(run: list[Frequency]) -> str:
    return f"{run[0]} to {run[-1]}" if len(run) > 2 else ", ".join(map(str, run))


DAILY = Frequency(1, "d")
MINUTE = Frequency(1, "m")


@dataclass(frozen=True)
class Bar:
    """One bar of a stream, maybe still forming.

    Attributes
    ----------
    symbol : str
    timestamp : datetime.datetime or datetime.date
        The bar's END (aware, UTC) for intraday bars; the session for daily ones.
    open, high, low, close, volume : float
        What is known of it so far.
    final : bool
        Whether it has ended and settled: it will not be yielded again.
    """

    symbol: str
    timestamp: datetime | date
    open: float
    high: float
    low: float
    close: float
    volume: float
    final: bool


def bar_schema(frequency: Frequency) -> pl.Schema:
    """Column names and types of a frame of bars."""
    values = {name: pl.Float64() for name in VALUE_COLUMNS}
    return pl.Schema({"symbol": pl.String(), "timestamp": frequency.timestamp_dtype, **values})


def empty_bars(frequency: Frequency) -> pl.DataFrame:
    """A frame of bars without rows."""
    return pl.DataFrame(schema=bar_schema(frequency))


#: Rows of a piece of a frame that are too few to be left where they are.
_SHORT = 256


def conform(frame: pl.DataFrame, frequency: Frequency) -> pl.DataFrame:
    """Bring a frame into the bar schema: columns, types, order. Values are not changed.

    Rows without a single price are "no trade" in a provider's spelling, and leave.
    Origin columns, when there are any, stay behind the bars.

    Raises
    ------
    BarSchemaError
        If a column is missing, or is of a type that cannot become the schema's.
    """
    missing = [name for name in BAR_COLUMNS if name not in frame.columns]
    if missing:
        raise BarSchemaError(
            f"bars have no column {', '.join(missing)}; the columns are {', '.join(frame.columns)}"
        )
    schema = bar_schema(frequency)
    origin = [name for name in ORIGIN_COLUMNS if name in frame.columns]
    if frame.n_chunks() * _SHORT > len(frame):
        frame = frame.rechunk()  # many symbols with a bar or two each: every question is dear
    try:
        typed = frame.select(*schema, *origin)
        if typed.select(schema.names()).schema != schema:
            typed = typed.cast(schema)
    except pl.exceptions.PolarsError as error:
        raise BarSchemaError(f"bars cannot be read as {schema}: {error}") from error
    if any(typed[name].null_count() for name in PRICE_COLUMNS):
        no_trade = pl.all_horizontal(pl.col(name).is_null() for name in PRICE_COLUMNS)
        typed = typed.filter(~no_trade)
    if typed.select(_in_order()).item():
        return typed
    return typed.sort("symbol", "timestamp", maintain_order=True)


_KEY = ("symbol", "timestamp")


@cache
def _in_order() -> pl.Expr:
    """Whether rows are sorted as bars are; sources and what comes from them mostly are."""
    symbol, timestamp = (pl.col(name) for name in _KEY)
    later = (symbol == symbol.shift()) & (timestamp >= timestamp.shift())
    # The first row has none before it; a null elsewhere is for the sort to place.
    ordered = ((symbol > symbol.shift()) | later).slice(1).fill_null(False).all()
    return ordered & timestamp.is_not_null().all()


@cache
def _sound() -> pl.Expr:
    """Whether a bar breaks no rule: the rules at once, for the many frames without a finding."""
    low, high, volume = pl.col("low"), pl.col("high"), pl.col("volume")
    # To polars NaN lies above all numbers, infinity too.
    holds = [
        low > 0,
        *(low <= pl.col(name) for name in ("open", "close")),
        *(pl.col(name) <= high for name in ("open", "close")),
        high < float("inf"),
        volume >= 0,
        volume < float("inf"),
        *(pl.col(name).is_not_null() for name in _KEY),
    ]
    again = pl.all_horizontal(pl.col(name) == pl.col(name).shift() for name in _KEY)
    return pl.all_horizontal(*holds, ~again.fill_null(False)).fill_null(False)


def _rules() -> list[tuple[str, pl.Expr, pl.Expr]]:
    """(rule, condition that breaks it, message) for each rule, in the order of their gravity."""
    prices = [pl.col(name) for name in PRICE_COLUMNS]
    finite = pl.all_horizontal(price.is_finite().fill_null(False) for price in prices)
    positive = finite & pl.all_horizontal(price > 0 for price in prices)
    # A null would make the whole message null.
    written = {name: pl.col(name).cast(pl.String).fill_null("missing") for name in VALUE_COLUMNS}
    shown = pl.format("open {} high {} low {} close {}", *(written[name] for name in PRICE_COLUMNS))
    outside = positive & (
        (pl.col("low") > pl.min_horizontal("open", "close"))
        | (pl.col("high") < pl.max_horizontal("open", "close"))
        | (pl.col("high") < pl.col("low"))
    )
    volume = pl.col("volume")
    bad_volume = ~volume.is_finite().fill_null(False) | (volume < 0)
    # Sorted as bars are, equal keys are neighbours.
    again = pl.all_horizontal(pl.col(name) == pl.col(name).shift() for name in _KEY)
    twice = (again | again.shift(-1)).fill_null(False)
    return [
        (
            "timestamp",
            pl.col("timestamp").is_null() | pl.col("symbol").is_null(),
            pl.lit("no date or no symbol"),
        ),
        ("duplicate", twice, pl.lit("more than one bar of this symbol and time")),
        ("price", ~finite, pl.format("a price is missing or not a number: {}", shown)),
        ("price", finite & ~positive, pl.format("a price is zero or negative: {}", shown)),
        ("ohlc", outside, pl.format("open or close lies outside low..high: {}", shown)),
        ("volume", bad_volume, pl.format("volume is missing or negative: {}", written["volume"])),
    ]


def validate(frame: pl.DataFrame) -> pl.DataFrame:
    """Find the rows that cannot be true.

    A bar is true when its prices are finite and above zero, low <= min(open, close),
    high >= max(open, close), its volume is finite and not negative, and it is the only bar
    of its symbol and time.

    Parameters
    ----------
    frame : polars.DataFrame
        Bars, as `conform` returns them.

    Returns
    -------
    polars.DataFrame
        One row a finding, in the order of the frame: ``rule``, ``symbol``, ``timestamp``,
        ``message`` and the frame's origin columns.
    """
    if frame.select(_sound().all()).item():
        return _no_findings(frame)
    found = [
        frame.filter(condition.fill_null(False)).select(
            pl.lit(rule).alias("rule"),
            "symbol",
            "timestamp",
            message.alias("message"),
            *(name for name in ORIGIN_COLUMNS if name in frame.columns),
        )
        for rule, condition, message in _rules()
    ]
    return pl.concat(found).sort("symbol", "timestamp", maintain_order=True)


def _no_findings(frame: pl.DataFrame) -> pl.DataFrame:
    origin = [pl.col(name) for name in ORIGIN_COLUMNS if name in frame.columns]
    text = pl.lit(None, dtype=pl.String)
    return frame.clear().select(
        text.alias("rule"), "symbol", "timestamp", text.alias("message"), *origin
    )


def require_valid(frame: pl.DataFrame, hint: str = "") -> pl.DataFrame:
    """Return the bars, or raise if one of them cannot be true.

    Raises
    ------
    BarValidationError
        With the findings of `validate`.
    """
    findings = validate(frame)
    if not findings.is_empty():
        raise BarValidationError(findings, hint)
    return frame
