import json
import pickle
import re
import runpy
from pathlib import Path

import pandas as pd
import pytest
from zipline.finance.metrics import unregister as unregister_metrics_set

from rustybt import run_algorithm
from rustybt.cli import _report
from tests.cli.helpers import Invoke, rustybt

BUY = """
from zipline.api import order, record, symbol

def initialize(context):
    context.ordered = False

def handle_data(context, data):
    if not context.ordered:
        order(symbol("AAA"), SHARES)
        context.ordered = True
    record(price=data.current(symbol("AAA"), "price"))
"""
DATES = ("--start", "2020-01-03", "--end", "2020-02-14")


@pytest.fixture
def algorithm(tmp_path: Path) -> Path:
    """A file that buys ten shares of AAA."""
    file = tmp_path / "buy.py"
    file.write_text(BUY.replace("SHARES", "10"))
    return file


def test_a_summary_is_printed(invoke: Invoke, bundle: str, algorithm: Path) -> None:
    done = invoke("run", "-f", algorithm, "-b", bundle, *DATES, "--capital-base", "100000")
    assert (done.exit_code, done.stderr) == (0, "")
    for text in (
        "buy on small, 2020-01-03 to 2020-02-14",
        "from 100,000.00",
        "none: zero returns",
        "1 (1 filled); 1 transaction",
        "AAA, BBB",
        "Nothing was written",
    ):
        assert text in done.stdout


def test_the_result_is_the_library_s(invoke: Invoke, bundle: str, algorithm: Path) -> None:
    done = invoke("run", "-f", algorithm, "-b", bundle, *DATES, "-o", "perf.pickle")
    assert done.exit_code == 0
    names = runpy.run_path(str(algorithm))
    perf = run_algorithm(
        pd.Timestamp(DATES[1]),
        pd.Timestamp(DATES[3]),
        names["initialize"],
        10e6,
        names["handle_data"],
        bundle=bundle,
    )
    volatile = ["orders", "transactions"]  # order ids are random
    ours = pd.read_pickle("perf.pickle").drop(columns=volatile)
    pd.testing.assert_frame_equal(ours, perf.drop(columns=volatile), check_like=True)


def test_json_is_all_of_stdout_whatever_the_algorithm_prints(invoke: Invoke, bundle: str) -> None:
    text = "def initialize(context): print('from the algorithm')"
    done = invoke("run", "-t", text, "-b", bundle, *DATES, "--json", "-o", "p.pickle")
    record = json.loads(done.stdout)
    assert record["run"]["bundle"] == bundle
    assert record["result"]["sessions"] == 30
    assert record["result"]["final_value"] == 10e6
    assert record["result"]["sharpe"] is None
    assert record["files"] == {"perf": "p.pickle"}
    assert done.stderr == "from the algorithm\n"


def test_a_dash_prints_the_frame_as_zipline_does(
    invoke: Invoke, bundle: str, algorithm: Path
) -> None:
    done = invoke("run", "-f", algorithm, "-b", bundle, *DATES, "-o", "-")
    assert "[30 rows x 38 columns]" in done.stdout
    assert "Nothing was written" not in done.stdout


def test_names_are_defined_in_their_order(invoke: Invoke, bundle: str) -> None:
    done = invoke(
        *("run", "-t", BUY, "-b", bundle, *DATES, "--json"),
        *("-D", "HALF=4", "-D", "SHARES=HALF * 2", "-o", "perf.pickle"),
    )
    assert done.exit_code == 0, done.output
    assert pickle.loads(Path("perf.pickle").read_bytes())["positions"].iloc[-1][0]["amount"] == 8


def test_the_frame_can_be_written_compressed(invoke: Invoke, bundle: str) -> None:
    invoke("run", "-t", "x = 1", "-b", bundle, *DATES, "-o", "perf.pkl.gz")
    assert Path("perf.pkl.gz").read_bytes().startswith(b"\x1f\x8b")
    assert len(pd.read_pickle("perf.pkl.gz")) == 30
    assert [path.name for path in Path().iterdir() if "perf" in path.name] == ["perf.pkl.gz"]


@pytest.mark.parametrize(
    ("options", "text"),
    [
        (["--benchmark-symbol", "BBB"], 65.0),
        (["--benchmark-sid", "1"], 65.0),
        (["--benchmark-file", "returns.csv"], 0.01),
        (["--no-benchmark"], 0.0),
        ([], 0.0),
    ],
)
def test_each_benchmark_option_is_used(
    invoke: Invoke, bundle: str, options: list[str], text: float
) -> None:
    Path("returns.csv").write_text("date,return\n2020-01-06,0.01\n")
    done = invoke("run", "-t", "x = 1", "-b", bundle, *DATES, "--json", *options)
    returned = json.loads(done.stdout)["result"]["benchmark_return"]
    expected = text if text < 1 else (50 + 30 / 4) / (50 + 0 / 4) - 1
    assert returned == pytest.approx(expected, rel=1e-9)


def test_the_algorithm_s_own_benchmark_goes_before_zero_returns(
    invoke: Invoke, bundle: str
) -> None:
    text = (
        "from zipline.api import set_benchmark, symbol\n"
        "def initialize(context): set_benchmark(symbol('BBB'))"
    )
    done = invoke("run", "-t", text, "-b", bundle, *DATES, "--json")
    assert json.loads(done.stdout)["result"]["benchmark_return"] > 0.1


def test_a_report_is_written(invoke: Invoke, bundle: str, algorithm: Path) -> None:
    pytest.importorskip("plotly")
    done = invoke("run", "-f", algorithm, "-b", bundle, *DATES, "--report", "out.html")
    assert done.exit_code == 0, done.output
    assert "report: out.html" in done.stdout
    assert "buy on small" in Path("out.html").read_text()


def test_a_report_that_could_not_be_written_stops_before_the_run(
    invoke: Invoke, bundle: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_report, "_PACKAGES", ("no_such_package",))
    text = "def initialize(context): print('has run')"
    done = invoke("run", "-t", text, "-b", bundle, *DATES, "--report", "out.html")
    assert (done.exit_code, done.stdout) == (1, "")
    assert "pip install 'rustybt[report]'" in done.stderr


def test_the_algorithm_can_be_printed(invoke: Invoke, bundle: str) -> None:
    done = invoke("run", "-t", "x = 'here'", "-b", bundle, *DATES, "--print-algo")
    assert done.stdout.startswith("x = 'here'\n")


def test_extensions_are_loaded_with_their_arguments(
    invoke: Invoke, bundle: str, tmp_path: Path
) -> None:
    extension = tmp_path / "mine.py"
    extension.write_text(
        "import zipline\n"
        "from zipline.finance.metrics import load, register\n"
        "register(zipline.extension_args.cli.name, lambda: load('default'))\n"
    )
    done = invoke(
        *("run", "-t", "x = 1", "-b", bundle, *DATES, "--json", "--strict-extensions"),
        *("--extension", extension, "-x", "cli.name=mine", "--metrics-set", "mine"),
    )
    unregister_metrics_set("mine")
    assert done.exit_code == 0, done.output


def test_a_process_of_its_own_shows_the_algorithm_s_log_and_nothing_else_on_stderr(
    bundle: str, algorithm: Path
) -> None:
    first = "    context.ordered = False\n"
    logs = "    import logging; logging.getLogger('mine').info('so it begins')\n"
    algorithm.write_text(algorithm.read_text().replace(first, first + logs))
    done = rustybt("run", "-f", algorithm, "-b", bundle, *DATES, TERM="xterm-256color")
    assert done.returncode == 0
    assert re.fullmatch(r"\[\S+-INFO\]\[mine\]\n so it begins\n", done.stderr)
    assert "\x1b" not in done.stdout
    assert "1 (1 filled); 1 transaction" in done.stdout
