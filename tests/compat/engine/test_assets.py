"""Assets that are looked up one by one are those of zipline, however many are read together."""

import pytest
from zipline.api import record, sid, symbol

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
