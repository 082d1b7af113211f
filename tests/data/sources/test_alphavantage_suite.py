"""Alpha Vantage's format against the suite for providers, with either plan."""

from typing import ClassVar

from rustybt.data.sources import AlphaVantageDataSource
from rustybt.data.sources._kit.faults import PAGE_FAULTS
from rustybt.data.sources._retries import Retries
from rustybt.data.sources.testing import Fault, ProviderTests, Scene
from tests.data.sources.alphavantage import AlphaVantageProvider

AT_ONCE = Retries(attempts=2, wait_initial=0, wait_jitter=0)


class TestFree(ProviderTests):
    provider = AlphaVantageProvider
    plan = "free"
    not_applicable: ClassVar = {
        Scene.PAGES: "Alpha Vantage answers with a whole series, or a whole month of it",
        **dict.fromkeys(PAGE_FAULTS, "there are no pages"),
    }

    def source_at(self, base_url):
        return AlphaVantageDataSource(
            self.secret, base_url=base_url, plan=self.plan, requests_per_minute=1_000_000,
            clock=self.clock, retries=AT_ONCE, timeout=1.0,
        )  # fmt: skip


class TestPremium(TestFree):
    plan = "premium"
    not_applicable: ClassVar = {
        **TestFree.not_applicable,
        Fault.DUPLICATE_SPLIT: "splits stand in the daily series, a column of it",
    }
