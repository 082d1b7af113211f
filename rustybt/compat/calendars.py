"""Calendars for runs and ingests: zipline's where the process has one, else from the disk."""

from datetime import date
from functools import cache
from typing import Any

import pandas as pd
from exchange_calendars import calendar_utils
from zipline.utils.calendar_utils import get_calendar

from rustybt.data._calendar_cache import cached_calendar

#: exchange_calendars lets a calendar begin twenty years ago unless told otherwise; zipline too.
_YEARS = 20
#: The calendars that zipline lets begin earlier, and when.
_AMERICAN, _AMERICAN_START = ("us_futures", "CMES", "XNYS", "NYSE"), pd.Timestamp("1990-01-01")


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
    factory = _factory_of(name)
    if factory is None:
        return zipline_calendar(name, first)
    today = date.today()
    year = min(first.year - 1, today.year - _YEARS)
    return _from_the_disk(factory, date(year, 1, 1), date(today.year + 1, 12, 31))


def ingest_calendar(name: str) -> tuple[Any, pd.Timestamp, pd.Timestamp]:
    """A calendar for the writers of an ingest, and zipline's first and last session of it.

    The calendar itself holds whole years, so that it is found on the disk tomorrow too.

    Parameters
    ----------
    name : str
        Canonical or an alias.
    """
    canonical = calendar_utils.resolve_alias(name)
    factory = _factory_of(canonical)
    if factory is None:
        calendar = get_calendar(name)
        return calendar, calendar.first_session, calendar.last_session
    start = _AMERICAN_START if name in _AMERICAN else factory.default_start()
    end = factory.default_end()
    calendar = _from_the_disk(factory, date(start.year, 1, 1), date(date.today().year + 1, 12, 31))
    sessions = calendar.sessions[calendar.sessions.slice_indexer(start, end)]
    return calendar, sessions[0], sessions[-1]


def _factory_of(name: str) -> Any:
    """What makes a calendar; None for one that was registered as it is."""
    dispatcher = calendar_utils.global_calendar_dispatcher
    return None if name in dispatcher._calendars else dispatcher._calendar_factories.get(name)


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
        end = min(end, latest.date())
    return cached_calendar(factory, start, end)
