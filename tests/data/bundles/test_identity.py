"""sids for life, whatever is ingested in whatever order."""

from itertools import count

import polars as pl
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    rule,
    run_state_machine_as_test,
)

from rustybt.data.bundles import identity, open_bundle
from rustybt.data.bundles.ingest import ingest
from tests.fakes import FrameSource
from tests.frames import sessions, walk

DAYS = sessions("2020-01-02", "2020-01-15")
BARS = walk("ABCDEF", DAYS)


def ingest_symbols(symbols):
    ingest(FrameSource(BARS), "b", symbols=symbols)
    assets = open_bundle("b").assets
    return dict(zip(assets["symbol"], assets["sid"], strict=True))


def test_the_order_of_symbols_does_not_show():
    assert ingest_symbols(["C", "A", "B"]) == {"A": 0, "B": 1, "C": 2}


def test_a_removed_symbol_keeps_its_number_and_gets_it_back():
    assert ingest_symbols(["A", "B", "C"]) == {"A": 0, "B": 1, "C": 2}
    assert ingest_symbols(["C"]) == {"C": 2}
    assert ingest_symbols(["D", "C"]) == {"C": 2, "D": 3}
    assert ingest_symbols(["B", "D"]) == {"B": 1, "D": 3}


def test_bundles_number_their_symbols_independently():
    assert ingest_symbols(["C"]) == {"C": 0}
    ingest(FrameSource(BARS), "other", symbols=["B", "C"])
    assert open_bundle("other").assets["sid"].to_list() == [0, 1]
    assert ingest_symbols(["B", "C"]) == {"C": 0, "B": 1}


def test_the_bars_follow_their_symbol_when_sids_are_not_in_alphabetical_order():
    ingest_symbols(["D", "E"])
    assert ingest_symbols(["A", "E", "B"]) == {"E": 1, "A": 2, "B": 3}
    assert open_bundle("b").bars().equals(BARS.filter(pl.col("symbol").is_in(["A", "B", "E"])))


class Ledgers(RuleBasedStateMachine):
    """Versions of one bundle's ledger, with any symbols each."""

    @initialize()
    def start(self):
        self.ledger = identity.load(None)
        self.given = {}

    @rule(symbols=st.lists(st.sampled_from([f"S{number}" for number in range(30)]), max_size=8))
    def extend(self, symbols):
        self.ledger = identity.extend(self.ledger, symbols)
        sids = identity.sids_of(self.ledger)
        assert self.given.items() <= sids.items()
        assert sids.keys() == self.given.keys() | set(symbols)
        self.given = sids

    @invariant()
    def no_number_is_given_twice(self):
        assert sorted(self.given.values()) == list(range(len(self.given)))


class Bundles(RuleBasedStateMachine):
    """Versions of one bundle on disk: bars stay with their symbol, sids with theirs."""

    def __init__(self, root):
        super().__init__()
        self.root = {"ZIPLINE_ROOT": str(root)}
        self.given = {}

    @rule(symbols=st.lists(st.sampled_from("ABCDEF"), min_size=1, unique=True))
    def ingest(self, symbols):
        ingest(FrameSource(BARS), "b", symbols=symbols, environ=self.root)
        bundle = open_bundle("b", environ=self.root)
        sids = dict(zip(bundle.assets["symbol"], bundle.assets["sid"], strict=True))
        assert sids.keys() == set(symbols)
        assert all(self.given.get(symbol, sid) == sid for symbol, sid in sids.items())
        self.given |= sids
        assert len(set(self.given.values())) == len(self.given)
        assert bundle.bars().equals(BARS.filter(pl.col("symbol").is_in(symbols)))


def test_no_series_of_ledgers_moves_a_number():
    run_state_machine_as_test(Ledgers, settings=settings(max_examples=40))


def test_no_series_of_ingests_moves_a_number_or_a_bar(tmp_path):
    roots = (tmp_path / str(number) for number in count())
    run_state_machine_as_test(
        lambda: Bundles(next(roots)),
        settings=settings(max_examples=6, stateful_step_count=5),
    )
