"""The two ways in which a value and its bytes do not come together."""

from __future__ import annotations

from cache.errors import CacheError


class Unencodable(CacheError):
    """A value has no bytes from which it would come back equal and of the same types; the message says why."""


class Refused(CacheError):
    """Bytes are not, in full, what was once made of a value of this function; the message says what they are."""
