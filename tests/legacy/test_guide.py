"""docs/migration.md: each pair of old and new code runs as it is written, to the same result."""

import ast
import asyncio
import re
import warnings
from pathlib import Path

import pandas as pd
import pytest

from rustybt.data.bundles import BundleMetadata
from rustybt.data.bundles.ingest import ingest
from rustybt.data.sources import CSVDataSource
from tests.compat import bcolz_root
from tests.frames import sessions, walk

DOCUMENT = Path(__file__).parents[2] / "docs" / "migration.md"
PAIR = re.compile(r"### ([^\n]+)\n\n```python old\n(.*?)```\n\n```python new\n(.*?)```", re.DOTALL)
PAIRS = PAIR.findall(DOCUMENT.read_text())


@pytest.fixture
def names(tmp_path, monkeypatch, zipline_root, yahoo) -> dict:
    """What the code finds: a CSV file, a bundle of it, an ingestion of zipline's, a Yahoo."""
    monkeypatch.chdir(tmp_path)
    bars = walk(["A", "B"], sessions("2023-01-03", "2023-03-31"))
    bars.rename({"timestamp": "date"}).write_csv("prices.csv")
    version = ingest(CSVDataSource("prices.csv"), "prices").version
    ingestion = bcolz_root.Content(daily=bcolz_root.daily(0)).ingest(zipline_root, "classic")
    found = {"BundleMetadata": BundleMetadata, "version": version, "ingestion": str(ingestion)}
    return {**found, "pd": pd}


def run(code: str, names: dict) -> list[warnings.WarningMessage]:
    """Run code as a notebook would, with `await` outside functions; its deprecation warnings."""
    compiled = compile(code, "<document>", "exec", flags=ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)

    async def body():
        pending = eval(compiled, names)  # noqa: S307  our own document
        if pending is not None:
            await pending

    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        asyncio.run(body())
    return [each for each in caught if each.category.__name__ == "DeprecatedWarning"]


def test_the_guide_has_pairs():
    assert len(PAIRS) >= 8


@pytest.mark.parametrize(("title", "old", "new"), PAIRS, ids=[pair[0] for pair in PAIRS])
def test_old_and_new_code_give_the_same(names, title, old, new):
    warned = run(old, names)
    assert warned
    assert {each.filename for each in warned} == {"<document>"}
    assert run(new, names) == []
    assert names["old"] == names["new"]


SPECIFIED_OLD = """
# Old: Using bridge functions
from rustybt.data.bundles.adapter_bundles import yfinance_profiling_bundle

bundle_path = yfinance_profiling_bundle(
    symbols=["AAPL"],
    start_date="2023-01-01",
    end_date="2023-12-31"
)

# Old: Using DataCatalog
from rustybt.data.catalog import DataCatalog
catalog = DataCatalog()
catalog.register_bundle("my-data", bundle_path)
"""
SPECIFIED_NEW = """
# New: Using DataSource
from rustybt.data.sources import DataSourceRegistry

source = DataSourceRegistry.get_source("yfinance")
await source.ingest_to_bundle(
    bundle_name="my-data",
    symbols=["AAPL"],
    start=pd.Timestamp("2023-01-01"),
    end=pd.Timestamp("2023-12-31"),
    frequency="1d"
)

# New: BundleMetadata auto-registered
from rustybt.data.bundles.metadata import BundleMetadata
metadata = BundleMetadata.load("my-data")
print(f"Quality score: {metadata.quality_score}")
"""


def test_the_architecture_documents_own_examples_run_as_written(names, capsys):
    warned = run(SPECIFIED_OLD, names)
    assert [each.lineno for each in warned] == [5, 13]
    first = BundleMetadata.load("my-data")
    assert (first.symbols, first.span) == (["AAPL"], "2023-01-03 to 2023-12-29")
    assert run(SPECIFIED_NEW, names) == []
    assert BundleMetadata.load("my-data").content_hash == first.content_hash
    assert f"Quality score: {first.quality_score}" in capsys.readouterr().out
