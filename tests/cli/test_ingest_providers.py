"""``rustybt ingest`` from Massive and Alpaca, which a loopback server stands in for."""

import json
from collections.abc import Iterator

import polars as pl
import pytest

from rustybt.data.bundles import open_bundle
from rustybt.data.sources.testing import LoopbackServer, Provider, make_world
from tests.cli.helpers import Invoke
from tests.data.sources.alpaca_provider import AlpacaProvider
from tests.data.sources.massive_provider import MassiveProvider

RANGE = ("--start", "2020-08-24", "--end", "2020-09-04")


@pytest.fixture(params=["massive", "polygon", "alpaca"])
def served(
    request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> Iterator[tuple[str, LoopbackServer]]:
    """A source's name and its provider; the keys are in the environment."""
    provider: type[Provider] = AlpacaProvider if request.param == "alpaca" else MassiveProvider
    monkeypatch.setenv("MASSIVE_API_KEY", provider.secret)
    monkeypatch.setenv("APCA_API_KEY_ID", "PK123")
    monkeypatch.setenv("APCA_API_SECRET_KEY", provider.secret)
    with LoopbackServer(provider(make_world(["AAPL", "MSFT", "TWTR"]))) as server:
        yield request.param, server


def options(name: str, server: LoopbackServer) -> list[str]:
    urls = ["base_url", "trading_url"] if name == "alpaca" else ["base_url"]
    return [word for each in urls for word in ("--option", f"{each}={server.base_url}")]


def test_bars_and_events_make_a_bundle(invoke: Invoke, served: tuple[str, LoopbackServer]) -> None:
    name, server = served
    done = invoke(
        "ingest", name, "--symbols", "AAPL,MSFT", "--bundle", "b", *RANGE, *options(name, server)
    )
    assert done.exit_code == 0, done.output
    bundle = open_bundle("b")
    assert bundle.metadata.row_count == 20
    assert bundle.metadata.calendar == "XNYS"
    assert bundle.events.splits["ratio"].to_list() == [0.25]
    assert server.provider.secret not in str(bundle.metadata)


def test_a_symbol_that_is_not_there_is_told_and_the_rest_kept(
    invoke: Invoke, served: tuple[str, LoopbackServer]
) -> None:
    name, server = served
    asked = ("--symbols", "AAPL,NOPE,TWTR", "--bundle", "b", *RANGE)
    done = invoke("ingest", name, *asked, *options(name, server))
    assert done.exit_code == 1
    assert open_bundle("b").metadata.symbols == ["AAPL"]
    missing = open_bundle("b").coverage.filter(pl.col("symbol") != "AAPL")
    assert missing.select("symbol", "reason").rows() == [
        ("NOPE", "unknown symbol"),
        ("TWTR", "delisted"),
    ]


def test_listings_are_asked_for_and_recorded(
    invoke: Invoke, served: tuple[str, LoopbackServer]
) -> None:
    name, server = served
    asked = ["--symbols", "AAPL,MSFT", "-b", "b", *RANGE, "--listings", *options(name, server)]
    planned = json.loads(invoke("ingest", name, *asked, "--plan", "--json").stdout)
    done = invoke("ingest", name, *asked)
    assert done.exit_code == 0, done.output
    assert len(server.calls) == planned["calls"]
    told = open_bundle("b").assets
    assert told["status"].to_list() == ["active", "active"]
    assert told["listed"].null_count() == (2 if name == "alpaca" else 0)


@pytest.mark.parametrize("frequency", ["1d", "15m", "1d,15m"])
def test_a_plan_counts_the_calls_that_are_made(
    invoke: Invoke, served: tuple[str, LoopbackServer], frequency: str
) -> None:
    name, server = served
    asked = ["--symbols", "AAPL,MSFT", "-b", "b", "--frequency", frequency, "--allow-partial"]
    asked += ["--start", "2020-08-28", "--end", "2020-08-31", *options(name, server)]
    planned = json.loads(invoke("ingest", name, *asked, "--plan", "--json").stdout)
    assert server.calls == []
    assert invoke("ingest", name, *asked).exit_code == 0
    assert len(server.calls) == planned["calls"]
