"""Compare two performance frames cell by cell: what two engines made of one algorithm.

Order ids are random, so each is replaced by its rank of first appearance. Numbers are equal to
1e-9 relative (1e-12 absolute near zero) or, with ``exact``, bit for bit; NaN equals NaN. An int
never equals a float, nor a bool an int: a result's type is part of the result.
"""

import numbers
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd
from zipline.assets import Asset


@dataclass(frozen=True)
class Tolerance:
    """How far two floats may lie apart; zero and zero mean bit for bit."""

    relative: float = 1e-9
    absolute: float = 1e-12

    def close(self, stock: np.ndarray, ours: np.ndarray) -> np.ndarray:
        """True where two float arrays of one shape agree."""
        both_nan = np.isnan(stock) & np.isnan(ours)
        if self == EXACT:
            return both_nan | ((stock == ours) & (np.signbit(stock) == np.signbit(ours)))
        with np.errstate(invalid="ignore"):
            scale = np.maximum(np.abs(stock), np.abs(ours))
            near = np.abs(stock - ours) <= np.maximum(self.absolute, self.relative * scale)
        return both_nan | (stock == ours) | (near & np.isfinite(scale))


EXACT = Tolerance(0.0, 0.0)


@dataclass(frozen=True)
class Mismatch:
    """One place where two frames differ."""

    session: str
    column: str
    path: str
    stock: object
    ours: object

    def __str__(self) -> str:
        return f"{self.session} {self.column}{self.path}: stock {self.stock!r}, ours {self.ours!r}"


@dataclass(frozen=True)
class Comparison:
    """What one walk through two frames needs to know."""

    tolerance: Tolerance
    stock_ids: Mapping[str, str]
    our_ids: Mapping[str, str]

    def walk(
        self, stock: object, ours: object, path: str = ""
    ) -> Iterator[tuple[str, object, object]]:
        """The differing leaves of two values, as (path, stock's, ours)."""
        kind = kind_of(stock)
        if kind != kind_of(ours):
            yield f"{path} ({kind}, {kind_of(ours)})", stock, ours
        elif kind in WALKERS:
            yield from WALKERS[kind](self, stock, ours, path)
        elif kind == "str":
            if self.stock_ids.get(stock, stock) != self.our_ids.get(ours, ours):
                yield path, stock, ours
        elif kind == "float":
            if not self.tolerance.close(np.float64(stock), np.float64(ours)):
                yield path, stock, ours
        elif not same_leaf(stock, ours):
            yield path, stock, ours

    def walk_dict(self, stock: dict, ours: dict, path: str) -> Iterator[tuple]:
        """Keys and their order, then the values."""
        yield from self.walk(list(stock), list(ours), f"{path}.keys")
        for key in stock.keys() & ours.keys():
            yield from self.walk(stock[key], ours[key], f"{path}[{key!r}]")

    def walk_list(self, stock: list, ours: list, path: str) -> Iterator[tuple]:
        """Lengths, then the elements."""
        if len(stock) != len(ours):
            yield f"{path}.length", len(stock), len(ours)
        for position, (left, right) in enumerate(zip(stock, ours, strict=False)):
            yield from self.walk(left, right, f"{path}[{position}]")

    def walk_array(self, stock: np.ndarray, ours: np.ndarray, path: str) -> Iterator[tuple]:
        """Shapes and dtypes, then the elements."""
        if (stock.shape, stock.dtype) != (ours.shape, ours.dtype):
            yield f"{path}.shape", (stock.shape, stock.dtype), (ours.shape, ours.dtype)
        elif stock.dtype.kind == "f":
            for place in np.argwhere(~self.tolerance.close(stock, ours)):
                yield f"{path}{place.tolist()}", stock[tuple(place)], ours[tuple(place)]
        else:
            yield from self.walk_list(stock.ravel().tolist(), ours.ravel().tolist(), path)

    def walk_index(self, stock: pd.Index, ours: pd.Index, path: str) -> Iterator[tuple]:
        """Names and dtypes, then the labels."""
        yield from self.walk(list(stock.names), list(ours.names), f"{path}.names")
        yield from self.walk(str(stock.dtype), str(ours.dtype), f"{path}.dtype")
        # Assets of two finders are equal when their sids are, so only dates take the short way.
        if not (isinstance(stock, pd.DatetimeIndex) and stock.equals(ours)):
            yield from self.walk(list(stock), list(ours), path)

    def walk_series(self, stock: pd.Series, ours: pd.Series, path: str) -> Iterator[tuple]:
        """Names and indices, then the values."""
        yield from self.walk(stock.name, ours.name, f"{path}.name")
        yield from self.walk(stock.index, ours.index, f"{path}.index")
        yield from self.walk_values(stock, ours, path)

    def walk_values(self, stock: pd.Series, ours: pd.Series, path: str) -> Iterator[tuple]:
        """Dtypes, then the values of two series."""
        if stock.dtype != ours.dtype:
            yield f"{path}.dtype", str(stock.dtype), str(ours.dtype)
        elif stock.dtype.kind in "fiub":
            yield from self.walk(stock.to_numpy(), ours.to_numpy(), path)
        else:
            yield from self.walk(list(stock), list(ours), path)

    def walk_frame(self, stock: pd.DataFrame, ours: pd.DataFrame, path: str) -> Iterator[tuple]:
        """Both axes, then the columns."""
        yield from self.walk(stock.index, ours.index, f"{path}.index")
        yield from self.walk(stock.columns, ours.columns, f"{path}.columns")
        if stock.shape == ours.shape:
            for position, name in enumerate(stock.columns):
                pair = stock.iloc[:, position], ours.iloc[:, position]
                yield from self.walk_values(*pair, f"{path}[{name!r}]")


WALKERS = {
    "dict": Comparison.walk_dict,
    "list": Comparison.walk_list,
    "array": Comparison.walk_array,
    "index": Comparison.walk_index,
    "series": Comparison.walk_series,
    "frame": Comparison.walk_frame,
}

KINDS: tuple[tuple[str, type | tuple[type, ...]], ...] = (
    ("asset", Asset),
    ("bool", (bool, np.bool_)),
    ("int", numbers.Integral),
    ("float", numbers.Real),
    ("str", str),
    ("dict", Mapping),
    ("list", (list, tuple)),
    ("array", np.ndarray),
    ("index", pd.Index),
    ("series", pd.Series),
    ("frame", pd.DataFrame),
)


def kind_of(value: object) -> str:
    """The kind under which two values are compared; an unknown type is a kind of its own."""
    return next((kind for kind, types in KINDS if isinstance(value, types)), type(value).__name__)


def same_leaf(stock: object, ours: object) -> bool:
    """Equality of what is neither a float, a string nor a container."""
    if isinstance(stock, Asset):
        return asset_facts(stock) == asset_facts(ours)
    if stock is pd.NaT or stock is None:
        return stock is ours
    if isinstance(stock, pd.Timestamp):
        return stock == ours and str(stock.tz) == str(ours.tz)
    return bool(stock == ours)


def asset_facts(asset: Asset) -> tuple:
    """What must be equal of two engines' assets; the exchange's name is each one's own."""
    return (
        type(asset).__name__,
        asset.sid,
        asset.symbol,
        asset.start_date,
        asset.end_date,
        asset.auto_close_date,
        asset.tick_size,
        asset.price_multiplier,
    )


def order_ranks(perf: pd.DataFrame) -> dict[str, str]:
    """Each order id's rank of first appearance, as ``order 0``, ``order 1``."""
    ids: dict[str, str] = {}
    # Not every set of metrics tells of them.
    told = [each for each in (("orders", "id"), ("transactions", "order_id")) if each[0] in perf]
    for session in range(len(perf)):
        for column, key in told:
            for item in perf[column].iloc[session]:
                if item[key] is not None:
                    ids.setdefault(item[key], f"order {len(ids)}")
    return ids


def mismatches(stock: pd.DataFrame, ours: pd.DataFrame, *, exact: bool = False) -> list[Mismatch]:
    """Every place where two performance frames differ: index, columns, dtypes, then the cells.

    The cells' mismatches come in the order of the sessions, as the first one has caused the others.
    """
    comparison = Comparison(EXACT if exact else Tolerance(), order_ranks(stock), order_ranks(ours))
    found = [
        Mismatch("index", "", path, left, right)
        for path, left, right in comparison.walk(stock.index, ours.index)
    ]
    found += [
        Mismatch("columns", name, "", name in stock, name in ours)
        for name in stock.columns.symmetric_difference(ours.columns)
    ]
    shared = [name for name in stock.columns if name in ours]
    found += [
        Mismatch("dtypes", name, "", stock[name].dtype, ours[name].dtype)
        for name in shared
        if stock[name].dtype != ours[name].dtype
    ]
    cells = (
        cell for name in shared for cell in cell_mismatches(comparison, stock[name], ours[name])
    )
    return found + sorted(cells, key=lambda mismatch: mismatch.session)


def cell_mismatches(
    comparison: Comparison, stock: pd.Series, ours: pd.Series
) -> Iterator[Mismatch]:
    """The differences of one column, on the sessions that both frames have."""
    sessions = stock.index.intersection(ours.index)
    left, right = stock.loc[sessions], ours.loc[sessions]
    differs = np.ones(len(sessions), bool)
    if left.dtype == right.dtype == np.float64:
        differs = ~comparison.tolerance.close(left.to_numpy(), right.to_numpy())
    for place in np.flatnonzero(differs):
        for path, *values in comparison.walk(left.iloc[place], right.iloc[place]):
            yield Mismatch(str(sessions[place].date()), str(stock.name), path, *values)
