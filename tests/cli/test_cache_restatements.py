"""Final bars that a source changed, as the command line lists them."""

import asyncio
import json
from datetime import date

import polars as pl

from rustybt.data.sources.cached_source import CachedDataSource
from tests.fakes import CountingSource
from tests.frames import sessions, walk

BARS = walk(["AAA", "BBB"], sessions("2024-02-01", "2024-02-29"))


def test_each_value_that_changed_is_a_row(invoke, tmp_path):
    request = (["AAA"], date(2024, 2, 1), date(2024, 2, 29))
    asyncio.run(CachedDataSource(CountingSource(BARS), tmp_path).fetch(*request, "1d"))
    restated = BARS.with_columns(
        volume=pl.when(pl.col("timestamp") == date(2024, 2, 15)).then(7.0).otherwise("volume")
    )
    cached = CachedDataSource(CountingSource(restated), tmp_path)
    (change,) = asyncio.run(cached.revalidate(*request, "1d"))
    (row,) = json.loads(invoke("cache", "restatements", "--cache-dir", tmp_path, "--json").stdout)
    assert (row["symbol"], row["timestamp"]) == ("AAA", "2024-02-15")
    assert (row["old"], row["new"]["volume"]) == (change.old, 7.0)
    text = invoke("cache", "restatements", "--cache-dir", tmp_path).stdout
    assert [word for word in ("2024-02-15", "volume", "7.0") if word not in text] == []
    assert (
        "No restatement"
        in invoke("cache", "restatements", "--symbols", "BBB", "--cache-dir", tmp_path).stdout
    )
