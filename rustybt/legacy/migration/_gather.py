"""The bars of one kind, put together from files that overlap, repeat, or number sids anew.

A sid was the place of a symbol in the request, so an ingest that named the symbols in another
order swapped them. Where two files share dates, equal bars under different sids prove it.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import polars as pl

from rustybt.data.bars import PRICE_COLUMNS, VALUE_COLUMNS
from rustybt.legacy.migration._facts import Conflict, Problem
from rustybt.legacy.migration._parquet import Part, as_floats, impossible

#: Equal bars on shared dates that prove a swap.
_PROOF = 3
#: Log of the move between two files that no one would take for a day's.
_JUMP = np.log(1.5)
_KEY = ["sid", "timestamp"]


@dataclass(frozen=True)
class Gathered:
    """The bars of one kind.

    Attributes
    ----------
    bars : polars.DataFrame
        ``sid``, ``timestamp`` and the five values as floats; each key once, sorted.
    refused : polars.DataFrame
        Rows that no version can hold, with the number of their file.
    problems : tuple of Problem
    conflicts : tuple of Conflict
    notes, untrusted : tuple of str
    """

    bars: pl.DataFrame
    refused: pl.DataFrame
    problems: tuple[Problem, ...] = ()
    conflicts: tuple[Conflict, ...] = ()
    notes: tuple[str, ...] = ()
    untrusted: tuple[str, ...] = ()


def gather(parts: Sequence[Part], kind: str, bundle: str) -> Gathered:
    """Put the files of one kind together, the newest last and on top.

    Parameters
    ----------
    parts : sequence of Part
        In the order in which they were written; not empty.
    kind : {"daily", "minute"}
    bundle : str
    """
    frames, refused, problems = [], [], []
    untrusted: list[str] = []
    for number, part in enumerate(parts):
        floats, held = as_floats(part.bars)
        bad = impossible(floats) | ~held
        if kind == "minute":
            whole = floats["timestamp"].dt.truncate("1m") == floats["timestamp"]
            bad = bad | ~whole.fill_null(False)
        floats = floats.with_columns(pl.lit(number).alias("file"))
        if bad.any():
            wrong = floats.filter(bad)
            refused.append(wrong)
            problems.append(Problem(part.path, _refusal(wrong), bundle))
        floats = floats.filter(~bad)
        if frames:
            numbered = _renumbering(pl.concat(frames), floats)
            untrusted += _swapped(part, numbered)
            sid = pl.col("sid").replace(numbered) if numbered else pl.col("sid")
            floats = floats.with_columns(sid)
        frames.append(floats)
    together = pl.concat(frames)
    bars = together.unique(_KEY, keep="last", maintain_order=True).sort(_KEY)
    untrusted += _jumps(together, parts)
    conflicts = _disagreements(together, bars, kind)
    repeated = len(together) - len(bars)
    notes = [f"{repeated} {kind} rows stand in more than one place."] if repeated else []
    return Gathered(
        bars.drop("file"),
        pl.concat(refused) if refused else together.clear(),
        tuple(problems),
        conflicts,
        tuple(notes),
        tuple(untrusted),
    )


def _refusal(rows: pl.DataFrame) -> str:
    first = rows.row(0, named=True)
    shown = " ".join(f"{name} {first[name]}" for name in VALUE_COLUMNS)
    noun = "1 row" if len(rows) == 1 else f"{len(rows)} rows"
    return (
        f"{noun} cannot be true or cannot be kept to the digit, and will be left out; the first: "
        f"sid {first['sid']} {first['timestamp']}: {shown}"
    )


def _renumbering(known: pl.DataFrame, new: pl.DataFrame) -> dict[int, int]:
    """sid in a newer file -> the sid of the same bars in those before, where they differ."""
    same = ["timestamp", *PRICE_COLUMNS]
    shared = new.join(known, on=same, how="inner", suffix="_known")
    votes = shared.group_by("sid", "sid_known").len().sort("len", descending=True)
    best = votes.unique("sid", keep="first", maintain_order=True)
    moved = best.filter((pl.col("sid") != pl.col("sid_known")) & (pl.col("len") >= _PROOF))
    numbering = dict(zip(moved["sid"], moved["sid_known"], strict=True))
    # Only a change of places is one; two sids with equal bars are none.
    staying = set(new["sid"]) - set(numbering)
    taken = list(numbering.values())
    clash = len(set(taken)) < len(taken) or staying & set(taken)
    return {} if clash else numbering


def _swapped(part: Part, numbering: dict[int, int]) -> list[str]:
    if not numbering:
        return []
    moves = ", ".join(f"{new} is {old}" for new, old in sorted(numbering.items()))
    where = f"{part.path.parent.name}/{part.path.name}"
    text = (
        f"{where} numbers its sids differently from the files before it ({moves}), which its bars "
        "on shared dates prove; they were put right. Whether the catalog's symbols belong to the "
        "first numbering is not known."
    )
    return [text]


def _jumps(rows: pl.DataFrame, parts: Sequence[Part]) -> list[str]:
    """Doubt where prices go on from one file to the next only if two sids are exchanged."""
    doubts = []
    ordered = sorted(range(len(parts)), key=lambda n: (str(parts[n].bars["timestamp"].min()), n))
    for before, after in pairwise(ordered):
        old = rows.filter(pl.col("file") == before).sort("timestamp")
        new = rows.filter(pl.col("file") == after).sort("timestamp")
        last = old.group_by("sid").agg(pl.col("close").last().log())
        first = new.group_by("sid").agg(pl.col("open").first().log())
        moves = first.join(last, how="cross", suffix="_old").with_columns(
            (pl.col("open") - pl.col("close")).abs().alias("move")
        )
        own = moves.filter(pl.col("sid") == pl.col("sid_old"), pl.col("move") > _JUMP)
        cross = moves.filter(pl.col("sid") != pl.col("sid_old"), pl.col("move") < _JUMP / 4)
        pairs = own.join(cross, on="sid").select("sid", pl.col("sid_old_right").alias("other"))
        both = pairs.join(pairs, left_on=["sid", "other"], right_on=["other", "sid"])
        if len(both):
            named = ", ".join(map(str, sorted(set(both["sid"]))))
            doubts.append(
                f"Prices of sids {named} go on from {parts[before].path.parent.name} to "
                f"{parts[after].path.parent.name} only if they are exchanged: an ingest may have "
                "named the symbols in another order."
            )
    return doubts


def _disagreements(rows: pl.DataFrame, kept: pl.DataFrame, kind: str) -> tuple[Conflict, ...]:
    """Keys that stand in several files with different values."""
    joined = rows.join(kept, on=_KEY, suffix="_kept")
    other = pl.any_horizontal(pl.col(n) != pl.col(f"{n}_kept") for n in VALUE_COLUMNS)
    different = joined.filter(other)
    if different.is_empty():
        return ()
    first = different.sort(_KEY).row(0, named=True)
    where = f"sid {first['sid']} {first['timestamp']}"
    claims = {"the older file": first["close"], "the newer file": first["close_kept"]}
    fact = f"{len(different)} {kind} bars, the first the close of {where}"
    return (Conflict(fact, claims, first["close_kept"]),)
