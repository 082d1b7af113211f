"""The proof that raw bars and their events are what a provider made its adjusted close of."""

from datetime import date

import numpy as np
import numpy.typing as npt
import polars as pl

from rustybt.data.errors import UnadjustableError

Floats = npt.NDArray[np.float64]

#: By how much a re-derived adjusted close may differ from the provider's, relatively.
TOLERANCE = 1e-6


def require_explained(
    symbol: str,
    closes: pl.DataFrame,
    splits: pl.DataFrame,
    dividends: pl.DataFrame,
    digit: float,
    last: date,
) -> None:
    """Check that the events, and nothing else, lie between the close and the adjusted close.

    From the last bar backwards, each adjusted close is derived from the next one: times the ratio
    of the splits between the two, times ``1 - amount / close`` of the dividends. Each must be the
    provider's own, within 1e-6 and the rounding of the four numbers that are compared.

    Parameters
    ----------
    closes : polars.DataFrame
        ``timestamp`` (sessions, ascending), ``close`` and ``adjusted``, without nulls.
    splits : polars.DataFrame
        ``ex_date`` and ``ratio`` of the splits that `close` is not adjusted for.
    dividends : polars.DataFrame
        ``ex_date`` and ``amount``, in the currency and for the shares of `close`.
    digit : float
        Half a unit of the last digit that the provider writes.
    last : datetime.date
        The last session that matters; later ones are only what it is derived from.

    Raises
    ------
    UnadjustableError
        Naming the latest session that cannot be explained.
    """
    if closes.is_empty():
        return
    days = closes["timestamp"].to_numpy().astype("datetime64[D]")
    close = np.append(closes["close"].to_numpy(), 1.0)
    adjusted = np.append(closes["adjusted"].to_numpy(), 1.0)
    # Beyond the last bar nothing is adjusted any more: it stands as one more, of 1.0.
    paid = _between(days, dividends, "amount", np.add)
    expected = close[:-1] * _between(days, splits, "ratio", np.multiply)
    expected *= (1.0 - paid / expected) * adjusted[1:] / close[1:]
    if adjusted[-2] == close[-2]:
        expected[-1] = adjusted[-2]  # what is paid after the last bar may not be accounted for yet
    rounding = digit * 2 * (1.0 + adjusted[:-1] / close[:-1])
    wrong = ~(np.abs(expected - adjusted[:-1]) <= TOLERANCE * adjusted[:-1] + rounding)
    wrong &= days <= np.datetime64(last)
    if wrong.any():
        row = int(np.flatnonzero(wrong)[-1])
        raise UnadjustableError(_message(symbol, days[row].item(), expected[row], adjusted[row]))


def _between(
    days: npt.NDArray[np.datetime64], events: pl.DataFrame, value: str, combine: np.ufunc
) -> Floats:
    """What happened after each bar and up to the next one: values combined, else neutral."""
    ex_dates = events["ex_date"].to_numpy().astype("datetime64[D]")
    row = np.searchsorted(days, ex_dates, side="left") - 1
    out = np.full(len(days), float(combine.identity))
    combine.at(out, row[row >= 0], events[value].to_numpy()[row >= 0])
    return out


def _message(symbol: str, day: date, expected: float, adjusted: float) -> str:
    return (
        f"{symbol}: the provider's adjusted close of {day} is {adjusted:.8g}, and its own events "
        f"make it {expected:.8g}: an event is missing or wrong, so its prices cannot be trusted "
        "to be raw. Take another source, or Yahoo's bars as they are adjusted: adjustment='split'"
    )
