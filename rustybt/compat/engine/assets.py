"""Assets that an algorithm looks up one by one, read from the disk together."""

from typing import Any

#: A lookup on its own costs as much as this many that are made together.
_TOGETHER = 20


class AssetMethods:
    """Mixed into zipline's algorithm.

    An asset that is not known yet takes the finder three queries. After as many lookups as reading
    all equities would have cost, all are read: at worst a run pays twice.
    """

    _looked_up = 0
    #: After how many lookups all are read; not known before a few were made.
    _enough: int | None = None

    def symbol(self, *args: Any, **kwargs: Any) -> Any:
        """See `zipline.api.symbol`."""
        self._look_ahead()
        return super().symbol(*args, **kwargs)  # type: ignore[misc]

    def sid(self, *args: Any, **kwargs: Any) -> Any:
        """See `zipline.api.sid`."""
        self._look_ahead()
        return super().sid(*args, **kwargs)  # type: ignore[misc]

    def _look_ahead(self) -> None:
        self._looked_up += 1
        if self._looked_up not in (_TOGETHER, self._enough):
            return
        sids = self.asset_finder.equities_sids  # type: ignore[attr-defined]
        self._enough = max(_TOGETHER, -(-len(sids) // _TOGETHER))
        if self._looked_up == self._enough:
            self.asset_finder.retrieve_all(sids)  # type: ignore[attr-defined]
