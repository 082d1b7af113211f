"""zipline's default metrics in one pass, and no others."""

import gc

import pytest
from zipline.finance import metrics
from zipline.finance.metrics.metric import NumTradingDays, ReturnsStatistic, SimpleLedgerField

from rustybt.compat.engine.report import is_default
from rustybt.data._garbage import collecting_rarely


class CountedOtherwise(NumTradingDays):
    pass


class OfAList:
    def __init__(self):
        self.names = ["a"]


def without(kind):
    return {each for each in metrics.load("default") if type(each) is not kind}


def test_the_default_set_is_known():
    assert is_default(metrics.load("default"))


@pytest.mark.parametrize(
    "others",
    [
        set(),
        without(NumTradingDays),
        without(NumTradingDays) | {CountedOtherwise()},
        without(ReturnsStatistic),
        metrics.load("default") | {OfAList()},
        metrics.load("default") | {SimpleLedgerField("portfolio.cash")},
    ],
)
def test_any_other_set_is_not(others):
    assert not is_default(others)


def test_the_collector_is_left_as_it_was():
    before = gc.get_threshold()
    with collecting_rarely():
        during = gc.get_threshold()
    assert during[:2] == before[:2]
    assert during[2] > before[2]
    assert gc.get_threshold() == before


def test_runs_in_threads_leave_the_collector_as_it_was():
    before = gc.get_threshold()
    first, second = collecting_rarely(), collecting_rarely()
    first.__enter__()
    second.__enter__()
    first.__exit__(None, None, None)
    second.__exit__(None, None, None)
    assert gc.get_threshold() == before
