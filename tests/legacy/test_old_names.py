"""docs/old-names.md, row by row: every old name imports, works, and warns as the table says."""

import asyncio
import re
import warnings
from importlib import import_module
from pathlib import Path

import polars as pl
import pytest

from rustybt.data.bundles import list_bundles
from tests.compat import bcolz_root
from tests.frames import sessions, walk

DOCUMENT = (Path(__file__).parents[2] / "docs" / "old-names.md").read_text()
ROWS = re.findall(r"^\| `(\w+)` \| `([\w.]+)` \| `([\w.]+)` \|$", DOCUMENT, re.MULTILINE)
BARS = walk(["A", "B"], sessions("2023-01-03", "2023-03-31"))


@pytest.fixture
def here(tmp_path, monkeypatch, zipline_root, yahoo):
    """A directory with CSV files, a Yahoo, and an ingestion in zipline's format."""
    monkeypatch.chdir(tmp_path)
    Path("prices").mkdir()
    BARS.rename({"timestamp": "date"}).write_csv("prices/prices.csv")
    Path("data.bin").write_bytes(b"bytes")
    ingestion = bcolz_root.Content(daily=bcolz_root.daily(0)).ingest(zipline_root, "classic")
    return {"ingestion": str(ingestion)}


def fetched(adapter, symbols, resolution="1d"):
    frame = asyncio.run(adapter.fetch(symbols, "2023-01-03", "2023-03-31", resolution))
    assert frame.schema["timestamp"] == pl.Datetime("us")
    assert frame.schema["close"] == pl.Decimal(38, 8)
    assert adapter.validate(frame)
    return frame


def csv_config(module):
    return module.CSVConfig(
        "prices/prices.csv", module.SchemaMapping("date", symbol_column="symbol")
    )


#: Old name -> a use of it on one line, and what must hold of the outcome.
USES = {
    "DataCatalog": (
        lambda m, here: m.DataCatalog(),
        lambda catalog: catalog.count_bundles() == 0,
    ),
    "ParquetMetadataCatalog": (
        lambda m, here: m.ParquetMetadataCatalog("metadata.db"),
        lambda catalog: catalog.create_dataset("x", "1d") == 1,
    ),
    "calculate_file_checksum": (
        lambda m, here: m.calculate_file_checksum(Path("data.bin")),
        lambda digest: digest.startswith("1b4f0e") or len(digest) == 64,
    ),
    "BundleMetadataTracker": (
        lambda m, here: m.BundleMetadataTracker(),
        lambda tracker: tracker.record_csv_bundle("b", "prices")["metadata"]["checksum"],
    ),
    "track_csv_bundle_metadata": (
        lambda m, here: m.track_csv_bundle_metadata("b", "prices", BARS),
        lambda found: found["quality_metrics"]["row_count"] == len(BARS),
    ),
    "track_api_bundle_metadata": (
        lambda m, here: m.track_api_bundle_metadata("b", "polygon", "data.bin"),
        lambda found: found["metadata"]["file_size_bytes"] == 5,
    ),
    "yfinance_profiling_bundle": (
        lambda m, here: m.yfinance_profiling_bundle(
            symbols=["AAPL"], start_date="2023-03-01", end_date="2023-03-31"
        ),
        lambda path: path.is_dir() and "yfinance-profiling" in list_bundles(),
    ),
    "csv_profiling_bundle": (
        lambda m, here: m.csv_profiling_bundle(csv_dir="prices"),
        lambda path: path.is_dir() and "csv-profiling" in list_bundles(),
    ),
    "list_profiling_bundles": (
        lambda m, here: m.list_profiling_bundles(),
        lambda names: len(names) == 4 and "ccxt-hourly-profiling" in names,
    ),
    "get_profiling_bundle_info": (
        lambda m, here: m.get_profiling_bundle_info("yfinance-profiling"),
        lambda info: info["frequency"] == "1d",
    ),
    "BundleMigrator": (
        lambda m, here: m.BundleMigrator(here["ingestion"]),
        lambda migrator: migrator.migrate_daily_bars("bcolz")["success"],
    ),
    "migrate_bundle": (
        lambda m, here: m.migrate_bundle(here["ingestion"], "bcolz"),
        lambda found: found["daily"]["row_count"] > 0,
    ),
    "YFinanceAdapter": (
        lambda m, here: m.YFinanceAdapter(request_delay=0.5),
        lambda adapter: len(fetched(adapter, ["AAPL"])) == 62,
    ),
    "CCXTAdapter": (
        lambda m, here: m.CCXTAdapter(exchange_id="kraken"),
        lambda adapter: adapter.get_metadata().source_type == "ccxt",
    ),
    "PolygonAdapter": (
        lambda m, here: m.PolygonAdapter(api_key="k"),
        lambda adapter: adapter.get_metadata().source_type in ("polygon", "massive"),
    ),
    "AlpacaAdapter": (
        lambda m, here: m.AlpacaAdapter(api_key="k", api_secret="s"),  # noqa: S106
        lambda adapter: adapter.get_metadata().source_type == "alpaca",
    ),
    "AlphaVantageAdapter": (
        lambda m, here: m.AlphaVantageAdapter(api_key="k"),
        lambda adapter: adapter.get_metadata().source_type == "alphavantage",
    ),
    "CSVAdapter": (
        lambda m, here: m.CSVAdapter(csv_config(m)),
        lambda adapter: len(fetched(adapter, [])) == len(BARS),
    ),
}
#: These ask a cryptocurrency exchange; `test_bridges.py` calls them.
ASKING = {"ccxt_hourly_profiling_bundle", "ccxt_minute_profiling_bundle"}


def resolve(dotted: str) -> object:
    """What a dotted name of the new world stands for."""
    words = dotted.split(".")
    for size in range(len(words), 0, -1):
        try:
            found = import_module(".".join(words[:size]))
        except ModuleNotFoundError:
            continue
        for word in words[size:]:
            found = getattr(found, word)
        return found
    raise ModuleNotFoundError(dotted)


def test_the_table_has_every_name_that_warns():
    assert {name for name, _, _ in ROWS} == {*USES, *ASKING}


@pytest.mark.parametrize(("name", "module", "instead"), ROWS, ids=[row[0] for row in ROWS])
def test_an_old_name_and_what_replaces_it_are_there(name, module, instead):
    assert callable(getattr(import_module(module), name))
    assert resolve(instead) is not None


@pytest.mark.parametrize(
    ("name", "module", "instead"), [row for row in ROWS if row[0] in USES], ids=lambda text: text
)
def test_an_old_name_works_and_warns_at_the_callers_line(here, name, module, instead):
    use, holds = USES[name]
    imported = import_module(module)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        outcome = use(imported, here)
    (warned,) = [each for each in caught if issubclass(each.category, DeprecationWarning)]
    said = str(warned.message)
    assert said.startswith(f"{name} is deprecated as of 1.0 and will be removed in v2.0. Use ")
    assert instead.rpartition(".")[2] in said
    assert (warned.filename, warned.lineno) == (__file__, use.__code__.co_firstlineno)
    assert holds(outcome)


def test_a_line_that_is_run_often_warns_once_and_another_line_again(here):
    from rustybt.data.bundles.adapter_bundles import list_profiling_bundles

    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("default")
        for _ in range(3):
            list_profiling_bundles()
        list_profiling_bundles()
    assert len(caught) == 2


def test_incomplete_rows_are_refused_or_left_out_as_the_configuration_says(here):
    from rustybt.data.adapters import CSVAdapter, CSVConfig, SchemaMapping, ValidationError

    rows = Path("prices/prices.csv").read_text().splitlines()
    cells = rows[5].split(",")
    rows[5] = ",".join([*cells[:3], "", *cells[4:]])
    Path("gap.csv").write_text("\n".join(rows))
    mapping = SchemaMapping("date", symbol_column="symbol")
    with pytest.warns(DeprecationWarning, match="CSVAdapter"):
        strict = CSVAdapter(CSVConfig("gap.csv", mapping))
    with pytest.raises(ValidationError):
        fetched(strict, [])
    with pytest.warns(DeprecationWarning, match="CSVAdapter"):
        lenient = CSVAdapter(CSVConfig("gap.csv", mapping, missing_data_strategy="skip"))
    assert len(fetched(lenient, [])) == len(BARS) - 1
    with (
        pytest.warns(DeprecationWarning, match="CSVAdapter"),
        pytest.raises(ValueError, match="not interpolated"),
    ):
        CSVAdapter(CSVConfig("gap.csv", mapping, missing_data_strategy="interpolate"))
