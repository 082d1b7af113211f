"""Which trading calendar a market of Yahoo's keeps."""

import re
from collections.abc import Mapping
from typing import Any

from rustybt.data.calendars import DEFAULT_CALENDAR

#: Yahoo's ``exchangeName`` -> calendar of exchange_calendars.
_CALENDARS = {
    **dict.fromkeys(("NMS", "NGM", "NCM", "NYQ", "ASE", "PCX", "BTS", "NAS", "NYS"), "XNYS"),
    **dict.fromkeys(("PNK", "OQB", "OQX", "OEM", "OTC", "SNP", "DJI", "NIM", "CXI"), "XNYS"),
    **dict.fromkeys(("CME", "CBT", "CMX", "NYM", "NYB"), "CMES"),
    **dict.fromkeys(("LSE", "IOB", "FGI", "AQS"), "XLON"),
    **dict.fromkeys(("TOR", "VAN", "CNQ", "NEO"), "XTSE"),
    **dict.fromkeys(("SHH", "SHZ"), "XSHG"),
    **dict.fromkeys(("TAI", "TWO"), "XTAI"),
    **dict.fromkeys(("KSC", "KOE"), "XKRX"),
    **dict.fromkeys(("BSE", "NSI"), "XBOM"),
    **dict.fromkeys(("JPX", "TYO", "OSA"), "XTKS"),
    "AMS": "XAMS", "ASX": "XASX", "ATH": "ASEX", "BRU": "XBRU", "BUD": "XBUD", "BUE": "XBUE",
    "BVC": "XBOG", "CPH": "XCSE", "DUS": "XDUS", "EBS": "XSWX", "FRA": "XFRA", "GER": "XETR",
    "HAM": "XHAM", "HEL": "XHEL", "HKG": "XHKG", "ICE": "XICE", "ISE": "XDUB", "IST": "XIST",
    "JKT": "XIDX", "JNB": "XJSE", "KLS": "XKLS", "LIS": "XLIS", "MCE": "XMAD", "MEX": "XMEX",
    "MIL": "XMIL", "NZE": "XNZE", "OSL": "XOSL", "PAR": "XPAR", "PHS": "XPHS", "PRA": "XPRA",
    "SAO": "BVMF", "SAU": "XSAU", "SES": "XSES", "SET": "XBKK", "SGO": "XSGO", "STO": "XSTO",
    "STU": "XSTU", "TLV": "XTAE", "VIE": "XWBO", "WSE": "XWAR", "ZRH": "XSWX",
    "CCC": "24/7", "CCY": "24/5",
}  # fmt: skip

#: Yahoo's names of currencies that are none of ISO 4217.
_HUNDREDTHS = {"GBp": "pence", "ZAc": "South African cents", "ILA": "agorot"}
#: A symbol's ending -> calendar.
_ENDINGS = {
    "=X": "24/5", "=F": "CMES",
    ".AS": "XAMS", ".AT": "ASEX", ".AX": "XASX", ".BA": "XBUE", ".BD": "XBUD", ".BK": "XBKK",
    ".BO": "XBOM", ".BR": "XBRU", ".CL": "XBOG", ".CO": "XCSE", ".DE": "XETR", ".DU": "XDUS",
    ".F": "XFRA", ".HE": "XHEL", ".HK": "XHKG", ".HM": "XHAM", ".IC": "XICE", ".IL": "XLON",
    ".IR": "XDUB", ".IS": "XIST", ".JK": "XIDX", ".JO": "XJSE", ".KL": "XKLS", ".KQ": "XKRX",
    ".KS": "XKRX", ".L": "XLON", ".LS": "XLIS", ".MC": "XMAD", ".MI": "XMIL", ".MX": "XMEX",
    ".NE": "XTSE", ".NS": "XBOM", ".NZ": "XNZE", ".OL": "XOSL", ".PA": "XPAR", ".PR": "XPRA",
    ".PS": "XPHS", ".SA": "BVMF", ".SG": "XSTU", ".SI": "XSES", ".SN": "XSGO", ".SR": "XSAU",
    ".SS": "XSHG", ".ST": "XSTO", ".SW": "XSWX", ".SZ": "XSHG", ".T": "XTKS", ".TA": "XTAE",
    ".TO": "XTSE", ".TW": "XTAI", ".TWO": "XTAI", ".V": "XTSE", ".VI": "XWBO", ".WA": "XWAR",
}  # fmt: skip
#: The end of a symbol: of another market than New York's, or a class of shares (BRK-B).
_ENDING = re.compile(r"(\.[A-Z]+|=[A-Z]|-[A-Z0-9]{3,})$")


def calendar_of_symbol(symbol: str) -> str | None:
    """The calendar that a symbol's spelling tells of; None if it is not known.

    ``AAPL`` is traded in New York, ``VOD.L`` in London, ``EURUSD=X`` on weekdays and ``BTC-USD``
    always.
    """
    if symbol.startswith("^"):
        return None
    ending = _ENDING.search(symbol.upper())
    if ending is None:
        return DEFAULT_CALENDAR
    return "24/7" if ending[1].startswith("-") else _ENDINGS.get(ending[1])


def calendar_of(meta: Mapping[str, Any]) -> str | None:
    """The calendar of the market that a chart comes from; None if it is not known."""
    return _CALENDARS.get(str(meta.get("exchangeName", "")))


def note_of_currency(symbol: str, meta: Mapping[str, Any]) -> tuple[str, ...]:
    """What to record of prices that are quoted in hundredths of a currency."""
    unit = str(meta.get("currency", ""))
    if unit not in _HUNDREDTHS:
        return ()
    return (f"The prices and dividends of {symbol} are in {_HUNDREDTHS[unit]} ({unit}).",)
