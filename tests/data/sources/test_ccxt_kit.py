"""Exchanges pass the kit for providers through ccxt's own client."""

from typing import ClassVar

from rustybt.data.sources.adapters import Budget, Retries
from rustybt.data.sources.ccxt import CCXTDataSource
from rustybt.data.sources.testing import ProviderTests, Scene
from tests.data.sources.exchanges import Binance, Coinbase, Kraken

AT_ONCE = Retries(attempts=2, wait_initial=0, wait_jitter=0)
NO_LIMIT = {"enableRateLimit": False, "timeout": 1000}


class ExchangeTests(ProviderTests):
    symbols = ("BTC/USDT", "ETH/USDT")
    others = ("SOL/USDT", "ADA/USDT", "XRP/USDT", "DOT/USDT")
    delisted = "FTT/USDT"
    calendar = "24/7"
    not_applicable: ClassVar = {Scene.EVENTS: "there are no corporate actions"}
    exchange_id: str

    def urls(self, base_url):
        return {"public": base_url}

    def source_at(self, base_url):
        return CCXTDataSource(
            self.exchange_id,
            api_key=self.secret,
            exchange_options={**NO_LIMIT, "urls": {"api": self.urls(base_url)}},
            budget=Budget("exchange"),
            retries=AT_ONCE,
            clock=self.clock,
        )


class TestBinance(ExchangeTests):
    provider = Binance
    exchange_id = "binance"

    def urls(self, base_url):
        return {
            "public": f"{base_url}/api/v3",
            "fapiPublic": f"{base_url}/fapi/v1",
            "dapiPublic": f"{base_url}/dapi/v1",
        }


class TestKraken(ExchangeTests):
    provider = Kraken
    exchange_id = "kraken"
    intraday = "1h"
    not_applicable: ClassVar = ExchangeTests.not_applicable | {
        Scene.PAGES: "it gives its newest 720 bars at once",
    }


class TestCoinbase(ExchangeTests):
    provider = Coinbase
    exchange_id = "coinbaseexchange"


del ExchangeTests, ProviderTests
