import json
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from rustybt.cli.ingest.generic import configuration
from rustybt.data.sources import DataSourceRegistry, registry
from tests.cli.helpers import SESSIONS, Invoke, bar, rows
from tests.fakes import FrameSource
from tests.frames import sessions, walk


def _metadata(invoke: Invoke, name: str) -> dict[str, object]:
    record: dict[str, object] = json.loads(invoke("bundles", "info", name, "--json").stdout)
    return record


def test_the_summary_says_what_was_done_and_what_to_type(invoke: Invoke, prices: Path) -> None:
    shown = invoke("ingest", "csv", prices, "--bundle", "my data")
    assert (shown.exit_code, shown.stderr) == (0, "")
    for text in (
        "Bundle my data: a new version was written",
        "2: AAA, BBB",
        "80 of 1d, 2020-01-02 to 2020-02-28, calendar XNYS",
        "nothing: every session of every symbol's life has a bar",
        "run -f ALGORITHM.py -b 'my data' --start 2020-01-02 --end 2020-02-28",
    ):
        assert text in shown.stdout


def test_json_is_all_of_stdout(invoke: Invoke, prices: Path) -> None:
    record = json.loads(invoke("ingest", "csv", prices, "-b", "small", "--json").stdout)
    assert record["symbols"] == ["AAA", "BBB"]
    assert record["coverage"] == []
    assert Path(record["path"]).is_dir()


@pytest.mark.parametrize(
    "options",
    [["--symbols", "BBB,AAA"], ["--symbols", "BBB", "--symbols", "AAA"], []],
    ids=["commas", "repeated", "all"],
)
def test_symbols_may_be_listed_repeated_or_left_out(
    invoke: Invoke, prices: Path, options: list[str]
) -> None:
    invoke("ingest", "csv", prices, "--bundle", "small", *options)
    assert _metadata(invoke, "small")["symbols"] == ["AAA", "BBB"]


def test_an_empty_list_of_symbols_is_not_all_of_them(invoke: Invoke, prices: Path) -> None:
    done = invoke("ingest", "csv", prices, "--bundle", "small", "--symbols", "")
    assert done.exit_code == 2
    assert "no name is given" in done.stderr


def test_options_reach_the_bundle(invoke: Invoke, prices: Path) -> None:
    invoke(
        *("ingest", "csv", prices, "--bundle", "small", "--symbols", "AAA"),
        *("--start", "2020-01-10", "--end", "2020-02-03", "--calendar", "NYSE"),
        *("--precision", "bcolz", "--frequency", "daily", "--adjustment", "split"),
    )
    record = _metadata(invoke, "small")
    wanted = {
        "symbols": ["AAA"],
        "start_date": "2020-01-10",
        "end_date": "2020-02-03",
        "calendar": "XNYS",
        "precision": "bcolz",
        "frequency": "1d",
        "adjustment": "split",
    }
    assert {name: record[name] for name in wanted} == wanted


def test_columns_dates_and_delimiters_can_be_named(invoke: Invoke, tmp_path: Path) -> None:
    file = tmp_path / "AAA.csv"
    file.write_text("when|o|h|l|Settle|Chg|v\n03/02/2020|1|3|0.5|2|9|100\n")
    done = invoke(
        *("ingest", "csv", file, "--bundle", "small", "--column", "close=Settle"),
        *("--column", "date=when", "--skip-column", "Chg", "--date-format", "%d/%m/%Y"),
        *("--delimiter", "|"),
    )
    assert done.exit_code == 0, done.output
    assert _metadata(invoke, "small")["start_date"] == "2020-02-03"


def test_minute_bars_are_told_their_timezone_and_label(invoke: Invoke, tmp_path: Path) -> None:
    file = tmp_path / "AAA.csv"
    lines = [f"2020-01-02 09:{minute}:00,1,3,0.5,2,100" for minute in range(30, 40)]
    file.write_text("\n".join(["date,open,high,low,close,volume", *lines]))
    done = invoke(
        *("ingest", "csv", file, "--bundle", "small", "--frequency", "1m", "--label", "start"),
        *("--timezone", "America/New_York"),
    )
    assert done.exit_code == 0, done.output
    assert "--data-frequency minute" in done.stdout
    assert _metadata(invoke, "small")["row_count"] == 10


def test_bars_off_the_calendar_can_be_dropped_and_are_counted(
    invoke: Invoke, tmp_path: Path
) -> None:
    file = tmp_path / "AAA.csv"
    file.write_text("\n".join([*rows(), bar("2020-02-29")]))
    done = invoke("ingest", "csv", file, "--bundle", "small", "--off-calendar", "drop")
    assert done.exit_code == 0
    assert re.search(r"dropped +1 day of 1 symbol .*: AAA 2020-02-29", done.stdout)


def test_missing_sessions_are_said(invoke: Invoke, tmp_path: Path) -> None:
    file = tmp_path / "AAA.csv"
    table = rows()
    file.write_text("\n".join(table[:5] + table[8:]))
    done = invoke("ingest", "csv", file, "--bundle", "small")
    span = f"AAA {SESSIONS[4]} to {SESSIONS[6]}"
    assert f"3 days of 1 symbol (no bar in the source): {span}" in done.stdout


class Acme(FrameSource):
    """Bars of Acme, Inc."""

    def __init__(self, account: str, factor: float = 1.0, live: bool = False) -> None:
        assert isinstance(account, str)
        assert isinstance(factor, float)
        super().__init__(
            walk(["ACME"], sessions("2020-01-02", "2020-01-06")),
            source_type="acme",
            config={"account": account, "factor": factor, "live": live},
        )


@pytest.fixture
def acme() -> Iterator[None]:
    DataSourceRegistry.register("acme", Acme)
    yield
    DataSourceRegistry.unregister("acme")


@pytest.mark.usefixtures("acme")
def test_a_source_of_another_package_is_ingested(invoke: Invoke) -> None:
    done = invoke(
        *("ingest", "acme", "--symbols", "ACME", "--bundle", "other"),
        *("--option", "account=007", "--option", "factor=2.5", "--option", "live=yes"),
    )
    assert done.exit_code == 0, done.output
    config = _metadata(invoke, "other")["source_config"]
    assert config == {"account": "007", "factor": 2.5, "live": True}


@pytest.mark.usefixtures("acme")
@pytest.mark.parametrize(
    ("options", "text"),
    [
        ([], "missing a required argument: 'account'; it takes: account, factor, live"),
        (["nope=1"], "nope"),
        (["account=1", "factor=x"], "factor: 'x' is not a number"),
        (["account=1", "live=perhaps"], "live: 'perhaps' is not true or false"),
        (["account"], "'account' is not of the form KEY=VALUE"),
        (["account={half"], "account: '{half' is not JSON"),
    ],
)
def test_a_wrong_configuration_is_a_usage_error(
    invoke: Invoke, options: list[str], text: str
) -> None:
    given = [word for option in options for word in ("--option", option)]
    done = invoke("ingest", "acme", "--bundle", "other", *given)
    assert (done.exit_code, done.stdout) == (2, "")
    assert text in done.stderr


def test_an_option_in_braces_or_brackets_is_json() -> None:
    options = {"account": '{"host": ["127.0.0.1", 80]}'}
    assert configuration(Acme, options) == {"account": {"host": ["127.0.0.1", 80]}}


@pytest.mark.usefixtures("acme")
def test_help_lists_the_sources_of_other_packages(invoke: Invoke) -> None:
    assert "Bars of Acme, Inc." in invoke("ingest", "--help").stdout
    assert "--option" in invoke("ingest", "acme", "--help").stdout


def test_a_source_without_its_package_says_what_to_install(
    invoke: Invoke, monkeypatch: pytest.MonkeyPatch
) -> None:
    entry = registry._BuiltIn("no.module", "Far", "Bars from afar", ("no_such_package",), "far")
    monkeypatch.setitem(registry._BUILT_IN, "far", entry)
    assert "pip install 'rustybt[far]'" in invoke("ingest", "--help").stdout
    assert "pip install 'rustybt[far]'" in invoke("sources", "list").stdout
    done = invoke("ingest", "far", "--symbols", "AAA", "--bundle", "small")
    assert (done.exit_code, done.stdout) == (1, "")
    assert done.stderr.startswith("Error: no_such_package is not installed.")
    assert "pip install 'rustybt[far]'" in done.stderr


def test_a_message_about_an_argument_names_the_option(invoke: Invoke, tmp_path: Path) -> None:
    file = tmp_path / "AAA.csv"
    file.write_text("\n".join(rows()).replace("close", "settle"))
    done = invoke("ingest", "csv", file, "--bundle", "small")
    assert done.exit_code == 1
    assert "columns= is --column ROLE=NAME" in done.stderr
    assert invoke("ingest", "csv", file, "-b", "small", "--column", "close=settle").exit_code == 0


def test_files_without_a_header_are_read_by_names(invoke: Invoke, tmp_path: Path) -> None:
    file = tmp_path / "AAA.csv"
    file.write_text("\n".join(rows()[1:]))
    names = ("--names", "date,open,high,low,close,volume")
    assert invoke("ingest", "csv", file, "--bundle", "small", *names).exit_code == 0
    both = invoke("ingest", "csv", file, "--bundle", "small", *names, "--column", "close=c")
    assert both.exit_code == 2


def test_an_unknown_source_names_the_known_ones(invoke: Invoke) -> None:
    done = invoke("ingest", "nope", "--bundle", "small")
    assert (done.exit_code, done.stdout) == (1, "")
    assert done.stderr.startswith("Error: there is no data source 'nope'; there are: ")
    assert "csv" in done.stderr


def test_a_symbol_that_cannot_be_had_is_said_and_the_command_fails(
    invoke: Invoke, prices: Path
) -> None:
    (prices / "CCC.csv").write_text("\n".join([*rows(), bar("2020-02-29")]))
    done = invoke("ingest", "csv", prices, "--bundle", "small")
    assert done.exit_code == 1
    assert "CCC (refused by validation)" in done.stdout
    assert "1 symbol of 3 could not be ingested" in done.stderr
    assert _metadata(invoke, "small")["symbols"] == ["AAA", "BBB"]


def test_a_partial_ingest_can_be_allowed(invoke: Invoke, prices: Path) -> None:
    named = ("--symbols", "AAA,NOPE", "--allow-partial", "--json")
    done = invoke("ingest", "csv", prices, "--bundle", "small", *named)
    assert done.exit_code == 0
    record = json.loads(done.stdout)
    assert record["symbols"] == ["AAA"]
    assert record["failures"]["NOPE"]["reason"] == "unknown symbol"


@pytest.mark.parametrize("option", ["--plan", "--dry-run"])
def test_a_plan_of_files_asks_nobody_and_writes_nothing(
    invoke: Invoke, prices: Path, option: str
) -> None:
    span = ("--start", "2020-01-02", "--end", "2020-02-28")
    done = invoke("ingest", "csv", prices, "--bundle", "small", *span, option, "--json")
    assert done.exit_code == 0, done.output
    plan = json.loads(done.stdout)
    assert (plan["calls"], plan["rows"], plan["symbols"]) == (0, 80, 2)
    assert invoke("bundles", "list", "--json").stdout == "[]\n"


RULES = """
[[supplier]]
source = "csv"
name = "archive"
end = 2020-01-31
options = {{ path = '{path}' }}
[[supplier]]
source = "csv"
name = "latest"
start = 2020-02-01
options = {{ path = '{path}' }}
"""


def test_several_sources_are_ingested_as_one(invoke: Invoke, prices: Path, tmp_path: Path) -> None:
    rules = tmp_path / "rules.toml"
    rules.write_text(RULES.format(path=prices))
    done = invoke(
        *("ingest", "composite", rules, "--bundle", "both", "--json"),
        *("--start", "2020-01-02", "--end", "2020-02-28"),
    )
    assert done.exit_code == 0, done.output
    record = json.loads(done.stdout)
    assert (record["source_type"], record["row_count"]) == ("composite", 80)
    assert "bars by provider: archive 42, latest 38; see suppliers.parquet" in record["notes"]


def test_rules_that_make_no_sense_are_a_message(invoke: Invoke, tmp_path: Path) -> None:
    rules = tmp_path / "rules.toml"
    rules.write_text("[[supplier]]\nname = 'archive'\n")
    done = invoke("ingest", "composite", rules, "--bundle", "both")
    assert (done.exit_code, done.stdout) == (1, "")
    assert "supplier 1 names no source" in done.stderr
