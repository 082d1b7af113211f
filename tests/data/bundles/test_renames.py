"""An asset keeps its sid under another name, and a ticker can belong to two assets in turn."""

from datetime import UTC, date, datetime

import pandas as pd
import polars as pl
import pytest

from rustybt.compat.bundles import bundle_data
from rustybt.data.bundles import open_bundle
from rustybt.data.bundles.identity import Rename
from rustybt.data.bundles.ingest import ingest
from rustybt.data.errors import OptionError
from tests.fakes import FrameSource
from tests.frames import sessions, splits, walk

DAYS = sessions("2019-12-02", "2020-02-28")
SINCE = DAYS[40]
ALL = walk(["AAA", "FB"], DAYS)


def named(name):
    return ALL.with_columns(pl.col("symbol").replace({"FB": name})).sort("symbol", "timestamp")


def evening(day):
    return {"clock": lambda: datetime(day.year, day.month, day.day, 23, tzinfo=UTC)}


@pytest.fixture
def before():
    """The bundle on the evening before the rename."""
    early = ALL.filter(pl.col("timestamp") < SINCE)
    ingest(FrameSource(early, splits(("FB", "2020-01-06", 0.5))), "b", **evening(DAYS[39]))


def lookup(symbol, day):
    with bundle_data(open_bundle("b")) as data:
        return data.asset_finder.lookup_symbol(symbol, as_of_date=pd.Timestamp(day))


def test_a_renamed_asset_keeps_its_sid_its_bars_and_its_events(before):
    update = {"update": True, "renames": [Rename("FB", "META", SINCE)], **evening(DAYS[-1])}
    ingest(FrameSource(named("META")), "b", **update)
    bundle = open_bundle("b")
    assert dict(bundle.assets.select("symbol", "sid").rows()) == {"AAA": 0, "META": 1}
    assert bundle.bars().equals(named("META"))
    assert bundle.events.splits["symbol"].to_list() == ["META"]
    assert bundle.metadata.universe == ["AAA", "META"]
    full = ingest(FrameSource(named("META"), bundle.events), "full", **evening(DAYS[-1])).metadata
    assert bundle.metadata.content_hash == full.content_hash


def test_a_run_finds_it_by_the_name_that_it_had_on_a_day(before):
    update = {"update": True, "renames": [Rename("FB", "META", SINCE)], **evening(DAYS[-1])}
    ingest(FrameSource(named("META")), "b", **update)
    assert lookup("FB", DAYS[10]).sid == lookup("META", DAYS[-1]).sid == 1
    assert lookup("META", DAYS[-1]).symbol == "META"


def test_a_ticker_that_another_company_took_over_is_two_assets(before):
    later = walk(["FB"], DAYS[45:], seed=9)
    both = pl.concat([named("FB.old").filter(pl.col("timestamp") < SINCE), later])
    source = FrameSource(both.sort("symbol", "timestamp"))
    update = {"update": True, "renames": [Rename("FB", "FB.old", SINCE)], "allow_partial": True}
    ingest(source, "b", symbols=["AAA", "FB"], **update, **evening(DAYS[-1]))
    assert dict(open_bundle("b").assets.select("symbol", "sid").rows()) == {
        "AAA": 0, "FB.old": 1, "FB": 2,
    }  # fmt: skip
    assert lookup("FB", DAYS[10]).sid == 1
    assert lookup("FB", DAYS[-1]).sid == 2
    assert open_bundle("b").metadata.survivorship == "ended assets are in it"


def test_names_of_before_stay_when_everything_is_ingested_anew(before):
    update = {"update": True, "renames": [Rename("FB", "META", SINCE)], **evening(DAYS[-1])}
    ingest(FrameSource(named("META")), "b", **update)
    ingest(FrameSource(named("META")), "b", **evening(DAYS[-1]))
    assert open_bundle("b").renamed.rows() == [(1, "FB", date(2020, 1, 29))]
    assert lookup("FB", DAYS[10]).sid == 1


@pytest.mark.parametrize("rename", [("ZZZ", "META"), ("FB", "AAA")])
def test_a_rename_of_nothing_or_to_what_is_there_is_refused(before, rename):
    with pytest.raises(OptionError, match="called"):
        ingest(FrameSource(ALL), "b", update=True, renames=[Rename(*rename, SINCE)])


def test_only_an_update_renames():
    with pytest.raises(OptionError, match="--update"):
        ingest(FrameSource(ALL), "b", renames=[Rename("FB", "META", SINCE)])
