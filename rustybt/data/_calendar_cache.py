"""Calendars kept on the disk: computing one takes a fifth of a second, reading it a hundredth.

A file holds the attributes of one `ExchangeCalendar` behind a checksum of them. Its name says all
that the calendar depends on, so that another version of a library never finds it; of calendars that
are not of exchange_calendars nobody could say so much, and they are computed. A file that is
missing, damaged or of something else is no file; whoever comes first writes it aside and renames.
"""

import hashlib
import io
import logging
import os
import pickle
import threading
from contextlib import suppress
from datetime import date
from importlib.metadata import version
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

from platformdirs import user_cache_path

_log = logging.getLogger(__name__)

_DIGEST_BYTES = hashlib.sha256().digest_size
_LIBRARIES = ("exchange_calendars", "numpy", "pandas", "tzdata")

#: All that a calendar is made of; nothing else is ever called while a file is read.
_KNOWN = {
    ("builtins", "slice"),
    ("datetime", "timedelta"),
    ("exchange_calendars.pandas_extensions.offsets", "MultipleWeekmaskCustomBusinessDay"),
    ("numpy", "dtype"),
    ("numpy", "ndarray"),
    ("numpy._core.multiarray", "_reconstruct"),
    ("numpy._core.multiarray", "scalar"),
    ("numpy._core.numeric", "_frombuffer"),
    ("pandas._libs.arrays", "__pyx_unpickle_NDArrayBacked"),
    ("pandas._libs.internals", "_unpickle_block"),
    ("pandas._libs.tslibs.offsets", "CustomBusinessDay"),
    ("pandas._libs.tslibs.timestamps", "_unpickle_timestamp"),
    ("pandas.core.arrays.datetimes", "DatetimeArray"),
    ("pandas.core.dtypes.dtypes", "DatetimeTZDtype"),
    ("pandas.core.frame", "DataFrame"),
    ("pandas.core.indexes.base", "Index"),
    ("pandas.core.indexes.base", "_new_Index"),
    ("pandas.core.indexes.datetimes", "DatetimeIndex"),
    ("pandas.core.indexes.datetimes", "_new_DatetimeIndex"),
    ("pandas.core.internals.managers", "BlockManager"),
    ("zoneinfo", "ZoneInfo"),
}


class _Unpickler(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> Any:
        if (module, name) == ("builtins", "getattr"):
            return _attribute
        if (module, name) not in _KNOWN:
            raise pickle.UnpicklingError(f"a calendar has no {module}.{name}")
        return super().find_class(module, name)


def _attribute(owner: Any, name: str) -> Any:
    if owner is not ZoneInfo or name != "_unpickle":
        raise pickle.UnpicklingError(f"a calendar has no use for {owner}.{name}")
    return getattr(owner, name)


def cached_calendar(
    factory: type[Any],
    start: date,
    end: date,
    side: str = "right",
    directory: Path | None = None,
) -> Any:
    """A calendar of the class `factory`, from the disk if it was ever made before.

    Parameters
    ----------
    factory : type
        A class derived from `exchange_calendars.ExchangeCalendar`.
    start, end : datetime.date
        Its bounds.
    side : str
        Which ends of a session its minutes include.
    directory : pathlib.Path, optional
        Where files are kept; the user's cache directory if None.
    """
    if factory.__module__.partition(".")[0] != "exchange_calendars":
        return _computed(factory, start, end, side)
    path = (directory or user_cache_path("rustybt") / "calendars") / _file_name(
        factory, start, end, side
    )
    attributes = _read(path)
    if attributes is not None:
        calendar = object.__new__(factory)
        vars(calendar).update(attributes)
        return calendar
    calendar = _computed(factory, start, end, side)
    _write(path, dict(vars(calendar)))
    return calendar


def _computed(factory: type[Any], start: date, end: date, side: str) -> Any:
    import pandas as pd

    return factory(start=pd.Timestamp(start), end=pd.Timestamp(end), side=side)


def _file_name(factory: type[Any], start: date, end: date, side: str) -> str:
    facts = [f"{factory.__module__}.{factory.__qualname__}", start, end, side]
    facts += [version(name) for name in _LIBRARIES]
    digest = hashlib.sha256("|".join(map(str, facts)).encode()).hexdigest()
    return f"{factory.__qualname__}-{start}-{end}-{digest[:16]}.calendar"


def _read(path: Path) -> dict[str, Any] | None:
    try:
        content = path.read_bytes()
    except OSError:
        return None
    digest, body = content[:_DIGEST_BYTES], content[_DIGEST_BYTES:]
    if hashlib.sha256(body).digest() != digest:
        _log.warning("%s is damaged; the calendar is computed again", path)
        return None
    try:
        attributes: dict[str, Any] = _Unpickler(io.BytesIO(body)).load()
    except (pickle.UnpicklingError, AttributeError, ImportError, TypeError, ValueError) as error:
        _log.warning("%s cannot be read (%s); the calendar is computed again", path, error)
        return None
    return attributes


def _write(path: Path, attributes: dict[str, Any]) -> None:
    """Keep a calendar; where there is no room or no right to, it is computed each time."""
    body = pickle.dumps(attributes, protocol=5)
    aside = path.with_name(f".{path.name}.{os.getpid()}.{threading.get_ident()}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        aside.write_bytes(hashlib.sha256(body).digest() + body)
        aside.replace(path)
    except OSError as error:
        _log.debug("%s cannot be written: %s", path, error)
        with suppress(OSError):
            aside.unlink(missing_ok=True)
