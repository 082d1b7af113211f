"""The markets of Alpha Vantage: which functions tell of them, and when they are open."""

from dataclasses import dataclass

from rustybt.data.calendars import DEFAULT_CALENDAR
from rustybt.data.errors import UnknownSymbolError

#: Endings of symbols that are not traded in New York -> calendar.
_ENDINGS = {
    "AMS": "XAMS",
    "BSE": "XBOM",
    "DEX": "XETR",
    "FRK": "XFRA",
    "LON": "XLON",
    "PAR": "XPAR",
    "SHH": "XSHG",
    "SHZ": "XSHG",
    "TRT": "XTSE",
    "TRV": "XTSE",
}


@dataclass(frozen=True)
class Market:
    """A market, and how its symbols are named.

    Attributes
    ----------
    name : str
    daily, intraday : str
        The functions that tell its bars.
    calendar : str
    names : tuple of str
        The parameters that name a symbol; a pair takes two.
    """

    name: str
    daily: str
    intraday: str
    calendar: str
    names: tuple[str, ...]

    def named(self, symbol: str) -> dict[str, str]:
        """The parameters that name a symbol.

        Raises
        ------
        UnknownSymbolError
            If it is not written as symbols of this market are.
        """
        parts = symbol.split("/") if len(self.names) > 1 else [symbol]
        if len(parts) != len(self.names) or not all(parts):
            raise UnknownSymbolError([symbol], "Alpha Vantage (a pair is written EUR/USD)")
        return dict(zip(self.names, parts, strict=True))

    def calendar_of(self, symbol: str) -> str | None:
        """The calendar of a symbol (``IBM``, ``TSCO.LON``); None if it is not known."""
        ending = symbol.rpartition(".")[2] if "." in symbol else ""
        if self is not STOCKS or len(ending) < 3:  # BRK.B is a class of shares
            return self.calendar
        return _ENDINGS.get(ending)


STOCKS = Market(
    "stocks", "TIME_SERIES_DAILY", "TIME_SERIES_INTRADAY", DEFAULT_CALENDAR, ("symbol",)
)
FOREX = Market("forex", "FX_DAILY", "FX_INTRADAY", "24/5", ("from_symbol", "to_symbol"))
CRYPTO = Market("crypto", "DIGITAL_CURRENCY_DAILY", "CRYPTO_INTRADAY", "24/7", ("symbol", "market"))
MARKETS = {each.name: each for each in (STOCKS, FOREX, CRYPTO)}
