"""What changed between two versions, in lines for a person."""

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import polars as pl

from rustybt.cli._output import count, some

if TYPE_CHECKING:
    from rustybt.data.bundles.diff import Changes

#: What a reader need not be told besides: it goes with the end of an asset, or with its symbol.
_IMPLIED = {"auto_close_date": "end_date", "asset_name": "symbol"}
_SHORT = {"start_date": "start", "end_date": "end"}


def frames_of(changes: "Changes") -> Iterator[tuple[str, pl.DataFrame, list[str]]]:
    """Title, rows and the columns that name a row, of everything that changed."""
    for kind, frame in changes.bars.items():
        yield f"{kind} bars", frame, ["symbol", "timestamp"]
    for kind, frame in changes.events.items():
        yield kind.replace("_", " "), frame, ["symbol", "ex_date"]
    if not changes.assets.is_empty():
        yield "assets", changes.assets, ["sid"]


def as_lines(frame: pl.DataFrame, keys: list[str], limit: int) -> Iterator[str]:
    """A line a kind of change, then up to `limit` of its rows; equal changes of assets together."""
    for (change,), rows in frame.partition_by("change", as_dict=True, maintain_order=True).items():
        yield _summary(str(change), rows, keys)
        lines = list(_rows(str(change), rows, keys))
        yield from (f"  {line}" for line in lines[:limit])
        if len(lines) > limit:
            yield f"  and {count(len(lines) - limit, 'line')} more (--limit or --json lists all)"


def _summary(change: str, rows: pl.DataFrame, keys: list[str]) -> str:
    """``added: 310 of 5 symbols, 2020-12-31 to 2021-03-31``."""
    if keys == ["sid"]:
        return f"{change}: {len(rows):,}"
    days = rows[keys[1]]
    span = f"{days.min()}" if days.min() == days.max() else f"{days.min()} to {days.max()}"
    return f"{change}: {len(rows):,} of {count(rows['symbol'].n_unique(), 'symbol')}, {span}"


def _rows(change: str, rows: pl.DataFrame, keys: list[str]) -> Iterator[str]:
    if keys == ["sid"]:
        yield from _assets(change, rows)
        return
    for row in rows.iter_rows(named=True):
        yield f"{row[keys[0]]} {row[keys[1]]}: {_values(change, row, keys)}"


def _assets(change: str, rows: pl.DataFrame) -> Iterator[str]:
    """Assets with the same change in one line."""
    together: dict[str, list[str]] = {}
    for row in rows.iter_rows(named=True):
        name = row["symbol"] if change != "removed" else row["symbol_before"]
        together.setdefault(_values(change, row, ["sid"]), []).append(str(name))
    for text, names in together.items():
        more = f"{len(names):,} assets ({some(names, 5)})" if len(names) > 1 else names[0]
        yield f"{more}: {text}"


def _values(change: str, row: dict[str, Any], keys: list[str]) -> str:
    """``end 2019-12-30 -> 2019-12-31``; for a row that came or went, its values."""
    names = [name for name in row if f"{name}_before" in row and name not in keys]
    if change == "changed":
        differ = [name for name in names if row[name] != row[f"{name}_before"]]
        told = [name for name in differ if _IMPLIED.get(name) not in differ]
        return ", ".join(
            f"{_SHORT.get(name, name)} {_text(row[f'{name}_before'])} -> {_text(row[name])}"
            for name in told
        )
    ending = "_before" if change == "removed" else ""
    if keys == ["sid"]:
        return f"{row[f'start_date{ending}']} to {row[f'end_date{ending}']}"
    values = {name: row[f"{name}{ending}"] for name in names}
    return ", ".join(f"{name} {_text(v)}" for name, v in values.items() if v is not None)


def _text(value: Any) -> str:
    return f"{value:.15g}" if isinstance(value, float) else str(value)
