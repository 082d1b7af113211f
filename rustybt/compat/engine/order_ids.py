"""Names of orders: what ``uuid.uuid4().hex`` returns, made a few hundred at a time."""

import os
from collections.abc import Iterator

import numpy as np

_AT_ONCE = 256
_BYTES = 16


def order_ids() -> Iterator[str]:
    """Random UUIDs of version 4, 32 hexadecimal digits each, without an end."""
    while True:
        random = bytearray(os.urandom(_BYTES * _AT_ONCE))
        fields = np.frombuffer(random, np.uint8).reshape(_AT_ONCE, _BYTES)
        # RFC 9562, 5.4: the version and the variant.
        fields[:, 6] = fields[:, 6] & 0x0F | 0x40
        fields[:, 8] = fields[:, 8] & 0x3F | 0x80
        digits = random.hex()
        yield from (digits[at : at + 2 * _BYTES] for at in range(0, len(digits), 2 * _BYTES))
