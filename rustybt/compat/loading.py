"""From an open bundle, or a directory in zipline's own format, to zipline's finder and readers."""

from functools import partial
from pathlib import Path
from typing import Any

from zipline.assets import AssetFinder as ZiplineFinder
from zipline.data.bundles import core as zipline_core
from zipline.data.bundles.core import BundleData

from rustybt.compat._layout import ADJUSTMENTS, ASSETS
from rustybt.compat._panel_reader import BarsInfo
from rustybt.compat.bar_readers import MinutePanelReader, SessionPanelReader
from rustybt.compat.calendars import zipline_calendar
from rustybt.compat.databases import databases
from rustybt.compat.finder import AssetFinder
from rustybt.data.bundles.bundle import Bundle
from rustybt.data.calendars import calendar_version


def calendar_of(bundle: Bundle) -> Any:
    """zipline's calendar of the bundle's market, reaching back to the data."""
    return zipline_calendar(bundle.metadata.calendar, bundle.metadata.bounds[0])


def bundle_data(bundle: Bundle, calendar: Any = None) -> BundleData:
    """The finder and the readers of an open bundle.

    Parameters
    ----------
    calendar : exchange_calendars.ExchangeCalendar, optional
        The run's calendar; used for the readers too when it is the bundle's.
    """
    if calendar is None or calendar.name != bundle.metadata.calendar:
        # Making it takes longer than all else; another release's may have other sessions.
        same = bundle.metadata.calendar_version == calendar_version()
        calendar = partial(calendar_of, bundle) if same else calendar_of(bundle)
    info = BarsInfo.of(bundle)
    sessions = SessionPanelReader(bundle.panel("daily"), calendar, info)
    minutes = MinutePanelReader(
        bundle.panel("minute"), calendar, info, bundle.metadata.minutes_per_day
    )
    directory = databases(bundle, sessions)
    return BundleData(
        asset_finder=_finder(directory / ASSETS),
        equity_minute_bar_reader=minutes,
        equity_daily_bar_reader=sessions,
        adjustment_reader=zipline_core.SQLiteAdjustmentReader(str(directory / ADJUSTMENTS)),
    )


def _finder(path: Path) -> Any:
    """Ours in the place of zipline's, but not of one that somebody put in its place."""
    named = zipline_core.AssetFinder
    return AssetFinder(path) if named is ZiplineFinder else named(str(path))


def bcolz_data(directory: Path) -> BundleData:
    """Readers of a directory in zipline's own format."""
    return BundleData(
        asset_finder=zipline_core.AssetFinder(str(directory / ASSETS)),
        equity_minute_bar_reader=zipline_core.BcolzMinuteBarReader(
            str(directory / "minute_equities.bcolz")
        ),
        equity_daily_bar_reader=zipline_core.BcolzDailyBarReader(
            str(directory / "daily_equities.bcolz")
        ),
        adjustment_reader=zipline_core.SQLiteAdjustmentReader(str(directory / ADJUSTMENTS)),
    )
