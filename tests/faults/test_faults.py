"""A small part of ``python -m tests.faults``, for every change."""

import pytest

from tests.faults.__main__ import inject


@pytest.mark.slow
def test_every_fault_is_survived(tmp_path):
    outcomes = list(inject(tmp_path, kills=6, readers=2, others=3, seed=1))
    assert len(outcomes) >= 6 + 2 + 3 + 6 + 3 + 1
    assert [outcome for outcome in outcomes if outcome.problems] == []
