"""Market orders look as zipline makes them."""

from itertools import islice
from uuid import UUID

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from zipline.algorithm import TradingAlgorithm
from zipline.assets import Equity, ExchangeInfo
from zipline.finance.order import Order

from rustybt.compat.engine.ledger import _as_dict
from rustybt.compat.engine.order_ids import order_ids
from rustybt.compat.engine.orders import OrderMethods, _market_order

ASSET = Equity(3, ExchangeInfo("NYSE", "NYSE", "US"), symbol="A")
DT = pd.Timestamp("2015-01-05 21:00", tz="UTC")


def test_names_are_random_uuids_of_version_4():
    names = list(islice(order_ids(), 2000))
    assert len(set(names)) == len(names)
    for name in names:
        assert UUID(name).hex == name
        assert UUID(name).version == 4


@pytest.mark.parametrize("amount", [1, -250])
def test_an_order_has_the_fields_of_zipline_s(amount):
    ours, stock = _market_order("a", DT, ASSET, amount), Order(DT, ASSET, amount, id="a")
    for name in Order.__slots__:
        assert getattr(ours, name) == getattr(stock, name)
        assert type(getattr(ours, name)) is type(getattr(stock, name))
    for order in (ours, stock):
        order.broker_order_id = "b" if amount < 0 else None
        assert _as_dict(order) == order.to_dict()
        assert list(_as_dict(order)) == list(order.to_dict())


@given(
    st.one_of(
        st.integers(-(10**12), 10**12),
        st.floats(-1e12, 1e12),
        st.integers(-99, 99).map(lambda whole: whole - 1e-4),
        st.floats(-100, 100).map(np.float64),
        st.floats(-100, 100, width=32).map(np.float32),
        st.integers(-99, 99).map(np.int64),
    )
)
def test_amounts_become_the_same_number_of_shares(amount):
    ours, stock = OrderMethods.round_order(amount), TradingAlgorithm.round_order(amount)
    assert ours == stock
    assert type(ours) is type(stock) is int


@pytest.mark.parametrize("amount", [float("nan"), np.float64("nan"), float("inf")])
def test_amounts_that_are_no_numbers_are_refused_alike(amount):
    for round_order in (OrderMethods.round_order, TradingAlgorithm.round_order):
        with pytest.raises((ValueError, OverflowError)) as raised:
            round_order(amount)
        assert raised.type is (ValueError if amount != amount else OverflowError)
