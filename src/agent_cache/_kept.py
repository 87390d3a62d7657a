"""Kept: how the results of a read tool become bytes in the tier behind its cache, and come back."""

from __future__ import annotations

from typing import Any

from agent_cache._outcome import Outcome
from cache.codec import Codec, Seal, Unencodable


class OutcomeCodec:
    """The bytes of what an outcome has come to, by the codec of the tier.

    An outcome that is for the call alone that made it has none, and none comes back.
    """

    def __init__(self, inner: Codec) -> None:
        self._inner = inner

    @property
    def id(self) -> int:
        """That of the codec of the tier."""
        return self._inner.id

    @property
    def form(self) -> str:
        """What tells it from the bytes of a plain function."""
        return f"outcome of {self._inner.form}"

    @property
    def seal(self) -> Seal:
        """That of the codec of the tier."""
        return self._inner.seal

    def typed(self, annotation: Any) -> OutcomeCodec:
        """The same for a tool that is annotated to return this."""
        return OutcomeCodec(self._inner.typed(annotation))

    def dumps(self, value: Outcome) -> bytes:
        """The bytes of the result."""
        if value.reason is not None or value.error is not None:
            raise Unencodable(f"it is for one call alone: {value.reason}")
        return self._inner.dumps(value.value)

    def loads(self, payload: bytes) -> Outcome:
        """The outcome of an execution before this call."""
        return Outcome(None, self._inner.loads(payload))
