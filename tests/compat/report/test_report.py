"""What a report says, read back from the page; the browser is in test_browser.py."""

import sys
from dataclasses import replace
from datetime import date
from pathlib import Path
from typing import Any

import pandas as pd
import plotly.graph_objects as go
import polars as pl
import pytest
from zipline.assets import Equity, ExchangeInfo

from rustybt.compat.report import fills, render_report, write_report
from rustybt.compat.report.figures import deepest_drawdown, monthly_returns
from rustybt.compat.report.run import read_perf, session_of
from rustybt.data.errors import MissingExtraError
from tests.compat.report.runs import HOSTILE
from tests.compat.report.unpacking import charts_of, loads, texts

Perfs = dict[str, pd.DataFrame]

PROVENANCE = {
    "bundle": "stocks",
    "version": "2026-01-02T03;04;05.678901",
    "content_hash": "4f0c2a9e",
    "source_type": "csv",
    "adjustment": "raw",
    "precision": "decimal",
    "quality_score": 0.9871,
    "missing_data_pct": 0.374,
    "calendar": "XNYS",
    "calendar_version": "4.13.2",
    "data_start": "2021-01-04",
    "data_end": "2022-06-30",
    "symbols": ["AAA", HOSTILE],
    "libraries": {"zipline-reloaded": "3.2.1"},
    "algorithm": "turns.py",
    "start": "2021-01-04",
    "end": "2022-06-30",
    "capital_base": 100_000.0,
    "data_frequency": "daily",
    "assumptions": ["Orders fill on the next bar."],
}


def with_provenance(perf: pd.DataFrame, provenance: dict[str, Any]) -> pd.DataFrame:
    perf = perf.copy()
    perf.attrs["rustybt"] = provenance
    return perf


def headline_of(page: str) -> dict[str, str]:
    return dict(zip(texts(page, "dt"), texts(page, "dd"), strict=True))


def trace_named(traces: list[dict[str, Any]], name: str) -> dict[str, Any]:
    return next(trace for trace in traces if trace["name"] == name)


def transactions(perf: pd.DataFrame, symbol: str) -> list[dict[str, Any]]:
    return [t for row in perf["transactions"] for t in row if t["sid"].symbol == symbol]


@pytest.mark.parametrize("kind", ["daily", "no benchmark", "idle", "minutes", "one day"])
def test_every_chart_is_a_figure_that_plotly_accepts(perfs: Perfs, kind: str) -> None:
    spec = charts_of(render_report(perfs[kind], title=kind))
    figures = [chart for chart in spec["charts"].values() if chart]
    figures += [{"data": t, "layout": spec["fills"]["layout"]} for t in spec["fills"]["assets"]]
    for figure in figures:
        for trace in figure["data"]:
            trace["x"] = (
                spec["shared"].get(trace["x"]) if isinstance(trace["x"], str) else trace["x"]
            )
            assert len(trace["x"]) == len(trace["y"]) > 0 or trace["mode"] == "markers"
        go.Figure(figure["data"], figure["layout"])


def test_the_page_names_nothing_to_load_and_forbids_it(perfs: Perfs) -> None:
    page = render_report(perfs["daily"], title="daily")
    assert loads(page) == ["data:,"]
    assert "default-src 'none'" in page
    assert "@import" not in page


def test_headline_figures_are_those_of_the_frame(perfs: Perfs) -> None:
    perf = perfs["daily"]
    last = perf.iloc[-1]
    figures = headline_of(render_report(perf, title="daily"))
    assert figures["Total return"] == f"{last['algorithm_period_return']:.2%}"
    assert figures["Sharpe"] == f"{last['sharpe']:.2f}"
    assert figures["Sortino"] == f"{last['sortino']:.2f}"
    assert figures["Benchmark return"].replace("\N{MINUS SIGN}", "-") == (
        f"{last['benchmark_period_return']:.2%}"
    )
    assert figures["Final value"].startswith(f"{last['portfolio_value']:,.2f}")
    assert figures["Transactions"] == str(perf["transactions"].map(len).sum())
    assert figures["Orders"] == "40, 13 not filled"


def test_annual_growth_compounds_to_the_total_return(perfs: Perfs) -> None:
    perf = perfs["daily"]
    cagr = float(headline_of(render_report(perf, title="daily"))["CAGR"].rstrip("%")) / 100
    years = ((date(2022, 6, 30) - date(2021, 1, 4)).days + 1) / 365.25
    assert (1 + cagr) ** years - 1 == pytest.approx(
        perf["algorithm_period_return"].iloc[-1], abs=2e-4
    )


def test_the_deepest_drawdown_is_ziplines(perfs: Perfs) -> None:
    perf = perfs["daily"]
    deepest = deepest_drawdown(read_perf(perf))
    assert deepest is not None
    assert deepest.depth == pytest.approx(perf["max_drawdown"].iloc[-1], rel=1e-9)


@pytest.mark.parametrize(
    ("growth", "peak", "trough", "recovered"),
    [
        ([1.1, 0.9, 1.0, 1.2], 1, 2, 4),
        ([1.1, 0.9, 1.1, 1.0], 1, 2, 3),
        ([0.9, 0.8, 0.9, 0.9], 1, 2, None),
        ([1.1, 1.1, 0.9, 0.8], 2, 4, None),
    ],
)
def test_a_drawdown_runs_from_its_last_peak_to_the_first_session_back(
    perfs: Perfs, growth: list[float], peak: int, trough: int, recovered: int | None
) -> None:
    days = [date(2021, 3, day) for day in range(1, 5)]
    run = replace(
        read_perf(perfs["idle"]), sessions=pl.DataFrame({"session": days, "growth": growth})
    )
    deepest = deepest_drawdown(run)
    assert deepest is not None
    assert (deepest.peak.day, deepest.trough.day) == (peak, trough)
    assert (deepest.recovered and deepest.recovered.day) == recovered


def test_months_and_years_compound_the_daily_returns(perfs: Perfs) -> None:
    perf = perfs["daily"]
    returns = perf["returns"].astype(float)
    by_month = (1 + returns).groupby([perf.index.year, perf.index.month]).prod() - 1
    years = monthly_returns(read_perf(perf))
    assert [year.year for year in years] == [2021, 2022]
    assert years[1].months[6:] == (None,) * 6
    for year in years:
        for month, value in enumerate(year.months, start=1):
            assert value is None or value == pytest.approx(by_month[year.year, month], rel=1e-12)
    total = (1 + years[0].total) * (1 + years[1].total) - 1
    assert total == pytest.approx(perf["algorithm_period_return"].iloc[-1], rel=1e-9)


@pytest.mark.parametrize("kind", ["daily", "minutes"])
def test_fills_are_drawn_at_the_transaction_price(perfs: Perfs, kind: str) -> None:
    perf = perfs[kind]
    for traces, symbol in zip(
        charts_of(render_report(perf, title=kind))["fills"]["assets"], ("AAA", HOSTILE), strict=True
    ):
        expected = transactions(perf, symbol)
        for name, sign in (("Buy", 1), ("Sell", -1)):
            drawn = trace_named(traces, name)
            mine = [t for t in expected if t["amount"] * sign > 0]
            stamp = "%Y-%m-%d %H:%M:%S" if kind == "minutes" else "%Y-%m-%d"
            assert drawn["x"] == [t["dt"].strftime(stamp) for t in mine]
            assert drawn["y"] == pytest.approx([t["price"] for t in mine], rel=1e-9)
            assert drawn["customdata"] == [abs(t["amount"]) for t in mine]


def test_an_order_that_never_filled_is_drawn_at_its_limit(perfs: Perfs) -> None:
    assets = charts_of(render_report(perfs["daily"], title="daily"))["fills"]["assets"]
    unfilled = [trace_named(traces, "Order, not filled") for traces in assets]
    assert sum(len(trace["x"]) for trace in unfilled) == 13
    assert {price for trace in unfilled for price in trace["y"]} == {1.0}


def test_the_areas_of_the_positions_add_up_to_the_frames_values(perfs: Perfs) -> None:
    perf = perfs["daily"]
    chart = charts_of(render_report(perf, title="daily"))["charts"]["positions"]
    for side in ("long", "short"):
        areas = [trace["y"] for trace in chart["data"] if trace.get("stackgroup") == side]
        total = [sum(values) for values in zip(*areas, strict=True)]
        assert total == pytest.approx(perf[f"{side}_value"].tolist(), abs=1e-4)


def test_equity_and_benchmark_start_from_the_capital(perfs: Perfs) -> None:
    perf = perfs["daily"]
    spec = charts_of(render_report(perf, title="daily"))
    assert spec["shared"]["from_start"][:2] == ["2021-01-03", "2021-01-04"]
    portfolio, benchmark = (
        trace_named(spec["charts"]["equity"]["data"], name)["y"]
        for name in ("Portfolio", "Benchmark")
    )
    assert portfolio[0] == benchmark[0] == 100_000.0
    assert portfolio[1:] == pytest.approx(perf["portfolio_value"].tolist(), rel=1e-9)
    grown = 100_000.0 * (1.0 + perf["benchmark_period_return"])
    assert benchmark[1:] == pytest.approx(grown.tolist(), rel=1e-9)


def test_without_a_benchmark_none_is_drawn(perfs: Perfs) -> None:
    page = render_report(perfs["no benchmark"], title="no benchmark")
    assert "The run had no benchmark." in page
    assert "Alpha" not in texts(page, "dt")
    names = [trace["name"] for trace in charts_of(page)["charts"]["equity"]["data"]]
    assert names == ["Portfolio", "Drawdown"]


def test_a_run_without_orders_says_so(perfs: Perfs) -> None:
    page = render_report(perfs["idle"], title="idle")
    assert "The run placed no orders and made no transactions." in page
    assert "No position was held at the close of any session." in page
    assert charts_of(page)["fills"]["assets"] == []
    assert headline_of(page)["Sharpe"] == "n/a"


def test_one_session_has_no_annual_figures(perfs: Perfs) -> None:
    figures = headline_of(render_report(perfs["one day"], title="one day"))
    assert figures["CAGR"] == "n/a, under a year"
    assert figures["Sharpe"] == figures["Sortino"] == "n/a"
    assert figures["Volatility"] == "n/a, annualised"


def test_names_are_text_and_never_markup(perfs: Perfs) -> None:
    perf = with_provenance(perfs["daily"], {**PROVENANCE, "algorithm": HOSTILE, "bundle": HOSTILE})
    perf = perf.rename(columns={"price": HOSTILE})
    page = render_report(perf, title=HOSTILE)
    assert HOSTILE not in page
    assert texts(page, "h1", "option") == [HOSTILE, "AAA", HOSTILE]
    spec = charts_of(page)["charts"]
    names = {trace["name"] for chart in spec.values() for trace in chart["data"]}
    assert "&lt;B&gt;&amp;&lt;/SCRIPT&gt;" in names
    assert HOSTILE not in names


def test_provenance_is_shown(perfs: Perfs) -> None:
    page = render_report(with_provenance(perfs["daily"], PROVENANCE), title="daily")
    facts = " | ".join(texts(page, "tr", "li"))
    for shown in (
        *(
            "stocks",
            "2026-01-02T03:04:05.678901",
            "4f0c2a9e",
            "csv",
            "raw",
            "decimal",
            "0.987 of 1",
        ),
        *("0.37%", "XNYS", "4.13.2", "2021-01-04 to 2022-06-30", "3.2.1", "turns.py", "100,000.00"),
        *(f"AAA, {HOSTILE}", "Orders fill on the next bar."),
    ):
        assert shown in facts
    assert "not recorded" not in facts


@pytest.mark.parametrize("key", PROVENANCE)
def test_what_is_not_recorded_is_said(perfs: Perfs, key: str) -> None:
    lacking = {name: value for name, value in PROVENANCE.items() if name != key}
    page = render_report(with_provenance(perfs["idle"], lacking), title="idle")
    assert page.count("not recorded") == 1


def test_without_any_provenance_nothing_fails(perfs: Perfs) -> None:
    page = render_report(perfs["idle"], title="idle")
    assert texts(page, "td").count("not recorded") == 18


def test_recorded_numbers_share_a_chart_by_size_and_text_is_named(perfs: Perfs) -> None:
    page = render_report(perfs["daily"], title="daily")
    charts = charts_of(page)["charts"]
    drawn = [[t["name"] for t in charts[f"recorded-{i}"]["data"]] for i in range(2)]
    assert drawn == [["price"], ["thousandth"]]
    assert "Not numbers, so not drawn: mood." in page


def test_what_is_left_out_is_said(perfs: Perfs, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fills, "MAX_MARKERS", 5)
    monkeypatch.setattr(fills, "MAX_ASSETS", 1)
    perf = perfs["daily"]
    page = render_report(perf, title="daily")
    (traces,) = charts_of(page)["fills"]["assets"]
    drawn = [trace for trace in traces if trace["name"] in ("Buy", "Sell")]
    values = [a * p for t in drawn for a, p in zip(t["customdata"], t["y"], strict=True)]
    largest = sorted(abs(t["amount"] * t["price"]) for t in transactions(perf, "AAA"))[-5:]
    assert sorted(values) == pytest.approx(largest, rel=1e-9)
    assert "The 5 largest fills by value are drawn, 9 smaller fills left out." in page
    assert "1 asset with fewer fills left out." in page


def test_given_prices_are_the_line_within_the_run(perfs: Perfs) -> None:
    perf = perfs["daily"]
    days = pl.date_range(date(2020, 12, 1), date(2022, 8, 1), eager=True)
    prices = pl.DataFrame({"symbol": "AAA", "timestamp": days, "close": 7.0})
    spec = charts_of(render_report(perf, title="daily", prices=prices))["fills"]
    line = trace_named(spec["assets"][0], "Price")
    assert (line["x"][0], line["x"][-1]) == ("2021-01-04", "2022-06-30")
    assert set(line["y"]) == {7.0}
    assert set(trace_named(spec["assets"][1], "Price")["y"]) != {7.0}


def test_minute_prices_are_drawn_by_the_minute(perfs: Perfs) -> None:
    minutes = pd.date_range("2022-06-27 13:31", "2022-06-27 20:00", freq="min", tz="UTC")
    timestamps = pl.Series(list(minutes), dtype=pl.Datetime("us", "UTC"))
    prices = pl.DataFrame({"symbol": "AAA", "timestamp": timestamps, "close": 7.0})
    spec = charts_of(render_report(perfs["minutes"], title="minutes", prices=prices))["fills"]
    line = trace_named(spec["assets"][0], "Price")
    assert line["x"][:2] == ["2022-06-27 13:31:00", "2022-06-27 13:32:00"]
    assert len(line["x"]) == 390


def test_assets_that_share_a_symbol_are_told_apart(perfs: Perfs) -> None:
    exchange = ExchangeInfo("XNYS", "XNYS", "US")
    perf = perfs["idle"].copy()
    twins = [Equity(sid, exchange, symbol="TWX") for sid in (3, 8)]
    held = [{"sid": twin, "amount": 1, "cost_basis": 5.0, "last_sale_price": 5.0} for twin in twins]
    perf["positions"] = [held for _ in range(len(perf))]
    chart = charts_of(render_report(perf, title="twins"))["charts"]["positions"]
    names = {trace["name"] for trace in chart["data"] if "stackgroup" in trace}
    assert names == {"TWX (sid 3)", "TWX (sid 8)"}


@pytest.mark.parametrize(
    ("close", "session"),
    [
        ("2021-03-01 21:00+00:00", date(2021, 3, 1)),
        ("2021-03-01 06:00+00:00", date(2021, 3, 1)),
        ("2021-03-02 00:00+00:00", date(2021, 3, 1)),
        ("2021-03-01 16:00-05:00", date(2021, 3, 1)),
        ("2021-03-01", date(2021, 3, 1)),
    ],
)
def test_a_close_belongs_to_its_session(close: str, session: date) -> None:
    assert session_of(pd.Timestamp(close)) == session


@pytest.mark.parametrize("package", ["jinja2", "plotly"])
def test_a_missing_package_names_the_extra(
    perfs: Perfs, package: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(MissingExtraError, match=r"pip install 'rustybt\[report\]'") as caught:
        render_report(perfs["idle"], title="idle")
    assert caught.value.package == package


@pytest.mark.parametrize(
    ("frame", "message"),
    [
        (pd.DataFrame({"close": [1.0]}), "no column algorithm_period_return"),
        (
            pd.DataFrame(
                columns=["portfolio_value", "algorithm_period_return", "returns", "starting_cash"]
            ),
            "no rows",
        ),
    ],
)
def test_what_is_no_performance_frame_is_refused(frame: pd.DataFrame, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        render_report(frame, title="none")


def test_the_file_is_written_in_a_new_folder_and_the_same_each_time(
    perfs: Perfs, tmp_path: Path
) -> None:
    pages = [
        write_report(perfs["daily"], tmp_path / name / "run.html", title="daily").read_text("utf-8")
        for name in ("one", "two")
    ]
    assert pages[0] == pages[1] == render_report(perfs["daily"], title="daily")
