"""How far the bars that were asked for are settled: sessions that ended, and a while ago."""

from datetime import UTC, date, datetime, timedelta

import pytest

from rustybt.data.bundles._request import settled_within

#: 2020-01-03 is a Friday, which closes at 21:00 UTC.
FRIDAY = datetime(2020, 1, 3, 21, tzinfo=UTC)


@pytest.mark.parametrize(
    ("first", "last", "settled"),
    [
        ("2020-01-02", "2020-01-02", "2020-01-02"),
        ("2020-01-02", "2020-01-03", "2020-01-03"),
        ("2020-01-02", "2020-01-09", "2020-01-03"),
        ("2019-12-31", "2020-01-01", "2019-12-31"),
        ("2020-01-01", "2020-01-01", None),
        ("2020-01-04", "2020-01-09", None),
    ],
)
def test_the_last_session_of_a_span_that_had_ended(first, last, settled):
    span = date.fromisoformat(first), date.fromisoformat(last)
    others = {(date(2019, 12, 2), date(2019, 12, 5)), (date(2020, 1, 2), date(2020, 1, 10))}
    found = settled_within("XNYS", {span, *others}, timedelta(0), FRIDAY)
    assert found.get(span) == (settled and date.fromisoformat(settled))


def test_a_session_is_settled_when_its_lag_is_over():
    span = date(2020, 1, 2), date(2020, 1, 3)
    for now, settled in ((FRIDAY, 2), (FRIDAY + timedelta(hours=1), 3)):
        found = settled_within("XNYS", [span], timedelta(hours=1), now)
        assert found == {span: date(2020, 1, settled)}


def test_nothing_that_is_asked_for_is_nothing_settled():
    assert settled_within("XNYS", [], timedelta(0), FRIDAY) == {}
