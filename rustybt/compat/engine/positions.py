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

from rustybt.compat.engine.originals import is_zipline_s
from rustybt.compat.engine.portal import DataPortal

#: What is written anew of a position.
POSITION_METHODS = ("update", "adjust_commission_cost_basis", "to_dict")
#: More positions than this are summed up by zipline's compiled code.
_FEW = 400
#: More positions than this are priced all at once.
_SEVERAL = 8


class Members:
    """The positions that are held, until one comes or goes.

    Attributes
    ----------
    assets : tuple of Asset
    inner : list of InnerPosition
        Of each asset, in the order of the positions.
    equities : bool
        Whether all assets are equities.
    steady : bool
        Whether they were the same when they were looked at last.
    """

    def __init__(self, positions: Mapping[Any, Any]) -> None:
        self.assets = tuple(positions)
        self.inner = [position.inner_position for position in positions.values()]
        self.equities = all(type(asset) is Equity for asset in self.assets)
        self.steady = False


class PositionStats:
    """Sums over the positions; attributes as zipline's class of that name has them."""

    gross_exposure = gross_value = long_exposure = long_value = 0.0
    net_exposure = net_value = short_exposure = short_value = 0.0
    longs_count = shorts_count = 0

    def __init__(self, members: Members) -> None:
        self._assets = members.assets
        self._exposures = [inner.amount * inner.last_sale_price for inner in members.inner]
        longs = shorts = 0.0
        for exposure in self._exposures:
            if exposure > 0:
                self.longs_count += 1
                longs += exposure
            elif exposure < 0:
                self.shorts_count += 1
                shorts += exposure
        self.long_value = self.long_exposure = longs
        self.short_value = self.short_exposure = shorts
        self.net_value = self.net_exposure = longs + shorts
        self.gross_value = self.gross_exposure = longs - shorts

    @property
    def position_exposure_series(self) -> pd.Series:
        """Exposure of each position, by sid."""
        return pd.Series(
            self._exposures, index=[asset.sid for asset in self._assets], dtype="float64"
        )

    @property
    def position_exposure_array(self) -> npt.NDArray[np.float64]:
        """Exposure of each position, in the order of the positions."""
        return np.array(self._exposures, dtype=np.float64)


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
    """zipline's; what concerns all positions is done at once, and not again for nothing."""

    _members: Members | None = None
    _synced: tuple[pd.Timestamp, Any] | None = None

    def _change(self) -> None:
        """Forget what was known of the positions."""
        self._dirty_stats = True
        self._members = self._synced = None

    def execute_transaction(self, txn: Any) -> None:
        """Take a transaction in."""
        self._change()
        asset = txn.asset
        known = asset in self.positions or type(asset) is not Equity
        if not known and is_zipline_s(ZiplinePosition, *POSITION_METHODS):
            self.positions[asset] = Position(asset)
        super().execute_transaction(txn)

    def update_position(self, *args: Any, **kwargs: Any) -> None:
        """See `zipline.finance.ledger.PositionTracker.update_position`."""
        self._change()
        super().update_position(*args, **kwargs)

    def handle_splits(self, splits: Any) -> Any:
        """See `zipline.finance.ledger.PositionTracker.handle_splits`."""
        self._change()
        return super().handle_splits(splits)

    def pay_dividends(self, next_trading_day: pd.Timestamp) -> Any:
        """See `zipline.finance.ledger.PositionTracker.pay_dividends`."""
        if self._unpaid_stock_dividends:
            self._change()
        return super().pay_dividends(next_trading_day)

    def take(self, asset: Equity, amount: int, price: float, dt: pd.Timestamp) -> None:
        """Take a fill of an equity in."""
        self._dirty_stats, self._synced = True, None
        position = self.positions.get(asset)
        if position is None:
            position = self.positions[asset] = Position(asset)
            self._members = None
        if _take(position.inner_position, amount, price, dt) == 0:
            del self.positions[asset]
            self._positions_store.pop(asset, None)
            self._members = None

    def handle_commission(self, asset: Any, cost: float) -> None:
        """Spread a commission over the shares of an asset, if it is still held."""
        position = self.positions.get(asset)
        if position is not None:
            self._dirty_stats = True
            position.adjust_commission_cost_basis(asset, cost)

    def _held(self) -> Members:
        members = self._members
        if members is None or len(members.assets) != len(self.positions):
            self._members = members = Members(self.positions)
            super().get_positions()
        else:
            members.steady = True
            if len(self._positions_store) != len(members.assets):  # the algorithm took one out
                super().get_positions()
        return members

    def get_positions(self) -> Any:
        """The positions as the algorithm sees them."""
        self._held()
        return self._positions_store

    def get_position_list(self) -> list[dict[str, Any]]:
        """The positions as they stand in a result."""
        return [
            {
                "sid": inner.asset,
                "amount": amount,
                "cost_basis": inner.cost_basis,
                "last_sale_price": inner.last_sale_price,
            }
            for inner in self._held().inner
            if (amount := inner.amount) != 0
        ]

    def sync_last_sale_prices(
        self, dt: pd.Timestamp, data_portal: Any, handle_non_market_minutes: bool = False
    ) -> None:
        """Note the prices of a bar, once."""
        if handle_non_market_minutes:
            super().sync_last_sale_prices(dt, data_portal, handle_non_market_minutes)
            return
        if self._synced == (dt, data_portal):
            return
        self._dirty_stats = True
        if not self._sync_at_once(dt, data_portal):
            super().sync_last_sale_prices(dt, data_portal)
        self._synced = dt, data_portal

    def _sync_at_once(self, dt: pd.Timestamp, portal: Any) -> bool:
        """Note the prices of a bar from one row of them; False where there is no such row."""
        members = self._held()
        # Assets that are new together are looked up one by one sooner.
        if len(members.assets) < _SEVERAL or not members.steady or not _has_rows(portal):
            return False
        prices = portal.spot_array(members.assets, "price", dt, self.data_frequency)
        if prices is None:
            return False
        for inner, price in zip(members.inner, prices.tolist(), strict=True):
            if price == price:  # not NaN: an asset behind its end keeps its last price
                inner.last_sale_price, inner.last_sale_date = price, dt
        return True

    @property
    def stats(self) -> Any:
        """Sums over the positions, kept until one of them may have changed."""
        if not self._dirty_stats:
            return self._stats
        members = self._held()
        if len(members.assets) > _FEW or not members.equities:
            if not isinstance(self._stats, ZiplinePositionStats):
                self._stats = ZiplinePositionStats.new()
            return super().stats
        self._stats = PositionStats(members)
        self._dirty_stats = False
        return self._stats


def _has_rows(portal: Any) -> bool:
    name = "get_scalar_asset_spot_value"
    return getattr(type(portal), name, None) is getattr(DataPortal, name) and name not in vars(
        portal
    )
