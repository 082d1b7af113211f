"""Which assets are worth judging: told from a few figures of each period, without its bars."""

from datetime import date
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl

from rustybt.data.bars import VALUE_COLUMNS

Floats = npt.NDArray[np.float64]
Flags = npt.NDArray[np.bool_]
Ints = npt.NDArray[np.int64]

#: What is kept of each asset and period, to know that no rule of `_quality_rules` finds anything:
#: whether a bar has no volume, whether one by itself or its move is large, whether prices stand
#: still, the first and the last close, the largest volume and the median one. Only of daily bars.
SUMMARY = {
    "silent": pl.Boolean(),
    "large": pl.Boolean(),
    "still": pl.Boolean(),
    "first_close": pl.Float64(),
    "last_close": pl.Float64(),
    "most": pl.Float64(),
    "usual": pl.Float64(),
}

#: No rule finds a move of a close by less than this factor.
_LEAST_MOVE = 1.25
#: Bars of an asset in a period that are too few to tell of it alone that nothing moves.
_SHORT = 3


def summaries(bars: pl.DataFrame, starts: Ints, stops: Ints, kind: str) -> dict[str, Any]:
    """The columns `SUMMARY`, a row an asset; none of other bars than daily ones.

    Parameters
    ----------
    bars : polars.DataFrame
        Of one period, sorted by (sid, timestamp).
    starts, stops : ndarray of int64
        Rows of each asset.
    """
    if kind != "daily":
        return {}
    fields = {name: bars[name].to_numpy() for name in VALUE_COLUMNS}
    opened, close, high, low, volume = (
        fields[name] for name in ("open", "close", "high", "low", "volume")
    )
    top, bottom = np.maximum(opened, close), np.minimum(opened, close)
    # A little less than the least sizes: those are compared as logarithms.
    large = (high > 1.9 * top) | (bottom > 1.9 * low)
    flat = (high == low) & (opened == close)
    moved = _has_moved(close[:-1], close[1:])
    same = flat[1:] & (close[1:] == close[:-1])
    within = np.ones(len(moved), dtype=np.bool_)
    within[starts[1:] - 1] = False
    large[1:] |= moved & within
    # Of a run of five bars in which nothing moves, over however many periods, two that follow one
    # another did not move since a bar of the same period, unless one of these is that short.
    same &= within
    still = flat & np.repeat(stops - starts <= _SHORT, stops - starts)
    still[2:] |= same[1:] & same[:-1]
    return {
        "silent": np.logical_or.reduceat(volume == 0, starts),
        "large": np.logical_or.reduceat(large, starts),
        "still": np.logical_or.reduceat(still, starts),
        "first_close": close[starts],
        "last_close": close[stops - 1],
        "most": np.maximum.reduceat(volume, starts),
        "usual": _lower_medians(volume, starts, stops),
    }


def _lower_medians(values: Floats, starts: Ints, stops: Ints) -> Floats:
    """The lower median of each run of values; runs of one length, as most are, are told at once."""
    medians = np.empty(len(starts))
    lengths = stops - starts
    for length in np.unique(lengths):
        runs = np.flatnonzero(lengths == length)
        middle = (length - 1) // 2
        block = values[starts[runs][:, np.newaxis] + np.arange(length)]
        medians[runs] = np.partition(block, middle, axis=1)[:, middle]
    return medians


def _has_moved(before: Floats, after: Floats) -> Flags:
    with np.errstate(divide="ignore", invalid="ignore"):
        ratio = after / before
    flags: Flags = (ratio > _LEAST_MOVE) | (ratio < 1 / _LEAST_MOVE)
    # zipline's bars may have no price: from and to such a bar nothing moves.
    return flags & (ratio > 0) & (ratio < np.inf)


def _has_split(symbols: list[str], before: Ints, splits: pl.DataFrame, last: int) -> Flags:
    """Whether an asset has a split after the day in `before`, and up to `last`."""
    places = {symbol: place for place, symbol in enumerate(symbols)}
    days = splits["ex_date"].to_physical().to_numpy()
    rows = np.flatnonzero((days > before.min()) & (days <= last))
    found = np.zeros(len(symbols), dtype=np.bool_)
    for symbol, day in zip(splits["symbol"][rows], days[rows], strict=True):
        place = places.get(symbol)
        if place is not None and day > before[place]:
            found[place] = True
    return found


def worth_judging(summaries: pl.DataFrame, splits: pl.DataFrame, since: date) -> pl.Series:
    """The assets in which a rule may find something, most having nothing: medians are dear.

    Bars without volume are not looked for; `SUMMARY` says of which assets there are some.

    Parameters
    ----------
    summaries : polars.DataFrame
        Rows of `rustybt.data.bundles._contents` of all periods that are looked at, in any order.
    splits : polars.DataFrame
        All that are known: ``symbol``, ``ex_date``, ``ratio``.
    since : date
        The first day that is judged; what is before it is context.

    Returns
    -------
    polars.Series
        Their sids.
    """
    first = summaries["first"].to_physical().to_numpy()
    last = summaries["last"].to_physical().to_numpy()
    order = np.lexsort((first, summaries["sid"].to_numpy()))
    sids = summaries["sid"].to_numpy()[order]
    starts = np.flatnonzero(np.diff(sids, prepend=sids[:1] - 1))
    begun, ended, most, usual = (
        summaries[name].to_numpy()[order] for name in ("first_close", "last_close", "most", "usual")
    )
    # A move counts on the bar that it leads to; a run may have begun before what is judged.
    own = first >= np.datetime64(since, "D").astype(np.int64)
    large = summaries["large"].fill_null(True).to_numpy() & own
    suspect = (large | summaries["still"].fill_null(True).to_numpy())[order]
    suspect[1:] |= _has_moved(ended[:-1], begun[1:]) & (sids[1:] == sids[:-1])
    before = np.maximum.reduceat(np.where(own, first.min() - 1, last)[order], starts)
    symbols = summaries["symbol"][order[starts]].to_list()
    found = _has_split(symbols, before, splits, last.max())
    found |= np.logical_or.reduceat(suspect, starts)
    # The median of several periods is at least the smallest of theirs.
    found |= np.maximum.reduceat(most, starts) > 19 * np.minimum.reduceat(usual, starts)
    return pl.Series("sid", sids[starts[found]])
