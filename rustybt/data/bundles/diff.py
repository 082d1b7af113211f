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
        Kind -> the same of events: ``symbol`` and ``ex_date`` say which one it is.
    assets : polars.DataFrame
        The same of assets: the ``sid`` says which one it is.
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
        kind: _between(frame, getattr(new.events, kind), ["symbol", "ex_date"])
        for kind, frame in old.events.items()
    }
    return Changes(
        {kind: frame for kind, frame in bars.items() if not frame.is_empty()},
        {kind: frame for kind, frame in events.items() if not frame.is_empty()},
        _between(old.assets, new.assets, ["sid"]),
    )


def _bars(old: Bundle, new: Bundle, kind: str) -> pl.DataFrame:
    return _between(_differing(old, new, kind), _differing(new, old, kind), _KEY)


def _between(old: pl.DataFrame, new: pl.DataFrame, keys: list[str]) -> pl.DataFrame:
    """What was added, removed or changed, of rows that are the same one when the keys are equal."""
    values = [name for name in new.columns if name in old.columns and name not in keys]
    whole = [*keys, *values]
    mine, theirs = (_numbered(frame.select(whole), whole) for frame in (old, new))
    same = [*whole, "number"]
    before, after = (
        _numbered(one.join(other, on=same, how="anti", nulls_equal=True).select(whole), keys)
        for one, other in ((mine, theirs), (theirs, mine))
    )
    joined = before.with_columns(was=True).join(
        after.with_columns(now=True),
        on=[*keys, "number"],
        how="full",
        coalesce=True,
        suffix="_after",
        maintain_order="left_right",
    )
    added, removed = pl.col("was").is_null(), pl.col("now").is_null()
    change = (
        pl.when(added).then(pl.lit("added")).when(removed).then(pl.lit("removed"))
        .otherwise(pl.lit("changed")).alias("change")
    )  # fmt: skip
    return joined.select(
        change,
        *keys,
        *(pl.col(f"{name}_after").alias(name) for name in values),
        *(pl.col(name).alias(f"{name}_before") for name in values),
    ).sort(keys, maintain_order=True)


def _numbered(frame: pl.DataFrame, keys: list[str]) -> pl.DataFrame:
    """With the place of each row among those of equal keys: two dividends may share a day."""
    ordered = frame.sort(frame.columns)
    return ordered.with_columns(pl.int_range(pl.len()).over(keys).alias("number"))


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
