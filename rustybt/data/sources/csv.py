"""Bars from CSV files: a file or a folder, a vendor's or zipline's own layout."""

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar
from zoneinfo import ZoneInfo

import polars as pl

from rustybt.data.adjustments import Events, conform_events
from rustybt.data.bars import BAR_COLUMNS, DAILY, Frequency, conform, empty_bars, validate
from rustybt.data.errors import (
    BarSchemaError,
    BarValidationError,
    FrequencyError,
    OptionError,
    RustyBTError,
    SourceFileError,
)
from rustybt.data.sources._csv_bars import BarFile, CsvOptions, head_spacing
from rustybt.data.sources._csv_batch import read_all, side_by_side
from rustybt.data.sources._csv_columns import check_mapping
from rustybt.data.sources._csv_events import events_beside_bars, events_of_file
from rustybt.data.sources._csv_files import EVENT_FILES
from rustybt.data.sources._csv_layout import CsvLayout
from rustybt.data.sources._csv_plain import PlainBars, read_plain
from rustybt.data.sources._csv_request import CsvRequest
from rustybt.data.sources._csv_spacing import Spacing, combine, require_frequency
from rustybt.data.sources._csv_table import FILES_TOGETHER
from rustybt.data.sources._csv_text import DELIMITERS
from rustybt.data.sources._fetched import Delivery, Fetched
from rustybt.data.sources.base import (
    Adjustment,
    BarLabel,
    DataSource,
    DataSourceMetadata,
)

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True, eq=False)
class CSVDataSource(DataSource):
    """Bars of CSV files, compressed or not, and the splits and dividends beside them.

    `path` is a file, a folder with a file a symbol (``AAPL.csv.gz`` holds AAPL), a file or folder
    with a column of symbols, or zipline's csvdir: a folder with ``daily/`` and ``minute/``.
    Whatever is not said is found out from the file; what it leaves in doubt is refused with the
    option that settles it. A daily bar belongs to the date as it is written.

    Parameters
    ----------
    path : str or path-like
    columns : mapping of str to str or None, or sequence of str, optional
        Column name -> ``symbol``, ``timestamp``, ``time`` (of day), ``open``, ``high``, ``low``,
        ``close``, ``volume``, ``split``, ``dividend``, or None to leave the column out; or the
        names of all columns of files that have no header.
    date_format : str, optional
        A strptime format, or ``epoch_s``, ``epoch_ms``, ``epoch_us``, ``epoch_ns``.
    timezone : str, optional
        Where times without an offset are told, for intraday bars: ``America/New_York``. UTC when
        not given.
    label : {"end", "start"}
        Which end of an intraday bar its time is. Bars are returned with ends.
    delimiter : str, optional
        One character; comma, semicolon, tab and bar are found without it.
    decimal : {".", ","}, optional
        The decimal mark; the other one then stands between thousands.
    frequency : str, optional
        ``1d``, ``1m``, ... What the smallest step between bars says, when not given.
    adjustment : {"raw", "split", "split_dividend"}
        What the prices are adjusted for already. Only raw bars come with events.
    events : str or path-like, optional
        Folder of ``splits.csv`` and ``dividends.csv``; where the bars are, when not given.

    Raises
    ------
    SourceFileError
        If the path does not exist.
    OptionError
        If an option cannot have its value.
    """

    #: Files are parsed together.
    batch_size: ClassVar[int] = FILES_TOGETHER
    is_local: ClassVar[bool] = True

    path: Path | str
    columns: Mapping[str, str | None] | Sequence[str] | None = None
    date_format: str | None = None
    timezone: str | None = None
    label: BarLabel = "end"
    delimiter: str | None = None
    decimal: str | None = None
    frequency: str | None = None
    adjustment: Adjustment = "raw"
    events: Path | str | None = None

    def __post_init__(self) -> None:
        for name in ("path", "events"):
            value = getattr(self, name)
            if value is not None and not Path(value).expanduser().exists():
                raise SourceFileError(f"there is no file or folder {value}")
        check_mapping(self.columns)
        _check("label", self.label, ("start", "end"))
        _check("decimal", self.decimal, (None, ".", ","))
        _check("adjustment", self.adjustment, ("raw", "split", "split_dividend"))
        if self.delimiter is not None and len(self.delimiter) != 1:
            listed = " ".join(map(repr, DELIMITERS))
            raise OptionError(
                f"delimiter {self.delimiter!r} must be one character, such as {listed}"
            )
        if self.timezone is not None:
            _check_timezone(self.timezone)
        if self.frequency is not None:
            Frequency.parse(self.frequency)

    async def fetch(
        self,
        symbols: list[str],
        start: "pd.Timestamp",
        end: "pd.Timestamp",
        frequency: str,
    ) -> pl.DataFrame:
        """Read the bars of some symbols; see `DataSource.fetch`.

        A folder with a file a symbol is read only where it must be. Rows outside the range are
        not judged. `start` and `end` may be None: from the first bar, to the last one.

        Raises
        ------
        UnknownSymbolError, FrequencyError, DateRangeError
            As `DataSource.fetch` does.
        SourceFileError
            If a file cannot be read.
        BarSchemaError
            If a file is empty, lacks a column, or can be read in more than one way.
        BarValidationError
            If rows cannot be read or cannot be true. Its findings have ``file`` and ``row``.
        """
        request = CsvRequest(self._layout, Frequency.parse(frequency), start, end)
        return await asyncio.to_thread(self._fetch, sorted(set(symbols)), request)

    async def fetch_events(
        self, symbols: list[str], start: "pd.Timestamp", end: "pd.Timestamp"
    ) -> Events:
        """Read splits and dividends; none if the prices are adjusted. See `DataSource`.

        Raises
        ------
        BarSchemaError
            If a kind of event stands beside the bars and in a file of its own as well.
        """
        request = CsvRequest(self._layout, DAILY, start, end)
        return await asyncio.to_thread(self._fetch_events, sorted(set(symbols)), request)

    async def list_symbols(self) -> list[str]:
        """All symbols, by file name or by the column of symbols, sorted."""
        return await asyncio.to_thread(self._layout.symbols)

    def get_metadata(self) -> DataSourceMetadata:
        """What the source says of itself; reads the beginning of one file."""
        options = {
            each.name: value
            for each in fields(self)
            if (value := getattr(self, each.name)) != each.default and each.name != "path"
        }
        if "events" in options:
            options["events"] = _absolute(options["events"])
        config = {"path": _absolute(self.path), **options, "state": self._layout.state()}
        return DataSourceMetadata(
            source_type="csv",
            frequencies=self._frequencies,
            adjustment=self.adjustment,
            bar_label=self.label,
            config=config,
        )

    def calendar_of(self, symbols: Sequence[str]) -> str | None:  # noqa: ARG002
        """None: files do not tell their market."""
        return None

    @property
    def _options(self) -> CsvOptions:
        return CsvOptions(
            columns=self.columns,
            date_format=self.date_format,
            timezone=self.timezone,
            label=self.label,
            delimiter=self.delimiter,
            decimal=self.decimal,
        )

    @property
    def _layout(self) -> CsvLayout:
        events = None if self.events is None else Path(self.events).expanduser()
        return CsvLayout(Path(self.path).expanduser(), events, self._options)

    @cached_property
    def _frequencies(self) -> tuple[str, ...]:
        if self.frequency is not None:
            return (str(Frequency.parse(self.frequency)),)
        folders = self._layout.folders
        if None not in folders:
            return tuple(str(each) for each in folders)
        first = self._layout.files(None)[0]
        try:
            found = head_spacing(first, self._options).frequency(first.file)
        except FrequencyError:
            found = None
        return (str(found),) if found else ()

    def _fetch(self, symbols: list[str], request: CsvRequest) -> pl.DataFrame:
        asked, layout, inside = request.frequency, request.layout, request.inside
        self._require_declared(asked)
        files = layout.files_of(symbols, asked)
        plain = self._plain(files, request)
        if plain is not None:
            return plain.bars
        read = read_all(files, asked, self._options, request.days)
        tables = [table.only(symbols, inside) for table in read]
        if any(each.symbol is None for each in files):
            layout.require(symbols, {name for table in tables for name in table.symbols})
        self._require_spacing(combine(table.spacing for table in tables), request)
        if not tables:
            return empty_bars(asked)
        bars = conform(pl.concat(table.bars for table in tables), asked)
        findings = pl.concat([*(table.refused for table in tables), validate(bars)])
        if len(findings):
            raise BarValidationError(findings.sort("file", "row", maintain_order=True))
        return bars.select(BAR_COLUMNS)

    def _plain(self, files: Sequence[BarFile], request: CsvRequest) -> PlainBars | None:
        """The bars of files that are plain and true, or None: then each is looked at by itself."""
        if any(each.symbol is None for each in files):
            return None
        read = read_plain(files, request.frequency, self._options, request.days, request.reader)
        if read is None:
            return None
        self._require_spacing(read.spacing, request)
        bars = read.bars
        if not bars.select(request.inside.all()).item():
            bars = bars.filter(request.inside)
        return replace(read, bars=bars) if validate(bars).is_empty() else None

    async def deliver(
        self, symbols: list[str], start: Any, end: Any, frequencies: Sequence[str]
    ) -> AsyncIterator[Delivery]:
        """Read bars and the events beside them at once; see `DataSource.deliver`."""
        distinct = sorted(set(symbols))
        request = CsvRequest(self._layout, DAILY, start, end)
        daily = [Frequency.parse(each) for each in frequencies] == [DAILY]
        for first in range(0, len(distinct), self.batch_size):
            batch = distinct[first : first + self.batch_size]
            plain = await asyncio.to_thread(self._plain_daily, batch, request) if daily else None
            if plain is not None:
                bars, events = plain
                yield Delivery(tuple(batch), {frequencies[0]: Fetched(bars)}, events)
                continue
            async for each in super().deliver(batch, start, end, frequencies):
                yield each

    def _plain_daily(
        self, symbols: list[str], request: CsvRequest
    ) -> tuple[pl.DataFrame, Events] | None:
        """Daily bars and their events, if the files are plain and the events stand in them."""
        try:
            self._require_declared(DAILY)
            files = request.layout.files_of(symbols, DAILY)
            # Some that have intraday bars only have their events in the files of those.
            all_here = len(files) == len(symbols) and not request.layout.shares_files
            plain = self._plain(files, request) if all_here else None
            if plain is None:
                return None
            if self.adjustment != "raw":
                return plain.bars, Events()
            return plain.bars, self._events_of(plain.events, symbols, request)
        except RustyBTError:  # told by the careful reader, with what is wrong and where
            return None

    def _require_declared(self, asked: Frequency) -> None:
        if self.frequency is not None:
            require_frequency(Frequency.parse(self.frequency), asked, str(self.path))

    def _require_spacing(self, found: Spacing, request: CsvRequest) -> None:
        asked = request.frequency
        if found.days_only and found.bars > 1 and asked.intraday:
            raise FrequencyError(f"{self.path} has dates without times, so no bars of {asked}")
        if self.frequency is None and None in request.layout.folders:
            require_frequency(found.frequency(str(self.path)), asked, str(self.path))

    def _fetch_events(self, symbols: list[str], request: CsvRequest) -> Events:
        layout = request.layout
        files = layout.files_with_events(symbols)
        if any(each.symbol is None for each in files):
            layout.require(symbols, layout.symbols())
        if self.adjustment != "raw":
            return Events()
        beside = side_by_side(lambda each: events_beside_bars(each, self._options), files)
        return self._events_of(beside, symbols, request)

    def _events_of(
        self, beside: Sequence[dict[str, pl.DataFrame]], symbols: list[str], request: CsvRequest
    ) -> Events:
        chosen = pl.col("symbol").is_in(symbols) & request.ex_dates
        found: dict[str, Any] = {}
        for kind in EVENT_FILES:
            frames = [each[kind].filter(chosen) for each in beside if kind in each]
            path = request.layout.event_files.get(kind)
            if path is not None:
                _refuse_two_origins(path, kind, frames)
                frames = [events_of_file(path, kind, self._options).filter(chosen)]
            if frames:
                found[kind] = conform_events(kind, pl.concat(frames))
        return Events(**found)


def _refuse_two_origins(path: Path, kind: str, beside: Sequence[pl.DataFrame]) -> None:
    for frame in beside:
        if len(frame):
            file, row = frame.select("file", "row").row(0)
            raise BarSchemaError(
                f"{kind} stand in {path.name} and also in a column of {file} (row {row}); leave "
                "the column out with columns={'<its name>': None}, or move the file away"
            )


def _absolute(path: Path | str) -> str:
    """What a path means also in another working directory, where a bundle may be repaired."""
    return str(Path(path).expanduser().absolute())


def _check(name: str, value: object, allowed: Sequence[object]) -> None:
    if value not in allowed:
        raise OptionError(f"{name} {value!r} must be one of {', '.join(map(repr, allowed))}")


def _check_timezone(name: str) -> None:
    try:
        ZoneInfo(name)
    except (LookupError, ValueError, OSError) as error:
        raise OptionError(
            f"timezone {name!r} is unknown; names are such as America/New_York or UTC"
        ) from error
