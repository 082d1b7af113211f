"""From Yahoo's split-adjusted prices back to those at which was traded.

Yahoo divides prices by every split up to today, rounds them to six decimals and writes them as
32-bit floats: 28.75 of 1980 is 0.12834799… today. What was traded lies within half a unit of
those digits, times the splits. Of the decimals in that interval the shortest is taken, as a
float's ``repr`` does: it is the traded price wherever that is determined (a price in cents, with
splits up to 5 000:1), and never claims a digit that Yahoo's number does not have.
"""

import math
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
#: Splits that move a price less than this are lost in a night's moves.
_NOTICEABLE = 1.6
NO_SPLITS = pl.DataFrame(schema=SPLITS)


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
    ratio = pl.col("denominator") / pl.col("numerator")
    return _events("splits", symbol, chart.splits.with_columns(ratio.alias("ratio")))


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
    require_applied(symbol, chart, splits)
    paid = _explaining(symbol, chart, last)
    factors = later_splits(paid["session"], splits)
    told = paid["amount"].to_numpy()
    amounts = shortest_within(told * factors, factors * HALF_DIGIT * (factors != 1.0))
    dividends = paid.with_columns(pl.Series("amount", amounts))
    return Events(splits=splits, dividends=_events("dividends", symbol, dividends))


def require_applied(symbol: str, chart: Chart, splits: pl.DataFrame) -> None:
    """Check that Yahoo's prices are adjusted for the splits that it tells of.

    On the day of a split its prices may not be yet. Across a split they move like on any night if
    they are, and by its ratio if they are not.

    Raises
    ------
    UnadjustableError
        If a price moves more like the ratio, or nothing was traded since.
    """
    rows = latest_once(chart.rows).drop_nulls(["open", "close"])
    days = rows["session"].to_numpy().astype("datetime64[D]")
    for day, ratio in splits.select("ex_date", "ratio").rows():
        row = int(np.searchsorted(days, np.datetime64(day)))
        if row == 0:
            continue
        if row == len(days):
            raise UnadjustableError(
                f"{symbol}: nothing was traded since the split of {day}, so that it cannot be told "
                "whether Yahoo has adjusted the prices before. Ask again after the open"
            )
        move = abs(math.log(rows["open"][row] / rows["close"][row - 1]))
        split = abs(math.log(ratio))
        if split > math.log(_NOTICEABLE) and move > split / 2:
            raise UnadjustableError(
                f"{symbol}: Yahoo tells of a split of {day}, {1 / ratio:g} for 1, and its prices "
                f"move from {rows['close'][row - 1]:g} to {rows['open'][row]:g} across it: they "
                "are not adjusted for it yet. Ask again later, or another source"
            )


def _explaining(symbol: str, chart: Chart, last: date) -> pl.DataFrame:
    """The payments that the adjusted close accounts for, as Yahoo has them.

    A fund's capital gains are among them only if the dividends alone do not explain it.
    """
    rows = latest_once(chart.rows)
    adjusted = "close" if rows["adjusted"].null_count() == len(rows) else "adjusted"
    closes = pl.DataFrame(
        {"timestamp": rows["session"], "close": rows["close"], "adjusted": rows[adjusted]}
    ).drop_nulls()
    paid = _payments(chart.dividends)
    try:
        require_explained(symbol, closes, NO_SPLITS, paid, HALF_DIGIT, last)
    except UnadjustableError:
        if chart.gains.is_empty():
            raise
        paid = pl.concat([paid, _payments(chart.gains)])
        require_explained(symbol, closes, NO_SPLITS, paid, HALF_DIGIT, last)
    return paid


def latest_once(rows: pl.DataFrame) -> pl.DataFrame:
    """Of a last session that stands there twice, the row of its latest trade."""
    days = rows["session"]
    if len(days) > 1 and days[-1] == days[-2]:
        return pl.concat([rows[:-2], rows[-1:]])
    return rows


def _payments(told: pl.DataFrame) -> pl.DataFrame:
    return told.select("session", pl.col("session").alias("ex_date"), "amount")


def _events(kind: str, symbol: str, told: pl.DataFrame) -> pl.DataFrame:
    named = told.with_columns(pl.lit(symbol).alias("symbol"), pl.col("session").alias("ex_date"))
    return conform_events(kind, named)
