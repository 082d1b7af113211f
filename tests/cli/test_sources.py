import json

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


def test_an_unknown_source_names_the_known_ones(invoke: Invoke) -> None:
    done = invoke("sources", "info", "nope")
    assert (done.exit_code, done.stdout) == (1, "")
    assert done.stderr.startswith("Error: there is no data source 'nope'; there are: ")
    assert "csv" in done.stderr
