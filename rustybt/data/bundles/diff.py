"""What changed from one version to another: bars, events and assets."""

from dataclasses import dataclass, field

import polars as pl

from rustybt.data.bars import VALUE_COLUMNS
from rustybt.data.bundles import _contents, storage
from rustybt.data.bundles._encoding import read_bars
from rustybt.data.bundles.bundle import Bundle

_KEY = ["symbol", "timestamp"]


@dataclass(frozen=True)
class Changes:
    """Rows that only one of two versions has, or that differ.

    Attributes
    ----------
    bars : dict of str to polars.DataFrame
        Kind -> ``change`` (``added``, ``removed``, ``changed``), ``symbol``, ``timestamp``, the
        five values, and those of before with the ending ``_before``.
    events : dict of str to polars.DataFrame
        Kind -> ``change`` and the event.
    assets : polars.DataFrame
        ``change`` and the asset; one that changed is there twice.
    """

    bars: dict[str, pl.DataFrame] = field(default_factory=dict)
    events: dict[str, pl.DataFrame] = field(default_factory=dict)
    assets: pl.DataFrame = field(default_factory=pl.DataFrame)

    @property
    def is_empty(self) -> bool:
        """Whether both versions say the same."""
        frames = [*self.bars.values(), *self.events.values(), self.assets]
        return all(frame.is_empty() for frame in frames)


def compare(old: Bundle, new: Bundle) -> Changes:
    """The changes from an old version to a new one; only periods that differ are read.

    Raises
    ------
    CorruptVersionError
        If a file that is read is damaged.
    """
    kinds = [kind for kind in ("daily", "minute") if old.has(kind) or new.has(kind)]
    bars = {kind: _bars(old, new, kind) for kind in kinds}
    events = {
        kind: _both_ways(frame, getattr(new.events, kind)) for kind, frame in old.events.items()
    }
    return Changes(
        {kind: frame for kind, frame in bars.items() if not frame.is_empty()},
        {kind: frame for kind, frame in events.items() if not frame.is_empty()},
        _both_ways(old.assets, new.assets),
    )


def _bars(old: Bundle, new: Bundle, kind: str) -> pl.DataFrame:
    before, after = (_differing(bundle, other, kind) for bundle, other in ((old, new), (new, old)))
    joined = before.join(
        after, on=_KEY, how="full", coalesce=True, suffix="_after", maintain_order="left_right"
    )
    removed = pl.col("close_after").is_null()
    added = pl.col("close").is_null()
    same = pl.all_horizontal(
        pl.col(name).eq_missing(pl.col(f"{name}_after")) for name in VALUE_COLUMNS
    )
    change = (
        pl.when(added).then(pl.lit("added")).when(removed).then(pl.lit("removed"))
        .otherwise(pl.lit("changed")).alias("change")
    )  # fmt: skip
    return (
        joined.filter(~same | added | removed)
        .select(
            change,
            *_KEY,
            *(pl.col(f"{name}_after").alias(name) for name in VALUE_COLUMNS),
            *(pl.col(name).alias(f"{name}_before") for name in VALUE_COLUMNS),
        )
        .sort(_KEY)
    )


def _differing(bundle: Bundle, other: Bundle, kind: str) -> pl.DataFrame:
    """Bars of the periods that the other version does not have in the very same way."""
    own, others = (_listed(each, kind) for each in (bundle, other))
    keys = ["symbol", "period", "digest"]
    differ = own.join(others, on=keys, how="anti")
    parts = []
    for (period,), symbols in differ.partition_by("period", as_dict=True).items():
        path = storage.read_file(bundle.version, f"{kind}/{period}.parquet")
        parts.append(read_bars(path).join(symbols.select("sid", "symbol"), on="sid"))
    columns = [*_KEY, *VALUE_COLUMNS]
    if parts:
        return pl.concat(parts).select(columns)
    stamp = pl.Date() if kind == "daily" else pl.Datetime("us", "UTC")
    values = {name: pl.Float64() for name in VALUE_COLUMNS}
    return pl.DataFrame(schema={"symbol": pl.String(), "timestamp": stamp, **values})


def _listed(bundle: Bundle, kind: str) -> pl.DataFrame:
    contents = pl.read_parquet(storage.read_file(bundle.version, _contents.FILE))
    return contents.filter(pl.col("kind") == kind)


def _both_ways(old: pl.DataFrame, new: pl.DataFrame) -> pl.DataFrame:
    columns = [name for name in old.columns if name in new.columns]
    removed = old.join(new, on=columns, how="anti", nulls_equal=True).select(columns)
    added = new.join(old, on=columns, how="anti", nulls_equal=True).select(columns)
    return pl.concat(
        [
            removed.select(pl.lit("removed").alias("change"), pl.all()),
            added.select(pl.lit("added").alias("change"), pl.all()),
        ]
    ).sort(columns[:2], maintain_order=True)
