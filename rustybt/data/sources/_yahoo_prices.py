"""From Yahoo's split-adjusted prices back to those at which was traded.

Yahoo divides prices by every split up to today, rounds them to six decimals and writes them as
32-bit floats: 28.75 of 1980 is 0.12834799… today. What was traded lies within half a unit of
those digits, times the splits. Of the decimals in that interval the shortest is taken, as a
float's ``repr`` does: it is the traded price wherever that is determined (a price in cents, with
splits up to 5 000:1), and never claims a digit that Yahoo's number does not have.
"""

from datetime import date

import numpy as np
import numpy.typing as npt
import polars as pl

from rustybt.data.adjustments import SPLITS, Events, conform_events
from rustybt.data.bars import PRICE_COLUMNS
from rustybt.data.errors import UnadjustableError
from rustybt.data.sources._adjusted_close import require_explained
from rustybt.data.sources._yahoo_chart import Chart

Floats = npt.NDArray[np.float64]

#: Half a unit of the sixth decimal, to which Yahoo rounds what it adjusts.
HALF_DIGIT = 0.5e-6
#: More decimals than a price of Yahoo's has.
_MOST_DECIMALS = 9
NO_SPLITS = pl.DataFrame(schema=SPLITS)


def session_dates(starts: pl.Series, timezone: str) -> pl.Series:
    """The sessions that daily rows or events are of.

    Parameters
    ----------
    starts : polars.Series
        Instants, UTC: the open of the session, or midnight, in the market's time.
    timezone : str
        The market's.
    """
    local = pl.lit(starts).dt.convert_time_zone(timezone).dt.replace_time_zone(None)
    # Midnight of the next day, where Yahoo has forgotten about summer time.
    early = (local.dt.hour() >= 22) & (local.dt.minute() == 0) & (local.dt.second() == 0)
    meant = pl.when(early).then(local.dt.offset_by("2h")).otherwise(local)
    return pl.select(meant.dt.date().alias("timestamp")).to_series()


def later_splits(days: pl.Series, splits: pl.DataFrame) -> Floats:
    """New shares for one old share, of all splits after each day. Shape (days,).

    Parameters
    ----------
    days : polars.Series
        Dates.
    splits : polars.DataFrame
        `ex_date` and `ratio`, ascending.
    """
    ex_dates = splits["ex_date"].to_numpy().astype("datetime64[D]")
    after = np.append(np.cumprod(1.0 / splits["ratio"].to_numpy()[::-1])[::-1], 1.0)
    dates = days.to_numpy().astype("datetime64[D]")
    found: Floats = after[np.searchsorted(ex_dates, dates, side="right")]
    return found


def shortest_within(values: Floats, tolerance: Floats) -> Floats:
    """The decimal with the fewest digits that lies within `tolerance` of each value."""
    out = values.copy()
    open_ = tolerance > 0
    for decimals in range(_MOST_DECIMALS + 1):
        rounded = np.round(values, decimals)
        hit = open_ & (np.abs(rounded - values) <= tolerance)
        out[hit] = rounded[hit]
        open_ &= ~hit
    return out


def raw_rows(rows: pl.DataFrame, factors: Floats) -> pl.DataFrame:
    """Undo the splits in the prices and the volume of some rows.

    Parameters
    ----------
    rows : polars.DataFrame
        With Yahoo's prices and volume.
    factors : ndarray of float
        New shares for one old share since each row, shape (rows,); 1 only cleans the prices of
        what a 32-bit float adds to them.
    """
    told = rows.select(PRICE_COLUMNS).to_numpy()
    adjusted = factors != 1.0
    # One tolerance a row keeps low <= close <= high.
    highest = np.nanmax(np.nan_to_num(told), axis=1, initial=0.0)
    tolerance = factors * (_half_unit(told, highest) + HALF_DIGIT * adjusted)
    traded = shortest_within(told * factors[:, None], np.repeat(tolerance[:, None], 4, axis=1))
    volume = rows["volume"].to_numpy() / factors
    prices = [
        pl.Series(name, column, nan_to_null=True)
        for name, column in zip(PRICE_COLUMNS, traded.T, strict=True)
    ]
    shares = pl.Series("volume", np.where(adjusted, np.round(volume), volume), nan_to_null=True)
    return rows.with_columns(*prices, shares)


def _half_unit(told: Floats, highest: Floats) -> Floats:
    """How far a price may be from what a 32-bit float could write of it; 0 if it is none."""
    if not np.array_equal(told, told.astype(np.float32), equal_nan=True):
        return np.zeros(len(highest))
    return np.spacing(highest.astype(np.float32)).astype(np.float64) / 2


def split_events(symbol: str, chart: Chart) -> pl.DataFrame:
    """The splits of a chart, in the schema `SPLITS`, ascending."""
    told = chart.splits.with_columns(
        ex_date=session_dates(chart.splits["start"], chart.timezone),
        ratio=pl.col("denominator") / pl.col("numerator"),
    )
    return conform_events("splits", _of(symbol, told.unique(["ex_date", "ratio"])))


def raw_events(symbol: str, chart: Chart, last: date) -> Events:
    """The events of a daily chart, once they have explained its adjusted close.

    Parameters
    ----------
    last : datetime.date
        The last session whose adjusted close matters.

    Raises
    ------
    UnadjustableError
        If they do not explain it.
    """
    splits = split_events(symbol, chart)
    paid = _explaining(symbol, chart, last)
    factors = later_splits(paid["ex_date"], splits)
    told = paid["amount"].to_numpy()
    amounts = shortest_within(told * factors, factors * HALF_DIGIT * (factors != 1.0))
    dividends = _of(symbol, paid.with_columns(pl.Series("amount", amounts)))
    return Events(splits=splits, dividends=conform_events("dividends", dividends))


def _explaining(symbol: str, chart: Chart, last: date) -> pl.DataFrame:
    """The payments that the adjusted close accounts for, as Yahoo has them.

    A fund's capital gains are among them only if the dividends alone do not explain it.
    """
    told = chart.rows["adjusted"].null_count() < len(chart.rows)
    closes = (
        chart.rows.select(
            session_dates(chart.rows["start"], chart.timezone),
            "close",
            pl.col("adjusted" if told else "close").alias("adjusted"),
        )
        .drop_nulls()
        .unique("timestamp", keep="last")
        .sort("timestamp")
    )
    paid = _payments(chart.dividends, chart.timezone)
    try:
        require_explained(symbol, closes, NO_SPLITS, paid, HALF_DIGIT, last)
    except UnadjustableError:
        if chart.gains.is_empty():
            raise
        paid = pl.concat([paid, _payments(chart.gains, chart.timezone)])
        require_explained(symbol, closes, NO_SPLITS, paid, HALF_DIGIT, last)
    return paid


def _payments(told: pl.DataFrame, timezone: str) -> pl.DataFrame:
    return told.select(session_dates(told["start"], timezone).alias("ex_date"), "amount")


def _of(symbol: str, events: pl.DataFrame) -> pl.DataFrame:
    return events.with_columns(pl.lit(symbol).alias("symbol"))
