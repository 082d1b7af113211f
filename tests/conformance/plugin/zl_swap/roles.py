"""The parts of zipline that can be replaced."""

import importlib
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Role:
    """A zipline class, by where it is defined."""

    module: str
    attribute: str

    def original(self) -> type[Any]:
        """The class itself."""
        return getattr(importlib.import_module(self.module), self.attribute)


BUNDLE_CORE = "BUNDLE_CORE"
ROLES = {
    "DAILY_READER": Role("zipline.data.bcolz_daily_bars", "BcolzDailyBarReader"),
    "DAILY_WRITER": Role("zipline.data.bcolz_daily_bars", "BcolzDailyBarWriter"),
    "MINUTE_READER": Role("zipline.data.bcolz_minute_bars", "BcolzMinuteBarReader"),
    "MINUTE_WRITER": Role("zipline.data.bcolz_minute_bars", "BcolzMinuteBarWriter"),
    "RESAMPLER": Role("zipline.data.resample", "MinuteResampleSessionBarReader"),
    "PORTAL": Role("zipline.data.data_portal", "DataPortal"),
    "ALGORITHM": Role("zipline.algorithm", "TradingAlgorithm"),
    "ADJUSTMENT_READER": Role("zipline.data.adjustments", "SQLiteAdjustmentReader"),
    "ADJUSTMENT_WRITER": Role("zipline.data.adjustments", "SQLiteAdjustmentWriter"),
}


def resolve(name: str) -> Any:
    """The object that ``package.module:Name`` names."""
    module, _, attribute = name.partition(":")
    found = importlib.import_module(module)
    for part in attribute.split("."):
        found = getattr(found, part)
    return found
