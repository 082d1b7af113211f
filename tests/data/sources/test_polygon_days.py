"""Few sessions of many stocks are asked for by session, and are what they are by symbol."""

import asyncio
from datetime import UTC, date, datetime

import polars as pl
import pytest

from rustybt.data.adjustments import Events
from rustybt.data.bundles.ingest import ingest, plan
from rustybt.data.errors import DelistedSymbolError, OutageError, UnknownSymbolError
from rustybt.data.sources._retries import Retries
from rustybt.data.sources.polygon import PolygonDataSource
from rustybt.data.sources.testing import LoopbackServer, Reply, World
from tests.data.sources.massive_provider import MassiveProvider
from tests.frames import dividends, sessions, splits, walk

DAYS = sessions("2020-11-02", "2020-12-04")
NAMES = [f"S{number:02}" for number in range(40)]
GONE = {"Z1": date(2020, 11, 20)}
BARS = walk([*NAMES, *GONE], DAYS).filter(
    ~((pl.col("symbol") == "S07") & (pl.col("timestamp") == DAYS[-1]))
    & ~(pl.col("symbol").is_in(list(GONE)) & (pl.col("timestamp") > GONE["Z1"]))
)
EVENTS = Events(
    splits=splits(("S03", DAYS[-1].isoformat(), 0.5)).splits,
    dividends=dividends(("S04", DAYS[-1].isoformat(), 0.5, "2020-12-31")).dividends.with_columns(
        record_date="pay_date"
    ),
)
NOW = datetime(2020, 12, 7, 12, tzinfo=UTC)
AT_ONCE = Retries(attempts=2, wait_initial=0, wait_jitter=0)


class Broken(MassiveProvider):
    """Has no answers by session."""

    reply = Reply.of_json({"status": "NOT_AUTHORIZED", "message": "not in your plan"}, 403)

    def grouped(self, request, day):
        return self.reply


class Untrue(MassiveProvider):
    """Has a bar of S05 that cannot be true."""

    def rendered(self, symbol, step, adjusted):
        bars = super().rendered(symbol, step, adjusted)
        return bars.with_columns(h=pl.col("l") / 2) if symbol == "S05" else bars


def asking(ask, provider=MassiveProvider, now=NOW):
    """What `ask` gets from a source, and the paths that were asked for."""
    serving = provider(World({"1d": BARS}, EVENTS, now=now, delisted=GONE))
    with LoopbackServer(serving) as server:
        options = {"base_url": server.base_url, "clock": lambda: now, "retries": AT_ONCE}
        source = PolygonDataSource(serving.secret, **options)
        return ask(source), [call.request.path for call in server.calls]


def available(symbols, first, last, **options):
    return asking(lambda it: asyncio.run(it.fetch_available(symbols, first, last, "1d")), **options)


@pytest.mark.parametrize("first", [DAYS[-1], DAYS[-3]], ids=str)
def test_bars_of_sessions_are_those_by_symbol(first):
    together, paths = available(NAMES, first, DAYS[-1])
    parts = [available([symbol], first, DAYS[-1])[0] for symbol in NAMES]
    assert together.bars.equals(pl.concat(part.bars for part in parts))
    assert together.absences == {key: why for part in parts for key, why in part.absences.items()}
    days = [path.rpartition("/")[2] for path in paths if "/grouped/" in path]
    assert days == [day.isoformat() for day in DAYS if day >= first]


def test_a_symbol_that_the_session_lacks_is_asked_for_by_itself():
    found, _ = available([*NAMES, "NONE", "Z1"], DAYS[-1], DAYS[-1])
    assert {symbol: type(error) for symbol, error in found.failures.items()} == {
        "NONE": UnknownSymbolError,
        "Z1": DelistedSymbolError,
    }
    assert found.absences == {"S07": "no bars in the range asked for"}
    assert set(found.bars["symbol"]) == set(NAMES) - {"S07"}


def test_a_bar_that_cannot_be_true_costs_its_own_symbol_only():
    found, _ = available(NAMES, DAYS[-1], DAYS[-1], provider=Untrue)
    assert list(found.failures) == ["S05"]
    assert len(found.bars) == len(NAMES) - 2


def test_a_plan_without_answers_by_session_is_asked_by_symbol():
    whole, _ = available(NAMES, DAYS[-1], DAYS[-1])
    found, paths = available(NAMES, DAYS[-1], DAYS[-1], provider=Broken)
    assert found.bars.equals(whole.bars)
    assert sum("/aggs/ticker/" in path for path in paths) == len(NAMES)


def test_a_provider_that_is_down_is_not_asked_for_each_symbol():
    class Down(Broken):
        reply = Reply(b"", 503)

    found, paths = available(NAMES, DAYS[-1], DAYS[-1], provider=Down)
    assert {type(error) for error in found.failures.values()} == {OutageError}
    assert len(paths) == AT_ONCE.attempts


def test_a_session_that_has_not_ended_has_no_bars():
    noon = datetime(2020, 12, 4, 17, tzinfo=UTC)
    found, _ = available(NAMES, DAYS[-2], DAYS[-1], now=noon)
    assert set(found.bars["timestamp"]) == {DAYS[-2]}


def test_no_symbol_is_asked_for_a_bar_that_forms():
    noon = datetime(2020, 12, 4, 17, tzinfo=UTC)
    traded = [name for name in NAMES if name != "S07"]
    found, paths = available(traded, DAYS[-1], DAYS[-1], now=noon)
    assert found.absences == dict.fromkeys(traded, "no bars in the range asked for")
    assert [path.rpartition("/")[2] for path in paths] == [DAYS[-1].isoformat()]


def test_sessions_of_stocks_are_not_asked_for_currencies():
    currencies = [f"X:C{number}USD" for number in range(20)]
    _, paths = available([*NAMES, *currencies], DAYS[-1], DAYS[-1])
    assert sum("/grouped/" in path for path in paths) == 1


def test_an_answer_that_lacks_rows_is_refused():
    class Short(Broken):
        reply = Reply.of_json({"status": "OK", "queryCount": 9, "resultsCount": 9, "results": []})

    found, paths = available(NAMES, DAYS[-1], DAYS[-1], provider=Short)
    assert not found.failures
    assert sum("/grouped/" in path for path in paths) == AT_ONCE.attempts


def test_an_update_by_a_day_takes_the_calls_that_its_plan_says():
    evening = {"clock": lambda: datetime(2020, 12, 3, 23, tzinfo=UTC)}
    traded = [name for name in NAMES if name != "S07"]
    asking(lambda it: ingest(it, "b", symbols=traded, start=DAYS[0], end=DAYS[-2], **evening))
    later = {"update": True, "clock": lambda: NOW, "end": DAYS[-1]}
    planned, nothing = asking(lambda it: plan(it, "b", **later))
    result, paths = asking(lambda it: ingest(it, "b", **later))
    assert (nothing, planned.calls, len(paths)) == ([], 2 + 2, 4)
    assert result.events.splits.rows() == EVENTS.splits.rows()
    assert result.events.dividends["symbol"].to_list() == ["S04"]
