"""What cannot be had is recorded with its reason, and the rest is kept."""

import pytest

from rustybt.data.bundles import coverage, list_bundles, open_bundle
from rustybt.data.bundles.ingest import ingest
from rustybt.data.errors import (
    AuthenticationError,
    BarSchemaError,
    DelistedSymbolError,
    IncompleteIngestError,
    MalformedAnswerError,
    OutageError,
    PartialFetchError,
    RateLimitError,
    RefusedRequestError,
    UnknownSymbolError,
)
from tests.fakes import FailingSource, FrameSource
from tests.frames import bars, sessions, splits, walk

GOOD = walk(["A", "B"], sessions("2020-01-02", "2020-02-28"))
FAILURES = {
    "unknown symbol": UnknownSymbolError(["X"], "the provider"),
    "delisted": DelistedSymbolError("X was delisted on 2001-01-11"),
    "rate limited": RateLimitError("wait an hour", 3600.0),
    "unauthorised": AuthenticationError("the key does not cover X"),
    "outage": OutageError("no answer"),
    "malformed answer": MalformedAnswerError("cut off"),
    "refused by the provider": RefusedRequestError("no such interval"),
}


@pytest.mark.parametrize(("reason", "error"), FAILURES.items(), ids=FAILURES)
def test_each_kind_of_failure_has_its_reason_and_the_good_symbols_stay(reason, error):
    with pytest.raises(
        IncompleteIngestError, match="1 symbol of 3 could not be ingested"
    ) as caught:
        ingest(FailingSource(GOOD, {"X": error}), "b")
    assert caught.value.result.failures == {"X": error}
    bundle = open_bundle("b")
    assert bundle.bars().equals(GOOD)
    assert bundle.coverage.select("symbol", "reason", "detail").rows() == [
        ("X", reason, str(error))
    ]


def test_five_symbols_that_fail_for_five_reasons_have_five_reasons():
    failing = dict(zip("VWXYZ", FAILURES.values(), strict=False))
    result = ingest(FailingSource(GOOD, failing), "b", allow_partial=True)
    assert dict(result.coverage.select("symbol", "reason").rows()) == dict(
        zip("VWXYZ", FAILURES, strict=False)
    )
    assert open_bundle("b").bars().equals(GOOD)


def test_the_message_names_the_symbols_the_reasons_and_where_the_rest_is():
    source = FailingSource(GOOD, {"X": FAILURES["outage"]})
    with pytest.raises(IncompleteIngestError, match=r"(?s)X: no answer.*--allow-partial") as caught:
        ingest(source, "b")
    assert str(open_bundle("b").version.path) in str(caught.value)


@pytest.mark.parametrize("allow_partial", [False, True])
def test_when_all_symbols_fail_nothing_is_written_and_their_error_is_raised(allow_partial):
    source = FailingSource(GOOD.clear(), {"X": FAILURES["outage"]})
    with pytest.raises(OutageError, match="no answer"):
        ingest(source, "b", allow_partial=allow_partial)
    two = FailingSource(GOOD.clear(), {"X": FAILURES["outage"], "Y": FAILURES["delisted"]})
    with pytest.raises(PartialFetchError):
        ingest(two, "b", allow_partial=allow_partial)
    assert list_bundles() == []


def test_a_symbol_that_was_named_and_has_no_bars_is_missing():
    source = FrameSource(GOOD, symbols=("SILENT",))
    with pytest.raises(IncompleteIngestError, match="SILENT: no bars in the range asked for"):
        ingest(source, "b", symbols=["A", "SILENT"])
    assert open_bundle("b").metadata.symbols == ["A"]


def test_a_symbol_that_nobody_named_may_have_no_bars():
    result = ingest(FrameSource(GOOD, symbols=("SILENT",)), "b")
    assert result.absences == {}
    assert result.coverage["reason"].to_list() == [coverage.NO_BARS_AT_ALL]


def test_a_symbol_refused_at_one_frequency_is_refused_at_all():
    wrong = bars({"A": {"2020-01-02 15:00": [1, 1, 2, 1, 1]}})
    both = FrameSource({"1d": GOOD, "1m": wrong})
    with pytest.raises(IncompleteIngestError, match="A: 1 row refused"):
        ingest(both, "b", frequency=["1d", "1m"])
    assert open_bundle("b").metadata.symbols == ["B"]


def test_the_events_of_a_symbol_that_was_refused_do_not_stay():
    wrong = bars({"C": {"2020-01-06": [1, 1, 1, -1, 1]}})
    source = FrameSource(GOOD.vstack(wrong), splits(("C", "2020-01-06", 0.5)))
    assert len(ingest(source, "b", allow_partial=True).events) == 0


def test_a_source_without_a_bar_in_the_range_says_so():
    with pytest.raises(BarSchemaError, match="no bars of A, B from 2021-01-04 to 2021-01-08"):
        ingest(FrameSource(GOOD), "b", start="2021-01-04", end="2021-01-08")
