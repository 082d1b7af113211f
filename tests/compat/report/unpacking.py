"""Reading a rendered page back."""

import base64
import gzip
import json
import re
from html.parser import HTMLParser
from typing import Any


def charts_of(page: str) -> dict[str, Any]:
    """The chart specifications that a page carries."""
    packed = re.search(r'id="charts-gz">([^<]+)<', page)
    assert packed is not None
    return json.loads(gzip.decompress(base64.b64decode(packed[1])))


class _Text(HTMLParser):
    """Collects the text of some elements, and every attribute that can load something."""

    def __init__(self, wanted: tuple[str, ...]) -> None:
        super().__init__()
        self.wanted = wanted
        self.found: list[str] = []
        self.loads: list[str] = []
        self._depth = 0

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        self.loads += [value or "" for name, value in attributes if name in ("src", "href")]
        if tag == "small" and self._depth:
            self.found[-1] += ", "
        if tag in self.wanted:
            self.found.append("")
            self._depth += 1

    def handle_endtag(self, tag: str) -> None:
        self._depth -= tag in self.wanted

    def handle_data(self, data: str) -> None:
        if self._depth:
            self.found[-1] += data


def texts(page: str, *tags: str) -> list[str]:
    """The text of each element of these kinds, in order."""
    parser = _Text(tags)
    parser.feed(page)
    return [" ".join(text.split()) for text in parser.found]


def loads(page: str) -> list[str]:
    """Every address that the page's elements would load."""
    parser = _Text(())
    parser.feed(page)
    return parser.loads
