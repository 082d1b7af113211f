"""A loopback Yahoo under the name `yfinance`, with the years that the examples ask for."""

from datetime import UTC, datetime

import pytest
import yfinance

from rustybt.data.sources import DataSourceRegistry, YFinanceDataSource
from rustybt.data.sources._retries import Retries
from rustybt.data.sources.testing import LoopbackServer, World
from tests.data.sources.yahoo import Rerouted, YahooProvider
from tests.frames import sessions, walk

SYMBOLS = ["AAPL", "AMZN", "GOOGL", "MSFT", "NVDA"]


@pytest.fixture
def yahoo(tmp_path, monkeypatch):
    """The bars of 2022 and 2023, which Yahoo serves."""
    yfinance.set_tz_cache_location(str(tmp_path / "yfinance"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    bars = walk(SYMBOLS, sessions("2022-01-03", "2023-12-29"))
    now = datetime(2024, 1, 20, tzinfo=UTC)
    with LoopbackServer(YahooProvider(World({"1d": bars}, now=now))) as server:

        class OnThisMachine(YFinanceDataSource):
            """Yahoo Finance, on this machine."""

            def __init__(self, **options):
                options.setdefault("session", Rerouted(server.base_url))
                at_once = Retries(attempts=2, wait_initial=0, wait_jitter=0)
                super().__init__(retries=at_once, clock=lambda: now, **options)

        DataSourceRegistry.register("yfinance", OnThisMachine)
        yield bars
        DataSourceRegistry.unregister("yfinance")
    assert not server.errors
