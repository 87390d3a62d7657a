from __future__ import annotations

import asyncio
import traceback
from types import CoroutineType
from typing import Any

import pytest

from cache._codegen import Shape, source_of
from cache._entry import NEVER
from cache._namespace import Namespace
from tests.unit.generated import World, shape_of


def nothing() -> None: ...
def one(x: Any) -> None: ...
def two(x: Any, y: Any = 7) -> None: ...
def stars(*args: Any, **kwargs: Any) -> None: ...
def every(a: Any, /, b: Any, c: Any = 3, *args: Any, d: Any, e: Any = 5, **kwargs: Any) -> None: ...


# -- keys ------------------------------------------------------------------------------------------------------


def test_a_single_argument_is_the_key_itself() -> None:
    assert World(one).generated.key(7) == 7
    assert World(two).generated.key(7) == (7, 7)
    assert World(nothing).generated.key() == ()


def test_what_is_left_out_of_the_key_is_left_out() -> None:
    key = World(every, key=("b", "kwargs")).generated.key
    assert key(1, 2, d=3) == key(9, 2, 8, 7, d=6) != key(1, 3, d=3)
    assert key(1, 2, d=3, f=1) != key(1, 2, d=3, f=2)


def test_keywords_of_any_order_make_one_key() -> None:
    key = World(stars).generated.key
    assert key(a=1, b=2) == key(b=2, a=1) != key(a=2, b=1)


def test_a_typed_key_has_the_types_of_what_is_in_it() -> None:
    world = World(every, key=("a", "c", "args", "kwargs"), typed=True)
    key: Any = world.generated.key(1, 2, 3, 4, d=5, f=6)
    assert key[-1] == ("types", (1, 3), (4,), (("f", 6),))


def test_a_key_function_is_called_as_the_function_is() -> None:
    world = World(every, custom=True, key=())
    world.generated.key(1, 2, 3, 4, d=5, f=6)
    assert world.made == [((1, 2, 3, 4), {"d": 5, "e": 5, "f": 6})]


# -- hits ------------------------------------------------------------------------------------------------------


async def test_a_hit_returns_the_value_and_stamps_the_entry_with_the_newest_tick() -> None:
    world = World(two)
    first, second = world.hold("a", 1), world.hold("b", 2)
    assert (await world.call(1), await world.call(x=2), await world.call(1, y=7)) == ("a", "b", "a")
    assert (first.tick, second.tick, world.store.tick) == (3.0, 2.0, 3.0)


async def test_a_hit_counts_uses_where_the_policy_wants_them_counted() -> None:
    world = World(one, counts_uses=True)
    first, second = world.hold("a", 1), world.hold("b", 2)
    assert [await world.call(key) for key in (1, 2, 1)] == ["a", "b", "a"]
    assert (first.tick, second.tick, world.store.tick) == (2.0, 1.0, 3.0)


@pytest.mark.parametrize("track", [True, False])
async def test_what_is_no_hit_goes_the_slow_way_as_it_was_called(track: bool) -> None:
    world = World(two, track=track)
    world.hold("a", 1)
    assert await world.call(2, y=3) == ("slow", True, (2, 3), {})
    assert await world.call(1, use_cache=False) == ("slow", False, (1, 7), {})
    assert await world.call([]) == ("slow", True, ([], 7), {})
    assert world.missed == [(2, 3), (1, 7), ([], 7)]
    assert not world.left


@pytest.mark.parametrize("error", [ValueError, asyncio.CancelledError, GeneratorExit])
async def test_whoever_waits_in_vain_leaves(error: type[BaseException]) -> None:
    world = World(two)
    world.error = error()
    with pytest.raises(error) as raised:
        await world.call(1)
    assert world.left == [("flight", CoroutineType)]
    assert raised.value.__traceback__ is not None
    kept = [frame.f_locals for frame, _ in traceback.walk_tb(raised.value.__traceback__)]
    assert not any(name.endswith(("flight", "result")) for names in kept for name in names)


@pytest.mark.parametrize("has_ttl", [True, False])
@pytest.mark.parametrize("track", [True, False])
def test_a_peek_at_a_plain_entry_gives_its_value_and_stamps_nothing(has_ttl: bool, track: bool) -> None:
    world = World(two, has_ttl=has_ttl, track=track)
    entry = world.hold("a", 1, exp=5.0 if has_ttl else NEVER)
    assert world.generated.peek(1) == world.generated.peek(x=1, y=7) == "a"
    assert (entry.tick, world.store.tick) == (0.0, 0.0)


def test_a_peek_looks_closer_where_there_is_anything_to_look_at() -> None:
    world, namespace = World(two, has_ttl=True, track=True), Namespace("n")
    assert world.generated.peek(2, y=3) == ("look", (2, 3), {})
    assert world.generated.peek([]) == ("look", ([], 7), {})
    world.hold("tagged", 3, tags=(namespace.tag("t"),))
    assert world.generated.peek(3) == ("look", (3, 7), {})
    world.hold("mortal", 4, exp=5.0)
    world.clock.advance(5.0)
    assert world.generated.peek(4) == ("look", (4, 7), {})
    world.hold("read inside a load", 5)
    world.running.add(object())
    assert world.generated.peek(5) == ("look", (5, 7), {})


def test_a_peek_that_looks_closer_is_called_as_the_function_is() -> None:
    world = World(every)
    assert world.generated.peek(1, 2, 3, 4, d=5, f=6) == ("look", (1, 2, 3, 4), {"d": 5, "e": 5, "f": 6})


async def test_a_value_of_none_is_a_hit() -> None:
    world = World(one)
    world.hold(None, 1)
    assert await world.call(1) is None


async def test_an_entry_is_a_hit_until_its_deadline() -> None:
    world = World(one, has_ttl=True)
    world.hold("a", 1, exp=5.0)
    world.clock.advance(4.999)
    assert await world.call(1) == "a"
    world.clock.advance(0.001)
    assert await world.call(1) == ("slow", True, (1,), {})


async def test_a_deadline_reaches_a_wrapper_that_looks_at_none() -> None:
    world = World(one)
    world.hold("a", 1, exp=5.0)
    assert await world.call(1) == ("slow", True, (1,), {})


@pytest.mark.parametrize("has_tags", [True, False])
async def test_an_entry_is_a_hit_until_one_of_its_tags_dies(has_tags: bool) -> None:
    world, namespace = World(one, has_tags=has_tags), Namespace("n")
    world.hold("a", 1, tags=(namespace.tag("t"), namespace.tag("u")))
    other = namespace.tag("other")
    assert await world.call(1) == "a"
    namespace.invalidate("other")
    assert other.dead
    assert await world.call(1) == "a"
    namespace.invalidate("u")
    assert await world.call(1) == ("slow", True, (1,), {})


@pytest.mark.parametrize("tagged", [True, False])
async def test_a_hit_inside_a_load_goes_the_slow_way(tagged: bool) -> None:
    world, namespace = World(one, track=True, has_tags=tagged), Namespace("n")
    world.hold("a", 1, tags=(namespace.tag("t"),) if tagged else ())
    world.frame = object()
    assert await world.call(1) == "a"
    world.running.add(world.frame)
    assert await world.call(1) == ("slow", True, (1,), {})
    world.frame = None  # somebody else's load
    assert await world.call(1) == "a"


async def test_an_untracked_hit_does_not_care_who_asks() -> None:
    world = World(one)
    world.hold("a", 1)
    world.frame = object()
    world.running.add(world.frame)
    assert await world.call(1) == "a"


async def test_a_change_of_the_dict_reaches_the_wrapper() -> None:
    world = World(one)
    entry = world.hold("a", 1)
    world.generated.rebind({})
    assert await world.call(1) == ("slow", True, (1,), {})
    world.generated.rebind({2: entry})
    assert await world.call(2) == "a"


class Instance:
    def method(self, x: int) -> None: ...


async def test_an_instance_stands_in_the_key_by_identity() -> None:
    world = World(Instance.method, instance="self")
    me, other = Instance(), Instance()
    assert await world.call(me, 1) == ("slow", True, (me, 1), {})
    world.hold("mine", me, 1)
    assert await world.call(me, 1) == "mine"
    assert await world.call(other, 1) == ("slow", True, (other, 1), {})


async def test_an_id_that_is_used_again_is_not_taken_for_the_instance_that_had_it() -> None:
    world = World(Instance.method, instance="self")
    me, other = Instance(), Instance()
    world.hold("mine", me, 1)
    world.tokens[id(other)] = world.tokens.pop(id(me))
    assert await world.call(other, 1) == ("slow", True, (other, 1), {})
    assert world.generated.peek(other, 1) == ("look", (other, 1), {})


# -- source ----------------------------------------------------------------------------------------------------


def hit_of(shape: Shape) -> str:
    """The source of the wrapper, without the list of what the factory closes over."""
    _, _, rest = source_of(shape).partition("async def cached")
    return rest.partition("def key")[0]


@pytest.mark.parametrize(
    ("option", "line"),
    [("has_ttl", "clock"), ("has_ttl", "exp"), ("track", "running"), ("track", "frame"), ("typed", "types")],
)
def test_what_a_function_does_not_use_has_no_line_in_the_source(option: str, line: str) -> None:
    assert line not in hit_of(shape_of(two))
    assert line in hit_of(shape_of(two, **{option: True}))


def test_an_instance_a_key_function_and_loose_keywords_have_lines_only_where_they_are() -> None:
    plain = hit_of(shape_of(two))
    assert not any(word in plain for word in ("instances", "make_key", "sorted"))
    assert "instances" in hit_of(shape_of(Instance.method, instance="self"))
    assert "make_key" in hit_of(shape_of(two, custom=True))
    assert "sorted" in hit_of(shape_of(stars))
