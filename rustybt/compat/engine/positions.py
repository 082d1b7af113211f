"""The positions of a run, kept without a detour through `__getattr__` a number.

A position of zipline's hands every attribute on to an inner one, which it shares with what the
algorithm sees; ours does its arithmetic, which is zipline's, on the inner one itself.
"""

from collections.abc import Mapping
from math import copysign
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
from zipline.assets import Equity
from zipline.finance._finance_ext import PositionStats as ZiplinePositionStats
from zipline.finance.ledger import PositionTracker as ZiplinePositionTracker
from zipline.finance.position import Position as ZiplinePosition

#: More positions than this are summed up by zipline's compiled code.
_FEW = 40


class PositionStats:
    """Sums over the positions; attributes as zipline's class of that name has them."""

    gross_exposure = gross_value = long_exposure = long_value = 0.0
    net_exposure = net_value = short_exposure = short_value = 0.0
    longs_count = shorts_count = 0

    def __init__(self, positions: Mapping[Any, Any]) -> None:
        self._exposures = {}
        for asset, position in positions.items():
            inner = position.inner_position
            exposure = inner.amount * inner.last_sale_price
            self._exposures[asset.sid] = exposure
            if exposure > 0:
                self.longs_count += 1
                self.long_value += exposure
            elif exposure < 0:
                self.shorts_count += 1
                self.short_value += exposure
        self.long_exposure, self.short_exposure = self.long_value, self.short_value
        self.net_value = self.net_exposure = self.long_value + self.short_value
        self.gross_value = self.gross_exposure = self.long_value - self.short_value

    @property
    def position_exposure_series(self) -> pd.Series:
        """Exposure of each position, by sid."""
        return pd.Series(self._exposures, dtype="float64")

    @property
    def position_exposure_array(self) -> npt.NDArray[np.float64]:
        """Exposure of each position, in the order of the positions."""
        return self.position_exposure_series.to_numpy()


class Position(ZiplinePosition):
    """zipline's, of an equity."""

    __slots__ = ()

    def update(self, txn: Any) -> None:
        """Take a transaction in: the average cost of what is held, and its last price."""
        inner = self.inner_position
        if inner.asset is txn.asset:
            _take(inner, txn.amount, txn.price, txn.dt)
        else:
            super().update(txn)

    def adjust_commission_cost_basis(self, asset: Any, cost: float) -> None:
        """Spread a commission over all shares."""
        inner = self.inner_position
        if asset is not inner.asset:
            super().adjust_commission_cost_basis(asset, cost)
        elif cost != 0.0 and inner.amount != 0:
            inner.cost_basis = (inner.cost_basis * inner.amount + cost) / inner.amount

    def to_dict(self) -> dict[str, Any]:
        """The position as it stands in a result."""
        inner = self.inner_position
        return {
            "sid": inner.asset,
            "amount": inner.amount,
            "cost_basis": inner.cost_basis,
            "last_sale_price": inner.last_sale_price,
        }


def _take(inner: Any, bought: int, price: float, dt: pd.Timestamp) -> int:
    """Take a fill into what is held of an equity; the shares that are held then."""
    held = inner.amount
    total: int = held + bought
    if total == 0:
        inner.cost_basis = 0.0
    else:
        if copysign(1, held) == copysign(1, bought):
            inner.cost_basis = (inner.cost_basis * held + bought * price) / total
        elif abs(bought) > abs(held):  # from long to short, or back
            inner.cost_basis = price
        if inner.last_sale_date is None or dt > inner.last_sale_date:
            inner.last_sale_price, inner.last_sale_date = price, dt
    inner.amount = total
    return total


class PositionTracker(ZiplinePositionTracker):
    """zipline's; the sums over a few positions are made here, without a Series each time."""

    def execute_transaction(self, txn: Any) -> None:
        """Take a fill in."""
        asset = txn.asset
        if asset not in self.positions and type(asset) is Equity:
            self.positions[asset] = Position(asset)
        super().execute_transaction(txn)

    def take(self, asset: Equity, amount: int, price: float, dt: pd.Timestamp) -> None:
        """Take a fill of an equity in."""
        self._dirty_stats = True
        position = self.positions.get(asset)
        if position is None:
            position = self.positions[asset] = Position(asset)
        if _take(position.inner_position, amount, price, dt) == 0:
            del self.positions[asset]
            self._positions_store.pop(asset, None)

    def get_position_list(self) -> list[dict[str, Any]]:
        """The positions as they stand in a result."""
        held = self.positions.values()
        return [each.to_dict() for each in held if each.inner_position.amount != 0]

    @property
    def stats(self) -> Any:
        """Sums over the positions, kept until one of them may have changed."""
        if not self._dirty_stats:
            return self._stats
        positions = self.positions
        if len(positions) > _FEW or any(type(asset) is not Equity for asset in positions):
            if not isinstance(self._stats, ZiplinePositionStats):
                self._stats = ZiplinePositionStats.new()
            return super().stats
        self._stats = PositionStats(positions)
        self._dirty_stats = False
        return self._stats
