"""What the adapter of a provider is made of, for sources of this package and of others.

`ProviderSource` does what is alike for all (the range, a few symbols at a time, the schema, each
symbol's failure), `Http` asks and tells failures apart, `Budget` keeps to the provider's rates in
all of a user's processes, `all_pages` follows pages, `ended` leaves forming bars out.
``docs/new-source.md`` shows them at work;
`rustybt.data.sources.testing` has the suite that proves the result.
"""

from rustybt.data.sources._budget import Budget, Rate
from rustybt.data.sources._finality import Clock, ended, utc_now
from rustybt.data.sources._http import Answer, Http, Judge, Session
from rustybt.data.sources._pages import Page, all_pages, once, read
from rustybt.data.sources._provider import Answered, ProviderSource
from rustybt.data.sources._retries import Retries

__all__ = [
    "Answer",
    "Answered",
    "Budget",
    "Clock",
    "Http",
    "Judge",
    "Page",
    "ProviderSource",
    "Rate",
    "Retries",
    "Session",
    "all_pages",
    "ended",
    "once",
    "read",
    "utc_now",
]
