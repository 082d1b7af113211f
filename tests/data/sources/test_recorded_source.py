"""The source of a bundle is made again of the bundle's record, to mend what is damaged."""

from dataclasses import replace

import pytest

from rustybt.data.bundles import BundleMetadata
from rustybt.data.bundles.ingest import ingest
from rustybt.data.errors import SourceError, UnknownSourceError
from rustybt.data.sources import CompositeDataSource, CSVDataSource, DataSourceRegistry, Supplier
from rustybt.data.sources.alpaca import AlpacaDataSource
from rustybt.data.sources.ccxt import CCXTDataSource
from rustybt.data.sources.polygon import PolygonDataSource
from rustybt.data.sources.recorded import mend, source_of
from rustybt.data.sources.yfinance import YFinanceDataSource
from tests.fakes import FrameSource
from tests.frames import sessions, walk

BARS = walk(["A", "B"], sessions("2019-12-02", "2020-01-31"))


def record_of(source):
    """The record of a bundle that was made from a source, as far as it tells the source."""
    metadata = source.get_metadata()
    ingest(FrameSource(BARS), "b")
    return replace(
        BundleMetadata.load("b"),
        source_type=metadata.source_type,
        source_config=dict(metadata.config),
        adjustment=metadata.adjustment,
        feed=metadata.feed,
    )


@pytest.mark.parametrize(
    "make",
    [
        lambda: AlpacaDataSource("K", "S", feed="iex", extended_hours=True),
        lambda: CCXTDataSource("kraken"),
        lambda: PolygonDataSource("K", market="crypto"),
        lambda: YFinanceDataSource(adjustment="split"),
    ],
)
def test_a_source_is_made_again_with_its_configuration(make):
    source = make()
    again = source_of(record_of(source))
    assert again.get_metadata().fingerprint == source.get_metadata().fingerprint


@pytest.fixture
def files(tmp_path):
    for name in ("A", "B"):
        BARS.filter(symbol=name).rename({"close": "Last"}).write_csv(tmp_path / f"{name}.csv")
    return CSVDataSource(tmp_path, columns={"Last": "close", "symbol": None})


def test_files_are_found_again_from_another_folder(files, monkeypatch):
    monkeypatch.chdir(files.path.parent)
    record = record_of(CSVDataSource(files.path.name, columns=files.columns))
    monkeypatch.chdir(files.path.root)
    again = source_of(record)
    assert again.path == str(files.path)
    assert again.get_metadata().fingerprint == files.get_metadata().fingerprint


def test_a_composite_is_made_again_with_its_providers(files):
    halves = [Supplier(files, "old", ["A"]), Supplier(files, "new", start="2019-12-02")]
    source = CompositeDataSource(halves, fallback=["unknown"])
    version = ingest(source, "b", symbols=["A", "B"], start="2019-12-02", end="2020-01-31")
    victim = version.path / "daily" / "2019.parquet"
    victim.write_bytes(b"lost")
    mended = mend("b")
    assert [each.origin for each in mended.repair.restored] == ["source composite"]
    version.version.check(every_byte=True)


def test_a_source_that_cannot_be_made_again_is_an_error():
    with pytest.raises(UnknownSourceError, match="no data source 'frame'"):
        source_of(record_of(FrameSource(BARS)))

    class Wanting(FrameSource):
        def __init__(self, something):
            super().__init__(BARS)

    DataSourceRegistry.register("frame", Wanting)
    try:
        with pytest.raises(SourceError, match="cannot be made of what bundle 'b' records"):
            source_of(record_of(FrameSource(BARS)))
    finally:
        DataSourceRegistry.unregister("frame")
