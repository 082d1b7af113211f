"""The kit for providers: a good source passes it, and each bad one is caught."""

from rustybt.data.sources._http import Retries
from rustybt.data.sources.testing import ProviderTests
from tests.data.sources.candles import CandlesProvider, CandlesSource

AT_ONCE = Retries(attempts=2, wait_initial=0, wait_jitter=0)


class TestCandles(ProviderTests):
    provider = CandlesProvider

    def source_at(self, base_url):
        return CandlesSource(
            self.secret, base_url, rates=(), clock=self.clock, retries=AT_ONCE, timeout=1.0
        )
