"""Bundles as zipline wants them: finder and readers of one version."""

import os
from collections.abc import Mapping
from typing import Any

import pandas as pd
from zipline.assets import AssetFinder
from zipline.data.adjustments import SQLiteAdjustmentReader
from zipline.data.bundles.core import BundleData
from zipline.utils.calendar_utils import get_calendar

from rustybt.compat._panel_reader import BarsInfo
from rustybt.compat.bar_readers import MinutePanelReader, SessionPanelReader
from rustybt.compat.databases import ADJUSTMENTS, ASSETS, databases
from rustybt.data.bundles.bundle import Bundle, open_bundle


def calendar_of(bundle: Bundle) -> Any:
    """The bundle's calendar as zipline's calendars are: right-sided, reaching back to the data."""
    record = bundle.metadata
    calendar = get_calendar(record.calendar)
    if calendar.first_session <= record.start_date:
        return calendar
    return get_calendar(record.calendar, start=record.start_date - pd.Timedelta(days=400))


def bundle_data(bundle: Bundle, calendar: Any = None) -> BundleData:
    """The finder and the readers of an open bundle.

    Parameters
    ----------
    calendar : exchange_calendars.ExchangeCalendar, optional
        The run's calendar; used for the readers too when it is the bundle's.
    """
    if calendar is None or calendar.name != bundle.metadata.calendar:
        calendar = calendar_of(bundle)
    info = BarsInfo.of(bundle)
    sessions = SessionPanelReader(bundle.panel("daily"), calendar, info)
    directory = databases(bundle, sessions)
    return BundleData(
        asset_finder=AssetFinder(str(directory / ASSETS)),
        equity_minute_bar_reader=MinutePanelReader(bundle.panel("minute"), calendar, info),
        equity_daily_bar_reader=sessions,
        adjustment_reader=SQLiteAdjustmentReader(str(directory / ADJUSTMENTS)),
    )


def load(
    name: str, environ: Mapping[str, str] = os.environ, timestamp: object = None
) -> BundleData:
    """Load the newest version of a bundle, or the newest one as of `timestamp`.

    Raises
    ------
    UnknownBundleError
        If there is no such version.
    """
    return bundle_data(open_bundle(name, timestamp, environ))
