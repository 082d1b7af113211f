"""Which trading calendar a market of Yahoo's keeps."""

from collections.abc import Mapping
from typing import Any

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


def calendar_of(meta: Mapping[str, Any]) -> str | None:
    """The calendar of the market that a chart comes from; None if it is not known."""
    return _CALENDARS.get(str(meta.get("exchangeName", "")))
