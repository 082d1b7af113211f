"""Calendars for a run: zipline's where the process has one, else from the disk."""

from datetime import date, timedelta
from functools import cache
from typing import Any

import pandas as pd
from exchange_calendars import calendar_utils
from zipline.utils.calendar_utils import get_calendar

from rustybt.data._calendar_cache import cached_calendar

#: exchange_calendars lets a calendar begin twenty years ago unless told otherwise; zipline too.
_YEARS = 20


def run_calendar(name: str, first: pd.Timestamp) -> Any:
    """A calendar for a run of ours: right-sided, from `first` or twenty years back into next year.

    It is read from the disk where zipline has not made its own in this process. zipline's readers
    and its portal want one and the same object: it must be used for both.

    Parameters
    ----------
    name : str
        Canonical.
    first : pandas.Timestamp
        The first session that must be in it.
    """
    dispatcher = calendar_utils.global_calendar_dispatcher
    factory = dispatcher._calendar_factories.get(name)
    if factory is None or name in dispatcher._calendars:
        return zipline_calendar(name, first)
    today = date.today()
    year = min(first.year - 1, today.year - _YEARS)
    return _from_the_disk(factory, date(year, 1, 1), date(today.year + 1, 12, 31))


def zipline_calendar(name: str, first: pd.Timestamp) -> Any:
    """The calendar that zipline has under a name, reaching back to `first`."""
    calendar = get_calendar(name)
    if calendar.first_session <= first:
        return calendar
    return get_calendar(name, start=first - pd.Timedelta(days=400))


@cache
def _from_the_disk(factory: Any, start: date, end: date) -> Any:
    earliest, latest = factory.bound_min(), factory.bound_max()
    if earliest is not None:
        start = max(start, earliest.date())
    if latest is not None:
        end = min(end, latest.date() - timedelta(days=1))
    return cached_calendar(factory, start, end)
