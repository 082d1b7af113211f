import copy
from collections.abc import Callable

import numpy as np
import pandas as pd
import pytest

from rustybt.compat.compare import mismatches
from tests.parity.cases import BY_NAME
from tests.parity.same import assert_same
from tests.parity.workspace import Workspace

DAY = 40


@pytest.fixture(scope="module")
def stock(workspace: Workspace) -> pd.DataFrame:
    """Some sessions with orders, transactions, positions and recorded tuples, dicts and ids."""
    return workspace.stock_perf(BY_NAME["orders_daily"]).head(60)


@pytest.fixture
def ours(stock: pd.DataFrame) -> pd.DataFrame:
    return stock.map(copy.deepcopy)


def change_cell(perf: pd.DataFrame) -> None:
    perf.iloc[DAY, perf.columns.get_loc("pnl")] *= 1 + 1e-8


def change_sign_of_nothing(perf: pd.DataFrame) -> None:
    perf["short_exposure"] = perf["short_exposure"].replace(0.0, -0.0)


def swap_orders(perf: pd.DataFrame) -> None:
    orders = next(orders for orders in perf["orders"] if len(orders) > 2)
    orders[0], orders[1] = orders[1], orders[0]


def drop_transaction(perf: pd.DataFrame) -> None:
    next(items for items in perf["transactions"] if items).pop()


def change_limit(perf: pd.DataFrame) -> None:
    order = next(item for items in perf["orders"] for item in items if item["limit"])
    order["limit"] += 0.01


def change_position(perf: pd.DataFrame) -> None:
    next(items for items in perf["positions"] if items)[0]["cost_basis"] *= 1 + 1e-8


def point_transaction_to_another_order(perf: pd.DataFrame) -> None:
    first, *_, last = [item for items in perf["transactions"] for item in items]
    last["order_id"] = first["order_id"]


def change_dtype(perf: pd.DataFrame) -> None:
    perf["held"] = perf["held"].astype(float)


def change_kind_inside(perf: pd.DataFrame) -> None:
    next(items for items in perf["orders"] if items)[0]["filled"] = 0.0


def change_recorded_text(perf: pd.DataFrame) -> None:
    perf["done"] = perf["done"].map(lambda seen: [("nothing", *seen[0][1:]), *seen[1:]])


def lose_column(perf: pd.DataFrame) -> None:
    del perf["alpha"]


def shift_index(perf: pd.DataFrame) -> None:
    perf.index = perf.index + pd.Timedelta(minutes=1)


def fill_nan(perf: pd.DataFrame) -> None:
    perf["sharpe"] = perf["sharpe"].fillna(0.0)


CHANGES = {
    change_cell: "pnl",
    change_sign_of_nothing: "short_exposure",
    swap_orders: "orders",
    drop_transaction: "transactions",
    change_limit: "orders",
    change_position: "positions",
    point_transaction_to_another_order: "transactions",
    change_dtype: "held",
    change_kind_inside: "orders",
    change_recorded_text: "done",
    lose_column: "alpha",
    shift_index: "",
    fill_nan: "sharpe",
}


@pytest.mark.parametrize("exact", [False, True])
def test_a_frame_equals_its_copy(stock: pd.DataFrame, ours: pd.DataFrame, exact: bool) -> None:
    assert_same(stock, ours, exact=exact)


@pytest.mark.parametrize("change", CHANGES, ids=lambda change: change.__name__)
def test_a_change_is_found_and_named(
    stock: pd.DataFrame, ours: pd.DataFrame, change: Callable[[pd.DataFrame], None]
) -> None:
    change(ours)
    found = list(mismatches(stock, ours, exact=True))
    assert found
    assert found[0].column == CHANGES[change]
    with pytest.raises(AssertionError, match=f"{CHANGES[change]}.*stock .*, ours "):
        assert_same(stock, ours, exact=True)


def test_a_mismatch_names_session_column_and_both_values(
    stock: pd.DataFrame, ours: pd.DataFrame
) -> None:
    change_cell(ours)
    (found,) = mismatches(stock, ours)
    left, right = stock["pnl"].iloc[DAY], ours["pnl"].iloc[DAY]
    assert str(found) == f"{stock.index[DAY].date()} pnl: stock {left!r}, ours {right!r}"


def test_random_order_ids_do_not_matter(stock: pd.DataFrame, ours: pd.DataFrame) -> None:
    renamed: dict[str, str] = {}
    for items in ours["orders"]:
        for order in items:
            order["id"] = renamed.setdefault(order["id"], f"other-{len(renamed)}")
    for items in ours["transactions"]:
        for transaction in items:
            transaction["order_id"] = renamed[transaction["order_id"]]
    del ours["done"]
    assert_same(stock.drop(columns="done"), ours, exact=True)


@pytest.mark.parametrize(
    ("stock_value", "our_value", "exact", "same"),
    [
        (1.0, 1.0 + 5e-10, False, True),
        (1.0, 1.0 + 5e-10, True, False),
        (1.0, 1.0 + 2e-9, False, False),
        (0.0, 5e-13, False, True),
        (0.0, 2e-12, False, False),
        (0.0, -0.0, True, False),
        (np.nan, np.nan, True, True),
        (np.nan, 0.0, False, False),
        (np.inf, np.inf, True, True),
        (np.inf, -np.inf, False, False),
        (1, 1.0, False, False),
        (True, 1, False, False),
        (np.uint32(7), 7, True, True),
        (None, np.nan, False, False),
        (pd.NaT, None, False, False),
        (pd.Timestamp("2013-01-02"), pd.Timestamp("2013-01-02", tz="UTC"), False, False),
        ([1.0, 2.0], (1.0, 2.0), True, True),
        ({"a": 1, "b": 2}, {"b": 2, "a": 1}, False, False),
        (np.array([1.0, np.nan]), np.array([1.0, np.nan]), True, True),
        (np.array([1.0, 2.0]), np.array([1.0, 2.1]), False, False),
        (np.array([1]), np.array([1.0]), False, False),
        (pd.Series([1.0], name="a"), pd.Series([1.0], name="b"), False, False),
        (pd.Series([1.0], index=[3]), pd.Series([1.0], index=[4]), False, False),
        (pd.DataFrame({"a": [1.0]}), pd.DataFrame({"a": [1.0]}), True, True),
        (pd.DataFrame({"a": [1.0]}), pd.DataFrame({"a": [1.5]}), False, False),
        (pd.DataFrame({"a": [1.0]}), pd.DataFrame({"b": [1.0]}), False, False),
        (pd.DataFrame({"a": [1]}), pd.DataFrame({"a": [1.0]}), False, False),
    ],
)
def test_recorded_values_are_compared_by_value_and_type(
    stock_value: object, our_value: object, exact: bool, same: bool
) -> None:
    assert (not list(mismatches(holding(stock_value), holding(our_value), exact=exact))) is same


def holding(value: object) -> pd.DataFrame:
    """A performance frame of one session whose recorded value sits inside a tuple."""
    row = {"orders": [], "transactions": [], "seen": (value,)}
    return pd.DataFrame([row], index=pd.DatetimeIndex(["2013-01-02T21:00Z"]))


def test_frames_of_metrics_without_orders_are_compared_too() -> None:
    one, other = (holding(value).drop(columns=["orders", "transactions"]) for value in (1.0, 2.0))
    assert [mismatch.column for mismatch in mismatches(one, other)] == ["seen"]
