"""A mutation whose invalidation cannot be computed is not run, and leaves everything as it was."""

from __future__ import annotations

import logging
from typing import Any

import pytest

from cache import AsyncLRU, AsyncLRUInvalidator, cached, invalidates
from cache.testing import FakeClock
from tests.spec.refusal import NAN, refused

ran: list[tuple[Any, ...]] = []


@pytest.fixture(autouse=True)
def _nothing_ran() -> None:
    ran.clear()
    get.clear_cache()


@AsyncLRU
async def get(uid: int, flag: bool = False) -> int:
    return uid


async def update(uid: int) -> None:
    ran.append((uid,))


async def untouched() -> None:
    """A refused mutation was not run, and took nothing with it; the next one works."""
    assert ran == []
    assert get.peek(1) == 1
    await AsyncLRUInvalidator(get)(update)(1)
    assert get.peek(1) is None


NO_CALLS: dict[str, Any] = {
    "nothing": None,
    "a number": 1,
    "a string": "ab",
    "the arguments alone": (1,),
    "the arguments without keywords": ((1,),),
    "a number in place of the arguments": (1, {}),
    "a string in place of the arguments": ("1", {}),
    "None in place of the keywords": ((1,), None),
    "a tuple in place of the keywords": ((1,), ()),
    "three parts": ((1,), {}, {}),
    "a list of numbers": [1, 2],
    "a list of arguments": [(1,), (2,)],
    "a list with a good one and a bad one": [((1,), {}), 2],
    "a dict": {"uid": 1},
    "a set": {1},
}


@pytest.mark.parametrize("what", NO_CALLS)
async def test_what_key_fn_must_not_return_is_refused_before_the_mutation_runs(what: str) -> None:
    mutation: Any = AsyncLRUInvalidator(get, key_fn=lambda args, kwargs: NO_CALLS[what])(update)
    await get(1)
    with refused(TypeError, "update was not run", "key_fn=", repr(NO_CALLS[what]), "get", "(args, kwargs)"):
        await mutation(1)
    await untouched()


@pytest.mark.parametrize(
    "calls", [((), {}), ((1, True, 3), {}), ((1,), {"page": 1}), ((1,), {"uid": 1}), [((1,), {}), ((), {})]], ids=repr
)
async def test_arguments_from_key_fn_that_do_not_fit_are_refused_before_the_mutation_runs(calls: Any) -> None:
    mutation: Any = AsyncLRUInvalidator(get, key_fn=lambda args, kwargs: calls)(update)
    await get(1)
    with refused(TypeError, "update was not run", "key_fn=", "get"):
        await mutation(1)
    await untouched()


async def test_an_error_of_key_fn_is_passed_on_before_the_mutation_runs() -> None:
    mutation: Any = AsyncLRUInvalidator(get, key_fn=lambda args, kwargs: (args[7:8][0], {}))(update)
    await get(1)
    with refused(IndexError, "update was not run", "key_fn="):
        await mutation(1)
    await untouched()


async def test_an_async_key_fn_is_refused() -> None:
    async def key_fn(args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        return args, kwargs

    with refused(TypeError, "key_fn", "async"):
        AsyncLRUInvalidator(get, key_fn=key_fn)


async def test_a_template_that_cannot_be_filled_in_is_refused_before_the_mutation_runs() -> None:
    mutation: Any = invalidates(get, tags=("user:{uid.name}",))(update)
    await get(1)
    with refused(AttributeError, "'user:{uid.name}'", "update"):
        await mutation(1)
    await untouched()


@pytest.mark.parametrize(
    ("args", "kwargs", "word"),
    [
        pytest.param((), {}, "'uid'", id="too few"),
        pytest.param((1, 2), {}, "positional", id="too many"),
        pytest.param((1,), {"page": 1}, "'page'", id="an unknown keyword"),
    ],
)
async def test_a_call_that_does_not_fit_the_mutation_is_refused_in_its_name(
    args: tuple[Any, ...], kwargs: dict[str, Any], word: str
) -> None:
    mutation: Any = AsyncLRUInvalidator(get)(update)
    await get(1)
    with refused(TypeError, "update", word):
        await mutation(*args, **kwargs)
    await untouched()


async def test_an_argument_that_cannot_be_part_of_a_key_is_refused_before_the_mutation_runs() -> None:
    endless: list[Any] = []
    endless.append(endless)
    mutation: Any = AsyncLRUInvalidator(get)(update)
    await get(1)
    with refused(TypeError, "get", "uid=", "key="):
        await mutation(endless)
    await untouched()


async def test_an_error_of_the_hash_of_an_argument_is_passed_on_before_the_mutation_runs() -> None:
    class Hostile:
        def __hash__(self) -> int:
            raise OSError("no hash today")

    mutation: Any = AsyncLRUInvalidator(get)(update)
    await get(1)
    with pytest.raises(OSError, match="no hash today"):
        await mutation(Hostile())
    await untouched()


@pytest.mark.parametrize("seconds", [-1, NAN, "1", None], ids=repr)
async def test_a_linger_function_that_answers_nonsense_is_logged_and_changes_no_outcome(
    seconds: Any, caplog: pytest.LogCaptureFixture
) -> None:
    clock = FakeClock()
    mine = cached(clock=clock)(get.__wrapped__)
    mutation: Any = AsyncLRUInvalidator(mine, linger=lambda error: seconds)(update)
    await mine(1)
    with caplog.at_level(logging.ERROR, logger="cache"):
        await mutation(1)
    assert ran == [(1,)]
    assert "linger=" in caplog.text
    assert repr(seconds) in caplog.text
    await mine(1)
    assert mine.peek(1) == 1, "the default after a success is not to linger"


async def test_a_linger_function_that_raises_leaves_the_error_of_the_mutation_alone(
    caplog: pytest.LogCaptureFixture,
) -> None:
    def linger(error: BaseException | None) -> float:
        raise OSError("no linger today")

    @AsyncLRUInvalidator(get, linger=linger)
    async def fail(uid: int) -> None:
        raise ValueError(uid)

    with caplog.at_level(logging.ERROR, logger="cache"), pytest.raises(ValueError, match="7"):
        await fail(7)
    assert "no linger today" in caplog.text
    await get(7)
    assert get.peek(7) == 7
