"""One CSV file of bars: its text, columns, times and numbers put together."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path

import polars as pl

from rustybt.data.bars import VALUE_COLUMNS, Frequency
from rustybt.data.errors import BarSchemaError
from rustybt.data.sources._csv_columns import (
    BAR_ROLES,
    REQUIRED_IN_BARS,
    Header,
    find_columns,
    require_columns,
)
from rustybt.data.sources._csv_files import read_file
from rustybt.data.sources._csv_numbers import NumberFormat, read_numbers
from rustybt.data.sources._csv_spacing import Spacing, measure
from rustybt.data.sources._csv_text import CsvText, parse_header
from rustybt.data.sources._csv_times import Times, read_times
from rustybt.data.sources.base import BarLabel

_NONE_REFUSED = pl.DataFrame(schema={"at": pl.UInt32, "message": pl.String})

#: As much of a file as tells its frequency.
_HEAD_BYTES = 1 << 20


@dataclass(frozen=True)
class CsvOptions:
    """How the files of a source are written, as far as the user says; see `CSVDataSource`."""

    columns: Mapping[str, str | None] | Sequence[str] | None = None
    date_format: str | None = None
    timezone: str | None = None
    label: BarLabel = "end"
    delimiter: str | None = None
    decimal: str | None = None

    @property
    def mapping(self) -> Mapping[str, str | None] | None:
        """Column name -> role, if the user gave one."""
        return self.columns if isinstance(self.columns, Mapping) else None

    @property
    def names(self) -> Sequence[str] | None:
        """Column names of files without a header, if the user gave them."""
        return None if isinstance(self.columns, Mapping) else self.columns


@dataclass(frozen=True)
class BarFile:
    """A file of bars.

    Attributes
    ----------
    path : pathlib.Path
    file : str
        Its name in messages, relative to the source's path.
    symbol : str or None
        Whose bars it holds; None if a column says that.
    """

    path: Path
    file: str
    symbol: str | None

    def open(self, options: CsvOptions, limit: int = -1) -> CsvText:
        """Its text, or about the first `limit` bytes of it."""
        data = read_file(self.path, self.file, limit)
        return parse_header(data, self.file, options.delimiter, options.names)


@dataclass(frozen=True)
class BarCells:
    """The text of a file's columns of bars.

    Attributes
    ----------
    source : BarFile
    delimiter : str
    cells : polars.DataFrame
        A column of String a role, and ``row``.
    """

    source: BarFile
    delimiter: str
    cells: pl.DataFrame


@dataclass(frozen=True)
class BarTable:
    """The bars of one file, or of several.

    Attributes
    ----------
    bars : polars.DataFrame
        ``symbol``, ``timestamp``, Float64 values, ``file`` and ``row``: the rows that could be
        read, in the order of the files.
    refused : polars.DataFrame
        Findings, as `rustybt.data.bars.validate` returns them, for the rows that could not.
    spacing : Spacing
    symbols : frozenset of str
    """

    bars: pl.DataFrame
    refused: pl.DataFrame
    spacing: Spacing
    symbols: frozenset[str]

    def only(self, symbols: Sequence[str], inside: pl.Expr) -> "BarTable":
        """The rows of some symbols in a range, and those of which neither can be told."""
        chosen = pl.col("symbol").is_in(symbols) | pl.col("symbol").is_null()
        refused = self.refused.filter(chosen, inside) if len(self.refused) else self.refused
        return BarTable(self.bars.filter(chosen, inside), refused, self.spacing, self.symbols)


def bar_columns(text: CsvText, options: CsvOptions) -> dict[str, int]:
    """Role -> place, of the columns that a file of bars has."""
    return find_columns(Header(text.file, text.names), BAR_ROLES, options.mapping)


def read_cells(source: BarFile, options: CsvOptions, days: Collection[date] = ()) -> BarCells:
    """Read a file's columns of bars as text.

    Parameters
    ----------
    days : collection of datetime.date
        All sessions that are asked for, if these are few: the rows before may then be left out.

    Raises
    ------
    SourceFileError, BarSchemaError, BarValidationError
        If it cannot be read as a table with the columns of bars.
    """
    text = source.open(options)
    places = bar_columns(text, options)
    require_columns(Header(text.file, text.names), places, REQUIRED_IN_BARS)
    needed = {"symbol", "time", *REQUIRED_IN_BARS}
    # A comma that is no delimiter means what the other rows of the file say that it means.
    if days and places["date"] == 0 and text.delimiter == "," and not options.date_format:
        text = text.from_days(days)
    cells = text.columns({role: place for role, place in places.items() if role in needed})
    if cells.is_empty():
        raise BarSchemaError(f"{text.file} has no rows")
    return BarCells(source, text.delimiter, cells)


def read_bars(read: BarCells, frequency: Frequency, options: CsvOptions) -> BarTable:
    """Read text as bars of one frequency.

    Raises
    ------
    BarSchemaError
        If what the text means is in doubt for the whole file.
    """
    source, cells = read.source, read.cells
    written = written_times(cells)
    times = read_times(written, source.file, options.date_format)
    if times.written.null_count() == len(written):
        raise BarSchemaError(
            f"{source.file}, row {cells['row'][0]}: {written[0]!r} is no date that is known; say "
            "how dates are written with date_format="
        )
    symbols = symbols_of(cells, source)
    spacing = measure(symbols, times)
    stamped = cells.select(
        symbols,
        timestamps(times, spacing, frequency, (source.file, options)),
        *VALUE_COLUMNS,
        pl.lit(source.file).alias("file"),
        "row",
    )
    style = NumberFormat(source.file, read.delimiter, options.decimal)
    bars, wrong_numbers = read_numbers(stamped, VALUE_COLUMNS, style)
    wrong_times = _wrong_times(bars["timestamp"], times, written, options.timezone)
    refused = pl.concat([_no_symbol(symbols), wrong_times, wrong_numbers])
    known = symbols.drop_nulls().unique() if source.symbol is None else [source.symbol]
    good = bars
    if len(refused):
        good = bars.filter(~pl.int_range(pl.len()).is_in(refused["at"].implode()))
    return BarTable(good, findings(bars, refused), spacing, frozenset(known))


def head_spacing(source: BarFile, options: CsvOptions) -> Spacing:
    """The spacing of the bars at the beginning of a file."""
    text = source.open(options, _HEAD_BYTES)
    places = bar_columns(text, options)
    require_columns(Header(text.file, text.names), places, REQUIRED_IN_BARS)
    needed = {"symbol", "date", "time"}
    cells = text.columns({role: place for role, place in places.items() if role in needed})
    times = read_times(written_times(cells), text.file, options.date_format)
    return measure(symbols_of(cells, source), times)


def written_times(cells: pl.DataFrame) -> pl.Series:
    """The dates as text, with the times of day from a column of their own where there is one."""
    if "time" not in cells.columns:
        return cells["date"].str.strip_chars()
    both = pl.concat_str(pl.col("date", "time").str.strip_chars(), separator=" ")
    return cells.select(both.str.strip_chars().alias("date")).to_series()


def symbols_of(cells: pl.DataFrame, source: BarFile) -> pl.Series:
    """The symbol of each row; null where the cell is empty.

    Raises
    ------
    BarSchemaError
        If this file has a column of symbols and the first one of the folder has none, or the
        other way round.
    """
    if ("symbol" in cells.columns) == (source.symbol is not None):
        has = (
            "no column of symbols and others have"
            if source.symbol is None
            else ("a column of symbols and others have not")
        )
        raise BarSchemaError(
            f"{source.file} has {has}; keep such files in different folders, or leave the column "
            "out with columns={'<its name>': None}"
        )
    if source.symbol is not None:
        return pl.repeat(source.symbol, len(cells), dtype=pl.String, eager=True).alias("symbol")
    symbol = pl.col("symbol").str.strip_chars()
    return cells.select(pl.when(symbol != "").then(symbol).alias("symbol")).to_series()


def timestamps(
    times: Times, spacing: Spacing, frequency: Frequency, where: tuple[str, CsvOptions]
) -> pl.Series:
    """The bars' labels in the schema: sessions, or instants at the bar's end."""
    file, options = where
    if frequency.intraday:
        instants = times.instants(options.timezone).alias("timestamp")
        return instants + frequency.duration if options.label == "start" else instants
    if spacing.daily:
        return times.sessions(file, options.timezone).alias("timestamp")
    # Refused later, as intraday bars or as several bars of one session.
    return times.written.dt.date().alias("timestamp")


def _wrong_times(
    labels: pl.Series, times: Times, written: pl.Series, timezone: str | None
) -> pl.DataFrame:
    """``at`` and ``message`` of the rows that have no timestamp."""
    if not labels.null_count():
        return _NONE_REFUSED
    at = labels.is_null().arg_true()
    text = pl.col("text")
    message = pl.format("'{}' is not a date, or not written as the other dates of the file", text)
    if timezone is not None:
        twice = f"'{{}}' comes twice in {timezone}, where clocks are set back; add the offset"
        never = f"'{{}}' does not exist in {timezone}, where clocks are set forward"
        message = (
            pl.when("unread").then(message)
            .when("absent").then(pl.format(never, text))
            .otherwise(pl.format(twice, text))
        )  # fmt: skip
    absent = times.absent(timezone) if timezone is not None else times.written.is_null()
    rows = pl.DataFrame(
        {
            "at": at,
            "text": written.gather(at),
            "unread": times.written.is_null().gather(at),
            "absent": absent.gather(at),
        }
    )
    empty = pl.when(text == "").then(pl.lit("the date is empty")).otherwise(message)
    return rows.select(pl.col("at").cast(pl.UInt32), empty.alias("message"))


def _no_symbol(symbols: pl.Series) -> pl.DataFrame:
    if not symbols.null_count():
        return _NONE_REFUSED
    return pl.DataFrame({"at": symbols.is_null().arg_true()}).select(
        pl.col("at").cast(pl.UInt32), pl.lit("the symbol is empty").alias("message")
    )


def findings(bars: pl.DataFrame, refused: pl.DataFrame) -> pl.DataFrame:
    """The refused rows, ``at`` and ``message``, as `rustybt.data.bars.validate` has them."""
    rows = bars.select("symbol", "timestamp", "file", "row")[refused["at"].to_list()]
    return rows.with_columns(refused["message"], pl.lit("text").alias("rule")).select(
        "rule", "symbol", "timestamp", "message", "file", "row"
    )
