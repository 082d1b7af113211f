"""What counts as conforming: nothing worse than on zipline as it is, and nothing left unused."""

import pytest

from tests.conformance.running import Run
from tests.conformance.verdict import Stock, problems

_STOCK = Stock(
    counts={"passed": 2, "failed": 1, "skipped": 1},
    exceptions={"t::broken": "failed", "t::elsewhere": "skipped"},
    constructions={"DAILY_READER": 3},
    seconds=1.0,
)
_SAME = {"t::a": "passed", "t::b": "passed", "t::broken": "failed", "t::elsewhere": "skipped"}


def _run(outcomes: dict[str, str] | None = None, **rest: object) -> Run:
    rest.setdefault("constructions", {"DAILY_READER": 1})
    return Run("t", 1.0, outcomes=_SAME if outcomes is None else outcomes, **rest)


@pytest.mark.parametrize(
    "run",
    [
        _run(),
        _run({**_SAME, "t::broken": "passed", "t::elsewhere": "passed"}),
        _run({k: v for k, v in _SAME.items() if k != "t::b"}, left_out={"t::b": "about bytes"}),
    ],
    ids=["the same outcomes", "better ones", "a test that cannot apply"],
)
def test_conforms(run: Run) -> None:
    assert problems(run, _STOCK, ["DAILY_READER", "MINUTE_READER"]) == []


@pytest.mark.parametrize(
    ("run", "said"),
    [
        (_run({**_SAME, "t::a": "failed"}, messages={"t::a": "1 != 2"}), "t::a failed: 1 != 2"),
        (_run({**_SAME, "t::a": "error"}), "t::a error"),
        (_run({**_SAME, "t::a": "skipped"}), "t::a is skipped"),
        (_run({k: v for k, v in _SAME.items() if k != "t::b"}), "3 tests were found, 4 on"),
        (_run(constructions={}), "DAILY_READER was never constructed; zipline's is, 3 times"),
        (_run(leaks={"PORTAL": {"t::a": 2, "t::b": 1}}), "constructed 3 times, by t::a"),
        (_run(stale=["t::gone*"]), "t::gone* matches no test"),
        (_run({}, crash="segmentation fault"), "segmentation fault"),
    ],
)
def test_does_not_conform(run: Run, said: str) -> None:
    (problem,) = problems(run, _STOCK, ["DAILY_READER"])
    assert said in problem


def test_a_module_without_a_record_does_not_conform() -> None:
    (problem,) = problems(_run(), None, [])
    assert "--stock --record" in problem
