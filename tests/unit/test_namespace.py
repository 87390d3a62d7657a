from __future__ import annotations

import gc
import threading

from cache._keyspace import Keyspace
from cache._lease import Lease
from cache._namespace import Namespace, named_namespace
from cache.testing import FakeClock


def test_a_namespace_is_shared_by_all_who_ask_for_it_and_forgotten_with_the_last() -> None:
    space = named_namespace("shared")
    assert named_namespace("shared") is space
    assert named_namespace("other") is not space
    space.tag("t")
    address = id(space)
    del space
    gc.collect()
    assert named_namespace("shared").name == "shared"
    assert not named_namespace("shared").tags
    assert address


def test_threads_that_name_a_namespace_at_once_get_one() -> None:
    for turn in range(40):
        found: list[Namespace] = []
        barrier = threading.Barrier(4)

        def ask(name: str, found: list[Namespace] = found, barrier: threading.Barrier = barrier) -> None:
            barrier.wait()
            found.append(named_namespace(name))

        threads = [threading.Thread(target=ask, args=(f"race {turn}",)) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert len(set(map(id, found))) == 1


def test_to_invalidate_tags_says_whether_any_was_in_use() -> None:
    space = Namespace("n")
    tags = [space.tag("a"), space.tag("b")]
    assert space.invalidate_each(("x", "b", "a"))
    assert all(tag.dead for tag in tags)
    assert not space.invalidate_each(("x", "b", "a"))


def test_a_load_whose_tags_are_not_known_yet_suspects_every_tag_that_is_invalidated(clock: FakeClock) -> None:
    space = Namespace("n")
    for name, is_clean in (("mine", False), ("other", True)):
        lease = Lease(Keyspace("cache", clock), "k", undecided_in=space)
        lease.start()
        assert lease.joinable
        space.invalidate(name)
        assert not lease.joinable
        lease.decide(["mine"])
        assert lease.clean is is_clean
        lease.close()
    assert not space.undecided
