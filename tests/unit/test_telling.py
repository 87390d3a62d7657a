"""What tiers hear of changes and of mutations, and what becomes of it where one cannot be told."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import Any

import pytest

from cache import CacheError
from cache._key import ALL
from cache._keyspace import Keyspace
from cache._share import Share
from cache._stable import encode
from cache._telling import TierWindow, tell_tiers
from cache._tier import Address, Covering
from cache.testing import FakeClock
from tests.unit.shared import KIND, keyspace

A = (Address("c", encode("a")),)


class Tier:
    """A tier that remembers what it was told, or says that it cannot be; as in a thread without an event loop."""

    closed = False

    def __init__(self, error: BaseException | None = None) -> None:
        self.told: list[tuple[Any, ...]] = []
        self.error = error

    def invalidate(
        self, addresses: Sequence[Address], spaces: Sequence[str] = (), then: Callable[[], object] | None = None
    ) -> Any:
        return self.tell("invalidate", addresses, spaces, then=then)

    def begin(self, covering: Covering) -> Any:
        return self.tell("begin", covering)

    def end(self, covering: Covering, linger: float = 0.0) -> Any:
        return self.tell("end", covering, linger)

    def tell(self, *what: Any, then: Callable[[], object] | None = None) -> Any:
        self.told.append(what)
        if self.error is not None:
            raise self.error
        if then is not None:
            then()

    @property
    def heard(self) -> list[str]:
        return [what[0] for what in self.told]


class Slow(Tier):
    """One that is asked in an event loop: ``knows`` is done when the test says so."""

    def __init__(self) -> None:
        super().__init__()
        self.knows: list[asyncio.Future[None]] = []

    def tell(self, *what: Any, then: Callable[[], object] | None = None) -> asyncio.Future[None]:
        super().tell(*what, then=then)
        self.knows.append(asyncio.get_running_loop().create_future())
        return self.knows[-1]


def test_a_tier_is_told_of_names_by_address_and_of_everything_and_wildcards_by_space() -> None:
    tier = Tier()
    c, d, own = keyspace(tier), keyspace(tier, space="d"), Keyspace("own", FakeClock())
    assert tell_tiers([(c, "a"), (c, KIND), (d, ALL), (d, 1), (own, "x")]) == ()
    assert tier.told == [("invalidate", (*A, Address("d", encode(1))), ("c", "d"))]


def test_every_tier_is_told_although_one_cannot_be() -> None:
    lost, first, last = Tier(ValueError("lost")), Tier(), Tier()
    with pytest.raises(ValueError, match="lost"):
        tell_tiers([(keyspace(first, lost, last), "a")])
    assert first.heard == last.heard == ["invalidate"]


def test_what_follows_a_change_comes_once_and_when_the_last_tier_knows() -> None:
    tiers = [Tier(), Tier(), Tier()]
    followed: list[list[int]] = []
    tell_tiers([(keyspace(*tiers), "a")], lambda: followed.append([len(tier.told) for tier in tiers]))
    assert followed == [[1, 1, 1]]


def test_what_follows_a_change_comes_at_once_where_no_tier_is_left() -> None:
    followed: list[bool] = []
    assert tell_tiers([(keyspace(), "a")], lambda: followed.append(True)) == ()
    assert followed == [True]


def test_each_tier_is_told_of_the_same_mutation_at_both_ends() -> None:
    first, second = Tier(), Tier()
    window = TierWindow(((keyspace(first, second), "a"), (keyspace(second, space="d"), ALL)))
    assert window.begin() == ()
    assert window.end(2.5) == ()
    for tier, spaces in ((first, ()), (second, ("d",))):
        (begin, covering), (end, ended, linger) = tier.told
        assert (begin, end, linger) == ("begin", "end", 2.5)
        assert (covering.addresses, covering.spaces) == (A, spaces)
        assert ended == covering


def test_no_two_mutations_have_the_same_number() -> None:
    tier = Tier()
    for _ in range(2):
        TierWindow(((keyspace(tier), "a"),)).begin()
    first, second = (covering for _, covering in tier.told)
    assert first.number != second.number


def test_a_mutation_of_which_one_tier_cannot_be_told_is_over_in_those_that_know_of_it() -> None:
    first, lost, last = Tier(), Tier(CacheError("lost")), Tier()
    window = TierWindow(((keyspace(first, lost, last), "a"),))
    with pytest.raises(CacheError, match="lost"):
        window.begin()
    window.cancel()
    assert [tier.heard for tier in (first, lost, last)] == [["begin", "end"], ["begin"], []]


def test_a_mutation_that_is_interrupted_as_it_begins_is_over_where_it_may_have_begun() -> None:
    first, interrupted = Tier(), Tier(KeyboardInterrupt())
    window = TierWindow(((keyspace(first, interrupted), "a"),))
    with pytest.raises(KeyboardInterrupt):
        window.begin()
    interrupted.error = None
    window.cancel()
    assert first.heard == interrupted.heard == ["begin", "end"]


async def test_in_a_loop_it_is_over_where_it_has_begun_or_will_and_not_where_that_has_failed() -> None:
    done, failed, cancelled, pending = tiers = [Slow() for _ in range(4)]
    window = TierWindow(((keyspace(*tiers), "a"),))
    assert window.begin() == tuple(tier.knows[0] for tier in tiers)
    done.knows[0].set_result(None)
    failed.knows[0].set_exception(CacheError("busy"))
    cancelled.knows[0].cancel()
    assert len(window.cancel()) == 3
    assert failed.heard == ["begin"]
    assert done.heard == cancelled.heard == pending.heard == ["begin", "end"]


def test_the_end_reaches_every_tier_although_one_cannot_be_told() -> None:
    first, lost, last = tiers = [Tier(), Tier(), Tier()]
    window = TierWindow(((keyspace(*tiers), "a"),))
    window.begin()
    lost.error = CacheError("lost")
    with pytest.raises(CacheError, match="lost"):
        window.end(0.0)
    assert first.heard == last.heard == ["begin", "end"]


@pytest.mark.parametrize("error", [None, CacheError("lost")], ids=["told", "lost"])
def test_a_tier_that_came_during_the_mutation_is_told_of_a_change(error: CacheError | None) -> None:
    there, late = Tier(), Tier()
    domain = keyspace(there)
    window = TierWindow(((domain, "a"),))
    window.begin()
    domain.share = Share("c", None, (there, late))  # type: ignore[arg-type]  # they are enough of tiers
    there.error = error
    if error is None:
        window.end(0.0)
    else:
        with pytest.raises(CacheError, match="lost"):
            window.end(0.0)
    assert there.heard == ["begin", "end"]
    assert late.told == [("invalidate", A, ())]
