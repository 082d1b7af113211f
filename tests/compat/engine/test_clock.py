"""The clock of a run yields what zipline's does."""

from types import SimpleNamespace

import pytest
from zipline.algorithm import TradingAlgorithm as ZiplineAlgorithm
from zipline.utils.calendar_utils import get_calendar

from rustybt.compat.engine.algorithm import TradingAlgorithm


@pytest.mark.parametrize(
    ("frequency", "emission"), [("daily", "daily"), ("minute", "daily"), ("minute", "minute")]
)
@pytest.mark.parametrize("name", ["XNYS", "XHKG", "XLON", "24/7"])
def test_every_event_has_its_time(name, frequency, emission):
    calendar = get_calendar(name)
    # Early closes, holidays, and the end of a year.
    sessions = calendar.sessions_in_range("2019-12-20", "2020-01-03")
    params = SimpleNamespace(sessions=sessions, data_frequency=frequency, emission_rate=emission)
    run = SimpleNamespace(_is_ours=True, trading_calendar=calendar, sim_params=params)
    stock, ours = (list(kind._create_clock(run)) for kind in (ZiplineAlgorithm, TradingAlgorithm))
    assert ours == stock
    assert {str(moment.tz) for moment, _ in ours} == {str(moment.tz) for moment, _ in stock}
