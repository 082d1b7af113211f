"""``rustybt parity``: how a user convinces himself."""

import json
from pathlib import Path

import pytest

from tests.cli.helpers import Invoke

DATES = ("--start", "2020-01-03", "--end", "2020-02-14")
STEADY = """
from zipline.api import order, record, symbol

def initialize(context):
    context.day = 0

def handle_data(context, data):
    context.day += 1
    order(symbol("AAA"), 1 + context.day % 3)
    if context.day > 2:
        record(mean=data.history(symbol("BBB"), "price", 3, "1d").mean())
"""
ERRATIC = (
    STEADY.replace("1 + context.day % 3", "next(NUMBERS)")
    + """
import itertools, builtins
NUMBERS = builtins.__dict__.setdefault("_numbers_of_the_parity_test", itertools.count(1))
"""
)


@pytest.fixture
def algorithm(tmp_path: Path) -> Path:
    file = tmp_path / "steady.py"
    file.write_text(STEADY)
    return file


def test_the_same_cells_are_counted(invoke: Invoke, bundle: str, algorithm: Path) -> None:
    done = invoke("parity", "-f", algorithm, "-b", bundle, *DATES)
    assert done.exit_code == 0, done.output
    assert "identical: 30 sessions, 30 orders, 29 transactions, all " in done.stdout
    assert "zipline's simulation, the fast simulation" in done.stdout


def test_a_difference_is_shown_with_its_cause(invoke: Invoke, bundle: str, tmp_path: Path) -> None:
    file = tmp_path / "erratic.py"
    file.write_text(ERRATIC)
    done = invoke("parity", "-f", file, "-b", bundle, *DATES)
    assert done.exit_code == 1
    assert "2020-01-03 orders[0]['amount']: 1 | 31 (and " in done.stdout
    assert "the first of a column: zipline's simulation | the fast simulation" in done.stdout
    # The first of the next column, and no second one of orders.
    assert done.stdout.count("orders[") == 1
    assert "2020-01-06 " in done.stdout
    assert "does not repeat itself" in done.stdout


def test_json_says_the_same(invoke: Invoke, bundle: str, algorithm: Path) -> None:
    done = invoke("parity", "-f", algorithm, "-b", bundle, *DATES, "--json")
    record = json.loads(done.stdout)
    assert (record["identical"], record["transactions"]) == (True, 29)
    assert record["differences"] == []


def test_an_error_of_the_algorithm_ends_it(invoke: Invoke, bundle: str) -> None:
    done = invoke("parity", "-t", "def handle_data(c, d): 1 / 0", "-b", bundle, *DATES)
    assert done.exit_code == 1
    assert "ZeroDivisionError" in done.stderr
