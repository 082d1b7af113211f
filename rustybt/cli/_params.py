"""Types of options that several commands share."""

import re
from datetime import timedelta
from pathlib import Path
from typing import Any

import click

_LENGTHS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days"}


class Moment(click.ParamType):
    """A date, or a date and time, in any spelling that pandas reads; a `pandas.Timestamp`."""

    name = "date"

    def convert(self, value: Any, param: Any, ctx: Any) -> Any:
        """Read the text."""
        from rustybt.compat.deferred import deferred

        with deferred():
            import pandas as pd

        moment = pd.to_datetime(value, errors="coerce")
        if pd.isna(moment):
            self.fail(f"{value!r} is not a date; write it as 2020-01-31", param, ctx)
        return moment


class Duration(click.ParamType):
    """``90s``, ``30m``, ``8h``; a `datetime.timedelta`."""

    name = "duration"

    def convert(self, value: Any, param: Any, ctx: Any) -> timedelta:
        """Read the text."""
        if isinstance(value, timedelta):
            return value
        match = re.fullmatch(r"(\d+(?:\.\d+)?)\s*([smhd])", value.strip().lower())
        if match is None or not float(match[1]):
            self.fail(f"{value!r} is not a duration; write it as 90s, 30m or 8h", param, ctx)
        return timedelta(**{_LENGTHS[match[2]]: float(match[1])})


class NewFile(click.ParamType):
    """A path of a file to write, whose folder is there; found out before the work, not after.

    Parameters
    ----------
    or_stdout : bool
        Let ``-`` pass, for stdout.
    """

    name = "file"

    def __init__(self, *, or_stdout: bool = False) -> None:
        self._or_stdout = or_stdout

    def convert(self, value: Any, param: Any, ctx: Any) -> Any:
        """Check the path."""
        if value == "-" and self._or_stdout:
            return value
        path = Path(value).expanduser()
        if path.is_dir():
            self.fail(f"{value} is a folder; name a file", param, ctx)
        if not path.parent.is_dir():
            self.fail(f"{path.parent} is not a folder that exists", param, ctx)
        return path


class KeyValue(click.ParamType):
    """``KEY=VALUE``; a pair of texts."""

    name = "key=value"

    def convert(self, value: Any, param: Any, ctx: Any) -> tuple[str, str]:
        """Split the text at its first ``=``."""
        if isinstance(value, tuple):
            return value
        key, equals, rest = value.partition("=")
        if not equals or not key.strip():
            self.fail(f"{value!r} is not of the form KEY=VALUE", param, ctx)
        return key.strip(), rest


class NameList(click.ParamType):
    """Names with commas between; a tuple of texts."""

    name = "a,b,..."

    def convert(self, value: Any, param: Any, ctx: Any) -> tuple[str, ...]:
        """Split the text at its commas."""
        if isinstance(value, tuple):
            return value
        names = tuple(name.strip() for name in value.split(",") if name.strip())
        if not names:
            self.fail("no name is given", param, ctx)
        return names


_UNITS = {"": 1, "b": 1, "kb": 10**3, "mb": 10**6, "gb": 10**9, "tb": 10**12}


class Size(click.ParamType):
    """A number of bytes, as ``500MB`` or ``2 GB``; units of a thousand."""

    name = "size"

    def convert(self, value: Any, param: Any, ctx: Any) -> int:
        """Read the number and its unit."""
        match = re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*([a-z]*)\s*", str(value).lower())
        if match is None or match[2] not in _UNITS:
            self.fail(f"{value!r} is not a size; write it as 500MB or 2GB", param, ctx)
        return int(float(match[1]) * _UNITS[match[2]])


json_option = click.option(
    "--json", "as_json", is_flag=True, help="Print JSON on stdout and nothing else there."
)
timestamp_option = click.option(
    "--bundle-timestamp",
    type=Moment(),
    help="Use the newest version of this time or before.  [default: the newest]",
)
