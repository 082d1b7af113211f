"""Bars and events of Alpha Vantage's series and lists, in our schema."""

from datetime import date, timedelta

import polars as pl

from rustybt.data.adjustments import Events, conform_events
from rustybt.data.bars import BAR_COLUMNS, INSTANT, Frequency
from rustybt.data.errors import MalformedAnswerError
from rustybt.data.sources._adjusted_close import require_explained
from rustybt.data.sources._alphavantage_answers import Series
from rustybt.data.sources._session_labels import are_ends, session_ends

SPLIT_ROW = {"effective_date": pl.Date(), "split_factor": pl.Float64()}
DIVIDEND_ROW = {
    "ex_dividend_date": pl.Date(),
    "amount": pl.Float64(),
    "declaration_date": pl.Date(),
    "record_date": pl.Date(),
    "payment_date": pl.Date(),
}
_DATES = {
    "declaration_date": "declared_date",
    "record_date": "record_date",
    "payment_date": "pay_date",
}


def daily_bars(symbol: str, series: Series) -> pl.DataFrame:
    """Sessions of a daily series: its prices are as traded."""
    return _bars(symbol, series.rows.with_columns(_sessions(symbol, series)))


def _sessions(symbol: str, series: Series) -> pl.Series:
    try:
        return series.rows["time"].str.slice(0, 10).str.to_date("%Y-%m-%d").alias("timestamp")
    except pl.exceptions.PolarsError as error:
        raise MalformedAnswerError(f"Alpha Vantage's days of {symbol}: {error}") from error


def intraday_bars(
    symbol: str, series: Series, frequency: Frequency, calendar: str | None
) -> pl.DataFrame:
    """Bars of an intraday series, whose times are the bars' starts.

    Parameters
    ----------
    calendar : str or None
        Where the bars end that the close cuts short; those outside its sessions leave. None
        takes them all, each at its full length.
    """
    try:
        local = series.rows["time"].str.to_datetime("%Y-%m-%d %H:%M:%S", time_unit="us")
    except pl.exceptions.PolarsError as error:
        raise MalformedAnswerError(f"Alpha Vantage's times of {symbol}: {error}") from error
    zoned = local.dt.replace_time_zone(series.timezone, ambiguous="earliest", non_existent="null")
    starts = zoned.dt.convert_time_zone("UTC").cast(INSTANT)
    if calendar is None:
        ends = (starts + frequency.duration).alias("timestamp")
    elif are_ends(starts, calendar):
        raise MalformedAnswerError(
            f"Alpha Vantage's bars of {symbol} have the times of their ends, as before 2023, and "
            "not of their starts: a bar is at the close, and none at the open"
        )
    else:
        ends = session_ends(starts, frequency, calendar)
    return _bars(symbol, series.rows.with_columns(ends).drop_nulls("timestamp"))


def _bars(symbol: str, rows: pl.DataFrame) -> pl.DataFrame:
    # Currencies have no volume.
    volume = pl.col("volume") if "volume" in rows.columns else pl.lit(0.0)
    return rows.with_columns(pl.lit(symbol).alias("symbol"), volume.alias("volume")).select(
        BAR_COLUMNS
    )


def listed_events(symbol: str, splits: pl.DataFrame, dividends: pl.DataFrame) -> Events:
    """The events of the lists of splits (`SPLIT_ROW`) and dividends (`DIVIDEND_ROW`)."""
    return Events(
        splits=conform_events(
            "splits",
            splits.unique().select(
                pl.lit(symbol).alias("symbol"),
                pl.col("effective_date").alias("ex_date"),
                (1.0 / pl.col("split_factor")).alias("ratio"),
            ),
        ),
        dividends=conform_events(
            "dividends",
            dividends.unique()
            .filter(pl.col("amount") > 0)
            .select(
                pl.lit(symbol).alias("symbol"),
                pl.col("ex_dividend_date").alias("ex_date"),
                "amount",
                *(pl.col(theirs).alias(ours) for theirs, ours in _DATES.items()),
            ),
        ),
    )


def proved_events(symbol: str, series: Series, dividends: pl.DataFrame, last: date) -> Events:
    """The events of an adjusted daily series, once they have explained its adjusted close.

    Parameters
    ----------
    dividends : polars.DataFrame
        `DIVIDEND_ROW`: the further dates of the payments.
    last : datetime.date
        The last session whose adjusted close matters.

    Raises
    ------
    UnadjustableError
        If they do not explain it.
    """
    rows = series.rows.with_columns(_sessions(symbol, series))
    day, factor = pl.col("timestamp"), pl.col("split coefficient")
    splits = rows.filter(factor != 1.0).select(
        day.alias("effective_date"), factor.alias("split_factor")
    )
    paid = rows.filter(pl.col("dividend amount") > 0).select(
        day.alias("ex_dividend_date"), pl.col("dividend amount").alias("amount")
    )
    dated = dividends.drop("amount").unique("ex_dividend_date", keep="first")
    events = listed_events(symbol, splits, paid.join(dated, on="ex_dividend_date", how="left"))
    closes = rows.select("timestamp", "close", pl.col("adjusted close").alias("adjusted"))
    half_digit = 0.5 * 10.0**-series.decimals
    require_explained(symbol, closes, events.splits, events.dividends, half_digit, last)
    return events


def inside(events: Events, first: date, last: date) -> Events:
    """The events with an ex-date in a range."""
    chosen = pl.col("ex_date").is_between(first, last)
    return Events(events.splits.filter(chosen), events.dividends.filter(chosen))


def months(first: date, last: date) -> list[str]:
    """Every month of a range, as ``YYYY-MM``."""
    found, day = [], first.replace(day=1)
    while day <= last:
        found.append(f"{day:%Y-%m}")
        day = (day + timedelta(days=32)).replace(day=1)
    return found
