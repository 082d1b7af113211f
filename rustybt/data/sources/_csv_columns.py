"""What the columns of a CSV file are: names as vendors spell them, and a user's mapping."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache

from rustybt.data.errors import BarSchemaError, OptionError

Roles = Mapping[str, tuple[str, ...]]

_DATES = ("date", "datetime", "timestamp", "day")
#: Names of a first column that is an index: a date, if nothing else is.
_INDEX = ("", "index", "unnamed0")
_SYMBOLS = ("symbol", "ticker", "instrument", "name")

#: Role -> normalised names that mean it; earlier ones go before later ones, but not among dates.
BAR_ROLES: Roles = {
    "symbol": _SYMBOLS,
    "date": _DATES,
    "time": ("time",),
    "open": ("open", "o"),
    "high": ("high", "h"),
    "low": ("low", "l"),
    "close": ("close", "c", "last", "closelast"),
    "volume": ("volume", "vol", "v"),
    # 4.0 is a 4:1 split in each of these; "split ratio" is 4.0 with one vendor and 0.25 with
    # another, so it must be mapped by hand.
    "split": ("split", "splits", "stocksplits", "splitfactor", "splitcoefficient"),
    "dividend": ("dividend", "dividends", "dividendamount", "divcash", "exdividend"),
}
REQUIRED_IN_BARS = ("date", "open", "high", "low", "close", "volume")

_EX_DATES = ("exdate", "exdividenddate", "executiondate", "effectivedate", "date")
SPLIT_ROLES: Roles = {
    "symbol": _SYMBOLS,
    "date": _EX_DATES,
    "ratio": ("ratio",),
    "from": ("from", "splitfrom"),
    "to": ("to", "splitto"),
}
DIVIDEND_ROLES: Roles = {
    "symbol": _SYMBOLS,
    "date": _EX_DATES,
    "amount": ("amount", "cashamount", "dividend"),
    "declared_date": ("declareddate", "declarationdate"),
    "record_date": ("recorddate",),
    "pay_date": ("paydate", "paymentdate"),
}


@dataclass(frozen=True)
class Header:
    """The column names of one file.

    Attributes
    ----------
    file : str
        Name for messages.
    names : tuple of str
    """

    file: str
    names: tuple[str, ...]

    def __str__(self) -> str:
        listed = ", ".join(name or "(unnamed)" for name in self.names)
        return f"{self.file}: its columns are {listed}"


@lru_cache(maxsize=1024)
def normalise(name: str) -> str:
    """A column name without case, blanks, punctuation and Alpha Vantage's numbers (``1. open``)."""
    return re.sub(r"[^a-z0-9]", "", re.sub(r"^\d+\. ", "", name.strip().lower()))


def check_mapping(columns: Mapping[str, str | None] | Sequence[str] | None) -> None:
    """Raise if a mapping names a role that no column of bars has.

    Raises
    ------
    OptionError
    """
    targets = columns.values() if isinstance(columns, Mapping) else ()
    unknown = [each for each in targets if each is not None and _role(each) not in BAR_ROLES]
    if unknown:
        raise OptionError(
            f"columns maps to {', '.join(map(repr, unknown))}; a column can be "
            f"{', '.join(BAR_ROLES)}, or None to leave it out"
        )


def find_columns(
    header: Header, roles: Roles, mapping: Mapping[str, str | None] | None = None
) -> dict[str, int]:
    """Role -> place in the file, of the columns that have one.

    Parameters
    ----------
    header : Header
    roles : mapping
        One of this module's tables.
    mapping : mapping of str to str or None, optional
        Column name -> role, or None to leave the column out. It goes before any guess.

    Raises
    ------
    BarSchemaError
        If a mapped column is not there, or two columns could have one role.
    """
    found, taken = _mapped(header, mapping or {})
    free = {p: normalise(name) for p, name in enumerate(header.names) if p not in taken}
    names = set(free.values())
    for role, spellings in roles.items():
        if role not in found and not names.isdisjoint(spellings):
            place = _sniffed(header, role, spellings, free)
            if place is not None:
                found[role] = place
    if roles is BAR_ROLES:
        _settle_time(header, found, mapping or {})
        if "date" not in found and free.get(0) in _INDEX:
            found["date"] = 0
        _refuse_doubtful_splits(header, found, free)
    return found


def require_columns(header: Header, found: Mapping[str, int], required: Sequence[str]) -> None:
    """Raise if a role has no column.

    Raises
    ------
    BarSchemaError
    """
    missing = [role for role in required if role not in found]
    if not missing:
        return
    noun = "column" if len(missing) == 1 else "columns"
    hint = f"say which one it is with columns={{'<its name>': '{missing[0]}'}}"
    if len(header.names) == 1:
        hint = "if that is one line of cells, say with delimiter= what stands between them"
    elif any(re.fullmatch(r"[\d.,:/-]+", name) for name in header.names):
        hint = "if that is a row of bars, name the columns with columns=['date', 'open', ...]"
    elif missing == ["close"] and any(normalise(name) == "adjclose" for name in header.names):
        hint = (
            "if its prices are adjusted, say so with columns={'Adj Close': 'close'} and "
            "adjustment='split_dividend'"
        )
    raise BarSchemaError(f"no {noun} for {', '.join(missing)} in {header}; {hint}")


def _role(name: str) -> str:
    return {"timestamp": "date"}.get(name, name)


def _mapped(header: Header, mapping: Mapping[str, str | None]) -> tuple[dict[str, int], set[int]]:
    found: dict[str, int] = {}
    taken = set()
    for name, target in mapping.items():
        places = [p for p, other in enumerate(header.names) if other == name] or [
            p for p, other in enumerate(header.names) if normalise(other) == normalise(name)
        ]
        if not places and target is None:
            continue
        if not places:
            raise BarSchemaError(f"columns names {name!r}, which is not in {header}")
        if len(places) > 1:
            raise BarSchemaError(f"columns names {name!r}, which stands twice in {header}")
        taken.add(places[0])
        if target is not None:
            if _role(target) in found:
                raise BarSchemaError(f"columns gives {header.file} two columns for {target}")
            found[_role(target)] = places[0]
    return found, taken


def _sniffed(
    header: Header, role: str, spellings: tuple[str, ...], free: Mapping[int, str]
) -> int | None:
    # Of "date" and "timestamp" neither goes before the other: they may differ by timezone.
    ranks = (spellings,) if role == "date" else tuple((each,) for each in spellings)
    for rank in ranks:
        places = [place for place, name in free.items() if name in rank]
        if len(places) > 1:
            raise _ambiguous(header, role, places)
        if places:
            return places[0]
    return None


def _settle_time(header: Header, found: dict[str, int], mapping: Mapping[str, str | None]) -> None:
    """A column ``time`` is the whole timestamp, or the time of day beside a date."""
    if "time" not in found or "time" in mapping.values():
        return
    if "date" not in found:
        found["date"] = found.pop("time")
    elif normalise(header.names[found["date"]]) in ("datetime", "timestamp"):
        if not {"date", "timestamp"} & set(mapping.values()):
            raise _ambiguous(header, "date", [found["date"], found["time"]])
        del found["time"]


def _refuse_doubtful_splits(
    header: Header, found: Mapping[str, int], free: Mapping[int, str]
) -> None:
    doubtful = [header.names[place] for place, name in free.items() if name.startswith("split")]
    if doubtful and "split" not in found:
        raise BarSchemaError(
            f"{header.file}: column {doubtful[0]!r} may be splits; say "
            f"columns={{{doubtful[0]!r}: 'split'}} if a 4:1 split is 4.0 in it, or map it to None"
        )


def _ambiguous(header: Header, role: str, places: Sequence[int]) -> BarSchemaError:
    names = [header.names[place] for place in places]
    target = "timestamp" if role == "date" else role
    return BarSchemaError(
        f"{header.file}: {' and '.join(map(repr, names))} could each be the {target}; say which "
        f"one it is with columns={{{names[0]!r}: '{target}'}}"
    )
