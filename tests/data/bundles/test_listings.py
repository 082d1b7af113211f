"""When assets were listed and delisted, and how they were called: recorded if a source tells it."""

from datetime import date

import pandas as pd
import polars as pl
import pytest

from rustybt import run_algorithm
from rustybt.data.bundles import open_bundle
from rustybt.data.bundles.ingest import ingest, plan
from rustybt.data.errors import OutageError
from rustybt.data.listings import FORMER, LISTINGS, Listings
from tests.fakes import FrameSource
from tests.frames import sessions, walk

DAYS = sessions("2020-01-02", "2020-02-28")
#: A all the time, B from 15 January to 31 January, C from then on.
BARS = walk(["A", "B", "C"], DAYS).filter(
    (pl.col("symbol") == "A")
    | (pl.col("timestamp").is_between(date(2020, 1, 15), date(2020, 1, 31))).and_(
        pl.col("symbol") == "B"
    )
    | ((pl.col("symbol") == "C") & (pl.col("timestamp") > date(2020, 1, 31)))
)
SPAN = {"start": "2020-01-02", "end": "2020-02-28"}


class Telling(FrameSource):
    """A source that tells what it is given."""

    def __init__(self, bars, *dates, former=()):
        super().__init__(bars)
        told = [(*row, "told") for row in dates]
        self.told = Listings(
            pl.DataFrame(told, schema=LISTINGS, orient="row"),
            pl.DataFrame(list(former), schema=FORMER, orient="row"),
        )

    async def fetch_listings(self, symbols):
        if isinstance(self.told, Exception):
            raise self.told
        return self.told

    def listing_calls(self, symbols):
        return 2 * symbols


def ledger(symbol):
    found = open_bundle("b").coverage.filter(pl.col("symbol") == symbol)
    return found.select("first", "last", "reason", "detail").rows()


B_LISTED = ("B", "delisted", date(2020, 1, 10), date(2020, 2, 7))


def test_the_ledger_says_listed_and_delisted_by_the_days_that_are_told():
    ingest(Telling(BARS, B_LISTED), "b", listings=True, **SPAN)
    listed, gone = "listed on 2020-01-10, says told", "on 2020-02-07, says told"
    assert ledger("B") == [
        (date(2020, 1, 2), date(2020, 1, 9), "not yet listed", listed),
        (date(2020, 1, 10), date(2020, 1, 14), "no earlier bar in the source", listed),
        (date(2020, 2, 3), date(2020, 2, 7), "no later bar in the source", f"delisted {gone}"),
        (date(2020, 2, 10), date(2020, 2, 28), "delisted", gone),
    ]
    assert ledger("C")[0][2:] == ("not yet listed", None)
    told = open_bundle("b").assets.select("symbol", "status", "listed", "delisted", "told_by")
    assert told.rows() == [
        ("A", None, None, None, None),
        (*B_LISTED, "told"),
        ("C", None, None, None, None),
    ]
    assert any(
        "does not tell when 2 of 3 assets" in note for note in open_bundle("b").metadata.notes
    )


def test_without_a_day_an_asset_that_is_gone_is_delisted_after_its_last_bar():
    ingest(Telling(BARS, ("B", "delisted", None, None)), "b", listings=True, **SPAN)
    assert ledger("B")[-1] == (date(2020, 2, 3), date(2020, 2, 28), "delisted", "says told")


def test_nothing_is_asked_unless_it_is_wanted():
    source = Telling(BARS)
    source.told = OutageError("nobody may ask")
    ingest(source, "b", **SPAN)
    assert open_bundle("b").assets["told_by"].null_count() == 3
    assert plan(source, "b", symbols=["A", "B"], **SPAN).calls == 0
    assert plan(source, "b", symbols=["A", "B"], listings=True, **SPAN).calls == 4


def test_a_source_that_cannot_tell_does_not_fail_the_ingest():
    source = Telling(BARS)
    source.told = OutageError("down")
    result = ingest(source, "b", listings=True, **SPAN)
    assert "could not be had: down" in result.metadata.notes[0]


@pytest.mark.parametrize("again", [False, True])
def test_an_update_keeps_what_was_told_and_equals_a_full_ingest(again):
    early = BARS.filter(pl.col("timestamp") <= date(2020, 2, 20))
    ingest(Telling(early, B_LISTED), "b", listings=True, start="2020-01-02", end="2020-02-20")
    updated = ingest(Telling(BARS, B_LISTED), "b", update=True, listings=again, end="2020-02-28")
    after, assets = ledger("B"), open_bundle("b").assets
    whole = ingest(Telling(BARS, B_LISTED), "b", listings=True, **SPAN)
    assert updated.metadata.content_hash == whole.metadata.content_hash
    assert (after, assets.rows()) == (ledger("B"), open_bundle("b").assets.rows())


def test_names_of_before_are_recorded_once_and_run():
    former = [("C", "OLD", date(2020, 2, 12)), ("A", "B", date(2020, 1, 10))]
    source = Telling(BARS, former=former)
    first = ingest(source, "b", listings=True, start="2020-01-02", end="2020-02-20")
    assert any("A was called B up to 2020-01-10" in note for note in first.metadata.notes)
    ingest(source, "b", listings=True, update=True, end="2020-02-28")
    renamed = open_bundle("b").renamed
    assert renamed.select("ticker", "until").rows() == [("OLD", date(2020, 2, 12))]
    found = []

    def initialize(context):
        from zipline.api import set_symbol_lookup_date, symbol

        set_symbol_lookup_date("2020-02-10")
        found.append(symbol("OLD"))

    run_algorithm(
        start=pd.Timestamp(DAYS[-3]),
        end=pd.Timestamp(DAYS[-1]),
        initialize=initialize,
        capital_base=1e5,
        bundle="b",
    )
    assert [asset.sid for asset in found] == [2]
