"""The finder answers as zipline's own does on the same database, and reflects no table for it."""

import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pandas as pd
import pytest
from zipline.assets import AssetDBWriter, Equity, Future
from zipline.assets import AssetFinder as ZiplineFinder
from zipline.errors import (
    AssetDBVersionError,
    MultipleSymbolsFound,
    SidsNotFound,
    SymbolNotFound,
)

from rustybt.compat.finder import AssetFinder

DAYS = pd.to_datetime(["2019-01-02", "2019-06-03", "2019-06-04", "2019-12-31"])
EQUITIES = pd.DataFrame(
    {
        # 0 was called OLD until 3 June; TWICE is another asset's name in each half; 4 is in London.
        "sid": [0, 0, 1, 2, 3, 4],
        "symbol": ["OLD", "NEW", "TWICE", "TWICE", "BRK.A", "NEW"],
        "asset_name": ["a", "a", "b", "c", "d", "e"],
        "exchange": ["NYSE", "NYSE", "NYSE", "NYSE", "NYSE", "LSE"],
        "start_date": DAYS[[0, 2, 0, 2, 0, 0]],
        "end_date": DAYS[[1, 3, 1, 3, 3, 3]],
    }
).set_index("sid")
EXCHANGES = pd.DataFrame(
    {
        "exchange": ["NYSE", "LSE"],
        "canonical_name": ["XNYS", "XLON"],
        "country_code": ["US", "GB"],
    }
)
FUTURES = pd.DataFrame(
    {
        "symbol": ["CLF20"],
        "root_symbol": ["CL"],
        "asset_name": ["Oil"],
        "exchange": ["NYSE"],
        "start_date": DAYS[:1],
        "end_date": DAYS[3:],
        "expiration_date": DAYS[3:],
        "notice_date": DAYS[3:],
        "multiplier": [1000.0],
    },
    index=[9],
)
SIDS = (0, 1, 2, 3, 4, 9)


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    path = tmp_path_factory.mktemp("assets") / "assets #1.sqlite"
    writer = AssetDBWriter(str(path))
    roots = pd.DataFrame(
        {"root_symbol": ["CL"], "root_symbol_id": [1], "sector": ["x"], "exchange": ["NYSE"]}
    )
    writer.write(equities=EQUITIES, futures=FUTURES, exchanges=EXCHANGES, root_symbols=roots)
    writer.engine.dispose()
    return path


@pytest.fixture(params=[False, True], ids=["new", "reflected"])
def finders(path, request):
    ours, theirs = AssetFinder(path), ZiplineFinder(str(path))
    if request.param:
        ours.retrieve_all([0])
        assert ours.engine.url == theirs.engine.url
    yield ours, theirs
    theirs.engine.dispose()
    if "engine" in vars(ours):
        ours.engine.dispose()


def test_assets_are_zipline_s(finders):
    ours, theirs = (finder.retrieve_all(SIDS) for finder in finders)
    assert [type(asset) for asset in ours] == [Equity] * 5 + [Future]
    assert [asset.to_dict() for asset in ours] == [asset.to_dict() for asset in theirs]
    assert [vars_of(asset) for asset in ours] == [vars_of(asset) for asset in theirs]


def vars_of(asset):
    return {name: type(value) for name, value in asset.to_dict().items()}


def test_an_asset_is_one_object_before_and_after_the_tables_are_known(path):
    finder = AssetFinder(path)
    asset = finder.retrieve_asset(3)
    assert "engine" not in vars(finder)
    finder.engine.dispose()
    assert finder.retrieve_asset(3) is asset


@pytest.mark.parametrize(
    "name",
    [
        "sids", "equities_sids", "futures_sids", "exchange_info", "country_codes",
        "symbol_ownership_map", "symbol_ownership_maps_by_country_code",
        "fuzzy_symbol_ownership_map", "equity_supplementary_map",
    ],
)  # fmt: skip
def test_what_is_known_of_all_is_zipline_s(finders, name):
    ours, theirs = (getattr(finder, name) for finder in finders)
    assert ours == theirs
    assert list(ours) == list(theirs)


@pytest.mark.parametrize("country", [None, "US", "GB", "FR"])
@pytest.mark.parametrize("day", [None, *DAYS])
@pytest.mark.parametrize("symbol", ["OLD", "NEW", "TWICE", "BRK.A", "BRKA", "CLF20"])
def test_a_symbol_leads_where_it_leads_in_zipline(finders, symbol, day, country):
    answers = []
    for finder in finders:
        try:
            answers.append(finder.lookup_symbol(symbol, day, country_code=country).sid)
        except (SymbolNotFound, MultipleSymbolsFound) as error:
            answers.append((type(error), str(error)))
    assert answers[0] == answers[1]


def test_a_finder_answers_in_every_thread_and_when_it_was_closed(path):
    finder = AssetFinder(path)
    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(finder.retrieve_asset, SIDS))
        finder.close()
        owners = list(pool.map(lambda symbol: finder.lookup_symbol(symbol, None), ["OLD", "BRK.A"]))
    assert [asset.sid for asset in found] == list(SIDS)
    assert owners == [found[0], found[3]]


def test_a_symbol_is_found_again_without_the_database(path, tmp_path):
    copied = tmp_path / path.name
    copied.write_bytes(path.read_bytes())
    finder = AssetFinder(copied)
    asset = finder.lookup_symbol("OLD", None)
    finder.close()
    copied.unlink()
    assert finder.lookup_symbol("OLD", None) is asset


def test_an_unknown_sid_is_refused_and_its_type_is_none(finders):
    for finder in finders:
        assert finder.lookup_asset_types([0, 9, 7]) == {0: "equity", 9: "future", 7: None}
        with pytest.raises(SidsNotFound):
            finder.retrieve_asset(7)


def test_lives_and_futures_are_zipline_s(finders):
    ours, theirs = (finder.lifetimes(DAYS, True, ["US"]) for finder in finders)
    pd.testing.assert_frame_equal(ours, theirs)
    assert [finder.lookup_future_symbol("CLF20").sid for finder in finders] == [9, 9]


@pytest.mark.parametrize("codes", [[], ["FR"], ["US"], ["US", "GB"]])
def test_lives_in_countries_are_zipline_s(finders, codes):
    ours, theirs = (finder.lifetimes(DAYS, False, codes) for finder in finders)
    pd.testing.assert_frame_equal(ours, theirs)


@pytest.mark.parametrize("exchange", ["NYSE", "LSE", "none"])
def test_what_is_on_an_exchange_is_zipline_s(finders, exchange):
    ours, theirs = (finder.equities_sids_for_exchange_name(exchange) for finder in finders)
    assert ours == theirs


def test_what_a_run_asks_does_not_import_sqlalchemy(path):
    program = (
        "import pathlib, rustybt, sys; rustybt.run_algorithm\n"
        "from rustybt.compat.finder import AssetFinder\n"
        f"finder = AssetFinder(pathlib.Path({str(path)!r}))\n"
        "finder.lookup_symbol('OLD', None), finder.retrieve_all(finder.equities_sids)\n"
        "finder.equities_sids_for_country_code('US')\n"
        "assert 'sqlalchemy' not in sys.modules\n"
        "assert len(finder.retrieve_all(finder.sids)) == 6\n"
        "assert 'sqlalchemy' in sys.modules"
    )
    subprocess.run([sys.executable, "-W", "ignore", "-c", program], check=True, timeout=120)


def test_a_database_of_another_version_is_refused_as_zipline_refuses_it(path, tmp_path):
    import sqlite3

    other = tmp_path / "other.sqlite"
    other.write_bytes(path.read_bytes())
    with sqlite3.connect(other) as connection:
        connection.execute("UPDATE version_info SET version = 3")
    connection.close()
    with pytest.raises(AssetDBVersionError):
        AssetFinder(other)


def test_what_it_has_not_is_no_attribute(path):
    assert not hasattr(AssetFinder(path), "nothing")


def test_a_relative_path_leads_to_the_database_wherever_the_process_goes(path, monkeypatch):
    monkeypatch.chdir(path.parent)
    finder = AssetFinder(Path(path.name))
    monkeypatch.chdir("/")
    assert finder.sids == SIDS
    assert finder.engine.url.database == str(path)


def test_a_relative_path_is_that_of_now(path, monkeypatch, tmp_path):
    monkeypatch.chdir(path.parent)
    finder = AssetFinder(Path(path.name))
    monkeypatch.chdir(tmp_path)
    assert set(finder.sids) == set(SIDS)
