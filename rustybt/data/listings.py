"""What a provider tells of assets themselves: listed since, delisted when, called what before."""

from collections.abc import Iterable
from dataclasses import dataclass, field

import polars as pl

#: One row a symbol. ``status`` is ``active`` or ``delisted``; ``listed`` and ``delisted`` are the
#: days that the provider tells, null where it tells none; ``told_by`` is the source.
LISTINGS = pl.Schema(
    {
        "symbol": pl.String(),
        "status": pl.String(),
        "listed": pl.Date(),
        "delisted": pl.Date(),
        "told_by": pl.String(),
    }
)
#: One row for each name that an asset had before: it was called `ticker` up to and with ``until``.
FORMER = pl.Schema({"symbol": pl.String(), "ticker": pl.String(), "until": pl.Date()})

ACTIVE, DELISTED = "active", "delisted"


@dataclass(frozen=True)
class Listings:
    """What is told of some symbols.

    Attributes
    ----------
    dates : polars.DataFrame
        In the schema `LISTINGS`.
    former : polars.DataFrame
        In the schema `FORMER`.
    """

    dates: pl.DataFrame = field(default_factory=lambda: pl.DataFrame(schema=LISTINGS))
    former: pl.DataFrame = field(default_factory=lambda: pl.DataFrame(schema=FORMER))


def merge_listings(parts: Iterable[Listings]) -> Listings:
    """All of them; of a symbol that two tell of, the first counts."""
    listed = [Listings(), *parts]
    dates = pl.concat([part.dates for part in listed])
    former = pl.concat([part.former for part in listed])
    once = dates.unique("symbol", keep="first", maintain_order=True).sort("symbol")
    return Listings(once, former.unique().sort("symbol", "until"))
