"""The real yfinance client against Yahoo's format: the suite for providers."""

from typing import ClassVar

import pytest

from rustybt.data.sources import YFinanceDataSource
from rustybt.data.sources._kit.faults import PAGE_FAULTS
from rustybt.data.sources._retries import Retries
from rustybt.data.sources.testing import Fault, ProviderTests, Scene
from tests.data.sources.yahoo import Rerouted, YahooProvider

AT_ONCE = Retries(attempts=2, wait_initial=0, wait_jitter=0)


class TestYahoo(ProviderTests):
    provider = YahooProvider
    intraday = "1h"
    dividend_dates = ()
    not_applicable: ClassVar = {
        Scene.PAGES: "Yahoo answers for a whole range at once",
        **dict.fromkeys(PAGE_FAULTS, "there are no pages"),
        Fault.RETRY_TOMORROW: "yfinance asks again at once, and hands on no headers of a refusal",
    }

    @pytest.fixture(autouse=True)
    def _own_cookies(self, tmp_path, monkeypatch):
        import yfinance

        yfinance.set_tz_cache_location(str(tmp_path / "yfinance"))

    def source_at(self, base_url):
        return YFinanceDataSource(
            session=Rerouted(base_url), clock=self.clock, retries=AT_ONCE, timeout=1.0
        )
