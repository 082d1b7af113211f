"""zipline's asset finder, opened without asking the database what its tables are.

Most of the time to a bundle's first value goes into SQLAlchemy's look at the tables of an
`AssetFinder`, and into its rows. What every run asks is asked of SQLite itself here; whatever else
zipline's finder does it does as ever, with an engine and tables that are made when it needs them.
"""

import os
import sqlite3
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import cache
from pathlib import Path
from threading import get_ident
from typing import Any

import numpy as np
import pandas as pd
from zipline.assets import ASSET_DB_VERSION, Equity, Future
from zipline.assets import AssetFinder as ZiplineFinder
from zipline.assets.assets import Lifetimes, OwnershipPeriod, _convert_asset_timestamp_fields
from zipline.assets.continuous_futures import CHAIN_PREDICATES
from zipline.assets.exchange_info import ExchangeInfo
from zipline.utils.memoize import lazyval

#: Attributes that zipline's constructor makes with SQLAlchemy.
_REFLECTED = frozenset(
    {
        # zipline's own list of them lies in a module that cannot do without SQLAlchemy.
        "asset_router", "engine", "equities", "equity_supplementary_mappings",
        "equity_symbol_mappings", "exchanges", "futures_contracts", "futures_root_symbols",
        "version_info",
    }
)  # fmt: skip
#: Values of a query, as zipline asks for them.
_AT_ONCE = 999
#: The symbol of each sid, as zipline finds it: that of the mapping which ends last.
_SYMBOLS = """
    SELECT sid, symbol, company_symbol, share_class_symbol FROM (
        SELECT *, rank() OVER (PARTITION BY sid ORDER BY end_date DESC) AS place
        FROM equity_symbol_mappings WHERE sid IN ({})
    ) WHERE place = 1
"""
_COUNTRIES = """
    SELECT equities.sid, exchanges.country_code FROM equities, exchanges
    WHERE equities.exchange = exchanges.exchange
"""
_OWNERS = """
    SELECT sid, symbol, company_symbol, share_class_symbol, start_date, end_date
    FROM equity_symbol_mappings
"""
#: As `_OWNERS` and `_COUNTRIES` together, of one symbol.
_OWNERS_OF_ONE = """
    SELECT country_code, equity_symbol_mappings.start_date, equity_symbol_mappings.end_date,
        equity_symbol_mappings.sid, symbol
    FROM equity_symbol_mappings, equities, exchanges
    WHERE company_symbol = ? AND share_class_symbol = ?
        AND equities.sid = equity_symbol_mappings.sid AND exchanges.exchange = equities.exchange
"""
_LIVES = """
    SELECT equities.sid, equities.start_date, equities.end_date FROM equities, exchanges
    WHERE exchanges.exchange = equities.exchange AND exchanges.{} IN ({})
"""
_CHOSEN_BY = {"country_codes": "country_code", "exchange_names": "exchange"}

Rows = list[sqlite3.Row]


class _Connection(sqlite3.Connection):
    def __del__(self) -> None:
        self.close()


class _Owners:
    """(company symbol, share class) -> who owned it; asked of the database one by one."""

    def __init__(self, finder: "AssetFinder", country_code: str | None) -> None:
        self._finder, self._country_code = finder, country_code

    def __getitem__(self, key: tuple[str, str]) -> tuple[Any, ...]:
        owners = self._finder.owners(key, self._country_code)
        if not owners:
            raise KeyError(key)
        return owners


class AssetFinder(ZiplineFinder):
    """The finder of one database of assets; see `zipline.assets.AssetFinder`.

    Parameters
    ----------
    path : pathlib.Path
        Of a database that zipline's `AssetDBWriter` wrote.
    """

    def __init__(self, path: Path) -> None:
        self._path = path.absolute()
        self._asset_cache: dict[int, Any] = {}
        self._asset_type_cache: dict[int, str | None] = {}
        self._caches = (self._asset_cache, self._asset_type_cache)
        self._future_chain_predicates = CHAIN_PREDICATES
        self._ordered_contracts: dict[str, Any] = {}
        self._asset_lifetimes: dict[Any, Any] = {}
        self._owners: dict[tuple[tuple[str, str], str | None], tuple[Any, ...]] = {}
        self._connection: tuple[tuple[int, int], sqlite3.Connection] | None = None
        (version, *_) = (row["version"] for row in self._rows("SELECT version FROM version_info"))
        if version != ASSET_DB_VERSION:
            self._reflect()  # which says what is wrong

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_") or name not in _REFLECTED:
            raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}")
        self._reflect()
        return self.__dict__[name]

    def _reflect(self) -> None:
        """Let zipline's constructor make what it makes, and keep the assets that are known."""
        known = dict(self.__dict__)
        super().__init__(str(self._path))
        self.__dict__.update(known)

    def _rows(self, query: str, values: Iterable[int] = ()) -> Rows:
        """The rows of a query, or of one with a place for numbers, asked a few at a time."""
        return self._asked(query, [int(value) for value in values])

    def _asked(self, query: str, values: Sequence[int | str]) -> Rows:
        connection = self._connected()
        if "{}" not in query:
            return connection.execute(query, values).fetchall()
        found: Rows = []
        for first in range(0, len(values), _AT_ONCE):
            some = values[first : first + _AT_ONCE]
            found += connection.execute(query.format(",".join("?" * len(some))), some)
        return found

    def _connected(self) -> sqlite3.Connection:
        """A connection that this thread of this process made: to make one takes ten queries."""
        here = os.getpid(), get_ident()
        held = self._connection
        if held is None or held[0] != here:
            uri = f"{self._path.as_uri()}?mode=ro"
            # Whoever drops it may be another thread than the one that asks.
            connection = sqlite3.connect(
                uri, uri=True, check_same_thread=False, factory=_Connection
            )
            connection.row_factory = sqlite3.Row
            self._connection = held = here, connection
        return held[1]

    def close(self) -> None:
        """See zipline's; the finder still answers afterwards."""
        self._connection = None
        super().close()

    @property
    def sids(self) -> tuple[int, ...]:
        """All sids."""
        return tuple(sid for (sid,) in self._rows("SELECT sid FROM asset_router"))

    @property
    def equities_sids(self) -> tuple[int, ...]:
        """The sids of equities."""
        return tuple(sid for (sid,) in self._rows("SELECT sid FROM equities"))

    @lazyval
    def exchange_info(self) -> dict[str, ExchangeInfo]:
        """By name."""
        rows = self._rows("SELECT exchange, canonical_name, country_code FROM exchanges")
        return {row["exchange"]: ExchangeInfo(*row) for row in rows}

    @lazyval
    def symbol_ownership_maps_by_country_code(self) -> dict[str, dict[tuple[str, str], Any]]:
        """Country -> (company symbol, share class) -> who owned it, from when to when."""
        countries = dict(map(tuple, self._rows(_COUNTRIES)))
        found: dict[str, dict[tuple[str, str], list[Any]]] = {}
        for sid, symbol, company, share_class, start, end in self._rows(_OWNERS):
            owners = found.setdefault(countries[sid], {}).setdefault((company, share_class), [])
            owners.append((start, end, sid, symbol))
        moment = cache(pd.Timestamp)  # most assets begin on a few days
        return {
            country: {key: _without_gaps(owners, moment) for key, owners in of_country.items()}
            for country, of_country in found.items()
        }

    def _choose_symbol_ownership_map(self, country_code: str | None) -> _Owners:
        return _Owners(self, country_code)

    def owners(self, key: tuple[str, str], country_code: str | None) -> tuple[Any, ...]:
        """Who owned a symbol, as in `symbol_ownership_map` or that of a country; () if nobody.

        Parameters
        ----------
        key : tuple of str
            Company symbol and share class.
        country_code : str or None
            None for all countries.
        """
        asked = key, country_code
        if asked not in self._owners:
            rows = [tuple(row) for row in self._asked(_OWNERS_OF_ONE, key)]
            countries = {country for country, *_ in rows}
            if country_code is None and len(countries) > 1:  # one country after the other
                return tuple(self.symbol_ownership_map[key])
            chosen = countries if country_code is None else {country_code}
            owners = [owner for country, *owner in rows if country in chosen]
            self._owners[asked] = _without_gaps(owners, pd.Timestamp) if owners else ()
        return self._owners[asked]

    def lookup_asset_types(self, sids: Iterable[int]) -> dict[int, str | None]:
        """The type of each asset, None for an unknown one."""
        wanted = list(sids)
        missing = [sid for sid in wanted if sid not in self._asset_type_cache]
        if missing:
            self._asset_type_cache.update(dict.fromkeys(missing))
            query = "SELECT sid, asset_type FROM asset_router WHERE sid IN ({})"
            self._asset_type_cache.update((sid, kind) for sid, kind in self._rows(query, missing))
        return {sid: self._asset_type_cache[sid] for sid in wanted}

    def retrieve_equities(self, sids: Iterable[int]) -> dict[int, Equity]:
        """The equities of some sids; see zipline's."""
        return self._retrieve_assets(sids, None, Equity)

    def retrieve_futures_contracts(self, sids: Iterable[int]) -> dict[int, Future]:
        """The futures of some sids; see zipline's, which is asked for none as well."""
        return super().retrieve_futures_contracts(sids) if sids else {}

    def _retrieve_asset_dicts(
        self, sids: Iterable[int], asset_tbl: Any, querying_equities: bool
    ) -> Iterator[dict[str, Any]]:
        if not querying_equities:
            yield from super()._retrieve_asset_dicts(sids, asset_tbl, querying_equities)
            return
        symbols = {row["sid"]: dict(row) for row in self._rows(_SYMBOLS, sids)}
        for row in self._rows("SELECT * FROM equities WHERE sid IN ({})", sids):
            told = {**row, **symbols.get(row["sid"], {})}
            told["exchange_info"] = self.exchange_info[told.pop("exchange")]
            yield _convert_asset_timestamp_fields(told)

    def _compute_asset_lifetimes(self, **chosen: Iterable[str]) -> Lifetimes:
        ((name, values),) = chosen.items()
        rows = self._asked(_LIVES.format(_CHOSEN_BY[name], "{}"), list(values))
        lives = np.array([tuple(row) for row in rows], dtype="i8").reshape(-1, 3)
        return Lifetimes(*lives.T.copy())


def _without_gaps(owners: list[Any], moment: Callable[[int], Any]) -> tuple[Any, ...]:
    """Each period reaches to the next one's start, the last one for ever."""
    owners.sort()
    ends = [*(moment(start) for start, *_ in owners[1:]), pd.Timestamp.max]
    return tuple(
        OwnershipPeriod(moment(start), end, sid, symbol)
        for end, (start, _, sid, symbol) in zip(ends, owners, strict=True)
    )
