from __future__ import annotations

from typing import Any

import pytest

from cache import AsyncLRU, invalidates
from tests.unit.users import CALLS, filled, kept, update, users

# -- name by name ----------------------------------------------------------------------------------------------


async def test_arguments_are_taken_by_name() -> None:
    f = await filled(users(), *CALLS)

    @invalidates(f)
    async def change(name: str, *, flag: bool = False, uid: int) -> None: ...

    await change("x", uid=1, flag=True)
    assert kept(f, *CALLS) == [(1, False), (2, False)]


async def test_where_the_mutation_lacks_one_with_a_default_all_go_that_agree_on_the_others() -> None:
    f = users()
    change = invalidates(f)(update)
    await filled(f, *CALLS)
    assert await change(1) == "updated 1"
    assert kept(f, *CALLS) == [(2, False)]


async def test_a_mutation_that_names_nothing_of_a_function_that_needs_nothing_changes_all_of_it() -> None:
    @AsyncLRU()
    async def listing(page: int = 0) -> int:
        return page

    await listing(1)
    await listing(2)
    await invalidates(listing)(update)(7)
    assert len(listing.cache) == 0


async def test_loose_keywords_of_a_mutation_are_found_by_name() -> None:
    f = await filled(users(), *CALLS)

    @invalidates(f)
    async def change(**fields: Any) -> None: ...

    await change(uid=1, flag=True, other=3)
    assert kept(f, *CALLS) == [(1, False), (2, False)]
    with pytest.raises(TypeError, match=r"has no argument 'uid', which .*get needs"):
        await change(flag=True)


async def test_what_collects_the_rest_is_only_its_like() -> None:
    @AsyncLRU()
    async def get(uid: int, args: Any = None, *rest: Any, kw: Any = None, **more: Any) -> int:
        return uid

    @invalidates(get)
    async def change(uid: int, *args: Any, **kw: Any) -> None: ...

    await change(0)  # only the call shows which arguments are missing, and the first drops what it cannot tell apart
    for call in ((1,), (1, "x"), (2,)):
        await get(*call)
    await change(1, 5, 6)
    assert kept(get, (1,), (1, "x"), (2,)) == [(2,)]


async def test_what_the_cached_function_names_itself_does_not_go_into_its_loose_keywords() -> None:
    @AsyncLRU()
    async def get(uid: int, flag: bool = False, **kw: Any) -> int:
        return uid

    @invalidates(get)
    async def change(uid: int, **kw: Any) -> None: ...

    await get(1, True, extra=1)
    await get(1, False, extra=1)
    await change(1, flag=True, extra=1)
    assert get.peek(1, True, extra=1) is None
    assert get.peek(1, False, extra=1) == 1


def test_an_argument_that_cannot_be_found_is_refused_at_decoration_with_the_remedies() -> None:
    async def rename(name: str) -> None: ...

    with pytest.raises(TypeError, match=r"rename has no argument 'uid', which .*get needs") as refused:
        invalidates(users())(rename)
    for remedy in ("key_fn=", "tags=", "clear_all=True"):
        assert remedy in str(refused.value)


def test_a_key_function_of_the_users_needs_every_argument() -> None:
    f = users(key=lambda uid, flag=False: uid)
    with pytest.raises(TypeError, match="has no argument 'flag'"):
        invalidates(f)(update)


async def test_a_key_that_cannot_be_made_keeps_the_mutation_from_running() -> None:
    ran: list[int] = []

    @invalidates(users())
    async def change(uid: Any, flag: bool = False) -> None:
        ran.append(uid)

    looped: list[Any] = []
    looped.append(looped)
    with pytest.raises(TypeError, match="contains itself") as refused:
        await change(looped)
    assert any("change was not run" in note for note in refused.value.__notes__)
    assert not ran


async def test_what_the_mutation_would_refuse_is_refused_by_its_name() -> None:
    change = invalidates(users())(update)
    with pytest.raises(TypeError, match=r"update\(.* was given other arguments: missing a required argument: 'uid'"):
        await change()  # type: ignore[call-arg]  # the wrong call is the test


# -- key_fn ----------------------------------------------------------------------------------------------------


async def test_a_key_function_gives_the_arguments_of_the_cached_function() -> None:
    f = await filled(users(), *CALLS)
    await invalidates(f, key_fn=lambda args, kwargs: ((args[0],), {"flag": kwargs["name"] == "x"}))(update)(1, name="x")
    assert kept(f, *CALLS) == [(1, False), (2, False)]


async def test_a_key_function_may_give_several_calls_or_none() -> None:
    f = await filled(users(), *CALLS)
    await invalidates(f, key_fn=lambda *_: [])(update)(1)
    assert kept(f, *CALLS) == list(CALLS)
    await invalidates(f, key_fn=lambda *_: [((1,), {}), ([2], {"flag": False})])(update)(1)
    assert kept(f, *CALLS) == [(1, True)]


@pytest.mark.parametrize("result", [None, 5, (1,), ((1,), {}, 3), [1], ("ab", {}), ((1,), [2]), [[(1,), {}]]])
async def test_a_key_function_that_gives_something_else_keeps_the_mutation_from_running(result: Any) -> None:
    ran: list[int] = []

    @invalidates(users(), key_fn=lambda *_: result)
    async def change(uid: int) -> None:
        ran.append(uid)

    with pytest.raises(TypeError, match=r"change was not run: key_fn=.* returned .*\(args, kwargs\)"):
        await change(1)
    assert not ran


@pytest.mark.parametrize("error", [ZeroDivisionError("mine"), KeyError("mine")], ids=repr)
async def test_an_error_of_a_key_function_is_the_callers_and_says_whose_it_is(error: Exception) -> None:
    def key_fn(args: Any, kwargs: Any) -> Any:
        raise error

    with pytest.raises(type(error)) as caught:
        await invalidates(users(), key_fn=key_fn)(update)(1)
    assert caught.value is error
    assert "update was not run" in caught.value.__notes__[0]


async def test_a_call_that_the_cached_function_would_refuse_is_noted_as_the_key_functions() -> None:
    with pytest.raises(TypeError, match="was given other arguments") as caught:
        await invalidates(users(), key_fn=lambda *_: ((1, 2, 3), {}))(update)(1)
    assert "update was not run: key_fn=" in caught.value.__notes__[0]
