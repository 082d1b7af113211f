"""Dates and times as CSV files spell them: text to sessions and to instants."""

import re
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta

import polars as pl

from rustybt.data.errors import BarSchemaError, OptionError

_WALL = pl.Datetime("us")
#: Texts that tell a file's spelling.
_SAMPLE = 20

#: How a date looks -> its strptime format.
_DATES = {
    r"\d{4}-\d{1,2}-\d{1,2}": "%Y-%m-%d",
    r"\d{8}": "%Y%m%d",
    r"\d{4}/\d{1,2}/\d{1,2}": "%Y/%m/%d",
    r"\d{4}\.\d{1,2}\.\d{1,2}": "%Y.%m.%d",
    r"\d{1,2}\.\d{1,2}\.\d{4}": "%d.%m.%Y",
    r"\d{1,2}-[A-Za-z]{3}-\d{4}": "%d-%b-%Y",
    r"\d{1,2} [A-Za-z]{3} \d{4}": "%d %b %Y",
    r"[A-Za-z]{3} \d{1,2}, \d{4}": "%b %d, %Y",
}
#: Dates of which one country puts the month first and another one the day -> what is between.
_EITHER_WAY = {
    r"\d{1,2}/\d{1,2}/\d{4}": "/",
    r"\d{1,2}-\d{1,2}-\d{4}": "-",
}
_OVER_TWELVE = r"(?:1[3-9]|2\d|3[01])"

#: How a time of day looks -> its strptime format.
_CLOCKS = {
    r"\d{1,2}:\d{2}:\d{2}": "%H:%M:%S",
    r"\d{1,2}:\d{2}": "%H:%M",
    r"\d{1,2}:\d{2}:\d{2}\.\d+": "%H:%M:%S%.f",
    r"\d{6}": "%H%M%S",
    r"\d{4}": "%H%M",
    r"\d{1,2}:\d{2}:\d{2} [AaPp][Mm]": "%I:%M:%S %p",
    r"\d{1,2}:\d{2} [AaPp][Mm]": "%I:%M %p",
    r"\d{1,2}:\d{2}:\d{2}[AaPp][Mm]": "%I:%M:%S%p",
    r"\d{1,2}:\d{2}[AaPp][Mm]": "%I:%M%p",
}

#: An offset stands behind a time of day; without one, "-02" would be a day.
_OFFSET = r":\d{2}(?:\.\d+)?\s*(Z|UTC|[+-]\d{2}(?::?\d{2})?)$"
_OFFSET_SIGN = "[+Z-]|UTC"
_OFFSET_ALONE = r"\s*(?:Z|UTC|[+-]\d{2}(?::?\d{2})?)$"

#: Time since 1970 in UTC: name in `date_format` -> how it looks, microseconds a unit.
_EPOCHS = {
    "epoch_s": (r"^\d{9,10}(?:\.\d+)?$", 1e6),
    "epoch_ms": (r"^\d{12,13}(?:\.\d+)?$", 1e3),
    "epoch_us": (r"^\d{15,16}$", 1.0),
    "epoch_ns": (r"^\d{18,19}$", 1e-3),
}
#: Digits that are a date and a time as well as they are an epoch.
_LOOKALIKE = r"^(?:19|20)\d\d(?:0[1-9]|1[0-2])(?:0[1-9]|[12]\d|3[01])(?:[01]\d|2[0-3])(?:[0-5]\d)?$"

#: Years of which there are bars. "%Y" reads 20 in "1/2/20" as the year 20.
YEARS = (1700, 2261)


@dataclass(frozen=True)
class Times:
    """The times of a file's rows, before it is decided whether they are sessions or instants.

    Attributes
    ----------
    written : polars.Series
        Datetime("us"), the date and time of day as written; UTC for epochs. Null where the
        text is no date.
    offset : polars.Series or None
        Duration("us"), the offset from UTC as written, null where there is none.
    epoch : bool
        Whether the file has seconds since 1970, so that no date is written at all.
    """

    written: pl.Series
    offset: pl.Series | None = None
    epoch: bool = False

    @property
    def days_only(self) -> bool:
        """Whether no row has a time of day."""
        return bool((self.written == self.written.dt.truncate("1d")).all())

    def utc_or_wall(self) -> pl.Series:
        """Datetime("us"): UTC where an offset is written, else the time as written."""
        if self.offset is None:
            return self.written
        return self.written - self.offset.fill_null(timedelta(0))

    def sessions(self, file: str, timezone: str | None) -> pl.Series:
        """The dates as they are written, whatever the offset; null where there is none.

        Raises
        ------
        BarSchemaError
            If the dates are epochs inside a UTC day and no timezone says which day that is.
        """
        if not self.epoch:
            return self.written.dt.date()
        if timezone is not None:
            local = self.written.dt.replace_time_zone("UTC").dt.convert_time_zone(timezone)
            return local.dt.date()
        if not self.days_only:
            raise BarSchemaError(
                f"{file}: its daily bars have epochs that are not midnight in UTC, so their "
                "session depends on the market; say where it is with timezone="
            )
        return self.written.dt.date()

    def instants(self, timezone: str | None) -> pl.Series:
        """The times in UTC; null where there is none, or not exactly one in `timezone`."""
        utc = self.utc_or_wall().dt.replace_time_zone("UTC")
        if self.epoch or timezone is None:
            return utc
        local = self.written.dt.replace_time_zone(
            timezone, ambiguous="null", non_existent="null"
        ).dt.convert_time_zone("UTC")
        return local if self.offset is None else utc.zip_with(self.offset.is_not_null(), local)

    def absent(self, timezone: str) -> pl.Series:
        """Whether a time as written does not exist in a timezone: clocks skip it in spring."""
        local = self.written.dt.replace_time_zone(
            timezone, ambiguous="earliest", non_existent="null"
        )
        return local.is_null() & self.written.is_not_null()


def read_times(texts: pl.Series, file: str, date_format: str | None) -> Times:
    """Read dates and times, all of one spelling.

    Parameters
    ----------
    texts : polars.Series
        String, stripped, shape (n,).
    file : str
        Name for messages.
    date_format : str, optional
        A strptime format, or ``epoch_s``, ``epoch_ms``, ``epoch_us``, ``epoch_ns``. When not
        given, the file decides.

    Raises
    ------
    BarSchemaError
        If day and month could each be the other.
    OptionError
        If the format cannot be used.
    """
    if date_format in _EPOCHS:
        return _epochs(texts, date_format)
    if date_format is not None:
        return _with_offsets(texts, lambda wall: _by_format(wall, date_format, file))
    look = _look(texts)
    if look is None:
        return Times(pl.repeat(None, len(texts), dtype=_WALL, eager=True))
    if look in _EPOCHS:
        _refuse_lookalikes(texts, file, look)
        return _epochs(texts.set(~texts.str.contains(_EPOCHS[look][0]), None), look)
    return _with_offsets(texts, lambda wall: _by_look(wall, look, file))


def is_decided(texts: pl.Series, date_format: str | None) -> bool:
    """Whether each of these texts can mean one date only, whatever the other ones are."""
    return date_format is not None or _look(texts) in _DATES


def _look(texts: pl.Series) -> str | None:
    """The key of a table of this module that most texts have; None if there is none."""
    filled = texts.filter(texts != "")
    looks = [*_DATES, *_EITHER_WAY]
    for sample in (filled.head(_SAMPLE), filled):
        counts = Counter(
            look
            for text in sample
            for look in (*looks, *_EPOCHS)
            if re.match(_EPOCHS[look][0] if look in _EPOCHS else rf"{look}(?:[T ]|$)", text)
        )
        if counts:
            return counts.most_common(1)[0][0]
    return None


def _refuse_lookalikes(texts: pl.Series, file: str, unit: str) -> None:
    if texts.str.contains(_LOOKALIKE).all():
        raise BarSchemaError(
            f"{file}: {texts[0]!r} can be a date and a time as well as seconds since 1970; say "
            f"which with date_format='{unit}', or with a strptime format such as '%Y%m%d%H%M'"
        )


def _epochs(texts: pl.Series, unit: str) -> Times:
    _, microseconds = _EPOCHS[unit]
    # Integers are exact; a float64 is, to the microsecond, for seconds with a fraction.
    whole = texts.str.replace(r"\.0+$", "").cast(pl.Int64, strict=False)
    exact = whole * int(microseconds) if microseconds >= 1 else whole // round(1 / microseconds)
    broken = (texts.cast(pl.Float64, strict=False) * microseconds).round()
    walls = pl.select(pl.coalesce(exact, broken.cast(pl.Int64, strict=False)).cast(_WALL))
    return Times(_plausible(walls.to_series()), epoch=True)


def _with_offsets(texts: pl.Series, read: Callable[[pl.Series], pl.Series]) -> Times:
    """Read a spelling's walls with `read`, after their offsets were taken off."""
    text = pl.lit(texts)
    sign = text.str.contains(":", literal=True) & text.str.tail(6).str.contains(_OFFSET_SIGN)
    if not pl.select(sign.any()).item():
        return Times(_plausible(read(texts)))
    written = texts.str.extract(_OFFSET)
    if written.null_count() == len(written):
        return Times(_plausible(read(texts)))
    walls = pl.select(
        pl.when(written.is_null()).then(texts).otherwise(texts.str.replace(_OFFSET_ALONE, ""))
    ).to_series()
    spellings = written.unique().drop_nulls()
    durations = pl.Series([_duration(text) for text in spellings], dtype=pl.Duration("us"))
    offset = written.replace_strict(
        spellings, durations, default=None, return_dtype=pl.Duration("us")
    )
    return Times(_plausible(read(walls)), offset)


def _duration(offset: str) -> timedelta:
    if offset in ("Z", "UTC"):
        return timedelta(0)
    digits = offset[1:].replace(":", "").ljust(4, "0")
    size = timedelta(hours=int(digits[:2]), minutes=int(digits[2:]))
    return -size if offset[0] == "-" else size


def _plausible(walls: pl.Series) -> pl.Series:
    return pl.select(
        pl.when(walls.dt.year().is_between(*YEARS)).then(walls).alias("written")
    ).to_series()


def _by_format(walls: pl.Series, date_format: str, file: str) -> pl.Series:
    # Offsets are off the text by now.
    bare = date_format.removesuffix("%z").rstrip()
    if "%z" in bare or "%Z" in bare:
        raise OptionError(
            f"{file}: date_format {date_format!r} cannot be used: an offset must be its last "
            "part, %z, and names of timezones are not read; use timezone="
        )
    try:
        if re.search(r"%-?[HIkMTRXcs]", bare):
            return walls.str.to_datetime(bare, time_unit="us", strict=False)
        return _by_date(walls, bare)
    except pl.exceptions.PolarsError as error:
        raise OptionError(f"{file}: date_format {date_format!r} fails: {error}") from error


def _by_look(walls: pl.Series, look: str, file: str) -> pl.Series:
    if look in _DATES:
        return _by_date(walls, _DATES[look])
    mark = _EITHER_WAY[look]
    formats = f"%m{mark}%d{mark}%Y", f"%d{mark}%m{mark}%Y"
    month_first = walls.str.contains(rf"^\d{{1,2}}{mark}{_OVER_TWELVE}{mark}").sum()
    day_first = walls.str.contains(rf"^{_OVER_TWELVE}{mark}\d{{1,2}}{mark}").sum()
    if month_first != day_first:
        return _by_date(walls, formats[day_first > month_first])
    read = [_by_date(walls, date_format) for date_format in formats]
    differs = read[0].ne_missing(read[1]).arg_true()
    if len(differs):
        raise BarSchemaError(
            f"{file}: in {walls[differs[0]]!r} day and month could each be the other, and the rows "
            f"do not decide it; say date_format='{formats[0]}' or date_format='{formats[1]}'"
        )
    return read[0]


def _by_date(walls: pl.Series, date_format: str) -> pl.Series:
    """Read dates of one format, with or without a time of day in any of `_CLOCKS`."""
    likely = _layout_of(walls, date_format)
    if likely.endswith("%.f"):
        # Fractions that are zero are common, and polars is five times faster without them.
        walls = walls.str.replace(r"\.0+$", "")
        likely = likely.removesuffix("%.f")
    found = walls.str.to_datetime(likely, time_unit="us", strict=False)
    others = [f"{date_format}{mark}{clock}" for mark in " T" for clock in _CLOCKS.values()]
    for layout in (date_format, *others):
        if not found.null_count():
            break
        found = found.zip_with(
            found.is_not_null(), walls.str.to_datetime(layout, time_unit="us", strict=False)
        )
    return found


def _layout_of(walls: pl.Series, date_format: str) -> str:
    """The strptime format of the first text that seems to have a time of day, else the date's."""
    for text in filter(re.compile(r"[T ]\d").search, walls.head(_SAMPLE)):
        for clock, clock_format in _CLOCKS.items():
            found = re.search(rf"([T ]){clock}$", text)
            if found:
                return f"{date_format}{found[1]}{clock_format}"
    return date_format
