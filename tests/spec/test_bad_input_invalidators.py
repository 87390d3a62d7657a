"""An invalidation that cannot be computed is refused: at decoration if it can be known there, else before the write."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest

from cache import AsyncCache, AsyncLRU, AsyncLRUInvalidator, AsyncTTLInvalidator, cached, invalidates
from tests.spec.refusal import NAN, Wrong, refused, wrong


@AsyncLRU
async def get(uid: int, flag: bool = False) -> int:
    return uid


async def update(uid: int) -> None:
    """Stands for a write."""


PRESETS: dict[str, Any] = {"lru": AsyncLRUInvalidator, "ttl": AsyncTTLInvalidator, "invalidates": invalidates}


# -- at the decorator --------------------------------------------------------------------------------------------

OPTIONS = [
    *wrong("key_fn", TypeError, "key_fn(args, kwargs) -> (args, kwargs)", 5, "uid", ()),
    *wrong("clear_all", TypeError, "True or False", None, 1, "no"),
    *wrong("tags", TypeError, "a tuple of strings", "users", 5, None),
    *wrong("linger", ValueError, "0 or more", -1, NAN),
    *wrong("linger", TypeError, "0 or more", None, "1", True),
]


@pytest.mark.parametrize("preset", PRESETS)
@pytest.mark.parametrize("case", OPTIONS)
def test_a_wrong_option_is_refused_when_the_decorator_is_made(preset: str, case: Wrong) -> None:
    with refused(case.kind, *case.words):
        PRESETS[preset](get, **{case.parameter: case.value})


@pytest.mark.parametrize(
    "case", [*wrong("namespace", TypeError, "a string", 5), *wrong("namespace", ValueError, "not empty", "")]
)
def test_a_wrong_namespace_is_refused(case: Wrong) -> None:
    with refused(case.kind, *case.words):
        invalidates(get, namespace=case.value)


@pytest.mark.parametrize("preset", ["lru", "ttl"])
@pytest.mark.parametrize("skip_args", [1, 2, "1"], ids=repr)
def test_skip_args_is_refused_with_its_replacement(preset: str, skip_args: Any) -> None:
    with refused(TypeError, f"skip_args={skip_args!r}", "key_fn=lambda args, kwargs: (args[", "get"):
        PRESETS[preset](get, skip_args=skip_args)


def test_key_fn_and_clear_all_are_not_both_accepted() -> None:
    with refused(TypeError, "key_fn=", "clear_all=True", "one of the two"):
        invalidates(get, clear_all=True, key_fn=lambda args, kwargs: (args, kwargs))


def test_key_fn_without_functions_is_refused() -> None:
    with refused(TypeError, "key_fn=", "cached functions"):
        invalidates(key_fn=lambda args, kwargs: (args, kwargs), tags=("users",))


def test_an_invalidator_of_nothing_is_refused() -> None:
    with refused(TypeError, "cached functions", "tags="):
        invalidates()


NOT_CACHED: dict[str, tuple[Any, str]] = {
    "a function that is not cached": (update, "update"),
    "the function behind the wrapper": (get.__wrapped__, "get"),
    "another invalidator": (AsyncLRUInvalidator(get)(update), "update"),
    "an AsyncCache": (AsyncCache(name="users"), "users"),
    "a built-in function": (len, "len"),
    "nothing": (None, "None"),
    "a name": ("get", "'get'"),
    "a number": (5, "5"),
}


@pytest.mark.parametrize("preset", PRESETS)
@pytest.mark.parametrize("what", NOT_CACHED)
def test_a_target_that_is_not_cached_is_refused(preset: str, what: str) -> None:
    target, name = NOT_CACHED[what]
    with refused(TypeError, name, "not a cached function", "AsyncLRU"):
        PRESETS[preset](target)


@pytest.mark.parametrize("preset", PRESETS)
def test_a_bare_invalidator_is_refused_with_the_line_that_was_meant(preset: str) -> None:
    with refused(TypeError, "update", "is given the functions whose results change", "Invalidator("):
        PRESETS[preset](update)


# -- at the mutation ---------------------------------------------------------------------------------------------


def plain(uid: int) -> None: ...


async def streaming(uid: int) -> AsyncIterator[int]:
    yield uid


class Methods:
    @classmethod
    async def of_class(cls, uid: int) -> None: ...

    @staticmethod
    async def of_nobody(uid: int) -> None: ...


NO_MUTATIONS: dict[str, tuple[Any, tuple[str, ...]]] = {
    "a plain function": (plain, ("plain", "async def", "mutating")),
    "an async generator": (streaming, ("streaming", "async generator")),
    "a class method": (vars(Methods)["of_class"], ("of_class", "@classmethod", "above")),
    "a static method": (vars(Methods)["of_nobody"], ("of_nobody", "@staticmethod", "above")),
    "a class": (Methods, ("Methods", "async def")),
    "nothing": (None, ("None", "async def")),
    "a number": (5, ("5", "async def")),
}


@pytest.mark.parametrize("what", NO_MUTATIONS)
def test_what_is_no_mutation_is_refused_at_decoration(what: str) -> None:
    mutation, words = NO_MUTATIONS[what]
    for preset in PRESETS.values():
        with refused(TypeError, *words):
            preset(get)(mutation)


@pytest.mark.parametrize(
    ("template", "words"),
    [
        ("user:{user_id}", ("{user_id}", "uid")),
        ("user:{}", ("'user:{}'", "uid")),
        ("user:{uid", ("'user:{uid'", "template")),
    ],
)
def test_a_template_that_does_not_fit_the_mutation_is_refused_at_decoration(
    template: str, words: tuple[str, ...]
) -> None:
    with refused(ValueError, "update", *words):
        invalidates(tags=(template,))(update)


async def test_a_parameter_that_cannot_be_found_is_refused_at_decoration_with_three_remedies() -> None:
    async def rename(name: str) -> None: ...

    for preset in PRESETS.values():
        with refused(TypeError, "rename", "get", "'uid'", "key_fn=", "tags=", "clear_all=True"):
            preset(get)(rename)


async def test_a_parameter_of_a_key_function_that_cannot_be_found_is_refused_even_if_it_has_a_default() -> None:
    @cached(key=lambda uid, flag: (uid, flag))
    async def keyed(uid: int, flag: bool = False) -> int:
        return uid

    with refused(TypeError, "update", "keyed", "'flag'", "key_fn="):
        invalidates(keyed)(update)
