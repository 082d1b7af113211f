import json

import pytest

from tests.cli.helpers import Invoke


def test_list_names_csv_and_what_is_installed(invoke: Invoke) -> None:
    shown = invoke("sources", "list")
    assert shown.exit_code == 0
    assert "csv" in shown.stdout


def test_list_as_json(invoke: Invoke) -> None:
    records = {
        each["name"]: each for each in json.loads(invoke("sources", "list", "--json").stdout)
    }
    assert records["csv"]["installed"] is True
    assert records["csv"]["origin"] == "built in"


def test_info_shows_the_configuration(invoke: Invoke) -> None:
    shown = invoke("sources", "info", "csv").stdout
    assert "path" in shown
    assert "rustybt ingest csv --help" in shown
    assert "path" in json.loads(invoke("sources", "info", "csv", "--json").stdout)["configuration"]


def test_credentials_are_named_and_never_shown(
    invoke: Invoke, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("APCA_API_KEY_ID", "PK-visible")
    monkeypatch.delenv("APCA_API_SECRET_KEY", raising=False)
    monkeypatch.setenv("COLUMNS", "200")
    expected = {"APCA_API_KEY_ID": True, "APCA_API_SECRET_KEY": False}
    for command in (("list",), ("info", "alpaca")):
        text = invoke("sources", *command).stdout
        assert "APCA_API_KEY_ID: yes" in text
        assert "APCA_API_SECRET_KEY: no" in text
        told = invoke("sources", *command, "--json").stdout
        records = json.loads(told)
        found = records if isinstance(records, dict) else {r["name"]: r for r in records}["alpaca"]
        assert found["credentials"] == expected
        assert "visible" not in text + told


def test_info_says_what_the_source_has(invoke: Invoke) -> None:
    told = json.loads(invoke("sources", "info", "polygon", "--json").stdout)
    assert told["frequencies"] == "1m to 59m, 1h to 23h, 1d"
    assert (told["adjustment"], told["calendar"], told["streams"]) == ("raw", "XNYS", "yes")
    assert "clock" not in told["configuration"]


def test_an_unknown_source_names_the_known_ones(invoke: Invoke) -> None:
    done = invoke("sources", "info", "nope")
    assert (done.exit_code, done.stdout) == (1, "")
    assert done.stderr.startswith("Error: there is no data source 'nope'; there are: ")
    assert "csv" in done.stderr
