"""Bytes: how values are written to what outlives the process, and read from it by nobody who should not.

annotation -> form -> codec -> envelope, made once for each function
value      -> plain parts -> payload -> compressed if large -> sealed
bytes      -> seal verified -> decompressed, within the limit -> value, as it was; or Refused
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from cache.codec._envelope import LIMIT, Codec, Envelope, Seal
from cache.codec._errors import Refused, Unencodable
from cache.codec._names import returned
from cache.codec._pickle import PickleCodec

if TYPE_CHECKING:
    from cache.codec._msgpack import MsgspecCodec

__all__ = ["LIMIT", "Codec", "Envelope", "MsgspecCodec", "PickleCodec", "Refused", "Seal", "Unencodable", "returned"]


def __getattr__(name: str) -> Any:
    """`MsgspecCodec` is loaded when it is first touched: it needs msgspec, which is an extra."""
    if name == "MsgspecCodec":
        from cache.codec._msgpack import MsgspecCodec  # noqa: PLC0415 - see above

        return MsgspecCodec
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
