"""The calendar of an ingest."""

import numpy as np
import pandas as pd
import pytest
from zipline.utils.calendar_utils import get_calendar

from rustybt.compat.calendars import ingest_calendar


@pytest.mark.parametrize("name", ["NYSE", "XLON", "XHKG", "XSHG", "24/7", "us_futures"])
def test_it_is_the_one_that_zipline_would_make(name: str) -> None:
    ours, expected = ingest_calendar(name), get_calendar(name)
    assert type(ours) is type(expected)
    assert vars(ours).keys() >= {"schedule", "opens_nanos", "_early_closes"}
    for attribute, value in vars(ours).items():
        other = getattr(expected, attribute)
        if isinstance(value, pd.DataFrame):
            pd.testing.assert_frame_equal(value, other, check_freq=True)
        elif isinstance(value, pd.Index):
            pd.testing.assert_index_equal(value, other)
        elif isinstance(value, np.ndarray):
            np.testing.assert_array_equal(value, other)
        else:
            assert value == other
    assert ours.minutes.equals(expected.minutes)
    assert ours.day == expected.day
