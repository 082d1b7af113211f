"""The kit for providers: a good source passes it."""

from rustybt.data.sources.adapters import Retries
from rustybt.data.sources.testing import ProviderTests
from tests.data.sources.candles import CandlesProvider, CandlesSource

AT_ONCE = Retries(attempts=2, wait_initial=0, wait_jitter=0)


class CandlesTests(ProviderTests):
    provider = CandlesProvider
    source_class = CandlesSource

    def source_at(self, base_url):
        return self.source_class(
            self.secret, base_url, rates=(), clock=self.clock, retries=AT_ONCE, timeout=0.5
        )


class TestCandles(CandlesTests):
    pass
