"""A bundle of several providers says who supplied what."""

from datetime import date, timedelta

import polars as pl
import pytest

from rustybt.data.bundles.bundle import Bundle
from rustybt.data.bundles.ingest import ingest
from rustybt.data.sources import CompositeDataSource, Supplier
from tests.fakes import FrameSource
from tests.frames import sessions, walk

DAYS = sessions("2020-02-03", "2020-03-31")
ARCHIVE, LATEST = (walk(["A", "B"], DAYS, seed=seed) for seed in (1, 2))
SEAM = date(2020, 2, 14)


def composite(archive=None, latest=None, **options):
    after = SEAM + timedelta(days=1)
    return CompositeDataSource(
        [
            Supplier(archive or FrameSource(ARCHIVE), "archive", end=SEAM),
            Supplier(latest or FrameSource(LATEST), "latest", start=after),
        ],
        **options,
    )


def ingested(source, end=date(2020, 2, 28), **options):
    return ingest(source, "both", symbols=["A", "B"], start=DAYS[0], end=end, **options)


def written(source=None, **options):
    result = ingested(source or composite(), **options)
    return Bundle(result.version, result.metadata)


def supplied(bundle):
    told = bundle.provenance.suppliers.filter(pl.col("outcome") == "supplied")
    return told.select("symbol", "provider", "first", "last", "bars").sort("symbol").rows()


def test_who_supplied_what_stands_beside_the_bars():
    bundle = written()
    assert supplied(bundle) == [
        (symbol, *each)
        for symbol in ("A", "B")
        for each in (
            ("archive", DAYS[0], SEAM, 10), ("latest", date(2020, 2, 15), date(2020, 2, 28), 9),
        )
    ]  # fmt: skip
    assert "bars by provider: archive 20, latest 18; see suppliers.parquet" in bundle.metadata.notes
    names = [each["name"] for each in bundle.metadata.source_config["suppliers"]]
    assert names == ["archive", "latest"]


def test_disagreements_stand_beside_the_bars():
    source = CompositeDataSource(
        [Supplier(FrameSource(ARCHIVE), "one"), Supplier(FrameSource(LATEST), "other")],
        tolerance=0.01,
    )
    bundle = written(source)
    found = bundle.provenance.disagreements
    assert set(found["symbol"]) == {"A", "B"}
    assert (found["relative_difference"] > 0.01).all()
    assert any(note.startswith("providers disagree on ") for note in bundle.metadata.notes)


def test_a_single_source_has_no_providers_to_tell_of():
    bundle = written(FrameSource(ARCHIVE))
    assert bundle.provenance.suppliers.is_empty()
    assert not (bundle.version.path / "suppliers.parquet").exists()


def test_an_update_adds_to_what_is_known():
    written()
    bundle = written(end=DAYS[-1], update=True)
    last = [row for row in supplied(bundle) if row[0] == "A"][-1]
    assert last[1] == "latest"
    assert last[3] == DAYS[-1]
    assert supplied(bundle)[0][1] == "archive"
    assert sum(note.startswith("bars by provider") for note in bundle.metadata.notes) == 1


class Slow(CompositeDataSource):
    batch_size = 1


def test_what_was_fetched_before_an_interruption_keeps_its_provider():
    def stop(done, total, what):
        raise KeyboardInterrupt

    source = Slow([Supplier(FrameSource(ARCHIVE), "archive")])
    with pytest.raises(KeyboardInterrupt):
        ingested(source, progress=stop)
    result = ingested(source)
    assert result.resumed == 1
    told = supplied(Bundle(result.version, result.metadata))
    assert [row[:2] for row in told] == [("A", "archive"), ("B", "archive")]
