"""Which bus and which tier are meant, and which do not go together."""

from __future__ import annotations

from typing import Any

import pytest

from cache import DEFAULT, AsyncCache, DiskBackend, Remote, _spanning, cached, configure
from cache._cache import living
from cache._places import Places, check_places, check_together, configured
from cache.testing import FakeClock
from tests.races.machine import Machine, Process
from tests.unit.test_backing import Scripted


class Played(Scripted):
    """A remote of which only the places are asked."""

    def __init__(self) -> None:
        super().__init__()
        bus: Any = Process(Machine(FakeClock()))
        bus.tier = self
        self.bus = bus


@pytest.fixture
def bus() -> Process:
    return Process(Machine(FakeClock()))


@pytest.fixture
def remote() -> Any:
    return Played()


@pytest.fixture
def tier() -> Any:
    return Scripted()


@pytest.fixture
def alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """No cache follows that other tests have made, and will use again."""
    others = set(living())
    monkeypatch.setattr(_spanning, "living", lambda: [cache for cache in living() if cache not in others])


def test_what_is_not_said_is_that_of_the_application(bus: Process) -> None:
    assert check_places(DEFAULT, DEFAULT, None) == Places(DEFAULT, DEFAULT)
    assert check_places(bus, DEFAULT, None) == Places(bus, DEFAULT)
    assert check_places(None, None, None) == Places(None, None)


def test_a_remote_is_both(remote: Any) -> None:
    assert isinstance(remote, Remote)
    assert check_places(DEFAULT, DEFAULT, remote) == Places(remote.bus, remote)
    assert check_places(None, None, remote) == Places(remote.bus, remote)


def test_what_is_no_tier_is_refused(bus: Process) -> None:
    for refused in (bus, DiskBackend, "cache.db"):
        with pytest.raises(TypeError, match="pass a tier"):
            check_places(None, refused, None)


@pytest.mark.parametrize("refused", ["redis://localhost", 1, Scripted(), Played])
def test_what_is_no_remote_is_refused(refused: Any) -> None:
    make: Any
    for make in (AsyncCache, cached, configure):
        with pytest.raises(TypeError, match=r"remote_cache=.* is of type .*: pass RedisBackend\('redis://...'\)"):
            make(remote_cache=refused)


def test_a_remote_and_another_are_refused(bus: Process, tier: Any, remote: Any) -> None:
    with pytest.raises(ValueError, match="the bus of the cache and the tier behind it: leave out bus="):
        check_places(bus, DEFAULT, remote)
    with pytest.raises(ValueError, match="the bus of the cache and the tier behind it: leave out backup="):
        check_places(DEFAULT, tier, remote)


def test_a_remote_is_no_backup(remote: Any) -> None:
    with pytest.raises(ValueError, match="without news of the others: pass it as remote_cache="):
        check_places(DEFAULT, remote, None)


def test_a_bus_that_hears_by_a_tier_needs_that(bus: Process, tier: Any, remote: Any) -> None:
    check_together(remote.bus, remote)
    check_together(bus, tier)
    check_together(None, None)
    for other in (None, tier):
        with pytest.raises(ValueError, match="hears only of what goes through"):
            check_together(remote.bus, other)
    for another in (None, bus):
        with pytest.raises(ValueError, match="without news of the others"):
            check_together(another, remote)


@pytest.mark.usefixtures("alone")
def test_a_cache_with_a_tier_of_its_own_does_not_follow_to_a_remote(tier: Any, remote: Any) -> None:
    own = AsyncCache(name="own", backup=tier)
    with pytest.raises(ValueError, match="hears only of what goes through"):
        configure(remote_cache=remote)
    assert configured.bus is None
    assert configured.tier is None
    assert own.name == "own"


@pytest.mark.usefixtures("alone")
def test_the_application_has_no_other_bus_beside_a_remote(bus: Process, remote: Any) -> None:
    configure(remote_cache=remote)
    assert (configured.bus, configured.tier) == (remote.bus, remote)
    for other in (bus, None):
        with pytest.raises(ValueError, match="without news of the others"):
            configure(bus=other)
    with pytest.raises(ValueError, match="hears only of what goes through"):
        configure(backup=None)
    assert (configured.bus, configured.tier) == (remote.bus, remote)
    configure(bus=None, backup=None)
    assert (configured.bus, configured.tier) == (None, None)


@pytest.mark.usefixtures("alone")
def test_a_new_namespace_is_where_the_first_of_its_caches_is_and_not_where_the_application_is(remote: Any) -> None:
    other: Any = Played()
    configure(remote_cache=remote)
    own = AsyncCache(name="own", namespace="elsewhere", remote_cache=other)
    assert own._namespace.share is not None
    assert own._namespace.share.bus is other.bus
    with pytest.raises(ValueError, match="give the caches of one of the two another namespace="):
        AsyncCache(name="follows", namespace="elsewhere")
    with pytest.raises(ValueError, match="give the caches of one of the two another namespace="):
        AsyncCache(name="other", remote_cache=other)
    kept = AsyncCache(name="kept", namespace="here", bus=None, backup=None)
    assert kept._namespace.share is not None
    assert kept._namespace.share.bus is remote.bus  # its tags may be changed by others, if not its keys
