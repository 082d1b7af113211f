"""zipline's results on zipline's data are rustybt's results on rustybt's data."""

import ast
from importlib.resources import files
from importlib.util import find_spec

import pytest

from tests.parity.cases import CASES, EXAMPLE_CASES, EXAMPLES, Case
from tests.parity.same import assert_same
from tests.parity.workspace import Workspace

NOT_RUN = {"buyapple_ide": "downloads its benchmark when it is imported"}
if find_spec("talib") is None:
    NOT_RUN["dual_ema_talib"] = "needs TA-Lib, which is not installed"

# zipline's quantiles() casts NaN to int inside numpy.
pytestmark = pytest.mark.filterwarnings("ignore:invalid value encountered in cast:RuntimeWarning")

every_case = pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)


@every_case
def test_stock_trades(case: Case, workspace: Workspace) -> None:
    perf = workspace.stock_perf(case)
    assert perf["transactions"].map(len).sum() > 0
    assert perf["orders"].map(len).sum() > 0


@pytest.mark.parametrize(
    "case", [case for case in CASES if not case.only_exact], ids=lambda case: case.name
)
def test_full_precision_gives_stock_results_to_1e_9(case: Case, workspace: Workspace) -> None:
    assert_same(workspace.stock_perf(case), workspace.our_perf(case, "full"))


@every_case
def test_bcolz_precision_gives_stock_results_bit_for_bit(case: Case, workspace: Workspace) -> None:
    assert_same(workspace.stock_perf(case), workspace.our_perf(case, "bcolz"), exact=True)


def installed_examples() -> list[str]:
    folder = files("zipline.examples")
    return sorted(
        path.name.removesuffix(".py")
        for path in folder.iterdir()
        if path.name.endswith(".py") and defines_initialize(path.read_text())
    )


def defines_initialize(source: str) -> bool:
    return any(getattr(node, "name", "") == "initialize" for node in ast.parse(source).body)


@pytest.mark.parametrize("name", installed_examples())
def test_every_installed_example_is_a_case(name: str) -> None:
    if name in NOT_RUN:
        pytest.skip(f"{name} {NOT_RUN[name]}")
    assert EXAMPLES + name in {case.algorithm.module for case in EXAMPLE_CASES}
