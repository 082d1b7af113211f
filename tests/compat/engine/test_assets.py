"""Assets that are looked up one by one are those of zipline, however many are read together."""

import pytest
from zipline.api import record, sid, symbol

from rustybt.compat.engine.assets import AssetMethods
from rustybt.data.bundles.ingest import ingest
from tests.compat.simulation import DAYS, simulate
from tests.fakes import FrameSource
from tests.frames import walk

SYMBOLS = [f"S{number:02d}" for number in range(45)]


@pytest.mark.parametrize(("asked", "read"), [(3, 3), (25, len(SYMBOLS))])
def test_every_lookup_finds_its_asset(tmp_path, monkeypatch, asked, read):
    monkeypatch.setenv("ZIPLINE_ROOT", str(tmp_path))
    ingest(FrameSource(walk(SYMBOLS, DAYS[:30])), "many")
    wanted = SYMBOLS[-asked:]

    def initialize(context):
        context.assets = [symbol(name) for name in wanted]

    def look(context, data):
        found = [asset.symbol for asset in context.assets]
        same = all(sid(asset.sid) is asset for asset in context.assets)
        record(found=found, same=same, read=len(context.asset_finder._asset_cache))

    span = {"start": DAYS[22], "end": DAYS[23]}
    perf = simulate(bundle="many", initialize=initialize, handle_data=look, **span)
    assert perf["found"].iloc[-1] == wanted
    assert perf["same"].all()
    assert perf["read"].iloc[0] == read


class CountingFinder:
    """A finder of some equities, which notes how often it is asked for all of them."""

    def __init__(self, number):
        self.number, self.asked, self.read = number, 0, 0

    @property
    def equities_sids(self):
        self.asked += 1
        return range(self.number)

    def retrieve_all(self, sids):
        self.read += len(sids)


class Lookups:
    """The part of an algorithm that looks assets up."""

    def sid(self, number):
        return number


class Algorithm(AssetMethods, Lookups):
    def __init__(self, finder):
        self.asset_finder = finder


@pytest.mark.parametrize(("lookups", "read"), [(19, 0), (20, 0), (49, 0), (50, 1), (5000, 1)])
def test_a_symbol_that_is_looked_up_in_every_bar_is_no_reason_to_ask_for_all_again(lookups, read):
    finder = CountingFinder(1000)
    algorithm = Algorithm(finder)
    for _ in range(lookups):
        assert algorithm.sid(3) == 3
    assert finder.read == 1000 * read
    assert finder.asked == (lookups >= 20) + read
