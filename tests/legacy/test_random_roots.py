"""Random old roots: everything migrates to what the files hold, and reverts to the very tree."""

import shutil
from dataclasses import dataclass
from decimal import Decimal

import polars as pl
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from rustybt.data.bundles import open_bundle
from rustybt.legacy.migration import apply, revert
from tests.frames import VALUES, sessions
from tests.legacy.old_root import SCHEMAS, OldRoot, checksum, seconds, tree, walk

DAYS = sessions("2021-01-04", "2022-12-30")
LETTERS = st.characters(codec="utf-8", categories=["L", "N", "P", "S"], exclude_characters="/\\")
NAMES = st.text(LETTERS, min_size=1, max_size=8).filter(
    lambda name: name[0] not in ".?" and name.isprintable() and name.casefold() != "bundles"
)


@dataclass(frozen=True)
class Case:
    """One bundle: bars from a day on, in files of some sizes, with or without a gap between."""

    symbols: int
    sizes: tuple[int, ...]
    first: int
    version: float | None
    beside: bool
    offset: int
    seed: int


CASES = st.builds(
    Case,
    symbols=st.integers(1, 4),
    sizes=st.lists(st.integers(1, 60), min_size=1, max_size=3).map(tuple),
    first=st.integers(0, 200),
    version=st.sampled_from([None, *SCHEMAS]),
    beside=st.booleans(),
    offset=st.sampled_from([-8, -5, 0, 1, 5, 9, 12]),
    seed=st.integers(0, 9),
)


def write(old: OldRoot, name: str, case: Case) -> dict[tuple, tuple]:
    """Write a bundle; the bars that a version must hold, by symbol and day."""
    symbols = [f"S{number}" for number in range(case.symbols)]
    held: dict[tuple, tuple] = {}
    paths = []
    start = case.first
    for size in case.sizes:
        days = DAYS[start : start + size]
        frame = walk(range(1, case.symbols + 1), days, seed=case.seed)
        path = old.bars(name, frame)
        paths.append(path)
        if paths.count(path) > 1:  # the old writer overwrote a partition
            held = {key: row for key, row in held.items() if row[-1] != path}
        rows = frame.select("sid", "timestamp", *VALUES).iter_rows()
        held |= {(symbols[sid - 1], day): (*values, path) for sid, day, *values in rows}
        start += size
    seen = [seconds(day) - case.offset * 3600 for _, day in held]
    if case.beside:
        dataset = {"source": "x", "resolution": "1d", "symbols": symbols + symbols[:1]}
        files = {str(p.relative_to(old.directory(name))): checksum(p) for p in paths}
        bounds = (min(seen), max(seen) + 86_399)
        old.parquet_catalog(name, dataset | {"files": files, "range": bounds}, dataset)
    return {key: tuple(row[:-1]) for key, row in held.items()}


@settings(max_examples=10, phases=[Phase.generate])  # shrinking would take minutes
@given(cases=st.dictionaries(NAMES, CASES, min_size=1, max_size=3))
def test_what_the_files_hold_is_what_versions_hold(cases, tmp_path_factory):
    old = OldRoot(tmp_path_factory.mktemp("random"))
    held = {name: write(old, name, case) for name, case in cases.items()}
    for version in SCHEMAS:
        chosen = [name for name, case in cases.items() if case.version == version]
        if not chosen or (old.path / f"assets-{int(version)}.db").exists():
            continue
        rows = [
            {"bundle_name": name, "symbol": f"S{number}"}
            for name in chosen
            for number in range(cases[name].symbols)
        ]
        named = {"bundle_symbols": rows} if version > 8 else {}
        count = {"row_count": 1} if version >= 9 else {}
        old.catalog(version, [{"bundle_name": name, **count} for name in chosen], **named)
    before = tree(old.path)
    environ = {"ZIPLINE_ROOT": str(old.path)}
    done = apply(old.path, old.cache)
    assert done.ok
    for each in done.outcomes:
        bundle, rows = open_bundle(each.item.bundle, environ=environ), held[each.item.bundle]
        names = {name: f"S{sid - 1}" for sid, name in each.item.symbols["daily"].items()}
        bars = bundle.bars().with_columns(pl.col("symbol").replace(names))
        found = {
            (symbol, day): tuple(round(Decimal(value), 8) for value in values)
            for symbol, day, *values in bars.rows()
        }
        assert found == rows
        assert each.rows == len(rows)
    assert {each.item.bundle for each in done.outcomes} == set(held)
    revert(old.path)
    assert tree(old.path) == before
    shutil.rmtree(old.path)
