"""Our asset writer makes the very database that zipline's makes, by either way."""

import sqlite3

import pandas as pd
import pytest
from zipline.assets import AssetDBWriter

from rustybt.compat.asset_writer import AssetWriter

EQUITIES = pd.DataFrame(
    {
        "symbol": ["zed", "BRK.A", "BRK.B", "MID_X"],
        "start_date": pd.to_datetime(["2020-01-02", "2019-03-04", "2020-01-02", "2018-05-01"]),
        "end_date": pd.to_datetime(["2021-01-04", "2021-01-04", "2020-06-30", "2021-01-04"]),
        "exchange": ["NYSE", "NYSE", "CSVDIR", "NYSE"],
    }
)
LATER = EQUITIES.iloc[:1].assign(
    start_date=pd.Timestamp("2022-01-03"), end_date=pd.Timestamp("2023-01-03")
)
CASES = {
    "plain": EQUITIES,
    "named": EQUITIES.assign(asset_name=["Zed", "A", "B", None]),
    "sids": EQUITIES.assign(sid=[40, 7, 9, 1]),
    "in UTC": EQUITIES.assign(start_date=EQUITIES["start_date"].dt.tz_localize("UTC")),
    "no dates": EQUITIES[["symbol", "exchange"]],
    "close": EQUITIES.assign(auto_close_date=pd.NaT, first_traded=EQUITIES["start_date"]),
    "other columns": EQUITIES.assign(colour="red"),
    "company names": EQUITIES.assign(company_name="Company"),
    "file names": EQUITIES.assign(file_name=["A", "B", "C", "D"]),
    "a symbol used again": pd.concat([EQUITIES, LATER], ignore_index=True),
    "two rows of one asset": pd.concat([EQUITIES, LATER.assign(symbol="NEW")]),
    "held twice": pd.concat([EQUITIES, EQUITIES.iloc[:1]], ignore_index=True),
    "no exchange": EQUITIES.drop(columns="exchange"),
}
EXCHANGES = pd.DataFrame({"exchange": ["NYSE", "CSVDIR"], "country_code": ["US", "CA"]})


def written(writer, path, equities, exchanges):
    made = writer(str(path))
    try:
        made.write(equities=equities.copy(), exchanges=exchanges)
    except (KeyError, ValueError) as error:
        return type(error), str(error)
    finally:
        made.engine.dispose()
    with sqlite3.connect(path) as connection:
        return list(connection.iterdump())


@pytest.mark.parametrize("exchanges", [None, EXCHANGES], ids=["found", "given"])
@pytest.mark.parametrize("equities", CASES.values(), ids=CASES.keys())
def test_the_database_is_the_one_that_zipline_writes(tmp_path, equities, exchanges):
    names = "zipline", AssetDBWriter, "ours", AssetWriter
    found = [
        written(writer, tmp_path / name, equities, None if exchanges is None else exchanges.copy())
        for name, writer in zip(names[::2], names[1::2], strict=True)
    ]
    assert found[0] == found[1]


def test_a_value_of_the_caller_s_frame_stays_as_it_was(tmp_path):
    frames = [EQUITIES.copy(), EQUITIES.copy()]
    for writer, frame in zip((AssetWriter, AssetDBWriter), frames, strict=True):
        made = writer(str(tmp_path / writer.__name__))
        made.write(equities=frame, exchanges=EXCHANGES.copy())
        made.engine.dispose()
    pd.testing.assert_frame_equal(*frames, check_like=True)
    assert frames[0]["start_date"].equals(EQUITIES["start_date"])


def test_futures_and_other_mappings_are_those_that_zipline_writes(tmp_path):
    expiry = pd.to_datetime(["2020-03-20", "2020-06-19"])
    futures = pd.DataFrame(
        {
            "symbol": ["CLH20", "CLM20"],
            "root_symbol": ["CL", "CL"],
            "start_date": pd.Timestamp("2019-01-02"),
            "end_date": expiry,
            "notice_date": [expiry[0], pd.NaT],
            "expiration_date": expiry,
            "auto_close_date": expiry,
            "multiplier": [1000.0, float("nan")],
            "tick_size": 0.01,
            "exchange": "CMES",
        },
        index=[11, 12],
    )
    mappings = pd.DataFrame(
        {
            "sid": [0, 1],
            "field": ["ALT_ID", "ALT_ID"],
            "value": ["10", "11"],
            "start_date": pd.to_datetime(["2020-01-02", "2019-03-04"]),
            "end_date": pd.Timestamp("2021-01-04"),
        }
    )
    dumps = []
    for name, writer in (("zipline", AssetDBWriter), ("ours", AssetWriter)):
        made = writer(str(tmp_path / name))
        made.write(
            equities=EQUITIES.copy(),
            futures=futures.copy(),
            root_symbols=pd.DataFrame({"root_symbol": ["CL"], "exchange": "CMES"}),
            equity_supplementary_mappings=mappings.copy(),
        )
        made.engine.dispose()
        with sqlite3.connect(tmp_path / name) as connection:
            dumps.append(list(connection.iterdump()))
    assert dumps[0] == dumps[1]
