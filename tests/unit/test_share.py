"""What a domain has in common with other processes: codes, slots, stamps, and who is told."""

from __future__ import annotations

import gc
from collections.abc import Callable, Sequence
from typing import Any

import pytest

from cache import DiskBackend
from cache._entry import SharedGuard, make_entry
from cache._key import ALL, ANY, WILDCARD
from cache._lease import DONE, Lease
from cache._share import (
    Share,
    addresses_in,
    check_bus,
    check_tier,
    claim,
    claimed,
    have_tiers,
    is_wildcard,
    slots_by_bus,
    tell_tiers,
)
from cache._stable import encode
from cache._step import step
from cache._tags import Keyspace, Namespace, SharedTag, Tag
from cache._tier import Address
from cache.testing import FakeClock
from tests.races.machine import Machine, Process

KIND = (WILDCARD, (0,), ("a",))


@pytest.fixture
def processes() -> tuple[Process, Process]:
    machine = Machine(FakeClock())
    return machine.process(), machine.process()


def keyspace(*tiers: Any, bus: Process | None = None, space: str = "c") -> Keyspace:
    domain = Keyspace(space, FakeClock())
    domain.join(Share(space, bus, tiers))
    return domain


class Told:
    """A tier that remembers what it was told, or says that it cannot be."""

    closed = False

    def __init__(self, error: Exception | None = None) -> None:
        self.told: list[tuple[list[Address], list[str]]] = []
        self.error = error

    def invalidate(
        self, addresses: Sequence[Address], spaces: Sequence[str] = (), then: Callable[[], object] | None = None
    ) -> None:
        if self.error is not None:
            raise self.error
        self.told.append((list(addresses), list(spaces)))
        if then is not None:
            then()


def test_a_name_has_its_slot_and_that_of_anything(processes: tuple[Process, Process]) -> None:
    share = Share("c", processes[0])
    assert share.slots("a") == (share.slot("a"), share.anything)
    assert share.slots(KIND) == (share.slot(KIND), share.wildcards, share.anything)
    assert share.slot(ALL) == share.everything
    assert len({share.slot("a"), share.slot("b"), share.anything, share.everything, share.wildcards}) == 5
    assert Share("d", processes[0]).slot("a") != share.slot("a")
    assert Share("c", processes[1]).slot("a") == share.slot("a")


def test_without_a_bus_nothing_is_told_and_nothing_is_heard() -> None:
    share = Share("c", None)
    share.announce("a")
    assert not share.is_watched
    assert share.announced == 0
    assert not share.is_changing("a")
    assert share.slot("a") == 0


def test_an_announcement_stamps_the_name_and_anything_and_is_remembered(processes: tuple[Process, Process]) -> None:
    share = Share("c", processes[0])
    share.announce("a")
    stamps = processes[1].stamps
    assert share.announced == stamps[share.slot("a")] == stamps[share.anything] == stamps[0] > 0
    assert stamps[share.slot("b")] == 0


def test_wildcards_that_others_have_declared_and_this_process_has_not_are_lacking(
    processes: tuple[Process, Process],
) -> None:
    here, there = (Share("c", process) for process in processes)
    assert not here.lacks_wildcards()
    there.declare((0,))
    assert here.lacks_wildcards()
    assert not there.lacks_wildcards()
    here.declare((0,))
    assert not here.lacks_wildcards()


def test_a_name_is_changing_if_another_process_covers_it_or_everything(processes: tuple[Process, Process]) -> None:
    here, there = (Share("c", process) for process in processes)
    for covering in ("a", ALL):
        slots = there.slots(covering)
        processes[1].begin(slots)
        assert here.is_changing("a")
        assert here.is_changing("b") == (covering is ALL)
        assert not there.is_changing("a"), "what it covers itself it knows"
        processes[1].end(slots, 0.0)
        assert not here.is_changing("a")


def test_two_domains_may_not_have_one_name_but_one_may_have_it_again() -> None:
    medium = Told()
    first, second = Keyspace("c", FakeClock()), Keyspace("c", FakeClock())
    claim((medium, None), "c", first)  # type: ignore[arg-type]  # it is enough of a tier
    claim((medium,), "c", first)  # type: ignore[arg-type]  # the same
    with pytest.raises(ValueError, match="'c' is the name of two caches"):
        claim((medium,), "c", second)  # type: ignore[arg-type]  # the same
    assert claimed(medium, "c") is first
    del first
    gc.collect()
    claim((medium,), "c", second)  # type: ignore[arg-type]  # the same
    assert claimed(medium, "c") is second


def test_a_tier_is_told_of_names_by_address_and_of_everything_and_wildcards_by_space() -> None:
    tier = Told()
    c, d, own = keyspace(tier), keyspace(tier, space="d"), Keyspace("own", FakeClock())
    truths = [(c, "a"), (c, KIND), (d, ALL), (d, 1), (own, "x")]
    assert have_tiers(truths)
    assert not have_tiers(truths[-1:])
    assert tell_tiers(truths) == ()
    assert tier.told == [([Address("c", encode("a")), Address("d", encode(1))], ["c", "d"])]


def test_every_tier_is_told_although_one_cannot_be() -> None:
    lost, first, last = Told(ValueError("lost")), Told(), Told()
    with pytest.raises(ValueError, match="lost"):
        tell_tiers([(keyspace(first, lost, last), "a")])
    assert len(first.told) == len(last.told) == 1


def test_addresses_are_those_of_one_tier_and_wildcards_have_none() -> None:
    tier, other = Told(), Told()
    c, elsewhere = keyspace(tier), keyspace(other, space="d")
    tell: Any = tier
    assert addresses_in(tell, [(c, "a"), (c, KIND)]) == (Address("c", encode("a")),)
    assert addresses_in(tell, [(c, "a"), (elsewhere, "b")]) is None
    assert addresses_in(tell, [(Keyspace("own", FakeClock()), "a")]) is None


def test_slots_are_gathered_by_bus(processes: tuple[Process, Process]) -> None:
    here, there = (keyspace(bus=process) for process in processes)
    assert here.share is not None
    assert there.share is not None
    own = Keyspace("own", FakeClock())
    found = dict(slots_by_bus([(here, "a"), (here, "b"), (there, "a"), (own, "a")]))
    assert found == {
        processes[0]: [*here.share.slots("a"), *here.share.slots("b")],
        processes[1]: [*there.share.slots("a")],
    }


def test_is_wildcard_knows_its_own() -> None:
    assert is_wildcard(KIND)
    assert not any(map(is_wildcard, ["a", (1, 2), (), WILDCARD, ALL, ANY]))


def test_the_checks_let_pass_what_they_should() -> None:
    bus = Process(Machine(FakeClock()))
    assert check_bus(bus) is bus
    assert check_bus(None) is None
    assert check_tier(None) is None
    for refused in (bus, DiskBackend, "cache.db"):
        with pytest.raises(TypeError, match="pass a tier"):
            check_tier(refused)


# -- tags, guards and leases that others may invalidate ------------------------------------------------------------


def test_a_shared_tag_dies_with_its_stamp_and_the_next_is_another(processes: tuple[Process, Process]) -> None:
    here, there = (keyspace(bus=process) for process in processes)
    tag = here.tag("a")
    assert isinstance(tag, SharedTag)
    assert here.tag("a") is tag
    there.invalidate("b")
    assert not tag.is_dead()
    there.invalidate("a")
    assert tag.is_dead()
    assert not tag.dead, "nobody has told it"
    assert here.tag("a") is not tag
    assert tag.dead


def test_a_domain_that_is_shared_forgets_what_rested_on_it_and_keeps_its_windows() -> None:
    domain = Keyspace("c", FakeClock())
    window: Any = type("Window", (), {"has_elapsed": lambda self: False})()
    domain.cover("a", window)
    tag = domain.tag("a")
    for _ in range(2):  # once more when it is given another tier
        domain.join(Share("c", None, ()))
        assert tag.dead
        assert domain.windows_on("a") == [window]
    domain.uncover("a", window)
    assert not domain.windows


def test_what_rests_on_a_code_rests_on_everything_and_on_wildcards_there(processes: tuple[Process, Process]) -> None:
    here, there = (keyspace(bus=process) for process in processes)
    assert here.share is not None
    for ended in ("a", ALL, KIND):
        tags, covered = here.grounds_at(here.share, encode("a"))
        assert not covered
        there.invalidate(ended)
        assert any(tag.is_dead() for tag in tags)
        here.kill(ended)
    window: Any = type("Window", (), {"has_elapsed": lambda self: False})()
    for covering in ("a", ALL, KIND):
        here.cover(covering, window)
        assert here.grounds_at(here.share, encode("a"))[1]
        here.uncover(covering, window)
    assert not here.grounds_at(here.share, encode("a"))[1]


def entry_on(*tags: Tag, strict: bool = False) -> Any:
    entry = make_entry("k", 1, 5.0 if strict else float("inf"), tags, reader_checks_exp=False)
    assert isinstance(entry.guard, SharedGuard)
    return entry


def test_a_shared_guard_renews_itself_until_one_of_its_tags_has_died(processes: tuple[Process, Process]) -> None:
    here, there = (keyspace(bus=process) for process in processes)
    entry = entry_on(here.tag("a"), Namespace("own").tag("t"))
    assert entry.guard.renew()
    there.invalidate("b")
    assert entry.guard.renew(), "the stamp of another"
    assert entry.guard.seen is None, "a reader that knows of no bus has to ask"
    there.invalidate("a")
    assert not entry.guard.renew()
    assert not entry.is_fresh(0.0)


def test_a_shared_guard_hears_of_its_own_process_too(processes: tuple[Process, Process]) -> None:
    here = keyspace(bus=processes[0])
    namespace = Namespace("own")
    entry = entry_on(here.tag("a"), namespace.tag("t"))
    assert entry.guard.renew()
    namespace.invalidate("t")
    assert not entry.guard.renew()


def test_a_strict_guard_sends_every_hit_the_long_way(processes: tuple[Process, Process]) -> None:
    entry = entry_on(keyspace(bus=processes[0]).tag("a"), strict=True)
    assert not entry.guard.renew()
    assert entry.is_fresh(0.0)


def test_a_guard_of_two_buses_looks_at_all_its_tags_each_time() -> None:
    machines = [Machine(FakeClock()) for _ in range(2)]
    domains = [keyspace(bus=machine.process(), space=name) for machine, name in zip(machines, "cd", strict=True)]
    others = [keyspace(bus=machine.process(), space=name) for machine, name in zip(machines, "cd", strict=True)]
    entry = entry_on(*[domain.tag("a") for domain in domains])
    assert entry.guard.renew()
    others[1].invalidate("a")
    assert not entry.guard.renew()


def started(domain: Keyspace, key: str = "k", **options: Any) -> Lease:
    lease = Lease(domain, key, **options)
    with step:
        lease.start()
    return lease


def test_a_lease_rests_on_its_key_where_others_may_invalidate_that(processes: tuple[Process, Process]) -> None:
    here, there = (keyspace(bus=process) for process in processes)
    lease = started(here)
    there.invalidate("other")
    lease.hear()
    assert lease.clean
    there.invalidate("k")
    assert lease.clean, "nobody has told it"
    lease.hear()
    assert not lease.clean
    assert not lease.joinable
    lease.close()


@pytest.mark.parametrize("covering", ["k", ALL])
def test_a_lease_that_begins_during_a_mutation_elsewhere_is_spoiled(
    processes: tuple[Process, Process], covering: Any
) -> None:
    here, there = (keyspace(bus=process) for process in processes)
    assert there.share is not None
    processes[1].begin(there.share.slots(covering))
    lease = started(here)
    assert not lease.clean
    assert lease.chained
    lease.close()


def test_a_lease_hears_for_those_that_it_waits_for(processes: tuple[Process, Process]) -> None:
    here, there = (keyspace(bus=process) for process in processes)
    inner, outer = started(here, "inner"), started(Keyspace("own", FakeClock()), "outer")
    inner.above[object()] = outer
    outer.below.add(inner)
    there.invalidate("inner")
    outer.hear()
    assert not inner.clean
    assert not outer.clean
    inner.close()
    outer.close()


def test_a_lease_adopts_what_a_record_rests_on_and_hears_of_it(processes: tuple[Process, Process]) -> None:
    here, there = (keyspace(bus=process) for process in processes)
    lease = started(Keyspace("own", FakeClock()))
    assert not lease.watches
    tag = here.tag("a")
    assert not lease.rests_on(tag)
    lease.adopt([tag])
    assert lease.rests_on(tag)
    assert lease.watches
    there.invalidate("a")
    lease.hear()
    assert not lease.clean
    lease.close()
    assert lease.state == DONE
    assert not tag.readers


def test_a_lease_adopts_what_is_dead_as_what_is_not_to_be_stored() -> None:
    domain = Keyspace("c", FakeClock())
    tag = domain.tag("a")
    tag.kill()
    lease = started(Keyspace("own", FakeClock()))
    lease.adopt([tag])
    assert not lease.clean
    lease.close()


def test_a_lease_that_adopts_very_much_rests_on_whole_domains(processes: tuple[Process, Process]) -> None:
    here = keyspace(bus=processes[0])
    lease = started(Keyspace("own", FakeClock()))
    tags = [here.tag(number) for number in range(1_000)]
    lease.adopt(tags)
    assert len(lease.tags) < 10
    assert all(map(lease.rests_on, tags))
    here.invalidate(7)
    assert not lease.clean
    lease.close()


def test_tags_known_at_the_end_are_compared_with_the_mark(processes: tuple[Process, Process]) -> None:
    spaces = [Namespace(f"side {number}") for number in range(2)]
    for space, process in zip(spaces, processes, strict=True):
        space.join(Share("#tags", process))
    here, there = spaces
    for name, clean in (("t", False), ("u", True)):
        lease = started(Keyspace("own", FakeClock()), undecided_in=here)
        there.invalidate("t")
        lease.decide([name])
        assert lease.clean is clean
        lease.close()
