"""The codec for whoever needs what only pickle can: signed, for to unpickle bytes is to run them."""

from __future__ import annotations

import hmac
import pickle
from collections.abc import Sequence
from typing import Any

from cache.codec._forms import Forms

_SHORTEST = 16


class Signature:
    """HMAC-SHA256: nobody who lacks the key can make one. The first key signs; each of them verifies."""

    size = 32

    def __init__(self, keys: Sequence[bytes]) -> None:
        self._keys = keys

    def of(self, body: bytes) -> bytes:
        """The signature of these bytes by the first key."""
        return hmac.digest(self._keys[0], body, "sha256")

    def holds(self, body: bytes, seal: bytes) -> bool:
        """Whether it is the signature of these bytes by any of the keys."""
        return any(hmac.compare_digest(hmac.digest(key, body, "sha256"), seal) for key in self._keys)


class PickleCodec:
    """Encodes whatever pickle can, as pickle does, and signs it.

    To unpickle bytes is to run them: whoever can write to the file or the server could run anything in this process,
    but for the signature. ``key`` is what it is made with: 16 secret bytes or more, the same in every process that
    shares the values; or several, of which the first signs and all verify, so that keys can be changed one process
    after another. A value signed with none of them is refused before anything of it is unpickled.

    Raises:
        ValueError: there is no key, or one of less than 16 bytes.

    """

    id = 2

    def __init__(self, key: bytes | Sequence[bytes] = (), *, annotation: Any = Any) -> None:
        keys = (key,) if isinstance(key, bytes) else tuple(_check_keys(key))
        if not keys:
            raise ValueError(
                "PickleCodec() needs a key: to unpickle bytes is to run them, so that whoever can write to the tier "
                "could run anything here; with key=<16 secret bytes or more>, only signed values are unpickled"
            )
        for one in keys:
            if len(one) < _SHORTEST:
                raise ValueError(
                    f"a key of PickleCodec is of {len(one)} bytes: pass {_SHORTEST} secret bytes or more, such as "
                    f"secrets.token_bytes(32) once gave"
                )
        self._keys = keys
        self.form: str = Forms().read(annotation).text
        self.seal: Signature = Signature(keys)

    def typed(self, annotation: Any) -> PickleCodec:
        """The same codec for a function that is annotated to return this."""
        return PickleCodec(self._keys, annotation=annotation)

    def dumps(self, value: Any) -> bytes:
        """The pickle of a value; whatever this raises makes the value unencodable."""
        return pickle.dumps(value, protocol=5)

    def loads(self, payload: bytes) -> Any:
        """The value of a pickle whose signature has been verified."""
        return pickle.loads(payload)  # noqa: S301 - the envelope has verified its signature


def _check_keys(keys: object) -> Sequence[bytes]:
    # What was passed is a secret, and no part of a message.
    if not isinstance(keys, Sequence) or not all(isinstance(key, bytes) for key in keys):
        raise TypeError(
            f"key is of type {type(keys).__name__}: pass bytes, or a list of them: the first signs, all verify"
        )
    return keys
