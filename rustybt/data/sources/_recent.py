"""The latest few answers of one call, for what asks for the same one twice."""

from collections.abc import Hashable
from typing import Generic, TypeVar

T = TypeVar("T")


class Recent(Generic[T]):
    """Remembers the `limit` answers that were kept last.

    An ingest wants the bars of a symbol, then its events, and providers that tell both in one
    answer need to be asked but once; a long list of symbols needs no more memory than a short one.
    """

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._answers: dict[Hashable, T] = {}

    def get(self, question: Hashable) -> T | None:
        """The answer, if it is among the latest."""
        return self._answers.get(question)

    def keep(self, question: Hashable, answer: T) -> T:
        """Remember an answer, and forget the oldest if there are too many; returns the answer."""
        self._answers[question] = answer
        if len(self._answers) > self._limit:
            del self._answers[next(iter(self._answers))]
        return answer
