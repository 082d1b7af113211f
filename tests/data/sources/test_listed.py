"""One text in the place of a list of symbols is refused wherever symbols are taken."""

import asyncio

import pytest

from rustybt.data.bundles.ingest import ingest
from rustybt.data.errors import OptionError
from rustybt.data.sources.cached_source import CachedDataSource
from tests.fakes import FrameSource
from tests.frames import sessions, walk

DAYS = sessions("2020-02-03", "2020-02-28")
REQUEST = (DAYS[0], DAYS[-1])


@pytest.fixture
def source():
    return FrameSource(walk(("A", "B"), DAYS))


def test_by_the_cache(source, tmp_path):
    cached = CachedDataSource(source, tmp_path)
    with pytest.raises(OptionError, match=r"symbols is 'AB'; it must be a list"):
        asyncio.run(cached.fetch("AB", *REQUEST, "1d"))


def test_by_an_ingest(source):
    with pytest.raises(OptionError, match=r"symbols is 'AB'; it must be a list"):
        ingest(source, "b", symbols="AB")
