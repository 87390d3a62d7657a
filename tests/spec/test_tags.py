from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import pytest

import cache as door
from cache import AsyncCache, cached
from cache.testing import assert_quiet
from tests.spec.steering import Loader, Table, metric, start


async def test_a_tag_takes_every_entry_that_carries_it() -> None:
    cache = AsyncCache()
    cache.set("a", 1, tags=("t",))
    cache.set("b", 1, tags=("t", "u"))
    cache.set("c", 1, tags=("u",))
    cache.set("d", 1)
    cache.invalidate("t")
    assert [key in cache for key in "abcd"] == [False, False, True, True]


async def test_an_invalidated_entry_is_loaded_anew() -> None:
    cache, table = AsyncCache(), Table()
    await cache.get("k", lambda: table.read("k"), tags=("t",))
    await table.write("k")
    cache.invalidate("t")
    assert await cache.get("k", lambda: table.read("k"), tags=("t",)) == 1


async def test_a_tag_can_be_used_again_after_it_was_invalidated() -> None:
    cache = AsyncCache()
    cache.set("k", 1, tags=("t",))
    cache.invalidate("t")
    cache.set("k", 2, tags=("t",))
    assert cache.peek("k") == 2
    cache.invalidate("t")
    assert cache.peek("k") is None


async def test_several_tags_at_once() -> None:
    cache = AsyncCache()
    cache.set("a", 1, tags=("t",))
    cache.set("b", 1, tags=("u",))
    assert cache.invalidate("t", "u")
    assert len([key for key in "ab" if key in cache]) == 0


async def test_tags_may_be_any_iterable_of_strings() -> None:
    cache = AsyncCache()
    for key, tags in {"list": ["t"], "set": {"t"}, "generator": (tag for tag in ["t"])}.items():
        iterable: Iterable[str] = tags
        cache.set(key, 1, tags=iterable)
    cache.invalidate("t")
    assert [key for key in ("list", "set", "generator") if key in cache] == []


async def test_caches_of_one_namespace_share_their_tags() -> None:
    one, two, other = AsyncCache(), AsyncCache(), AsyncCache(namespace="other")
    for cache in (one, two, other):
        cache.set("k", 1, tags=("t",))
    one.invalidate("t")
    assert ["k" in cache for cache in (one, two, other)] == [False, False, True]


async def test_tags_are_invalidated_by_the_module_as_well() -> None:
    default, other = AsyncCache(), AsyncCache(namespace="other")
    for cache in (default, other):
        cache.set("k", 1, tags=("t",))
    assert door.invalidate("t")
    assert ["k" in cache for cache in (default, other)] == [False, True]
    assert door.invalidate("t", namespace="other")
    assert "k" not in other


async def test_a_load_begun_before_its_tag_was_invalidated_is_not_stored() -> None:
    cache, loader = AsyncCache(), Loader()
    early = await start(cache.get("k", loader, tags=("t",)))
    cache.invalidate("t")
    late = await start(cache.get("k", loader, tags=("t",)))
    assert len(loader.calls) == 2
    loader.end("new", 1)
    loader.end("old", 0)
    assert (await early, await late) == ("old", "new")
    assert cache.peek("k") == "new"
    assert metric(cache, "fenced") == 1


async def test_an_invalidated_entry_counts_when_it_is_found() -> None:
    cache = AsyncCache()
    cache.set("k", 1, tags=("t",))
    cache.invalidate("t")
    await cache.get("k")
    assert metric(cache, "invalidations") == 1


async def test_a_tag_lives_no_longer_than_what_carries_it() -> None:
    cache = AsyncCache(maxsize=10, namespace="counted")
    for number in range(1_000):
        cache.set(number, 1, tags=(f"tag {number}",))
    assert len(cache) == 10
    assert_quiet(cache)


async def test_invalidating_a_name_that_nobody_uses_leaves_nothing_behind() -> None:
    cache = AsyncCache(namespace="unused")
    for number in range(1_000):
        cache.invalidate(f"tag {number}")
    assert_quiet(cache)


async def test_entries_of_a_dead_tag_go_without_being_asked_for() -> None:
    cache = AsyncCache(maxsize=None)
    for key in range(10_000):
        if key % 100 == 0:
            cache.invalidate("t")
        cache.set(key, key, tags=("t",))
        assert len(cache) <= 300, "of which 100 are alive"


# -- on functions -----------------------------------------------------------------------------------------------


async def test_a_template_is_filled_with_the_arguments_of_the_call() -> None:
    @cached(tags=("user:{uid}", "users"))
    async def user(uid: int, *, full: bool = False) -> tuple[int, bool]:
        return uid, full

    for uid in (1, 2):
        await user(uid)
        await user(uid, full=True)
    door.invalidate("user:1")
    assert [user.peek(1), user.peek(1, full=True)] == [None, None]
    assert [user.peek(2), user.peek(2, full=True)] == [(2, False), (2, True)]
    door.invalidate("users")
    assert user.peek(2) is None


async def test_a_template_is_filled_alike_however_the_argument_was_passed() -> None:
    @cached(tags=("user:{uid}:{kind}",))
    async def user(uid: int, kind: str = "plain") -> int:
        return uid

    for call in (user(1), user(uid=1), user(1, "plain"), user(1, kind="plain")):
        await call
        assert door.invalidate("user:1:plain")


async def test_a_template_may_look_into_its_arguments() -> None:
    @cached(tags=("{point.real:.0f}", "{names[0]}", "{names}"))
    async def look(point: complex, *names: str) -> int:
        return 1

    for tag in ("3", "a", "('a', 'b')"):
        await look(3 + 4j, "a", "b")
        assert door.invalidate(tag), tag


@pytest.mark.parametrize("options", [{"ignore": ("tenant",)}, {"skip_args": 1}], ids=["ignore", "skip_args"])
async def test_a_template_over_what_is_left_out_of_the_key_is_refused(options: dict[str, Any]) -> None:
    async def total(tenant: str, year: int) -> int:
        return 1

    with pytest.raises(ValueError, match=r"'tenant:\{tenant\}'.*left out of the key"):
        cached(tags=("tenant:{tenant}",), **options)(total)


async def test_doubled_braces_are_braces() -> None:
    @cached(tags=("{{x}}",))
    async def f(x: int) -> int:
        return x

    await f(1)
    assert door.invalidate("{x}")


async def test_tags_may_be_computed_from_the_result_and_the_arguments() -> None:
    def tags(result: dict[str, str], uid: int) -> list[str]:
        return [f"author:{result['author']}", f"post:{uid}"]

    @cached(tags=tags)
    async def post(uid: int) -> dict[str, str]:
        return {"author": "ann"}

    for tag in ("author:ann", "post:1"):
        await post(1)
        assert post.peek(1) is not None
        assert door.invalidate(tag)
        assert post.peek(1) is None


async def test_while_its_tags_are_not_known_a_load_counts_as_carrying_every_tag() -> None:
    loader = Loader()

    @cached(tags=lambda result: [f"tag:{result}"])
    async def read() -> str:
        value: str = await loader()
        return value

    early = await start(read())
    door.invalidate("tag:old")
    late = await start(read())
    assert len(loader.calls) == 2, "who asks after the invalidation does not join"
    loader.end("old", 0)
    assert await early == "old"
    assert read.peek() is None, "its tag was invalidated while it ran"
    loader.end("new", 1)
    assert await late == "new"
    assert read.peek() == "new"


async def test_a_load_whose_tags_turn_out_to_be_others_is_stored() -> None:
    loader = Loader()

    @cached(tags=lambda result: [f"tag:{result}"])
    async def read() -> str:
        value: str = await loader()
        return value

    reader = await start(read())
    door.invalidate("tag:something else")
    loader.end("mine")
    assert await reader == "mine"
    assert read.peek() == "mine"


async def test_an_error_of_a_tags_function_fails_the_call_and_nothing_is_stored() -> None:
    def tags(result: int) -> list[str]:
        raise LookupError("no tags")

    @cached(tags=tags)
    async def read() -> int:
        return 1

    with pytest.raises(LookupError, match="no tags"):
        await read()
    assert read.peek() is None
    assert len(read.cache) == 0


@pytest.mark.parametrize("tag", ["auto:1", "hand"])
async def test_a_value_set_by_hand_carries_the_tags_of_the_function_and_those_given(tag: str) -> None:
    @cached(tags=("auto:{x}",))
    async def f(x: int) -> int:
        return x

    f.cache.set(f.cache_key(1), 10, tags=("hand",))
    assert await f(1) == 10
    assert door.invalidate(tag)
    assert await f(1) == 1


async def test_a_value_set_by_hand_where_tags_are_computed_from_the_result_needs_them_given() -> None:
    @cached(tags=lambda result, x: [f"computed:{x}"])
    async def f(x: int) -> int:
        return x

    with pytest.raises(TypeError, match=r"say with tags=\(\.\.\.\)"):
        f.cache.set(f.cache_key(1), 10)
    assert f.peek(1) is None
    f.cache.set(f.cache_key(1), 10, tags=("computed:1",))
    assert await f(1) == 10
    assert door.invalidate("computed:1")
    assert await f(1) == 1
