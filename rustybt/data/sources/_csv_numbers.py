"""Numbers as CSV files spell them, to floats that give back what was written."""

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal

import polars as pl

from rustybt.data.errors import BarSchemaError

#: Spellings of "no value", in lower case.
_ABSENT = ("", "-", "nan", "na", "n/a", "null", "none")

#: A text of fewer characters cannot have more digits than a float64 gives back.
LONG = 16

_REFUSED = {"at": pl.UInt32(), "message": pl.String()}

_EXPONENT = r"(?:[eE][+-]?\d+)?$"


@dataclass(frozen=True)
class _Style:
    """How numbers are written with one decimal mark, as regular expressions.

    Attributes
    ----------
    decimal, grouping : str
        The decimal mark, and the mark between thousands.
    number : str
        Every number of this style, grouped or not.
    sure : str
        Numbers that are of this style and cannot be of the other.
    doubtful : str
        Of those that match `sure`, the ones that could also be grouped by this decimal mark:
        ``1.234``.
    """

    decimal: str
    grouping: str
    number: str
    sure: str
    doubtful: str

    @classmethod
    def of(cls, decimal: str, grouping: str) -> "_Style":
        d, g = rf"\{decimal}", rf"\{grouping}"
        return cls(
            decimal,
            grouping,
            number=rf"^[+-]?(?:[1-9]\d{{0,2}}(?:{g}\d{{3}})+|\d*)(?:{d}\d*)?{_EXPONENT}",
            sure=rf"^[+-]?(?:\d*{d}\d*|[1-9]\d{{0,2}}(?:{g}\d{{3}})+{d}\d*"
            rf"|[1-9]\d{{0,2}}(?:{g}\d{{3}}){{2,}}){_EXPONENT}",
            doubtful=rf"^[+-]?[1-9]\d{{0,2}}{d}\d{{3}}$",
        )


_STYLES = {".": _Style.of(".", ","), ",": _Style.of(",", ".")}


@dataclass(frozen=True)
class NumberFormat:
    """What is known of a file's numbers before they are read.

    Attributes
    ----------
    file : str
        Name for messages.
    delimiter : str
        A file that is delimited by semicolons has decimal commas, unless it shows otherwise.
    decimal : str or None
        The decimal mark, if the user named it.
    """

    file: str
    delimiter: str
    decimal: str | None = None


def read_numbers(
    frame: pl.DataFrame, names: Sequence[str], style: NumberFormat
) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Read columns of text as Float64.

    Parameters
    ----------
    frame : polars.DataFrame
        Has the columns `names`, of String.
    names : sequence of str
    style : NumberFormat

    Returns
    -------
    values : polars.DataFrame
        The same rows, with the columns `names` as Float64; null where there is no value.
    refused : polars.DataFrame
        ``at``, the index of a row, and ``message``: texts that are no number, and numbers that
        a float64 cannot give back.

    Raises
    ------
    BarSchemaError
        If a comma or a point could be a decimal mark as well as stand between thousands.
    """
    texts = frame.select(names)
    values = _cast(texts)
    complete, short, zero = _looks(texts, values)
    if style.decimal == "," or not complete:
        texts = _plain(texts, _STYLES[style.decimal or _decimal_mark(frame, names, style)])
        values = _cast(texts)
    refused = pl.DataFrame(schema=_REFUSED)
    if zero or not (complete and short):
        wrong = [_not_numbers(frame[name], values[name]) for name in names]
        wrong += [_not_kept(texts[name], values[name]) for name in names]
        refused = pl.concat(wrong).sort("at", maintain_order=True)
    return frame.with_columns(values), refused


def _cast(texts: pl.DataFrame) -> pl.DataFrame:
    return texts.select(pl.all().cast(pl.Float64, strict=False))


def _looks(texts: pl.DataFrame, values: pl.DataFrame) -> tuple[bool, bool, bool]:
    """Whether every text is a number, all are short, and one is zero, or what 1e-400 leaves."""
    number = pl.all_horizontal((pl.all().is_not_null() & pl.all().is_not_nan()).all())
    zero = pl.any_horizontal((pl.all() == 0.0).any())
    complete, has_zero = values.select(number.alias("complete"), zero.alias("zero")).row(0)
    longest = texts.select(pl.max_horizontal(pl.all().str.len_bytes().max())).item()
    return complete, longest < LONG, bool(has_zero)


def _decimal_mark(frame: pl.DataFrame, names: Sequence[str], style: NumberFormat) -> str:
    cells = pl.concat([frame[name].alias("cell") for name in names]).str.strip_chars()
    if not cells.str.contains(",", literal=True).any():
        # Points between thousands, as in 1.234.567, never come with another decimal point.
        return "," if cells.str.contains(_STYLES[","].sure).any() else "."
    shown = {mark: _sure(cells, mark) for mark in _STYLES}
    if all(shown.values()):
        raise BarSchemaError(
            f"{style.file} has decimal points ({shown['.']!r}) and decimal commas "
            f"({shown[',']!r}); say which of them is right with decimal="
        )
    if not any(shown.values()) and style.delimiter != ";":
        doubtful = cells.filter(cells.str.contains(_STYLES[","].doubtful))
        if len(doubtful):
            raise BarSchemaError(
                f"{style.file}: the comma of {doubtful[0]!r} can be a decimal mark as well as "
                "stand between thousands; say decimal=',' or decimal='.'"
            )
    if shown["."]:
        return "."
    return "," if shown[","] or style.delimiter == ";" else "."


def _sure(cells: pl.Series, mark: str) -> str | None:
    """A number that can only have this decimal mark."""
    style = _STYLES[mark]
    found = cells.filter(cells.str.contains(style.sure) & ~cells.str.contains(style.doubtful))
    return str(found[0]) if len(found) else None


def _plain(texts: pl.DataFrame, style: _Style) -> pl.DataFrame:
    """The numbers as ``1234.5``; null where there is no number of this style."""
    cell = pl.all().str.strip_chars()
    plain = cell.str.replace_all(style.grouping, "", literal=True)
    return texts.select(
        pl.when(cell.str.contains(style.number)).then(
            plain.str.replace(style.decimal, ".", literal=True)
        )
    )


def _not_numbers(texts: pl.Series, values: pl.Series) -> pl.DataFrame:
    at = values.is_null().arg_true()
    rows = pl.DataFrame({"at": at, "text": texts.gather(at)}).filter(
        ~pl.col("text").str.strip_chars().str.to_lowercase().is_in(_ABSENT)
    )
    message = pl.format("{} is not a number: '{}'", pl.lit(texts.name), pl.col("text"))
    return rows.select(pl.col("at").cast(_REFUSED["at"]), message.alias("message"))


def _not_kept(texts: pl.Series, values: pl.Series) -> pl.DataFrame:
    """Numbers of which a float64 gives back other digits than the text has."""
    at = ((texts.str.len_bytes() >= LONG) | (values == 0.0)).fill_null(False).arg_true()
    doubtful = pl.DataFrame({"at": at, "text": texts.gather(at), "value": values.gather(at)})
    # Most long texts are the shortest that give back their float; zeros are mostly "0" or "0.0".
    doubtful = doubtful.filter(
        pl.col("value").is_finite()
        & (pl.col("text") != pl.col("value").cast(pl.String))
        & (pl.col("text").str.strip_chars("+-0.") != "")
    )
    keeps = "a float64 keeps 15 significant digits, so round it to as many"
    lost = [
        (index, f"{texts.name} {text} would be read as {value!r}: {keeps}")
        for index, text, value in doubtful.iter_rows()
        if Decimal(text.strip()) != Decimal(repr(value))
    ]
    return pl.DataFrame(lost, schema=_REFUSED, orient="row")
