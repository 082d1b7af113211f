"""The rules by which a daily bar is doubtful, on arrays.

A year is judged with the year before as context and nothing else: a rule looks back only, and the
scales are robust statistics of both years. So whatever an update adds, the findings are those of a
full ingest, and only the years that it touches are judged again.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt
import polars as pl

from rustybt.data.bars import VALUE_COLUMNS
from rustybt.data.bundles.panel import in_order
from rustybt.data.bundles.quality import FINDINGS

#: Bars without a move from which on a run is called stale.
STALE_RUN = 5
#: Price ratios of ordinary splits; their inverses are those of reverse splits.
SPLIT_RATIOS = (2.0, 3.0, 4.0, 5.0, 7.0, 10.0, 20.0)
#: A jump is split-like when it is within this share of one of them.
SPLIT_TOLERANCE = 0.02
#: Factors, in robust standard deviations, and least sizes, in logarithms, of what is suspect.
JUMP, LEAST_JUMP = 12.0, np.log(3.0)
SPLIT_LIKE = 6.0
SPIKE, LEAST_SPIKE = 10.0, np.log(1.3)
WICK, LEAST_WICK = 12.0, np.log(2.0)
VOLUME, LEAST_VOLUME = 8.0, np.log(20.0)
#: Bars that a robust statistic needs; without them only the least sizes count.
_ENOUGH = 20
#: Turns a median absolute deviation into the standard deviation of a normal distribution.
_NORMAL = 1.4826

Floats = npt.NDArray[np.float64]
Flags = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class Series:
    """Daily bars of two years as arrays, asset after asset, and the splits among them.

    Attributes
    ----------
    bars : polars.DataFrame
        ``sid``, ``symbol``, ``timestamp``, the five values, and ``own``: whether the bar is of the
        year that is judged. Sorted by (sid, timestamp).
    splits : polars.DataFrame
        ``symbol``, ``ex_date``, ``ratio``.
    """

    bars: pl.DataFrame
    splits: pl.DataFrame

    def __getitem__(self, name: str) -> Floats:
        values: Floats = self.bars[name].to_numpy()
        return values

    @cached_property
    def own(self) -> Flags:
        """Whether each bar is judged."""
        flags: Flags = self.bars["own"].to_numpy()
        return flags

    @cached_property
    def follows(self) -> Flags:
        """Whether each bar follows one of its own asset."""
        sids = self.bars["sid"].to_numpy()
        flags: Flags = np.diff(sids, prepend=sids[:1] - 1) == 0
        return flags

    @cached_property
    def raw_change(self) -> Floats:
        """Logarithm of close over the close before; 0 for an asset's first bar."""
        with np.errstate(divide="ignore", invalid="ignore"):  # zipline's bars may have no price
            change = np.diff(np.log(self["close"]), prepend=np.nan)
        usable = self.follows & np.isfinite(change)
        return np.where(usable, change, 0.0)

    @cached_property
    def split(self) -> Floats:
        """Logarithm of the ratio of the splits since the bar before; 0 where there is none."""
        out = np.zeros(len(self.bars))
        days = self.bars["timestamp"]
        owners = self.bars.select("symbol", "sid")[np.flatnonzero(~self.follows)]
        splits = self.splits.filter(pl.col("ex_date").is_between(days.min(), days.max()))
        known = splits.join(owners, on="symbol", maintain_order="left")
        # The first bar of its asset on the ex-date or after it.
        wanted = _keys(known["sid"], known["ex_date"])
        rows = np.searchsorted(_keys(self.bars["sid"], days), wanted)
        met = rows < len(out)
        met[met] = self.bars["sid"].to_numpy()[rows[met]] == known["sid"].to_numpy()[met]
        np.add.at(out, rows[met], np.log(known["ratio"].to_numpy()[met]))
        return np.where(self.follows, out, 0.0)

    @cached_property
    def change(self) -> Floats:
        """The change of the close that no split explains."""
        return self.raw_change - self.split

    @cached_property
    def scale(self) -> Floats:
        """Robust standard deviation of each asset's changes, for every bar of it."""
        return self._spread(np.where(self.follows, self.change, np.nan))

    def _spread(self, values: Floats) -> Floats:
        own = pl.DataFrame({"sid": self.bars["sid"], "value": pl.Series(values).fill_nan(None)})
        middle = own.with_columns(
            away=(pl.col("value") - pl.col("value").median().over("sid")).abs()
        )
        spread = middle.select(
            pl.when(pl.col("value").count().over("sid") >= _ENOUGH)
            .then(pl.col("away").median().over("sid"))
            .otherwise(0.0)
            .fill_null(0.0)
        )
        wide: Floats = spread.to_series().to_numpy() * _NORMAL
        return wide

    def centred(self, values: Floats) -> tuple[Floats, Floats]:
        """Distance of each value from its asset's median, and the robust spread; NaN is none."""
        own = pl.DataFrame({"sid": self.bars["sid"], "value": pl.Series(values).fill_nan(None)})
        median = own.select(pl.col("value").median().over("sid")).to_series().to_numpy()
        return values - median, self._spread(values)


def _keys(sids: pl.Series, days: pl.Series) -> npt.NDArray[np.int64]:
    """A number for each sid and day, in their order."""
    keys: npt.NDArray[np.int64] = (sids.to_numpy() << 32) + days.to_physical().to_numpy()
    return keys


def judge(
    bars: pl.DataFrame, before: pl.DataFrame | None, splits: pl.DataFrame, period: str
) -> pl.DataFrame:
    """Findings in the daily bars of one year, those without volume apart.

    Parameters
    ----------
    bars, before : polars.DataFrame
        Of the year, and of the one before it if there is one, of assets that are
        `_screening.worth_judging`: ``sid``, ``symbol``, ``timestamp``, the five values.
    splits : polars.DataFrame
        All that are known: ``symbol``, ``ex_date``, ``ratio``.

    Returns
    -------
    polars.DataFrame
        In the schema `FINDINGS`.
    """
    parts = [_marked(bars, True)]
    if before is not None and not before.is_empty():
        parts.append(_marked(before, False))
    series = Series(in_order(pl.concat(parts, rechunk=True)), splits)
    findings = [_stale(series, period)]
    scaled = Series(series.bars.filter(pl.Series(_large(series))), splits)
    findings += [
        _rows(scaled, rule, rows, (message, period))
        for rule, rows, message in (_point_rules(scaled) if len(scaled.bars) else ())
        if len(rows)
    ]
    return pl.concat([pl.DataFrame(schema=FINDINGS), *findings])


def _marked(bars: pl.DataFrame, own: bool) -> pl.DataFrame:
    columns = [bars[name] for name in ("sid", "symbol", "timestamp", *VALUE_COLUMNS)]
    return pl.DataFrame([*columns, pl.Series("own", np.full(len(bars), own))])


def zero_volume(bars: pl.DataFrame, period: str) -> pl.DataFrame:
    """The findings, in the schema `FINDINGS`, of bars without volume, which are doubtful at once.

    Parameters
    ----------
    bars : polars.DataFrame
        ``symbol``, ``timestamp``, of the year `period`.
    """
    return _single(bars, "zero_volume", (pl.lit("no volume"), period))


def _large(series: Series) -> Flags:
    """All bars of the assets with one that passes the least sizes of a rule that has a scale."""
    opened, high, low, close, volume = (series[name] for name in VALUE_COLUMNS)
    # A little less than the least sizes, which are logarithms.
    large = (np.abs(series.change) > np.log(1.25)) | _unmatched(series)
    large |= high > 1.9 * np.maximum(opened, close)
    large |= np.minimum(opened, close) > 1.9 * low
    starts = np.flatnonzero(~series.follows)
    lengths = np.diff(np.append(starts, len(large)))
    # The median lies as far below the largest volume where as many as half of them do.
    usual = np.repeat(np.maximum.reduceat(volume, starts) / 19, lengths)
    some = np.add.reduceat(volume > 0, starts, dtype=np.int64)
    below = np.add.reduceat((volume > 0) & (volume <= usual), starts, dtype=np.int64)
    found = np.logical_or.reduceat(large, starts) | (2 * below >= some)
    flags: Flags = np.repeat(found, lengths)
    return flags


def _rows(
    series: Series, rule: str, rows: npt.NDArray[np.int64], told: tuple[pl.Expr, str]
) -> pl.DataFrame:
    columns = {
        "change": pl.Series(np.exp(series.change[rows])).round(3),
        "split": pl.Series(np.exp(series.split[rows])).round(4),
    }
    return _single(series.bars[rows].with_columns(**columns), rule, told)


def _single(bars: pl.DataFrame, rule: str, told: tuple[pl.Expr, str]) -> pl.DataFrame:
    """A finding for each bar, with the message and the period that are told."""
    message, period = told
    return bars.select(
        pl.lit(rule).alias("rule"),
        "symbol",
        "timestamp",
        pl.col("timestamp").alias("last"),
        pl.lit(1, pl.Int64).alias("bars"),
        message.alias("message"),
        pl.lit(period).alias("period"),
    )


def _point_rules(series: Series) -> Iterator[tuple[str, npt.NDArray[np.int64], pl.Expr]]:
    """(rule, rows, message) of each rule that finds single bars."""
    own = series.own
    unmatched = _unmatched(series)
    text = pl.format("a split of ratio {} is known, and the close did not move with it", "split")
    yield "unmatched_split", np.flatnonzero(own & unmatched), text
    split_like, jump = _jumps(series, unmatched)
    text = pl.format(
        "close moved by a factor of {}, the size of a split, and no split is known", "change"
    )
    yield "split_like_jump", np.flatnonzero(own & split_like), text
    text = pl.format("close moved by a factor of {}, which no split explains", "change")
    yield "jump", np.flatnonzero(own & jump), text
    text = pl.format("close moved by a factor of {} and back on the next bar", "change")
    yield "spike", _spikes(series, split_like | jump | unmatched), text
    text = pl.format("low {} or high {} is far from open and close", "low", "high")
    yield "wick", np.flatnonzero(own & _wicks(series)), text
    yield (
        "volume_outlier",
        np.flatnonzero(own & _volumes(series)),
        pl.format("volume {} is far above what is usual for the asset", "volume"),
    )


def _unmatched(series: Series) -> Flags:
    """Splits that the price did not take part in: it is adjusted already, or there was none."""
    size = np.abs(series.split)
    flags: Flags = (size > np.log(1.25)) & (np.abs(series.raw_change) < size / 4)
    return flags


def _jumps(series: Series, explained: Flags) -> tuple[Flags, Flags]:
    """Changes of the size of a split that is not known, and other impossible ones."""
    size = np.abs(series.change)
    large = (size > np.log(min(SPLIT_RATIOS)) - SPLIT_TOLERANCE) & ~explained
    large &= size > SPLIT_LIKE * series.scale
    distance = np.full(len(size), np.inf)
    rows = np.flatnonzero(large)
    distance[rows] = np.abs(size[rows, None] - np.log(SPLIT_RATIOS)).min(axis=1, initial=np.inf)
    split_like = distance < SPLIT_TOLERANCE
    jump = large & ~split_like & (size > np.maximum(JUMP * series.scale, LEAST_JUMP))
    back = _is_way_back(series, split_like | jump)
    return split_like & ~back, jump & ~back


def _is_way_back(series: Series, flagged: Flags) -> Flags:
    """Whether a flagged change only undoes one that was flagged on the bar before."""
    back = np.zeros(len(flagged), dtype=np.bool_)
    near = np.maximum(SPLIT_LIKE * series.scale, 0.2)
    for row in np.flatnonzero(flagged[1:] & flagged[:-1] & series.follows[1:]) + 1:
        both = series.change[row] + series.change[row - 1]
        back[row] = not back[row - 1] and abs(both) < near[row]
    return back


def _spikes(series: Series, flagged: Flags) -> npt.NDArray[np.int64]:
    """Bars that the next one takes back; the next one is of the period that is judged."""
    change, least = series.change, np.maximum(SPIKE * series.scale, LEAST_SPIKE)
    far = np.abs(change) > least
    pair = far[:-1] & far[1:] & series.follows[1:] & ~flagged[:-1] & ~flagged[1:] & series.own[1:]
    undone = np.abs(change[:-1] + change[1:]) < np.maximum(4 * series.scale[1:], 0.05)
    return np.flatnonzero(pair & undone)


def _wicks(series: Series) -> Flags:
    top = np.maximum(series["open"], series["close"])
    bottom = np.minimum(series["open"], series["close"])
    with np.errstate(divide="ignore", invalid="ignore"):
        reach = np.maximum(np.log(series["high"] / top), np.log(bottom / series["low"]))
    flags: Flags = np.isfinite(reach) & (reach > np.maximum(WICK * series.scale, LEAST_WICK))
    return flags


def _volumes(series: Series) -> Flags:
    volume = series["volume"]
    with np.errstate(divide="ignore"):
        logs = np.where(volume > 0, np.log(volume), np.nan)
    away, spread = series.centred(logs)
    enough = spread > 0
    with np.errstate(invalid="ignore"):
        flags: Flags = enough & (away > np.maximum(VOLUME * spread, LEAST_VOLUME))
    return flags


def _stale(series: Series, period: str) -> pl.DataFrame:
    """Runs in which nothing moves, from their fifth bar on; a run is listed once a period."""
    close = series["close"]
    flat = (series["open"] == close) & (series["high"] == series["low"]) & series.follows
    flat[1:] &= close[1:] == close[:-1]
    row = np.arange(len(close))
    length = row - np.maximum.accumulate(np.where(flat, 0, row))
    long = (length >= STALE_RUN) & series.own
    begins = long & ~np.concatenate([[False], long[:-1] & series.follows[1:]])
    rows = np.flatnonzero(long)
    runs = pl.Series("run", np.cumsum(begins)[rows])
    bars: pl.DataFrame = series.bars[rows].with_columns(runs)
    return (
        bars.group_by("run", maintain_order=True)
        .agg(
            pl.col("symbol").first(),
            pl.col("timestamp").first(),
            pl.col("timestamp").last().alias("last"),
            pl.len().cast(pl.Int64).alias("bars"),
            pl.col("close").first(),
        )
        .select(
            pl.lit("stale").alias("rule"),
            "symbol",
            "timestamp",
            "last",
            "bars",
            pl.format(
                "nothing moved from {} for {} bars or more", "close", pl.lit(STALE_RUN)
            ).alias("message"),
            pl.lit(period).alias("period"),
        )
    )
