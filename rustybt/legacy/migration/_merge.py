"""One set of facts out of what two kinds of catalog claim and what the files hold. Pure."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from rustybt.legacy.migration._claims import OF_NOTHING
from rustybt.legacy.migration._facts import Claim, Conflict, FileFacts

#: Sources and kinds of assets that trade around the clock.
_ALWAYS = {"ccxt", "crypto", "cryptocurrency"}
_FILES = "files"


def trades_always(claims: Sequence[Claim]) -> bool:
    """Whether the best of the catalogs says that the assets trade around the clock."""
    said: set[str] = set()
    for claim in preferred(claims, "daily")[:1]:
        said.add(str(claim.facts.get("source_type", "")).lower())
        said.update(str(row.get("asset_type") or "").lower() for row in claim.symbols)
    return bool(said & _ALWAYS)


def preferred(claims: Sequence[Claim], kind: str) -> list[Claim]:
    """Claims about bars of a kind, the best first: the catalog beside the files, then newer ones.

    Parameters
    ----------
    kind : {"daily", "minute"}
    """

    def rank(claim: Claim) -> tuple[bool, bool, int]:
        beside = claim.kind == "ParquetMetadataCatalog"
        resolution = str(claim.facts.get("resolution", "")).lower()
        daily = resolution in ("1d", "daily", "day", "d", "1day")
        return beside and daily != (kind == "daily"), not beside, -_age(claim)

    return sorted(claims, key=rank)


def _age(claim: Claim) -> int:
    stamps = [claim.facts.get(name) for name in ("updated_at", "created_at")]
    return next((stamp for stamp in stamps if isinstance(stamp, int)), 0)


def source_type(claims: Sequence[Claim], kinds: Iterable[str]) -> str:
    """The source that the best claim about each kind names; several with commas between."""
    named = []
    for kind in kinds:
        known = [
            c.facts["source_type"] for c in preferred(claims, kind) if "source_type" in c.facts
        ]
        named += known[:1]
    return ",".join(dict.fromkeys(named)) or "unknown"


def name_sids(
    sids: Sequence[int], claims: Sequence[Claim], kind: str
) -> tuple[dict[int, str], list[str]]:
    """The symbol of each sid, and reasons to doubt that.

    A sid is the place, from 1, of a symbol in the catalog's list, which is in request order.
    """
    listed = [claim for claim in preferred(claims, kind) if claim.symbols]
    fitting = [claim for claim in listed if len(claim.symbols) == len(sids)]
    doubts: list[str] = []
    names: list[str] = []
    if listed:
        best = (fitting or listed)[0]
        names = best.names()
        if not fitting:
            doubts.append(
                f"The {kind} files have {len(sids)} sids and {best.catalog} lists {len(names)} "
                "symbols: which belongs to which is not certain."
            )
        if len(sids) > 1 and _ingested_again(claims):
            doubts.append(
                "The bundle was ingested more than once, and an ingest numbers sids in the order "
                f"in which it was asked: if that changed, {kind} symbols are exchanged."
            )
    else:
        doubts.append(f"No catalog names the symbols of the {kind} files; they are named by sid.")
    named = {sid: names[sid - 1] if 0 < sid <= len(names) else f"sid {sid}" for sid in sids}
    return named, doubts


def _ingested_again(claims: Iterable[Claim]) -> bool:
    """Whether a row was made before the last fetch that it tells of."""
    for claim in claims:
        made, fetched = claim.facts.get("created_at"), claim.facts.get("fetch_timestamp")
        changed = claim.facts.get("updated_at")
        if None not in (made, fetched, changed) and made < fetched <= changed:
            return True
    return False


def conflicts(claims: Sequence[Claim], files: FileFacts, kept: Mapping[str, Any]) -> list[Conflict]:
    """Every fact on which claims and files disagree.

    Parameters
    ----------
    kept : mapping of str to object
        What the version will say of ``source_type`` and ``symbols``.
    """
    found: list[Conflict] = []
    has_data = bool(files.checksums)
    truth = {"row_count": files.rows, "start_date": files.start, "end_date": files.end}
    for fact in ("source_type", *truth):
        said = _said(claims, fact)
        actual = truth.get(fact, kept.get(fact))
        if has_data and fact in truth:
            said[_FILES] = actual
        if len(set(map(str, said.values()))) > 1:
            found.append(Conflict(fact, said, actual))
    zones = {who: zone for who, zone in _said(claims, "timezone").items() if zone != "UTC"}
    if zones:
        found.append(Conflict("timezone", zones, "UTC"))
    found += _checksum_conflicts(claims, files)
    found += _symbol_conflicts(claims, list(kept.get("symbols", ())))
    return found


def _said(claims: Iterable[Claim], fact: str) -> dict[str, Any]:
    return {claim.catalog: claim.facts[fact] for claim in claims if fact in claim.facts}


def _checksum_conflicts(claims: Sequence[Claim], files: FileFacts) -> list[Conflict]:
    found = []
    actual = set(files.checksums.values())
    for claim in claims:
        for path, checksum in claim.files.items():
            there = files.checksums.get(path)
            if there != checksum:
                said = {claim.catalog: checksum, _FILES: there or "no such file"}
                found.append(Conflict(f"checksum of {path}", said, there))
        whole = claim.facts.get("file_checksum") or claim.facts.get("checksum")
        known = {None, OF_NOTHING, files.combined, *actual}
        if actual and whole not in known:
            said = {claim.catalog: whole, _FILES: ", ".join(sorted(actual))}
            found.append(Conflict("checksum", said, "those of the files"))
    return found


def _symbol_conflicts(claims: Sequence[Claim], kept: list[str]) -> list[Conflict]:
    rows: dict[str, dict[str, Mapping[str, Any]]] = {}
    listing = [claim for claim in claims if claim.symbols]
    for claim in listing:
        for row in claim.symbols:
            rows.setdefault(row["symbol"], {})[claim.catalog] = row
    found = []
    by_kind: dict[str, set[str]] = {}
    for claim in listing:
        by_kind.setdefault(claim.kind, set()).update(claim.names())
    for symbol, said in sorted(rows.items()):
        lacking = [kind for kind, names in by_kind.items() if symbol not in names]
        if lacking:
            told: dict[str, Any] = dict.fromkeys(said, "has it")
            told |= dict.fromkeys(lacking, "does not")
            found.append(Conflict(f"symbol {symbol}", told, symbol if symbol in kept else None))
        for name in ("asset_type", "exchange"):
            values = {who: row[name] for who, row in said.items() if row[name] is not None}
            if len(set(values.values())) > 1:
                found.append(Conflict(f"{name} of {symbol}", values, None))
    return found
