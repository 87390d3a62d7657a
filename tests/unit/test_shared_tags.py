"""What others may invalidate: tags that die by their stamp, guards that look, and leases that have to hear."""

from __future__ import annotations

from typing import Any

import pytest

from cache._entry import SharedGuard, make_entry
from cache._key import ALL
from cache._keyspace import Keyspace
from cache._lease import DONE, Lease
from cache._namespace import Namespace
from cache._share import (
    Share,
)
from cache._stable import encode
from cache._step import step
from cache._tags import SharedTag, Tag
from cache.testing import FakeClock
from tests.races.machine import Machine
from tests.unit.shared import KIND, Processes, keyspace, two_processes


@pytest.fixture
def processes() -> Processes:
    return two_processes()


def test_a_shared_tag_dies_with_its_stamp_and_the_next_is_another(processes: Processes) -> None:
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


def test_what_rests_on_a_code_rests_on_everything_and_on_wildcards_there(processes: Processes) -> None:
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


def test_a_shared_guard_renews_itself_until_one_of_its_tags_has_died(processes: Processes) -> None:
    here, there = (keyspace(bus=process) for process in processes)
    entry = entry_on(here.tag("a"), Namespace("own").tag("t"))
    assert entry.guard.renew()
    there.invalidate("b")
    assert entry.guard.renew(), "the stamp of another"
    assert entry.guard.seen is None, "a reader that knows of no bus has to ask"
    there.invalidate("a")
    assert not entry.guard.renew()
    assert not entry.is_fresh(0.0)


def test_a_shared_guard_hears_of_its_own_process_too(processes: Processes) -> None:
    here = keyspace(bus=processes[0])
    namespace = Namespace("own")
    entry = entry_on(here.tag("a"), namespace.tag("t"))
    assert entry.guard.renew()
    namespace.invalidate("t")
    assert not entry.guard.renew()


def test_a_strict_guard_sends_every_hit_the_long_way(processes: Processes) -> None:
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


def test_a_lease_rests_on_its_key_where_others_may_invalidate_that(processes: Processes) -> None:
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
def test_a_lease_that_begins_during_a_mutation_elsewhere_is_spoiled(processes: Processes, covering: Any) -> None:
    here, there = (keyspace(bus=process) for process in processes)
    assert there.share is not None
    processes[1].begin(there.share.slots(covering))
    lease = started(here)
    assert not lease.clean
    assert lease.chained
    lease.close()


def test_a_lease_hears_for_those_that_it_waits_for(processes: Processes) -> None:
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


def test_a_lease_adopts_what_a_record_rests_on_and_hears_of_it(processes: Processes) -> None:
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


def test_a_lease_that_adopts_very_much_rests_on_whole_domains(processes: Processes) -> None:
    here = keyspace(bus=processes[0])
    lease = started(Keyspace("own", FakeClock()))
    tags = [here.tag(number) for number in range(1_000)]
    lease.adopt(tags)
    assert len(lease.tags) < 10
    assert all(map(lease.rests_on, tags))
    here.invalidate(7)
    assert not lease.clean
    lease.close()


def test_tags_known_at_the_end_are_compared_with_the_mark(processes: Processes) -> None:
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
