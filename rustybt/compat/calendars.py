"""Calendars for runs and ingests: zipline's where the process has one, else from the disk."""

from datetime import date
from functools import cache, cached_property
from typing import Any

import numpy as np
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


def ingest_calendar(name: str) -> Any:
    """A calendar for an ingest: the sessions and minutes of the one that zipline would make.

    What is on the disk holds whole years, so that it is found tomorrow too; this is a piece of it.

    Parameters
    ----------
    name : str
        Canonical or an alias.
    """
    factory = _factory_of(calendar_utils.resolve_alias(name))
    if factory is None:
        return get_calendar(name)
    start = _AMERICAN_START if name in _AMERICAN else factory.default_start()
    whole = _from_the_disk(factory, date(start.year, 1, 1), date(date.today().year + 1, 12, 31))
    return _piece_of(whole, start, factory.default_end())


def _piece_of(calendar: Any, start: pd.Timestamp, end: pd.Timestamp) -> Any:
    """A calendar of the sessions from `start` to `end` of another one."""
    piece = calendar.sessions.slice_indexer(start, end)
    own = object.__new__(type(calendar))
    for name, value in vars(calendar).items():
        if isinstance(getattr(type(calendar), name, None), cached_property):
            continue  # of the whole
        if name in ("_late_opens", "_early_closes"):
            value = value[value.slice_indexer(start, end)]
        elif isinstance(value, (pd.DataFrame, pd.Index, np.ndarray)):
            value = value[piece]
        setattr(own, name, value)
    return own


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
