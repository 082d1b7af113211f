"""The machine's timezone and language change nothing."""

import os
import subprocess
import sys
import time
from datetime import UTC, date, datetime

import pytest

from tests.data.sources.files import days, put, times

#: The weeks in which clocks change in New York, Berlin and Sydney.
SESSIONS = [
    "2020-03-06", "2020-03-09", "2020-03-27", "2020-03-30",
    "2020-04-03", "2020-04-06", "2020-10-02", "2020-10-05",
    "2020-10-23", "2020-10-26", "2020-10-30", "2020-11-02",
]  # fmt: skip
SPELLINGS = {
    "iso": "%Y-%m-%d",
    "midnight": "%Y-%m-%d 00:00:00",
    "last second": "%Y-%m-%dT23:59:59",
    "western midnight": "%Y-%m-%d 00:00:00-11:00",
    "eastern midnight": "%Y-%m-%d 00:00:00+14:00",
    "slashes": "%m/%d/%Y",
    "epoch": "%s",
}
SCRIPT = """
import asyncio, sys, time
from rustybt.data.sources.csv import CSVDataSource
source = CSVDataSource(sys.argv[1])
bars = asyncio.run(source.fetch(["X"], sys.argv[2], sys.argv[3], sys.argv[4]))
events = asyncio.run(source.fetch_events(["X"], None, None))
print(*time.tzname)
print(*(each.isoformat() for each in bars["timestamp"]))
print(*events.dividends["ex_date"])
"""


def elsewhere(zone, *arguments):
    """Output lines of the script in a process of another timezone."""
    environ = os.environ | {"TZ": zone}
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", SCRIPT, *map(str, arguments)],
        env=environ, capture_output=True, text=True, check=True, timeout=120,
    )  # fmt: skip
    return done.stdout.splitlines()


@pytest.mark.parametrize(
    ("zone", "name"),
    [("UTC", "UTC"), ("Europe/Berlin", "CET"), ("Asia/Tokyo", "JST"), ("Australia/Sydney", "AEST")],
)
@pytest.mark.parametrize("spelling", ["western midnight", "epoch", "slashes"])
def test_a_daily_bar_is_on_its_session_in_every_timezone(tmp_path, zone, name, spelling):
    path = put(tmp_path, "X.csv", days(*(_spell(session, spelling) for session in SESSIONS)))
    put(tmp_path, "dividends.csv", f"symbol,ex_date,amount\nX,{SESSIONS[0]},1\n")
    names, found, ex_dates = elsewhere(zone, path, SESSIONS[0], SESSIONS[-1], "1d")
    assert names.startswith(name)
    assert found.split() == SESSIONS
    assert ex_dates == SESSIONS[0]


@pytest.mark.parametrize("zone", ["Europe/Berlin", "Asia/Tokyo", "Australia/Sydney"])
def test_an_instant_is_the_same_in_every_timezone(tmp_path, zone):
    written = ["2020-03-29 02:30", "2020-03-29 02:31", "2020-10-25 02:30"]
    path = put(tmp_path, "X.csv", days(*written))
    _, found, _ = elsewhere(zone, path, "2020-03-29", "2020-10-25", "1m")
    assert found.split() == [f"{text.replace(' ', 'T')}:00+00:00" for text in written]


@pytest.mark.parametrize("spelling", SPELLINGS)
@pytest.mark.parametrize("zone", ["Pacific/Kiritimati", "Pacific/Pago_Pago"])
def test_every_spelling_is_its_session_at_the_ends_of_the_world(
    tmp_path, monkeypatch, spelling, zone
):
    path = put(tmp_path, "X.csv", days(*(_spell(session, spelling) for session in SESSIONS)))
    monkeypatch.setenv("TZ", zone)
    time.tzset()
    try:
        found = times(path)
    finally:
        monkeypatch.undo()
        time.tzset()
    assert found == SESSIONS


def _spell(session, spelling):
    day = date.fromisoformat(session)
    if spelling == "epoch":
        return str(int(datetime(day.year, day.month, day.day, tzinfo=UTC).timestamp()))
    return day.strftime(SPELLINGS[spelling])
