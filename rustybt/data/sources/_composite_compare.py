"""Where the bars of two providers differ."""

from collections.abc import Mapping

import polars as pl

from rustybt.data.bars import INSTANT, VALUE_COLUMNS, Frequency
from rustybt.data.provenance import DISAGREEMENTS

_KEY = ("symbol", "timestamp")


def disagreements(
    bars: pl.DataFrame,
    taken: Mapping[str, str],
    answers: Mapping[str, pl.DataFrame],
    frequency: Frequency,
    tolerance: float | None,
) -> pl.DataFrame:
    """The values in which other providers differ from the bars that were taken.

    Parameters
    ----------
    bars : polars.DataFrame
        In the bar schema.
    taken : mapping of str to str
        Whose bars those of each symbol are.
    answers : mapping of str to polars.DataFrame
        By provider, all that it answered.
    frequency : Frequency
    tolerance : float or None
        The relative difference that is none: of the larger value. None if nothing is compared.

    Returns
    -------
    polars.DataFrame
        In the schema `rustybt.data.provenance.DISAGREEMENTS`, sorted.
    """
    found = [pl.DataFrame(schema=DISAGREEMENTS)]
    for name, answer in answers.items() if tolerance is not None else ():
        both = [each for each in answer["symbol"].unique() if taken.get(each, name) != name]
        chosen = pl.col("symbol").is_in(both)
        pairs = _overlapping(bars.filter(chosen), answer.filter(chosen))
        provider = pl.col("symbol").replace_strict(taken, default="", return_dtype=pl.String)
        found += [
            pairs.filter((difference > tolerance).fill_null(False)).select(
                "symbol",
                pl.lit(str(frequency)).alias("frequency"),
                _instant(frequency).alias("timestamp"),
                pl.lit(field).alias("field"),
                provider.alias("provider"),
                value.alias("value"),
                pl.lit(name).alias("other"),
                other.alias("other_value"),
                difference.alias("relative_difference"),
            )
            for field, value, other, difference in _comparisons()
        ]
    return pl.concat(found).sort("symbol", "timestamp", "other", maintain_order=True)


def _overlapping(ours: pl.DataFrame, theirs: pl.DataFrame) -> pl.DataFrame:
    """Bars of either, side by side, of the time for which both have bars of a symbol."""
    lives = [
        frame.group_by("symbol").agg(
            pl.col("timestamp").min().alias("first"), pl.col("timestamp").max().alias("last")
        )
        for frame in (ours, theirs)
    ]
    shared = lives[0].join(lives[1], on="symbol", suffix="_other")
    joined = ours.join(theirs, on=_KEY, how="full", coalesce=True, suffix="_other")
    begin, end = pl.max_horizontal("first", "first_other"), pl.min_horizontal("last", "last_other")
    return joined.join(shared, on="symbol").filter(pl.col("timestamp").is_between(begin, end))


def _comparisons() -> list[tuple[str, pl.Expr, pl.Expr, pl.Expr]]:
    """(field, our value, theirs, relative difference), missing bars first."""
    has, other_has = (
        pl.col(name).is_not_null().cast(pl.Float64) for name in ("close", "close_other")
    )
    # No tolerance is large enough for a bar that is not there.
    missing = pl.when(has != other_has).then(float("inf"))
    found: list[tuple[str, pl.Expr, pl.Expr, pl.Expr]] = [("bar", has, other_has, missing)]
    for name in VALUE_COLUMNS:
        value, other = pl.col(name), pl.col(f"{name}_other")
        larger = pl.max_horizontal(value.abs(), other.abs())
        difference = pl.when(value != other).then((value - other).abs() / larger)
        found.append((name, value, other, difference))
    return found


def _instant(frequency: Frequency) -> pl.Expr:
    timestamp = pl.col("timestamp")
    return timestamp if frequency.intraday else timestamp.cast(pl.Datetime("us")).cast(INSTANT)
