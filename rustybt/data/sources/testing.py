"""The kit for authors of data sources: suites that a source must pass, and a provider to break.

**Every source** passes `DataSourceTests`. Subclass it in a test module, make a source and say what
is true of it::

    class TestMySource(DataSourceTests):
        symbols = ("AAPL", "MSFT")
        start, end = date(2024, 1, 2), date(2024, 1, 31)

        def make_source(self):
            return MySource(folder)

        def expected(self):
            return bars  # written down or computed without the source

Where a source needs a folder, bring it with a fixture of pytest that is ``autouse`` and keeps what
it made on ``self``.

**A source that asks a provider** passes `ProviderTests`, which is `DataSourceTests` and more: the
suite serves a `World` (two symbols whose bars are compared, four others, a delisted one; daily and
intraday bars across a split, dividends, both changes of the clocks and an early close; a forming
bar) on 127.0.0.1 and lets every `Fault` happen to it. The source returns the true bars, or raises
the error that says what happened; it never returns other bars. All that is yours to write is how
the real provider would put it, and how a source is pointed at a URL::

    class MyProvider(Provider):
        def symbol_of(self, request):
            return request.query.get("ticker")

        def respond(self, request):
            symbol = request.symbol
            if symbol not in self.world.symbols:
                return Reply.of_json({"error": "unknown ticker"}, 404)
            bars = self.world.served(symbol, "1d")  # raw, in order, with the forming bar
            first, last = (date.fromisoformat(request.query[name]) for name in ("from", "to"))
            asked = bars.filter(pl.col("timestamp").is_between(first, last))
            page = self.page(request, asked, 500, request.query.get("cursor", ""))
            rows = page.rows.select(pl.col("timestamp").cast(str), "open", ..., "volume")
            return Reply.of_json({"rows": rows.to_dicts(), "next": page.next})

    class TestMySource(ProviderTests):
        provider = MyProvider
        not_applicable = {Scene.INTRADAY: "it has daily bars only"}

        def source_at(self, base_url):
            return MySource(api_key=self.secret, base_url=base_url, clock=self.clock, ...)

- `Provider.page` cuts pages, and does the faults of pages: render its ``rows`` in their order, and
  its ``next`` as the provider's cursor or next URL. Where the provider pages by time, pass the
  position of the first wanted row as ``cursor`` and ignore ``next``.
- `Provider.events_of` gives splits and dividends; `World.adjusted` the series that a provider
  adjusts; `World.served` has ``start`` and ``end`` of each bar as instants, for the label.
- `Provider.symbol_of` is None for requests about no symbol (logins, lists of markets): these
  always work. `Provider.error_body` and `Provider.error` say failures in the provider's words,
  `Fault.ERROR_BODY` (status 200) among them.
- What the provider cannot do goes into ``not_applicable`` with its reason. A fault that never
  happens, and is not there, fails the test.
- A source that cannot be pointed at a URL by an option of its own may be pointed there by its
  client's: only `source_at` differs.

The pieces work alone as well: ``with LoopbackServer(MyProvider(world)) as server`` serves at
``server.base_url``, with ``server.calls`` and ``server.busiest(seconds)`` to count requests, and
``server.faults = [Injection(Fault.CUT_BODY, "AAPL", first=3, last=3)]`` to break the third request
about one symbol.
"""

from rustybt.data.sources._kit.faults import Fault, Injection, Scene
from rustybt.data.sources._kit.provider import Page, Provider, Reply, Request
from rustybt.data.sources._kit.provider_suite import ProviderTests
from rustybt.data.sources._kit.server import Call, LoopbackServer
from rustybt.data.sources._kit.suite import DataSourceTests
from rustybt.data.sources._kit.world import World, make_world

__all__ = [
    "Call",
    "DataSourceTests",
    "Fault",
    "Injection",
    "LoopbackServer",
    "Page",
    "Provider",
    "ProviderTests",
    "Reply",
    "Request",
    "Scene",
    "World",
    "make_world",
]
