"""What is in a version, period by period: counted once, when the period is written.

``contents.parquet`` has one row a kind, period and asset: ``kind``, ``period``, ``sid``,
``symbol``, ``rows``, ``sessions`` (with a bar), ``first`` and ``last`` (sessions), ``first_label``
and ``last_label`` (days or minutes since 1970), ``digest`` (SHA-256 of the bars), how many decimals
the file keeps of prices and of volumes (-1: as they are), and of daily bars what tells whether a
rule of `rustybt.data.bundles.quality` can find anything: see `_screening.summaries`. A period
that an update leaves alone keeps its rows, so nothing of it is read again.

Daily bars lie in a file a year, those of the last year in a file a month, so that an update by a
day writes a month and not a year. Intraday bars lie in a file a month.
"""

import hashlib
from collections.abc import Mapping

import numpy as np
import polars as pl

from rustybt.data.adjustments import Events
from rustybt.data.bars import PRICE_COLUMNS, VALUE_COLUMNS
from rustybt.data.bundles import _screening
from rustybt.data.bundles.panel import to_labels

FILE = "contents.parquet"
#: Stands for the decimals of values that are kept as floating point numbers.
AS_IT_IS = -1

SCHEMA = pl.Schema(
    {
        "kind": pl.String(),
        "period": pl.String(),
        "sid": pl.Int64(),
        "symbol": pl.String(),
        "rows": pl.Int64(),
        "sessions": pl.Int64(),
        "first": pl.Date(),
        "last": pl.Date(),
        "first_label": pl.Int64(),
        "last_label": pl.Int64(),
        "digest": pl.String(),
        "price_decimals": pl.Int8(),
        "volume_decimals": pl.Int8(),
        **_screening.SUMMARY,
    }
)


def describe(kind: str, period: str, bars: pl.DataFrame) -> pl.DataFrame:
    """The rows of the table for one period.

    Parameters
    ----------
    bars : polars.DataFrame
        ``sid``, ``symbol``, ``timestamp``, ``session`` and the five values, sorted by
        (sid, timestamp); not empty.
    """
    sids = bars["sid"].to_numpy()
    starts = np.flatnonzero(np.diff(sids, prepend=sids[0] - 1))
    stops = np.append(starts[1:], len(bars))
    labels = to_labels(bars["timestamp"])
    sessions = bars["session"].to_physical().to_numpy()
    new_session = np.diff(sessions, prepend=-1) != 0
    new_session[starts] = True
    columns = {
        "kind": [kind] * len(starts),
        "period": [period] * len(starts),
        "sid": sids[starts],
        "symbol": bars["symbol"][starts],
        "rows": stops - starts,
        "sessions": np.add.reduceat(new_session.astype(np.int64), starts),
        "first": bars["session"][starts],
        "last": bars["session"][stops - 1],
        "first_label": labels[starts],
        "last_label": labels[stops - 1],
        "digest": _digests(bars, starts, stops),
        **_screening.summaries(bars, starts, stops, kind),
    }
    unknown = [None] * len(starts)
    # Polars asks its engine for every column that is given as one value.
    return pl.DataFrame([pl.Series(n, columns.get(n, unknown), t) for n, t in SCHEMA.items()])


def known(table: pl.DataFrame) -> pl.DataFrame:
    """A table of a version of before, with nulls for what such versions did not count."""
    return pl.concat([pl.DataFrame(schema=SCHEMA), table], how="diagonal").select(SCHEMA.names())


def with_decimals(described: pl.DataFrame, scales: Mapping[str, int | None]) -> pl.DataFrame:
    """The rows of one period, and at what scale `_encoding.write_bars` wrote its file."""
    prices = [scales[name] for name in PRICE_COLUMNS]
    scaled = [scale for scale in prices if scale is not None]
    most = max(scaled) if len(scaled) == len(prices) else AS_IT_IS
    volume = scales["volume"]
    kept = {"price_decimals": most, "volume_decimals": AS_IT_IS if volume is None else volume}
    counted = described.clone()
    for name, decimals in kept.items():
        column = pl.Series(name, np.full(len(described), decimals, dtype=np.int8))
        counted.replace_column(counted.get_column_index(name), column)
    return counted


def decimals(contents: pl.DataFrame, column: str) -> int | None:
    """The most decimals that any file keeps; None where one keeps values as they are."""
    least, most = contents[column].min(), contents[column].max()
    return most if isinstance(most, int) and least != AS_IT_IS else None


def span_of(kind: str, period: str) -> str:
    """The span of time that a period belongs to: the year of daily bars, the month of others."""
    return period[:4] if kind == "daily" else period


def _digests(bars: pl.DataFrame, starts: "np.ndarray", stops: "np.ndarray") -> list[str]:
    columns = [bars["timestamp"].to_physical(), *(bars[name] for name in VALUE_COLUMNS)]
    arrays = [np.ascontiguousarray(column.to_numpy()) for column in columns]
    digests = []
    for start, stop in zip(starts, stops, strict=True):
        hasher = hashlib.sha256()
        for array in arrays:
            hasher.update(array[start:stop].data)
        digests.append(hasher.hexdigest())
    return digests


def lives(contents: pl.DataFrame) -> pl.DataFrame:
    """First and last session with a bar of any kind: ``sid``, ``symbol``, ``first``, ``last``."""
    return (
        contents.group_by("sid", "symbol")
        .agg(pl.col("first").min(), pl.col("last").max())
        .sort("sid")
    )


def content_hash(
    contents: pl.DataFrame, frequencies: dict[str, str], assets: pl.DataFrame, events: Events
) -> str:
    """Hex digest over bars, assets and events that does not depend on sids, files or order.

    Parameters
    ----------
    frequencies : dict of str to str
        Kind -> length of its bars.
    """
    named = contents.with_columns(pl.col("kind").replace_strict(frequencies).alias("frequency"))
    lines = named.select(
        pl.format("{} {} {} {}", "frequency", "period", "symbol", "digest").alias("line")
    )
    hasher = hashlib.sha256()
    hasher.update("".join(lines["line"].sort()).encode())
    hasher.update(assets.drop("sid").sort("symbol").write_csv().encode())
    for kind, frame in events.items():
        hasher.update(f"{kind}\n{frame.sort(frame.columns).write_csv()}".encode())
    return hasher.hexdigest()
