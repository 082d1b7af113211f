"""Splits and dividends, from columns beside the bars and from files of their own."""

from collections.abc import Sequence
from pathlib import Path

import polars as pl

from rustybt.data.adjustments import EVENT_SCHEMAS
from rustybt.data.errors import BarSchemaError, BarValidationError
from rustybt.data.sources._csv_bars import (
    BarFile,
    CsvOptions,
    bar_columns,
    symbols_of,
    written_times,
)
from rustybt.data.sources._csv_columns import (
    DIVIDEND_ROLES,
    SPLIT_ROLES,
    Header,
    find_columns,
    require_columns,
)
from rustybt.data.sources._csv_numbers import NumberFormat, read_numbers
from rustybt.data.sources._csv_spacing import measure
from rustybt.data.sources._csv_text import CsvText
from rustybt.data.sources._csv_times import read_times

#: Enough for any header; a file without columns of events is read no further.
_HEADER_BYTES = 1 << 16

KIND_OF = {"split": "splits", "dividend": "dividends"}


def events_beside_bars(source: BarFile, options: CsvOptions) -> dict[str, pl.DataFrame]:
    """Kind -> events, from the columns ``split`` and ``dividend`` of a file of bars.

    Split 4.0 is a 4:1 split and has ratio 0.25; 1.0, 0.0 and empty cells are none. Dividend 0.0
    and empty cells are none.

    Returns
    -------
    dict of str to polars.DataFrame
        ``symbol``, ``ex_date``, ``ratio`` or ``amount``, ``file``, ``row``; a kind without a
        column is absent.
    """
    head = source.open(options, _HEADER_BYTES)
    if not set(KIND_OF) & bar_columns(head, options).keys():
        return {}
    text = source.open(options)
    places = bar_columns(text, options)
    require_columns(Header(text.file, text.names), places, ["date"])
    columns = [role for role in ("symbol", "date", "time", *KIND_OF) if role in places]
    cells = text.columns({role: places[role] for role in columns})
    symbols = symbols_of(cells, source)
    times = read_times(written_times(cells), text.file, options.date_format)
    if measure(symbols, times).daily:
        ex_dates = times.sessions(text.file, options.timezone)
    else:
        ex_dates = (
            times.instants(options.timezone)
            .dt.convert_time_zone(options.timezone or "UTC")
            .dt.date()
        )
    named = cells.with_columns(symbols, ex_dates.alias("ex_date"))
    values = _numbers(named, [role for role in columns if role in KIND_OF], text, options)
    return {KIND_OF[role]: _acting(values, role) for role in columns if role in KIND_OF}


def events_of_file(path: Path, kind: str, options: CsvOptions) -> pl.DataFrame:
    """The events of a file ``splits.csv`` or ``dividends.csv``.

    Splits have ``ratio`` (0.5 for 2:1) or ``from`` and ``to`` (1 and 2 for 2:1); dividends have
    ``amount`` and, where they are known, ``declared_date``, ``record_date`` and ``pay_date``.

    Returns
    -------
    polars.DataFrame
        The columns of `EVENT_SCHEMAS` that the file has, ``file`` and ``row``.
    """
    plain = CsvOptions(date_format=options.date_format, decimal=options.decimal)
    text = BarFile(path, path.name, None).open(plain)
    header = Header(text.file, text.names)
    places = find_columns(header, SPLIT_ROLES if kind == "splits" else DIVIDEND_ROLES)
    numbers = ["amount"] if kind == "dividends" else ["ratio"]
    if kind == "splits" and "ratio" not in places:
        numbers = ["from", "to"]
    require_columns(header, places, ["symbol", "date", *numbers])
    if text.start >= len(text.data):
        return pl.DataFrame(schema=EVENT_SCHEMAS[kind])
    cells = text.columns(places).with_columns(pl.col("symbol").str.strip_chars())
    dates = [name for name in places if name.endswith("_date")]
    read = [_dates(cells, name, text.file, options.date_format) for name in ["date", *dates]]
    values = _numbers(cells.with_columns(read), numbers, text, plain).rename({"date": "ex_date"})
    if numbers == ["from", "to"]:
        values = values.with_columns(ratio=pl.col("from") / pl.col("to"))
    kept = [name for name in EVENT_SCHEMAS[kind] if name in values.columns]
    return values.select(*kept, "file", "row")


def _dates(cells: pl.DataFrame, name: str, file: str, date_format: str | None) -> pl.Series:
    """A column of dates; only the ex-date may not be empty."""
    texts = cells[name].str.strip_chars()
    found = read_times(texts, file, date_format).sessions(file, None)
    wrong = (found.is_null() & ((texts != "") | (name == "date"))).arg_true()
    if len(wrong):
        what = "an ex-date" if name == "date" else f"a {name}"
        raise BarSchemaError(
            f"{file}, row {cells['row'][wrong[0]]}: {texts[wrong[0]]!r} is not {what} as the rest "
            "of the file has them; dates look best as 2020-12-31"
        )
    return found.alias(name)


def _numbers(
    cells: pl.DataFrame, names: Sequence[str], text: CsvText, options: CsvOptions
) -> pl.DataFrame:
    style = NumberFormat(text.file, text.delimiter, options.decimal)
    values, wrong = read_numbers(cells, names, style)
    values = values.with_columns(pl.lit(text.file).alias("file"))
    if not wrong.is_empty():
        date = "ex_date" if "ex_date" in values.columns else "date"
        rows = values[wrong["at"]].select("symbol", pl.col(date).alias("timestamp"), "file", "row")
        raise BarValidationError(
            rows.with_columns(wrong["message"], pl.lit("text").alias("rule")).select(
                "rule", "symbol", "timestamp", "message", "file", "row"
            )
        )
    return values


def _acting(values: pl.DataFrame, role: str) -> pl.DataFrame:
    """The events in a column beside bars, of which most cells say that there is none."""
    value = pl.col(role)
    if role == "split":
        acts, renamed = value.is_not_null() & ~value.is_in([0.0, 1.0]), (1.0 / value).alias("ratio")
    else:
        acts, renamed = value.is_not_null() & (value != 0.0), value.alias("amount")
    events = values.filter(acts).select("symbol", "ex_date", renamed, "file", "row")
    # Beside intraday bars an event may be repeated on every bar of its session.
    return events.unique(["symbol", "ex_date", renamed.meta.output_name()], keep="first",
                         maintain_order=True)  # fmt: skip
