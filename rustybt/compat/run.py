"""Run a zipline algorithm on a bundle: zipline's `run_algorithm`, and what the CLI needs of it."""

import os
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import pandas as pd
from zipline.data import bundles as zipline_bundles
from zipline.utils.calendar_utils import get_calendar
from zipline.utils.run_algo import BenchmarkSpec, load_extensions

from rustybt.compat import _inputs
from rustybt.compat.calendars import run_calendar, zipline_calendar
from rustybt.compat.engine import engine_named
from rustybt.compat.loading import bundle_data
from rustybt.compat.simulation import Algorithm, Setting, simulate
from rustybt.data._garbage import set_aside
from rustybt.data.bundles import storage
from rustybt.data.bundles.bundle import Bundle, open_bundle
from rustybt.data.errors import DateRangeError, FrequencyError, OptionError


def run_algorithm(
    start: pd.Timestamp,
    end: pd.Timestamp,
    initialize: Callable[..., Any],
    capital_base: float,
    handle_data: Callable[..., Any] | None = None,
    before_trading_start: Callable[..., Any] | None = None,
    analyze: Callable[..., Any] | None = None,
    data_frequency: str = "daily",
    bundle: str = "quantopian-quandl",
    bundle_timestamp: object = None,
    trading_calendar: Any = None,
    metrics_set: Any = "default",
    benchmark_returns: pd.Series | None = None,
    default_extension: bool = True,
    extensions: Iterable[str] = (),
    strict_extensions: bool = True,
    environ: Mapping[str, str] = os.environ,
    custom_loader: Any = None,
    blotter: Any = "default",
    *,
    require_quality: float | None = None,
    engine: str | None = None,
) -> pd.DataFrame:
    """Run a trading algorithm; `zipline.run_algorithm`, call for call.

    Parameters
    ----------
    start, end : pandas.Timestamp
        First and last session.
    initialize, handle_data, before_trading_start, analyze : callable, optional
        The algorithm.
    capital_base : float
        Starting cash.
    data_frequency : {"daily", "minute"}
    bundle : str
        A rustybt bundle; if there is none of that name, one that is registered with zipline.
    bundle_timestamp : datetime, optional
        Use the newest version of this time or before.
    trading_calendar : exchange_calendars.ExchangeCalendar, optional
        The bundle's own calendar if not given (zipline takes XNYS for every bundle).
    metrics_set, benchmark_returns, custom_loader, blotter
        As in zipline. Without benchmark returns the benchmark is zero.
    default_extension, extensions, strict_extensions
        Extension files to load first, as in zipline.
    environ : mapping
        ``ZIPLINE_ROOT`` is looked up in it.
    require_quality : float, optional
        Refuse a bundle whose `quality_score` is below this; zipline has no such argument.
    engine : {"fast", "stock"}, optional
        ``stock`` runs zipline's own simulation on the bundle, for comparison; else that of
        ``$RUSTYBT_ENGINE``, else ``fast``.

    Returns
    -------
    pandas.DataFrame
        Daily performance. ``attrs["rustybt"]`` says on which data and libraries it was computed.

    Raises
    ------
    UnknownBundleError
        If there is no such bundle.
    DateRangeError
        If the bundle's bars do not cover `start` to `end`.
    FrequencyError
        If minutes are asked of a bundle of daily bars.
    OptionError
        If an option has a value that it cannot have.
    QualityError
        If the bundle's score is below `require_quality`, or it has none.
    """
    load_extensions(default_extension, extensions, strict_extensions, environ)
    functions = {
        "initialize": initialize,
        "handle_data": handle_data,
        "before_trading_start": before_trading_start,
        "analyze": analyze,
    }
    setting = Setting(
        start=start,
        end=end,
        capital_base=capital_base,
        bundle=bundle,
        data_frequency=data_frequency,
        bundle_timestamp=bundle_timestamp,
        trading_calendar=trading_calendar,
        metrics_set=metrics_set,
        blotter=blotter,
        custom_loader=custom_loader,
        environ=environ,
        require_quality=require_quality,
        engine=engine,
    )
    name = getattr(initialize, "__module__", None) or "algorithm"
    benchmark = BenchmarkSpec.from_returns(benchmark_returns)
    return run(Algorithm(name, functions), setting, benchmark)


def run(
    algorithm: Algorithm,
    setting: Setting,
    benchmark: BenchmarkSpec,
    on_twin: bool = False,
) -> pd.DataFrame:
    """Run an algorithm on a bundle; see `run_algorithm` for what comes back and what is raised.

    Parameters
    ----------
    on_twin : bool
        Read zipline's own ingestion that the bundle was converted from.
    """
    with set_aside():
        return _run(algorithm, setting, benchmark, on_twin)


def _run(
    algorithm: Algorithm, setting: Setting, benchmark: BenchmarkSpec, on_twin: bool
) -> pd.DataFrame:
    if setting.data_frequency not in ("daily", "minute"):
        raise OptionError(f"data_frequency is {setting.data_frequency!r}; use daily or minute")
    start, end = _session(setting.start), _session(setting.end)
    bundle = _open(setting)
    _inputs.require_quality(setting.bundle, bundle, setting.require_quality)
    # zipline's readers hold the calendar of the process, and want the run to have the same.
    calendar = _calendar(setting, bundle, zipline_calendar if on_twin else run_calendar)
    _require_sessions(calendar, start, end)
    if bundle is None:
        data = zipline_bundles.load(setting.bundle, setting.environ, setting.bundle_timestamp)
    else:
        _require_covered(bundle, calendar, start, end, setting.data_frequency)
        data = _twin(bundle, setting.environ) if on_twin else bundle_data(bundle, calendar)
    with data:
        perf = simulate(algorithm, setting, data, calendar, (start, end), benchmark)
    perf.attrs["rustybt"] = _provenance(algorithm, setting, bundle, calendar, (start, end))
    return perf


def _twin(bundle: Bundle, environ: Mapping[str, str]) -> Any:
    from rustybt.compat.bundles import bcolz_twin  # with all that an ingest needs

    return bcolz_twin(bundle, environ)


def _session(moment: Any) -> pd.Timestamp:
    return pd.Timestamp(moment).tz_localize(None).normalize()


def _calendar(setting: Setting, bundle: Bundle | None, make: Callable[..., Any]) -> Any:
    """The calendar that is asked for, else the bundle's, reaching over all of its bars."""
    asked = setting.trading_calendar
    if bundle is None:
        return asked if asked is not None else get_calendar("XNYS")
    first, last = bundle.metadata.bounds
    # zipline's begin twenty years ago, be the bars older or not.
    too_short = (
        asked is not None
        and asked.name == bundle.metadata.calendar
        and (asked.first_session > first or asked.last_session < last)
    )
    return make(bundle.metadata.calendar, first) if asked is None or too_short else asked


def _open(setting: Setting) -> Bundle | None:
    """The rustybt bundle of that name, or None if only zipline has one."""
    if setting.lock is not None:
        return _inputs.open_locked(setting.lock, setting.bundle, setting.environ)
    here = storage.versions(setting.bundle, setting.environ)
    if not here and setting.bundle in zipline_bundles.bundles:
        return None
    return open_bundle(setting.bundle, setting.bundle_timestamp, setting.environ)


def _require_sessions(calendar: Any, start: pd.Timestamp, end: pd.Timestamp) -> None:
    if start > end:
        raise DateRangeError(f"start {start.date()} lies after end {end.date()}")
    if not len(_sessions(calendar, start, end)):
        raise DateRangeError(
            f"calendar {calendar.name} has no session from {start.date()} to {end.date()}"
        )


def _sessions(calendar: Any, start: pd.Timestamp, end: pd.Timestamp) -> pd.DatetimeIndex:
    sessions = calendar.sessions
    return sessions[sessions.slice_indexer(start.normalize(), end.normalize())]


def _require_covered(
    bundle: Bundle, calendar: Any, start: pd.Timestamp, end: pd.Timestamp, data_frequency: str
) -> None:
    record = bundle.metadata
    if data_frequency == "minute" and not bundle.has("minute"):
        raise FrequencyError(
            f"bundle {record.bundle_name!r} has no minute bars (it has {record.frequency}); "
            "ingest it with --frequency 1m, or run it daily"
        )
    if calendar.name != record.calendar:
        return
    wanted = _sessions(calendar, start, end)
    first, last = record.bounds
    if wanted[0] < first or wanted[-1] > last:
        raise DateRangeError(
            f"bundle {record.bundle_name!r} has bars from {first.date()} to {last.date()}, which "
            f"does not cover {wanted[0].date()} to {wanted[-1].date()}; choose dates inside, or "
            "ingest more"
        )


def _provenance(
    algorithm: Algorithm,
    setting: Setting,
    bundle: Bundle | None,
    calendar: Any,
    dates: tuple[pd.Timestamp, pd.Timestamp],
) -> dict[str, Any]:
    facts = {
        "algorithm": algorithm.name,
        "bundle": setting.bundle,
        "start": dates[0].date().isoformat(),
        "end": dates[1].date().isoformat(),
        "capital_base": setting.capital_base,
        "data_frequency": setting.data_frequency,
        "engine": engine_named(setting.engine, setting.environ),
        "calendar": calendar.name,
        "libraries": _inputs.libraries(),
    }
    return {**facts, **_inputs.facts_of(bundle, calendar.name)}
