from __future__ import annotations

import inspect
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cache import AsyncLRU, cached
from tests.spec.steering import Table

# -- one call, one key -------------------------------------------------------------------------------------------


async def test_every_way_to_write_a_call_is_one_key() -> None:
    table = Table()

    @AsyncLRU
    async def get(uid: int, flag: bool = False, *, page: int = 1) -> int:
        return await table.read(uid)

    await get(1)
    await get(uid=1)
    await get(1, False)
    await get(1, flag=False)
    await get(1, page=1)
    await get(page=1, flag=False, uid=1)
    assert table.reads[1] == 1
    await get(1, True)
    await get(1, page=2)
    assert table.reads[1] == 3


async def test_the_order_of_keywords_never_matters() -> None:
    @AsyncLRU
    async def get(**options: int) -> int:
        return len(options)

    assert get.cache_key(a=1, b=2) == get.cache_key(b=2, a=1)
    assert get.cache_key(a=1, b=2) != get.cache_key(a=2, b=1)


async def test_what_is_passed_by_position_alone_is_part_of_the_key() -> None:
    @AsyncLRU
    async def get(uid: int, /, uid2: int = 0, **uids: int) -> tuple[int, ...]:
        return (uid, uid2, *uids.values())

    assert [await get(1), await get(1, 2), await get(1, uid=2)] == [(1, 0), (1, 2), (1, 0, 2)]


async def test_no_arguments_are_a_key_too() -> None:
    calls = []

    @AsyncLRU
    async def everything() -> int:
        calls.append(1)
        return len(calls)

    assert [await everything(), await everything()] == [1, 1]
    assert everything.invalidate_cache()
    assert await everything() == 2


async def test_more_arguments_by_position_are_not_one_tuple() -> None:
    @AsyncLRU
    async def get(*parts: Any, **named: Any) -> tuple[Any, Any]:
        return parts, named

    calls: list[tuple[tuple[Any, ...], dict[str, Any]]] = [
        ((), {}),
        (((),), {}),
        ((1, 2), {}),
        (((1, 2),), {}),
        ((1, (2,)), {}),
        ((("a", 1),), {}),
        (((("a", 1),),), {}),
        ((), {"a": 1}),
        (("a", 1), {}),
    ]
    for args, kwargs in calls:
        assert await get(*args, **kwargs) == (args, kwargs)


async def test_an_argument_may_be_called_self_or_use_the_names_of_the_cache() -> None:
    @AsyncLRU
    async def get(**named: Any) -> Any:
        return named

    names = dict.fromkeys(("self", "key", "args", "kwargs", "instance", "cache"), 1)
    assert await get(**names) == names
    assert get.peek(**names) == names
    assert await get.refresh(**names) == names
    assert get.invalidate_cache(**names)


def _all_kinds(a: Any, /, b: Any = 0, *more: Any, c: Any = 0, **named: Any) -> None:
    """The signature with a parameter of each kind."""


_values = st.sampled_from([0, 1, 1.0, True, "0", None, (0,), (), ("c", 1)])
_calls = st.tuples(
    st.lists(_values, min_size=1, max_size=4),
    st.dictionaries(st.sampled_from(["a", "c", "d"]), _values, max_size=3),
)


@given(_calls, _calls)
async def test_two_calls_have_one_key_exactly_if_their_bound_arguments_are_equal(one: Any, other: Any) -> None:
    @AsyncLRU
    async def get(a: Any, /, b: Any = 0, *more: Any, c: Any = 0, **named: Any) -> None:
        pass

    def bound(call: Any) -> Any:
        arguments = inspect.signature(_all_kinds).bind(*call[0], **call[1])
        arguments.apply_defaults()
        return arguments.arguments

    def key(call: Any) -> Any:
        return get.cache_key(*call[0], **call[1])

    assert (key(one) == key(other)) is (bound(one) == bound(other))


# -- equality and types ------------------------------------------------------------------------------------------


async def test_arguments_follow_the_equality_of_python() -> None:
    @AsyncLRU
    async def get(x: Any) -> Any:
        return x

    await get(1)
    assert [type(await get(x)) for x in (1.0, True)] == [int, int]
    assert await get("1") == "1"


async def test_typed_keeps_equal_arguments_of_different_types_apart() -> None:
    @cached(typed=True)
    async def get(x: Any, y: Any = 0) -> Any:
        return x

    assert [type(await get(x)) for x in (1, 1.0, True)] == [int, float, bool]
    assert get.cache_key(1) == get.cache_key(1, 0)
    assert get.cache_key(1) != get.cache_key(1, False)


async def test_typed_looks_at_what_is_collected_too() -> None:
    @cached(typed=True)
    async def get(*more: Any, **named: Any) -> None:
        pass

    keys = [get.cache_key(1), get.cache_key(1.0), get.cache_key(a=1), get.cache_key(a=1.0), get.cache_key(a=True)]
    assert len(set(keys)) == 5
    assert get.cache_key(a=1, b=1.0) == get.cache_key(b=1.0, a=1)
    assert get.cache_key(a=1, b=1.0) != get.cache_key(a=1.0, b=1)


async def test_an_argument_that_is_part_of_a_key_is_kept_alive_by_its_entry() -> None:
    class Plain:
        pass

    @AsyncLRU
    async def address(x: Plain) -> int:
        return id(x)

    addresses = {await address(Plain()) for _ in range(10)}
    assert len(addresses) == 10, "an address used again would have been taken for the object that had it before"


# -- what is left out --------------------------------------------------------------------------------------------


async def test_ignored_parameters_are_no_part_of_the_key() -> None:
    table = Table()

    @cached(ignore=("session", "trace"))
    async def get(session: Any, uid: int, *, trace: Any = None) -> int:
        return await table.read(uid)

    await get([], 1)
    await get({}, 1, trace=[])
    await get(object(), uid=1)
    assert table.reads[1] == 1
    assert get.invalidate_cache(None, 1)


@pytest.mark.parametrize("ignored", ["more", "named"])
async def test_what_is_collected_may_be_ignored(ignored: str) -> None:
    @cached(ignore=(ignored,))
    async def get(uid: int, *more: Any, **named: Any) -> None:
        pass

    assert (get.cache_key(1, 2) == get.cache_key(1, 3)) is (ignored == "more")
    assert (get.cache_key(1, a=2) == get.cache_key(1, a=3)) is (ignored == "named")


async def test_a_function_all_of_whose_parameters_are_ignored_has_one_entry() -> None:
    @cached(ignore=("session",))
    async def everything(session: Any) -> int:
        return id(session)

    first = await everything([])
    assert await everything({}) == first
    assert len(everything.cache) == 1


async def test_skipped_parameters_are_the_first_ones() -> None:
    @cached(skip_args=2)
    async def get(session: Any, trace: Any, uid: int) -> int:
        return uid

    await get([], {}, 1)
    assert get.peek(None, None, 1) == 1
    assert get.peek(None, None, 2) is None


async def test_skipping_and_ignoring_may_be_combined() -> None:
    @cached(skip_args=1, ignore=("trace",))
    async def get(session: Any, uid: int, trace: Any = None) -> int:
        return uid

    assert get.cache_key([], 1, {}) == get.cache_key({}, 1)


# -- key= --------------------------------------------------------------------------------------------------------


async def test_key_makes_the_whole_key() -> None:
    table = Table()

    @cached(key=lambda session, uid: uid % 10)
    async def get(session: Any, uid: int) -> int:
        return await table.read(uid)

    await get([], 1)
    await get({}, 11)
    assert table.reads == {1: 1}
    assert get.cache_key(None, 21) == 1
    assert 1 in get.cache


async def test_key_is_called_with_the_bound_arguments() -> None:
    calls = []

    def key(*args: Any, **kwargs: Any) -> int:
        calls.append((args, kwargs))
        return 0

    @cached(key=key)
    async def get(uid: int, flag: bool = False, *more: int, page: int = 1, **named: int) -> None:
        pass

    get.cache_key(uid=1)
    get.cache_key(1, True, 2, page=3, x=4)
    assert calls == [((1, False), {"page": 1}), ((1, True, 2), {"page": 3, "x": 4})]


async def test_key_may_take_an_instance_that_is_then_no_part_of_it() -> None:
    class Repo:
        @cached(key=lambda self, uid: uid)
        async def get(self, uid: int) -> int:
            return id(self)

    one, two = Repo(), Repo()
    assert await one.get(1) == await two.get(1)
