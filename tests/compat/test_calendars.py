"""The calendar that the writers of an ingest get."""

import numpy as np
import pytest
from zipline.utils.calendar_utils import get_calendar

from rustybt.compat.calendars import ingest_calendar


@pytest.mark.parametrize("name", ["NYSE", "XLON", "XSHG", "24/7"])
def test_an_ingest_has_the_sessions_that_zipline_would_give_it(name: str) -> None:
    calendar, first, last = ingest_calendar(name)
    expected = get_calendar(name)
    assert (first, last) == (expected.first_session, expected.last_session)
    assert (calendar.name, calendar.side) == (expected.name, expected.side)
    own = calendar.schedule.loc[first:last]
    assert own.equals(expected.schedule)
    minutes = calendar.minutes[calendar.minutes.slice_indexer(expected.minutes[0])]
    assert np.array_equal(minutes[: len(expected.minutes)], expected.minutes)
