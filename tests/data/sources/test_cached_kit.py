"""The cache around a source that asks a provider passes the provider's suite."""

import pytest

from rustybt.data.sources.cached_source import CachedDataSource
from tests.data.sources.test_kit import CandlesTests


class TestCachedCandles(CandlesTests):
    @pytest.fixture(autouse=True)
    def _cache(self, tmp_path):
        self.cache = tmp_path / "cache"

    def source_at(self, base_url):
        return CachedDataSource(super().source_at(base_url), self.cache, clock=self.clock)
