"""Alpaca's assets, which its trading API knows: what there is, and what is no longer traded."""

from collections.abc import Callable, Collection, Sequence
from typing import Any
from urllib.parse import quote

import polars as pl

from rustybt.data.errors import (
    AuthenticationError,
    DelistedSymbolError,
    OutageError,
    RustyBTError,
    SourceError,
    UnknownSymbolError,
)
from rustybt.data.listings import ACTIVE, DELISTED, LISTINGS, Listings
from rustybt.data.sources._alpaca_answers import read_assets, refusal
from rustybt.data.sources._http import Answer, Http
from rustybt.data.sources._pages import read

Asset = dict[str, Any]


async def list_assets(apis: Sequence[Http], asset_class: str) -> list[str]:
    """The symbols of all assets of a class, also of what is no longer traded, sorted."""
    assets = await _ask(apis, "/v2/assets", {"asset_class": asset_class}, refusal)
    return sorted({asset["symbol"] for asset in assets})


async def read_listings(
    apis: Sequence[Http], asset_class: str, symbols: Collection[str]
) -> Listings:
    """Whether assets are traded; Alpaca does not tell since when, or until when."""
    assets = await _ask(apis, "/v2/assets", {"asset_class": asset_class}, refusal)
    # A symbol that was used again is there twice, and what is traded now counts.
    status = {
        asset["symbol"]: asset.get("status")
        for asset in sorted(assets, key=lambda asset: asset.get("status") == "active")
    }
    rows = [
        (symbol, ACTIVE if status[symbol] == "active" else DELISTED, None, None, "alpaca")
        for symbol in sorted({*symbols} & status.keys())
    ]
    return Listings(pl.DataFrame(rows, schema=LISTINGS, orient="row"))


async def absence(apis: Sequence[Http], symbol: str) -> str:
    """Why there are no bars of a symbol in a range; one request.

    Raises
    ------
    UnknownSymbolError
        If Alpaca has no such asset.
    DelistedSymbolError
        If it is no longer traded.
    """

    def refused(answer: Answer) -> RustyBTError | None:
        if answer.status in (404, 422):
            return UnknownSymbolError([symbol], "Alpaca")
        return refusal(answer)

    (asset, *_) = await _ask(apis, f"/v2/assets/{quote(symbol, safe='')}", {}, refused)
    if asset.get("status") == "inactive":
        raise DelistedSymbolError(
            f"{symbol} is no longer traded at Alpaca, which has no bars of it in the range asked "
            "for; ask for a range before it was delisted"
        )
    return "no bars in the range asked for"


async def _ask(
    apis: Sequence[Http],
    path: str,
    params: dict[str, Any],
    refused: Callable[[Answer], RustyBTError | None],
) -> list[Asset]:
    """Ask the first API that answers for the key: one is for paper accounts, one for live ones."""
    errors: list[SourceError] = []
    for api in apis:
        try:
            async with api.session() as session:
                return await read(session, path, params, read_assets, refused)
        except (AuthenticationError, OutageError) as error:
            errors.append(error)
    raise errors[0]
