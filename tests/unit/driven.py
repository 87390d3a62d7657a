"""A policy of eviction driven as a store drives it."""

from __future__ import annotations

from cache._entry import NEVER, Entry, make_entry
from cache._policy import Policy


class Driven:
    """The policy, and the entries that it must hold."""

    def __init__(self, policy: Policy) -> None:
        self.policy = policy
        self.tick = 0.0
        self.entries: dict[int, Entry] = {}

    def file(self, key: int, value: object) -> None:
        entry = self.entries[key] = make_entry(key, value, NEVER, (), reader_checks_exp=False)
        entry.tick = self.tick
        self.policy.add(entry)

    def discard(self, key: int) -> None:
        self.policy.discard(self.entries.pop(key))

    def evict(self) -> int:
        key = self.policy.evict(self.tick).key
        assert isinstance(key, int)
        del self.entries[key]
        return key

    def check(self) -> None:
        """The buckets hold the entries, each where it says it is."""
        buckets = self.policy.buckets
        filed = [entry for bucket in buckets for entry in bucket.filed()]
        assert {entry.key for entry in filed} == self.entries.keys()
        assert len(filed) == len(self.entries)
        for bucket in buckets:
            for entry in bucket.filed():
                assert entry.bucket is bucket
                assert bucket.entries[entry.at] is entry

    @property
    def places(self) -> int:
        return sum(len(bucket.entries) for bucket in self.policy.buckets)
