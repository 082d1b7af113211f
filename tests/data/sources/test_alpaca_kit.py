"""Alpaca passes the kit for providers."""

from rustybt.data.sources._retries import Retries
from rustybt.data.sources.alpaca import AlpacaDataSource
from rustybt.data.sources.testing import ProviderTests
from tests.data.sources.alpaca_provider import AlpacaProvider

AT_ONCE = Retries(attempts=2, wait_initial=0, wait_jitter=0)


class TestAlpaca(ProviderTests):
    provider = AlpacaProvider
    unsupported_frequency = "2d"

    def source_at(self, base_url):
        return AlpacaDataSource(
            "PK123",
            self.secret,
            base_url=base_url,
            trading_url=base_url,
            requests_per_minute=None,
            clock=self.clock,
            retries=AT_ONCE,
            timeout=1.0,
        )

    def inject(self, *faults):
        self.server.provider.faulty = [each.symbol for each in faults if each.symbol]
        super().inject(*faults)
