"""What an update keeps of its base besides the bars: events, and what was assumed."""

from collections.abc import Iterable
from typing import Any

import polars as pl

from rustybt.data.adjustments import EVENT_SCHEMAS, Events, merge_events
from rustybt.data.bundles._base import Base
from rustybt.data.bundles._request import Request
from rustybt.data.listings import Listings, merge_listings
from rustybt.data.provenance import Provenance, merge_provenance, read_provenance


def symbols(base: Base | None) -> frozenset[str]:
    """The symbols that have bars in the base."""
    return frozenset(base.contents["symbol"].unique()) if base is not None else frozenset()


def events(request: Request, new: Events) -> Events:
    """The events of the base outside of what was asked for, and the new ones.

    An event that both know is taken once, as the source tells it now.
    """
    if request.base is None:
        return new
    replaced = request.base.replaced
    kept: dict[str, Any] = {}
    for kind in EVENT_SCHEMAS:
        old = getattr(request.base.events, kind)
        if old.is_empty():
            continue
        old = old.with_row_index("row")
        met = old.join(replaced, on="symbol").filter(
            pl.col("ex_date").is_between(pl.col("first"), pl.col("last"))
        )
        others = old.join(met.select("row").unique(), on="row", how="anti", maintain_order="left")
        told = getattr(new, kind).select("symbol", "ex_date").unique()
        kept[kind] = others.drop("row").join(
            told, on=["symbol", "ex_date"], how="anti", maintain_order="left"
        )
    return merge_events([Events(**kept), new])


def listings(base: Base | None, now: Listings) -> Listings:
    """What is told of assets now, and what the base knew of those of which nothing is."""
    return merge_listings([now, Listings(base.listings)] if base is not None else [now])


def provenance(base: Base | None, now: Iterable[Provenance | None]) -> Provenance | None:
    """Who supplied the bars of the base, and then the new ones: of a day, the last row counts."""
    before = read_provenance(base.version.path) if base is not None else None
    return merge_provenance([before, *now])


def notes(base: Base | None, now: list[str]) -> list[str]:
    """What the base's record says that is not said again."""
    if base is None:
        return []
    return [note for note in base.metadata.notes if note not in now and not _counts(note)]


def _counts(note: str) -> bool:
    """Whether a note counts events, and is written anew with each version."""
    counting = ("have no pay date", "stock dividends are paid in", *Provenance.NOTES)
    return any(words in note for words in counting)
