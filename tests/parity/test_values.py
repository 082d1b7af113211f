"""The values that runs recorded are those of the CSV files, by code of another origin."""

from collections.abc import Iterator
from datetime import date, datetime, timedelta
from functools import lru_cache, partial
from math import isclose, isnan, nan, prod

import pandas as pd
import pytest

from tests.parity.cases import BY_NAME
from tests.parity.datasets import US_DAILY
from tests.parity.independent import FIELDS, CsvData, latest
from tests.parity.workspace import Workspace

# What a check yields: where, the value an algorithm saw, the value it had to see.
Seen = tuple[tuple, float, float]

# history rounds to three decimals, so an adjusted price may be off by half a thousandth.
ROUNDED = 0.0005 + 1e-9

# quantiles() in the recorded pipeline casts NaN to int inside numpy.
pytestmark = pytest.mark.filterwarnings("ignore:invalid value encountered in cast:RuntimeWarning")


@pytest.fixture(params=["stock", "full", "bcolz"])
def engine(request: pytest.FixtureRequest) -> str:
    return request.param


@lru_cache(maxsize=3)
def recorded(workspace: Workspace, engine: str, name: str) -> tuple[pd.DataFrame, CsvData]:
    """A case's performance frame and the files it ran on."""
    case = BY_NAME[name]
    data = CsvData.read(workspace.csv(case.dataset))
    if engine == "stock":
        return workspace.stock_perf(case), data
    return workspace.our_perf(case, engine), data


def assert_seen(seen: Iterator[Seen], at_least: int, slack: float = 0.0) -> None:
    """All values agree to 1e-9 or ``slack``; at least so many of them are not NaN."""
    triples = list(seen)
    wrong = [
        (where, value, expected)
        for where, value, expected in triples
        if not (isnan(value) and isnan(expected))
        and not isclose(value, expected, rel_tol=1e-9, abs_tol=slack)
    ]
    assert not wrong, wrong[:10]
    assert sum(not isnan(expected) for _, _, expected in triples) >= at_least


def cells(window: pd.DataFrame) -> Iterator[tuple[pd.Timestamp, object, float]]:
    """Every third row of a history window, the last one included: (label, asset, value)."""
    for at, row in window.iloc[::-3].iterrows():
        for asset, value in row.items():
            yield at, asset, value


def test_daily_current_is_the_row_of_the_session(workspace: Workspace, engine: str) -> None:
    perf, data = recorded(workspace, engine, "current_daily")

    def seen() -> Iterator[Seen]:
        for close, table in perf["table"].items():
            day = close.date()
            for asset, row in table.iterrows():
                known = partial(data.session, asset.symbol, day=day, seen_from=day)
                for field in FIELDS:
                    yield (day, asset, field), row[field], known(field)
                yield (day, asset, "price"), row["price"], data.price(asset.symbol, day, day)

    assert_seen(seen(), at_least=5_000)


def test_daily_last_traded_is_the_last_row_with_volume(workspace: Workspace, engine: str) -> None:
    perf, data = recorded(workspace, engine, "current_daily")
    traded = {
        symbol: sorted(day for day, row in rows.items() if row["volume"])
        for symbol, rows in data.daily.items()
    }
    for close, moments in perf["traded"].items():
        for asset, moment in moments.items():
            expected = latest(traded[asset.symbol], close.date())
            assert (None if pd.isna(moment) else moment.date()) == expected


@pytest.mark.parametrize("field", [*FIELDS, "price"])
def test_daily_history_is_adjusted_for_what_was_known(
    workspace: Workspace, engine: str, field: str
) -> None:
    perf, data = recorded(workspace, engine, "history_daily")

    def seen() -> Iterator[Seen]:
        for close, window in perf[f"seen_{field}"].items():
            for at, asset, value in cells(window):
                day, now = at.date(), close.date()
                price = field == "price"
                known = data.price if price else partial(data.session, field=field)
                yield (now, day, asset), value, known(asset.symbol, day=day, seen_from=now)

    assert_seen(seen(), at_least=3_000, slack=ROUNDED)


@pytest.mark.parametrize("symbol", ["AMD", "CERN", "INTC"])
def test_history_does_not_know_a_split_before_its_ex_date(
    workspace: Workspace, engine: str, symbol: str
) -> None:
    perf, data = recorded(workspace, engine, "history_daily")
    (split,) = next(listing.splits for listing in US_DAILY if listing.symbol == symbol)
    eve = latest(sorted(data.daily[symbol]), split.ex_date - timedelta(days=1))
    raw = data.daily[symbol][eve]["close"]
    ratios = set()
    for close, window in perf["seen_close"].items():
        closes = window[next(asset for asset in window if asset.symbol == symbol)]
        if pd.Timestamp(eve) in closes.index and close.date() <= split.ex_date + timedelta(days=10):
            ratios.add((close.date() >= split.ex_date, round(closes[pd.Timestamp(eve)] / raw, 2)))
    # INTC goes ex-dividend, 0.225 on about 90, on the day it splits.
    assert ratios == {(False, 1.0), (True, split.ratio)}


def test_pipeline_sees_the_sessions_before_today_as_adjusted_today(
    workspace: Workspace, engine: str
) -> None:
    perf, data = recorded(workspace, engine, "pipeline_us")
    sessions = sorted(data.daily["AMD"])

    def window(symbol: str, field: str, today: date, count: int) -> list[float]:
        end = sessions.index(today)
        return [data.session(symbol, field, day, today) for day in sessions[end - count : end]]

    def seen() -> Iterator[Seen]:
        for close, output in perf["output"].iloc[::2].items():
            for asset, row in output.iterrows():
                closes = partial(window, asset.symbol, "close", close.date())
                volumes = partial(window, asset.symbol, "volume", close.date())
                expected = {
                    "close": closes(1)[0],
                    "volume": volumes(1)[0],
                    "average": mean(closes(12)),
                    "month": closes(21)[-1] / closes(21)[0] - 1,
                    "oldest_close": closes(30)[0],
                    "oldest_volume": volumes(30)[0],
                    "vwap": average_price(closes(5), volumes(5)),
                }
                for name, value in expected.items():
                    yield (close.date(), asset, name), row[name], value

    assert_seen(seen(), at_least=5_000)


def mean(values: list[float]) -> float:
    """The mean of the values that are there."""
    there = [value for value in values if not isnan(value)]
    return sum(there) / len(there) if there else nan


def average_price(closes: list[float], volumes: list[float]) -> float:
    """Volume-weighted average of the closes that are there."""
    traded = [(close, volume) for close, volume in zip(closes, volumes, strict=True) if volume]
    return sum(map(prod, traded)) / sum(volume for _, volume in traded) if traded else nan


def test_minute_current_is_the_row_of_the_minute(workspace: Workspace, engine: str) -> None:
    perf, data = recorded(workspace, engine, "current_minute")

    def seen() -> Iterator[Seen]:
        for at, table, *_ in (sample for samples in perf["seen"] for sample in samples):
            now, day = at.to_pydatetime(), at.date()
            for asset, row in table.iterrows():
                for field in FIELDS:
                    known = data.at(asset.symbol, field, now, day)
                    yield (at, asset, field), row[field], known
                yield (at, asset, "price"), row["price"], data.price_at(asset.symbol, now, day)

    assert_seen(seen(), at_least=2_000)


@pytest.mark.parametrize("field", [*FIELDS, "price"])
def test_minute_history_is_adjusted_for_what_was_known(
    workspace: Workspace, engine: str, field: str
) -> None:
    perf, data = recorded(workspace, engine, "history_minute")

    def seen() -> Iterator[Seen]:
        for now, window in windows(perf, "1m", field):
            first = window.index[0].to_pydatetime()
            for at, asset, value in cells(window):
                minute, day = at.to_pydatetime(), now.date()
                known = data.at(asset.symbol, field, minute, day) if field != "price" else None
                if known is None:
                    known = data.price_at(asset.symbol, minute, day, since=first)
                yield (now, at, asset), value, known

    assert_seen(seen(), at_least=300, slack=ROUNDED)


@pytest.mark.parametrize("field", FIELDS)
def test_daily_history_in_minute_mode_ends_with_the_session_so_far(
    workspace: Workspace, engine: str, field: str
) -> None:
    perf, data = recorded(workspace, engine, "history_minute")

    def seen() -> Iterator[Seen]:
        for now, window in windows(perf, "1d", field):
            for at, asset, value in cells(window):
                if at.date() == now.date():
                    known = data.so_far(asset.symbol, field, now)
                else:
                    known = data.session(asset.symbol, field, at.date(), now.date())
                yield (now, at, asset), value, known

    assert_seen(seen(), at_least=100, slack=ROUNDED)


def windows(
    perf: pd.DataFrame, frequency: str, field: str
) -> Iterator[tuple[datetime, pd.DataFrame]]:
    """The recorded windows of one field, each with the minute it was read."""
    for kind, name, now, window in (sample for samples in perf["seen"] for sample in samples):
        if (kind, name) == (frequency, field):
            yield now.to_pydatetime(), window
