from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

import pytest

from cache import AsyncLRU, cached
from cache._calls import Calls
from cache._key import Token
from cache._wrapper import cached_of


def calls_of(function: Callable[..., Any], **options: Any) -> Calls:
    found = cached_of(cached(**options)(function))
    assert found is not None
    return found.calls


async def get(uid: Any, flag: Any = False, *rest: Any, deep: Any = 0, **more: Any) -> None: ...


async def one(uid: Any) -> None: ...


class Repo:
    async def get(self, uid: Any) -> None: ...

    async def swap(this, self: Any) -> None: ...  # noqa: N805 - what is called self is another


# -- what is in the key ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "names"),
    [
        ({}, ("uid", "flag", "rest", "deep", "more")),
        ({"ignore": ("flag", "more")}, ("uid", "rest", "deep")),
        ({"skip_args": 1}, ("flag", "rest", "deep", "more")),
        ({"skip_args": 2, "ignore": ("rest",)}, ("deep", "more")),
        ({"key": lambda *_, **__: 1}, ()),
    ],
)
def test_the_parameters_in_the_key_are_all_but_those_left_out(options: dict[str, Any], names: tuple[str, ...]) -> None:
    assert calls_of(get, **options).key_names == names


def test_to_skip_more_than_there_are_positions_is_refused() -> None:
    with pytest.raises(ValueError, match="skip_args=3: get has only 2 positional parameters to skip"):
        calls_of(get, skip_args=3)


def test_to_ignore_what_is_no_parameter_is_refused_with_those_there_are() -> None:
    with pytest.raises(ValueError, match="ignore contains 'user': get has the parameters uid, flag, rest, deep, more"):
        calls_of(get, ignore=("user",))


def local() -> dict[str, Callable[..., Any]]:
    async def method(self: Any, x: Any) -> None: ...
    async def class_method(cls: Any, x: Any) -> None: ...
    async def positional(self: Any, /) -> None: ...
    async def later(x: Any, self: Any) -> None: ...
    async def starred(*self: Any) -> None: ...
    async def keyword(*, self: Any) -> None: ...
    async def other(this: Any) -> None: ...

    functions = (method, class_method, positional, later, starred, keyword, other)
    return {function.__name__: function for function in functions}


@pytest.mark.parametrize(
    ("name", "instance"),
    [
        ("method", "self"), ("class_method", "cls"), ("positional", "self"), ("later", None), ("starred", None),
        ("keyword", None), ("other", None),
    ],
)  # fmt: skip
def test_what_stands_by_identity_is_the_first_if_it_is_called_self_or_cls(name: str, instance: str | None) -> None:
    assert calls_of(local()[name]).instance == instance


def test_an_instance_that_is_bound_or_left_out_stands_nowhere() -> None:
    assert calls_of(Repo().get).instance is None
    assert calls_of(Repo().swap).instance is None
    assert calls_of(local()["later"], ignore=("x",)).instance is None
    assert calls_of(Repo.get, skip_args=1).instance is None
    assert calls_of(Repo.get, ignore=("self",)).instance is None
    assert calls_of(Repo.get, key=lambda self, uid: uid).instance is None


# -- from a call to its key ------------------------------------------------------------------------------------


def test_the_key_is_that_of_the_bound_call() -> None:
    key_of = calls_of(get).key_of
    assert key_of((1,), {}) == key_of((), {"uid": 1}) == key_of((1, False), {"deep": 0})
    assert key_of((1,), {"a": 1, "b": 2}) == key_of((1,), {"b": 2, "a": 1})
    assert key_of((1,), {}) != key_of((1, True), {})


def test_what_the_function_would_refuse_has_no_key() -> None:
    for args, kwargs in (((), {}), ((1, 2), {"flag": 3}), ((), {"nobody": 1})):
        with pytest.raises(TypeError, match=r"get\(uid.* was given other arguments"):
            calls_of(get).key_of(args, kwargs)


def test_unhashable_arguments_are_frozen_one_by_one() -> None:
    key_of = calls_of(get).key_of
    assert key_of((1, [2]), {}) == key_of((1.0, [2]), {}) != key_of((1, [3]), {})
    assert key_of((1, 2, 3, [4]), {}) == key_of((1, 2, 3.0, [4]), {})
    assert key_of((1,), {"a": 1, "b": []}) == key_of((1,), {"b": [], "a": True})
    assert hash(calls_of(one).key_of(([],), {})) == hash(calls_of(one).key_of(([],), {}))


def test_what_cannot_be_part_of_a_key_is_refused_with_its_name_and_the_remedies() -> None:
    looped: list[Any] = []
    looped.append(looped)
    for name, kwargs in (("uid", {"uid": looped}), ("more", {"uid": 1, "extra": looped})):
        with pytest.raises(TypeError, match=rf"get: the argument {name}=.*contains itself.*ignore=\('{name}',\)"):
            calls_of(get).key_of((), kwargs)


def test_an_argument_that_does_not_fit_into_a_message_is_cut() -> None:
    class Big(list[Any]):
        def __reduce__(self) -> Any:
            return Big, ()

    with pytest.raises(TypeError, match=r"Big") as refused:
        calls_of(one).key_of((Big(range(100_000)),), {})
    assert len(str(refused.value)) < 2_000


def test_types_separate_keys_where_this_is_asked_for() -> None:
    key_of = calls_of(get, typed=True).key_of
    assert key_of((1,), {}) == key_of((), {"uid": 1})
    for args, kwargs in (((1.0,), {}), ((1, 0), {}), ((1, False, 2.0), {}), ((1,), {"a": 1.0})):
        whole = key_of(tuple(int(a) if isinstance(a, float) else bool(a) for a in args), {"a": 1} if kwargs else {})
        assert key_of(args, kwargs) != whole


def test_a_key_of_ones_own_is_taken_as_it_is() -> None:
    assert calls_of(get, key=lambda uid, *_, **__: ("user", uid)).key_of((7,), {"deep": 1}) == ("user", 7)


@pytest.mark.parametrize("key", [[1], {}, (1, [2])])
def test_a_key_of_ones_own_that_is_not_hashable_is_refused(key: Any) -> None:
    with pytest.raises(TypeError, match=r"one: key=.* returned .*, which is not hashable: return a hashable key"):
        calls_of(one, key=lambda _: key).key_of((1,), {})


def test_an_error_of_a_key_function_is_the_callers_own() -> None:
    def make_key(uid: Any) -> Any:
        raise TypeError("mine")

    with pytest.raises(TypeError, match=r"^mine$"):
        calls_of(one, key=make_key).key_of((1,), {})


def test_an_instance_owns_the_keys_that_are_made_for_it() -> None:
    calls, repo = calls_of(Repo.get), Repo()
    key: Any = calls.key_of((repo, 1), {})
    assert isinstance(key[0], Token)
    assert key in key[0].keys
    assert calls.key_of((repo,), {"uid": 1}) == key != calls.key_of((Repo(), 1), {})


def test_a_forgotten_instance_is_noticed_wherever_somebody_talks_of_a_call() -> None:
    calls = calls_of(Repo.get)
    with pytest.raises(TypeError, match=r"Repo\.get was given 5 in place of its instance"):
        calls.key_named((5, 1), {})
    with pytest.raises(TypeError, match=r"Repo\.get was given 5 in place of its instance"):
        calls.key_named((), {"self": 5, "uid": 1})
    with pytest.raises(TypeError, match=r"missing a required argument.*Repo\.get\.invalidate_cache\(repo, \.\.\.\)"):
        calls.key_named((Repo(),), {})


@pytest.mark.parametrize("function", [get, one])
def test_the_key_of_values_is_that_of_the_call_with_them(function: Callable[..., Any]) -> None:
    calls = calls_of(function)
    for args, kwargs in (((1,), {}), ((1, 2, 3), {"deep": 4, "extra": 5})):
        try:
            bound = inspect.signature(function).bind(*args, **kwargs)
        except TypeError:
            continue
        bound.apply_defaults()
        assert calls.key_of_values(bound.arguments) == calls.key_of(args, kwargs)
    assert calls.key_of_values({"uid": 1}) == calls.key_of((1,), {})


# -- from a key to what it tells -------------------------------------------------------------------------------


def test_a_key_tells_the_arguments_that_are_in_it() -> None:
    calls = calls_of(get, ignore=("flag",))
    key = calls.key_of((1, True, 2, 3), {"deep": 4, "extra": 5})
    assert calls.components(key) == (1, (2, 3), 4, (("extra", 5),))
    assert calls.values_in(key) == {"uid": 1, "rest": (2, 3), "deep": 4, "more": {"extra": 5}}


@pytest.mark.parametrize("typed", [True, False])
def test_a_key_of_one_argument_tells_it(typed: bool) -> None:
    calls = calls_of(one, typed=typed)
    assert calls.components(calls.key_of(((1, 2),), {})) == ((1, 2),)
    assert calls.values_in(calls.key_of((7,), {})) == {"uid": 7}


def test_a_key_does_not_tell_what_stands_in_it_by_identity_or_frozen() -> None:
    calls, repo = calls_of(Repo.get), Repo()
    assert calls.values_in(calls.key_of((repo, 7), {})) == {"uid": 7}
    calls = calls_of(get)
    assert calls.values_in(calls.key_of(([1], 2, 3, [4]), {"a": [5]})) == {"flag": 2, "deep": 0}


@pytest.mark.parametrize("key", ["a string", (1,), (1, 2, 3, 4, 5, 6), 5])
def test_a_key_that_was_made_otherwise_tells_nothing(key: Any) -> None:
    assert calls_of(get).components(key) == ()
    assert calls_of(get).values_in(key) == {}
    assert calls_of(get, key=lambda *_, **__: 1).components(key) == ()


def test_a_bare_decorator_makes_the_same_keys() -> None:
    assert AsyncLRU(one).cache_key(7) == 7
