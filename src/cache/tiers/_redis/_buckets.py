"""Buckets: what is called how in each of them now, and what its scripts are given."""

from __future__ import annotations

import os
import secrets
from collections.abc import Coroutine, Iterable, Sequence
from typing import Any

from cache.tiers._redis._layout import Layout, Names
from cache.tiers._redis._line import Line, Part
from cache.tiers._redis._scripts import INCARNATION


class Buckets:
    """The names of all buckets, each in the incarnation in which it was found last.

    The servers keep stamps that nobody needs for ``keep`` seconds.
    """

    def __init__(self, layout: Layout, prefix: str, *, keep: float, is_cluster: bool) -> None:
        self.prefix = prefix
        self.names = [Names(prefix, bucket) for bucket in range(layout.buckets)]
        #: Where changes are told, and of which bucket.
        self.channels = {names.channel: names.bucket for names in self.names}
        #: The commands with which it is told and heard: in a cluster what is told stays at the server of its slot.
        self._tells = "SPUBLISH" if is_cluster else "PUBLISH"
        self.hears = "SSUBSCRIBE" if is_cluster else "SUBSCRIBE"
        self._width = layout.width
        self._lives = int(keep * 1000)

    def keys(self, bucket: int) -> list[bytes]:
        """The keys that every script is given first which may have to make new stamps."""
        names = self.names[bucket]
        return [names.stamps, names.windows, names.marker]

    def given(self, bucket: int) -> list[Part]:
        """And the arguments."""
        names = self.names[bucket]
        return [os.urandom(8), self._width, self._lives, names.channel, names.incarnation, self._tells]

    def incarnation(self, line: Line, bucket: int, also: Sequence[bytes] = ()) -> Coroutine[Any, Any, bytes]:
        """Ask which one it is; what is ``also`` there lives on with it."""
        names = self.names[bucket]
        another: list[Part] = [secrets.token_hex(8), self._lives, names.channel, self._tells]
        return line.call(INCARNATION, [names.marker, *also], another)

    def rename(self, incarnations: Iterable[bytes]) -> None:
        """These are the incarnations of all buckets."""
        self.names = [Names(self.prefix, bucket, incarnation) for bucket, incarnation in enumerate(incarnations)]
