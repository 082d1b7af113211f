"""Massive passes the kit for providers."""

from rustybt.data.sources._http import Retries
from rustybt.data.sources.polygon import PolygonDataSource
from rustybt.data.sources.testing import ProviderTests
from tests.data.sources.massive_provider import MassiveProvider

AT_ONCE = Retries(attempts=2, wait_initial=0, wait_jitter=0)


class TestMassive(ProviderTests):
    provider = MassiveProvider
    unsupported_frequency = "2d"

    def source_at(self, base_url):
        return PolygonDataSource(
            self.secret, base_url=base_url, clock=self.clock, retries=AT_ONCE, timeout=1.0
        )
