"""What an algorithm reads of a bundle agrees with what was written, to the last digit."""

from itertools import product

import numpy as np
import pandas as pd
import polars as pl
import pytest
from zipline.data.data_portal import DataPortal as ZiplineDataPortal
from zipline.utils.calendar_utils import get_calendar

from rustybt.compat.bundles import load
from rustybt.compat.data_portal import DataPortal
from rustybt.data.adjustments import Events
from rustybt.data.bundles.ingest import ingest
from tests.fakes import FrameSource
from tests.frames import VALUES, dividends, minutes, sessions, splits, walk

DAYS = sessions("2020-01-02", "2020-01-15")
MOMENTS = minutes("2020-01-02", "2020-01-03")
CALENDAR = "XNYS"

#: Prices and volumes that zipline's own format destroys, over and over.
PRICES = [1.234e-5, 150_000_000.0, 0.1 + 0.2, 98_765.4321]
VOLUMES = [0.7, 4.5e12, 12_345_678_901.25, 1e-8]


def odd_bars(timestamps):
    size = len(timestamps)
    prices, volumes = (np.resize(values, size) for values in (PRICES, VOLUMES))
    columns = {"timestamp": timestamps, **dict.fromkeys(VALUES[:4], prices), "volume": volumes}
    frame = pl.DataFrame({"symbol": ["A"] * size, **columns}).select("symbol", "timestamp", *VALUES)
    if frame.schema["timestamp"] == pl.Date:
        return frame
    return frame.with_columns(pl.col("timestamp").cast(pl.Datetime("us", "UTC")))


def portal(bars, events=None, kind=DataPortal, **options):
    """The portal of a run on a bundle of these bars, and its assets by symbol."""
    frequency = "1m" if bars.schema["timestamp"] != pl.Date else "1d"
    ingest(FrameSource(bars, events), "b", frequency=frequency, **options)
    data = load("b")
    made = kind(
        data.asset_finder,
        get_calendar(CALENDAR),
        first_trading_day=data.equity_minute_bar_reader.first_trading_day,
        equity_minute_reader=data.equity_minute_bar_reader,
        equity_daily_reader=data.equity_daily_bar_reader,
        adjustment_reader=data.adjustment_reader,
    )
    assets = data.asset_finder.retrieve_all(data.asset_finder.sids)
    return made, {asset.symbol: asset for asset in assets}


def spot(made, asset, moments, field, frequency):
    return [made.get_spot_value(asset, field, pd.Timestamp(m), frequency) for m in moments]


def history(made, assets, end, count, field, frequency, data_frequency):
    return made.get_history_window(
        assets, pd.Timestamp(end), count, frequency, field, data_frequency
    )


def test_every_daily_digit_reaches_current_and_history():
    bars = odd_bars(DAYS)
    made, assets = portal(bars)
    for field in VALUES:
        assert spot(made, assets["A"], DAYS, field, "daily") == bars[field].to_list()
        window = history(made, [assets["A"]], DAYS[-1], len(DAYS), field, "1d", "daily")
        assert window[assets["A"]].to_list() == bars[field].to_list()


def test_every_digit_of_a_minute_reaches_current_and_history():
    bars = odd_bars(MOMENTS)
    made, assets = portal(bars)
    some = MOMENTS[-30:]
    for field in VALUES:
        assert spot(made, assets["A"], some, field, "minute") == bars[field].to_list()[-30:]
        window = history(made, [assets["A"]], MOMENTS[-1], 500, field, "1m", "minute")
        assert window[assets["A"]].to_list() == bars[field].to_list()[-500:]


def test_the_unfinished_day_of_a_minute_run_keeps_every_digit():
    bars = odd_bars(MOMENTS)
    made, assets = portal(bars)
    now = MOMENTS[390 + 20]
    today = bars.filter(pl.col("timestamp").is_between(MOMENTS[390], now))
    expected = {
        "open": today["open"][0],
        "high": today["high"].max(),
        "low": today["low"].min(),
        "close": today["close"][-1],
        "volume": pytest.approx(today["volume"].sum(), rel=1e-15),
    }
    for field, value in expected.items():
        window = history(made, [assets["A"]], now, 2, field, "1d", "minute")
        assert window[assets["A"]].iloc[1] == value
        yesterday = history(made, [assets["A"]], now, 2, field, "1d", "minute").iloc[0, 0]
        assert yesterday == spot(made, assets["A"], [DAYS[0]], field, "daily")[0]


SPLIT = splits(("A", DAYS[5].isoformat(), 0.25))


def test_history_across_a_split_is_the_product_to_the_stored_decimals():
    price = [0.0001, 0.0003, 12.3457]
    bars = odd_bars(DAYS).with_columns(
        *(pl.Series(name, np.resize(price, len(DAYS))) for name in VALUES[:4]),
        volume=pl.Series(np.resize([0.5, 3.0], len(DAYS))),
    )
    made, assets = portal(bars, SPLIT)
    close = history(made, [assets["A"]], DAYS[-1], len(DAYS), "close", "1d", "daily").iloc[:, 0]
    volume = history(made, [assets["A"]], DAYS[-1], len(DAYS), "volume", "1d", "daily").iloc[:, 0]
    written = bars["close"].to_numpy()
    np.testing.assert_array_equal(close[5:], written[5:])
    np.testing.assert_array_equal(close[:5], np.round(written[:5] * 0.25, 4))
    np.testing.assert_array_equal(volume[5:], bars["volume"].to_numpy()[5:])
    np.testing.assert_array_equal(volume[:5], bars["volume"].to_numpy()[:5] / 0.25)


def test_prices_of_no_number_of_decimals_are_not_rounded_across_a_split():
    bars = odd_bars(DAYS).with_columns(
        pl.Series(name, np.full(len(DAYS), 1 / 3)) for name in VALUES[:4]
    )
    made, assets = portal(bars, SPLIT)
    close = history(made, [assets["A"]], DAYS[-1], len(DAYS), "close", "1d", "daily").iloc[:, 0]
    assert close.to_list() == [1 / 3 * 0.25] * 5 + [1 / 3] * (len(DAYS) - 5)


def test_history_never_looks_ahead():
    bars = walk(["A"], DAYS)
    made, assets = portal(bars, SPLIT)
    written = bars["close"].to_numpy()
    for row, day in enumerate(DAYS):
        window = history(made, [assets["A"]], day, row + 1, "close", "1d", "daily").iloc[:, 0]
        ratio = np.where((np.arange(row + 1) < 5) & (row >= 5), 0.25, 1.0)
        np.testing.assert_allclose(window, np.round(written[: row + 1] * ratio, 3), atol=1e-12)


def test_history_of_many_assets_has_each_ones_own_values():
    bars = walk("ABC", DAYS)
    made, assets = portal(bars)
    for symbols, field in product(("ABC", "CA", "B"), ("price", "close", "volume")):
        chosen = [assets[symbol] for symbol in symbols]
        window = history(made, chosen, DAYS[-1], 5, field, "1d", "daily")
        for asset in chosen:
            own = bars.filter(pl.col("symbol") == asset.symbol)
            name = "close" if field == "price" else field
            assert window[asset].to_list() == own[name].to_list()[-5:]


def test_a_gap_is_no_price_and_history_fills_only_the_field_price_forward():
    bars = walk(["A", "B"], DAYS).filter(
        (pl.col("symbol") != "A") | ~pl.col("timestamp").is_in(DAYS[3:5])
    )
    made, assets = portal(bars)
    close, price = (
        history(made, [assets["A"]], DAYS[6], 7, field, "1d", "daily").iloc[:, 0].to_numpy()
        for field in ("close", "price")
    )
    assert np.isnan(close[3:5]).all()
    assert price[3] == price[4] == close[2]
    assert spot(made, assets["A"], DAYS[3:5], "price", "daily") == [close[2]] * 2
    assert spot(made, assets["A"], DAYS[3:5], "volume", "daily") == [0, 0]


EVENTS = Events(
    splits=splits(("A", DAYS[1].isoformat(), 0.7)).splits,
    dividends=dividends(("B", DAYS[1].isoformat(), 1.5, None)).dividends,
)


@pytest.mark.parametrize(
    ("bars", "end", "count", "frequency", "data_frequency"),
    [
        (walk("AB", DAYS), DAYS[-1], len(DAYS), "1d", "daily"),
        (walk("AB", MOMENTS), MOMENTS[500], 300, "1m", "minute"),
        (walk("AB", MOMENTS), MOMENTS[500], 2, "1d", "minute"),
    ],
)
def test_under_bcolz_it_is_ziplines_portal_to_the_bit(bars, end, count, frequency, data_frequency):
    ours, assets = portal(bars, EVENTS, precision="bcolz")
    theirs, _ = portal(bars, EVENTS, ZiplineDataPortal, precision="bcolz")
    for field in (*VALUES, "price"):
        request = (list(assets.values()), end, count, field, frequency, data_frequency)
        windows = [history(made, *request) for made in (ours, theirs)]
        pd.testing.assert_frame_equal(*windows, check_exact=True)
