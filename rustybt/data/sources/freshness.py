"""Freshness policies: for how long provisional bars in a cache may be served.

A policy is pure: it is handed the time at which data was cached and the current time, and knows
its market's calendar from its constructor. Only provisional bars are subject to one; final bars
do not change (`rustybt.data.sources._finality`). Times without a timezone are UTC, and data from
the future, as of a clock that was set back, is never fresh.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from datetime import date, timedelta
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from rustybt.data.bars import Frequency
from rustybt.data.calendars import (
    DEFAULT_CALENDAR,
    Calendar,
    load_calendar,
    resolve_name,
    to_instant,
)
from rustybt.data.errors import OptionError

if TYPE_CHECKING:
    import pandas as pd

    from rustybt.data.sources.base import DataSource

#: How long bars of a market that never closes stay fresh, where a bar is not shorter than that.
ROUND_THE_CLOCK_TTL = timedelta(hours=1)
#: No policy that is chosen automatically asks a provider more often than this.
_SHORTEST_TTL = timedelta(minutes=1)
#: Sources of files: their fingerprint changes with the files, so what was read stays true.
_FILES = frozenset({"csv"})
_NEVER_CLOSES = "24/7"


class CacheFreshnessPolicy(ABC):
    """Decides whether cached bars that may still be revised can be served."""

    @abstractmethod
    def is_fresh(self, cache_time: "pd.Timestamp", current_time: "pd.Timestamp") -> bool:
        """Whether what was cached at one time may be served at another.

        Parameters
        ----------
        cache_time : pandas.Timestamp or datetime
            When the provider was asked.
        current_time : pandas.Timestamp or datetime
        """


@dataclass(frozen=True)
class NeverStaleFreshnessPolicy(CacheFreshnessPolicy):
    """Whatever was cached is served: for files, and for work without a network."""

    def is_fresh(self, cache_time: "pd.Timestamp", current_time: "pd.Timestamp") -> bool:
        """Always, unless it is from the future."""
        return to_instant(cache_time) <= to_instant(current_time)


@dataclass(frozen=True)
class AlwaysStaleFreshnessPolicy(CacheFreshnessPolicy):
    """Provisional bars are fetched each time that they are asked for."""

    def is_fresh(self, cache_time: "pd.Timestamp", current_time: "pd.Timestamp") -> bool:  # noqa: ARG002
        """Never."""
        return False


@dataclass(frozen=True)
class TTLFreshnessPolicy(CacheFreshnessPolicy):
    """Data is fresh for a fixed time, as for markets that never close.

    Parameters
    ----------
    ttl : timedelta or float
        Seconds, if it is a number. The data is stale when it is that old.

    Raises
    ------
    OptionError
        If the time is not above zero.
    """

    ttl: timedelta | float = ROUND_THE_CLOCK_TTL

    def __post_init__(self) -> None:
        if self._length <= timedelta(0):
            raise OptionError(f"ttl is {self.ttl}; it must be above zero")

    @property
    def _length(self) -> timedelta:
        return self.ttl if isinstance(self.ttl, timedelta) else timedelta(seconds=self.ttl)

    def is_fresh(self, cache_time: "pd.Timestamp", current_time: "pd.Timestamp") -> bool:
        """Whether it is younger than the time to live."""
        return timedelta(0) <= to_instant(current_time) - to_instant(cache_time) < self._length


@dataclass(frozen=True)
class MarketCloseFreshnessPolicy(CacheFreshnessPolicy):
    """Data is fresh until the next close of the market: for daily bars.

    What was cached at or after Friday's close is fresh until Monday's; what was cached before it
    is not fresh from Friday's close on. Half days, holidays and changes of the clock are the
    calendar's.

    Parameters
    ----------
    calendar : str or exchange_calendars.ExchangeCalendar
        The market's calendar, or its name or alias.
    """

    calendar: Any = DEFAULT_CALENDAR

    def is_fresh(self, cache_time: "pd.Timestamp", current_time: "pd.Timestamp") -> bool:
        """Whether no session closed since."""
        cached, now = _microseconds(cache_time), _microseconds(current_time)
        if cached > now:
            return False
        closes = _calendar_around(self.calendar, cached, now).closes
        return not _any_between(closes, cached, now)


@dataclass(frozen=True)
class HybridFreshnessPolicy(CacheFreshnessPolicy):
    """A time to live while the market trades, fresh until it trades again otherwise.

    For intraday bars: during trading they are stale after `ttl`. While the market is closed
    (nights, holidays, lunch breaks) nothing new happens, so that what was cached after trading
    stopped is fresh until it goes on; what was cached before it stopped is not.

    Parameters
    ----------
    calendar : str or exchange_calendars.ExchangeCalendar
        The market's calendar, or its name or alias.
    ttl : timedelta or float
        Seconds, if it is a number.
    """

    calendar: Any = DEFAULT_CALENDAR
    ttl: timedelta | float = timedelta(minutes=5)

    def __post_init__(self) -> None:
        TTLFreshnessPolicy(self.ttl)

    def is_fresh(self, cache_time: "pd.Timestamp", current_time: "pd.Timestamp") -> bool:
        """Whether it is young enough or, out of hours, whether nothing was traded since."""
        cached, now = _microseconds(cache_time), _microseconds(current_time)
        if cached > now:
            return False
        starts, stops = _calendar_around(self.calendar, cached, now).trading_spans
        # The span that began last, if it has not stopped by now, is going on.
        latest = int(np.searchsorted(starts, now, side="right")) - 1
        if latest >= 0 and now < stops[latest]:
            return TTLFreshnessPolicy(self.ttl).is_fresh(cache_time, current_time)
        return not _any_between(stops, cached, now)


def _microseconds(moment: Any) -> np.datetime64:
    return np.datetime64(to_instant(moment).replace(tzinfo=None), "us")


def _any_between(instants: Any, after: np.datetime64, until: np.datetime64) -> bool:
    """Whether one of the ascending instants lies in ``(after, until]``."""
    rows = np.searchsorted(instants, np.array([after, until]), side="right")
    return bool(rows[0] < rows[1])


def _calendar_around(calendar: Any, first: np.datetime64, last: np.datetime64) -> Calendar:
    """The calendar over whole months, so that neighbouring times share one.

    Two months back say as much as two years: a market closed in between.
    """
    months = np.array([first, last]).astype("datetime64[M]")
    start: date = (max(months[0], months[1] - 2) - 1).astype("datetime64[D]").item()
    end: date = (months[1] + 2).astype("datetime64[D]").item()
    return load_calendar(calendar_name(calendar), start, end)


def calendar_name(calendar: Any) -> str:
    """The name of a calendar that is given by name or as one of exchange_calendars."""
    return resolve_name(calendar if isinstance(calendar, str) else calendar.name)


#: Makes a policy for a source, a frequency and a calendar (None: not known).
PolicyMaker = Callable[["DataSource", Frequency, str | None], CacheFreshnessPolicy]


class FreshnessPolicyFactory:
    """Chooses the policy that suits a source, a frequency and a market."""

    _registered: ClassVar[dict[str, CacheFreshnessPolicy | PolicyMaker]] = {}

    @classmethod
    def register(cls, source_type: str, policy: CacheFreshnessPolicy | PolicyMaker) -> None:
        """Use a policy for all sources of a type in this process.

        Parameters
        ----------
        source_type : str
            As `DataSourceMetadata.source_type` names it.
        policy : CacheFreshnessPolicy or callable
            A policy, or what makes one of (source, frequency, name of the calendar or None).
        """
        cls._registered[source_type] = policy

    @classmethod
    def unregister(cls, source_type: str) -> None:
        """Choose automatically again."""
        cls._registered.pop(source_type, None)

    @classmethod
    def create_policy(
        cls, data_source: "DataSource", frequency: str, calendar: Any = None
    ) -> CacheFreshnessPolicy:
        """The policy for bars of a source.

        A registered policy goes first. Files never become stale. Without a calendar, or on a
        market that never closes, bars have a time to live: an hour, or as long as a shorter bar
        lasts. Else daily bars are fresh until the close, and intraday ones for as long as a bar
        lasts while the market trades.

        Parameters
        ----------
        data_source : DataSource
        frequency : str
        calendar : str or exchange_calendars.ExchangeCalendar, optional
            The source's own, if None.
        """
        metadata = data_source.get_metadata()
        wanted = Frequency.parse(frequency)
        given = metadata.calendar if calendar is None else calendar
        name = None if given is None else calendar_name(given)
        registered = cls._registered.get(metadata.source_type)
        if isinstance(registered, CacheFreshnessPolicy):
            return registered
        if registered is not None:
            return registered(data_source, wanted, name)
        if metadata.source_type in _FILES:
            return NeverStaleFreshnessPolicy()
        return _chosen(wanted, name)


def _chosen(frequency: Frequency, calendar: str | None) -> CacheFreshnessPolicy:
    ttl = ROUND_THE_CLOCK_TTL
    if frequency.intraday:
        ttl = max(min(ttl, frequency.duration), _SHORTEST_TTL)
    if calendar is None or calendar == _NEVER_CLOSES:
        return TTLFreshnessPolicy(ttl)
    if frequency.intraday:
        return HybridFreshnessPolicy(calendar, ttl)
    return MarketCloseFreshnessPolicy(calendar)
