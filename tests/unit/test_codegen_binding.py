from __future__ import annotations

import inspect
from collections.abc import Callable
from inspect import Parameter
from typing import Any

import pytest

from tests.unit.generated import World

# -- binding ---------------------------------------------------------------------------------------------------


def nothing() -> None: ...
def one(x: Any) -> None: ...
def two(x: Any, y: Any = 7) -> None: ...
def positional(x: Any, /, y: Any, z: Any = 3) -> None: ...
def only_positional(x: Any, y: Any = 2, /) -> None: ...
def keyword(x: Any, *, y: Any, z: Any = 3) -> None: ...
def only_keyword(*, x: Any = 1, y: Any) -> None: ...
def star(x: Any, *args: Any) -> None: ...
def stars(*args: Any, **kwargs: Any) -> None: ...
def star_keyword(*args: Any, y: Any = 1) -> None: ...
def every(a: Any, /, b: Any, c: Any = 3, *args: Any, d: Any, e: Any = 5, **kwargs: Any) -> None: ...
def odd(x: Any = (), y: Any = None, z: Any = "_c_") -> None: ...


FUNCTIONS = [
    nothing, one, two, positional, only_positional, keyword, only_keyword, star, stars, star_keyword, every, odd,
]  # fmt: skip

CALLS: list[tuple[tuple[Any, ...], dict[str, Any]]] = [
    ((), {}),
    ((1,), {}),
    ((1, 2), {}),
    ((1, 2, 3, 4), {}),
    ((), {"x": 1}),
    ((1,), {"x": 1}),
    ((1,), {"y": 2}),
    ((), {"x": 1, "y": 2}),
    ((), {"y": 2, "x": 1}),
    ((1,), {"y": 2, "z": 4}),
    ((1, 2), {"d": 4}),
    ((1, 2, 3, 4, 5), {"d": 4, "e": 6, "f": 7}),
    ((1,), {"b": 2, "d": 4, "f": 7, "a": 8}),
    ((1,), {"nobody": 2}),
]


def bound_by_python(function: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    try:
        bound = inspect.signature(function).bind(*args, **kwargs)
    except TypeError:
        return TypeError
    bound.apply_defaults()
    return dict(bound.arguments)


def result_of(function: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    try:
        return function(*args, **kwargs)
    except TypeError:
        return TypeError


@pytest.mark.parametrize("function", FUNCTIONS)
def test_arguments_are_bound_as_python_binds_them(function: Callable[..., Any]) -> None:
    world = World(function)
    for args, kwargs in CALLS:
        assert result_of(world.generated.bound, args, kwargs) == bound_by_python(function, args, kwargs)


@pytest.mark.parametrize("function", FUNCTIONS)
def test_calls_that_bind_alike_have_one_key_and_others_have_others(function: Callable[..., Any]) -> None:
    world = World(function)
    for args, kwargs in CALLS:
        for other_args, other_kwargs in CALLS:
            mine, other = (bound_by_python(function, *call) for call in ((args, kwargs), (other_args, other_kwargs)))
            key, other_key = (
                result_of(world.generated.key, *call) for call in ((args, kwargs), (other_args, other_kwargs))
            )
            assert (key == other_key) == (mine == other)
            assert (key is TypeError) == (mine is TypeError)


@pytest.mark.parametrize("function", FUNCTIONS)
async def test_the_wrapper_takes_the_calls_that_the_function_takes(function: Callable[..., Any]) -> None:
    world = World(function)
    for args, kwargs in CALLS:
        bound = bound_by_python(function, args, kwargs)
        if bound is TypeError:
            with pytest.raises(TypeError):
                await world.call(*args, **kwargs)
        else:
            _, _, its_args, its_kwargs = await world.call(*args, **kwargs)
            assert bound_by_python(function, its_args, its_kwargs) == bound


@pytest.mark.parametrize("function", FUNCTIONS)
def test_the_wrapper_has_the_parameters_of_the_function_and_use_cache(function: Callable[..., Any]) -> None:
    parameters = dict(inspect.signature(World(function).generated.cached).parameters)
    switch = parameters.pop("use_cache")
    assert switch.kind is Parameter.KEYWORD_ONLY
    assert switch.default is True
    assert [(p.name, p.kind, p.default) for p in parameters.values()] == [
        (p.name, p.kind, p.default) for p in inspect.signature(function).parameters.values()
    ]
    assert inspect.iscoroutinefunction(World(function).generated.cached)


def test_a_default_is_the_very_object() -> None:
    marker = object()

    def function(x: object = marker) -> None: ...

    assert World(function).generated.bound() == {"x": marker}


NAMES = [
    "key", "data", "store", "self", "epoch", "running", "frame", "clock", "slow", "make_key", "types", "instances",
    "mint", "id", "tuple", "sorted", "misses", "cached", "bound", "rebind", "new", "token", "entry", "guard", "seen",
    "factory", "default", "KeyError", "TypeError", "use_cache_", "_c_", "_c_data", "_c__data", "_c_default_x",
]  # fmt: skip


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("default", ["", "=5"])
async def test_a_parameter_may_have_any_name(name: str, default: str) -> None:
    local: dict[str, Any] = {}
    exec(f"def function({name}{default}, *, x=1, **more): ...", {}, local)  # noqa: S102 - a name from the list above
    world = World(local["function"], has_ttl=True, has_tags=True, track=True, typed=True)
    assert world.generated.bound(6) == {name: 6, "x": 1, "more": {}}
    world.hold("hit", 6, x=2, y=3)
    assert await world.call(6, x=2, y=3) == "hit"
    assert await world.call(7) == ("slow", True, (7,), {"x": 1})
