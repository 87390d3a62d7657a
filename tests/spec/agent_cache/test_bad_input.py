"""What is wrong is refused at the earliest moment, in words that say what would be right, and leaves all else sound."""

from __future__ import annotations

import asyncio
from typing import Annotated, Any

import pytest

from agent_cache import AgentCache, AgentCacheInvalidator, AgentCacheSession, explain
from tests.spec.agent_cache.people import RunContext
from tests.spec.refusal import NAN, NOT_SECONDS, Wrong, refused, wrong


async def get(uid: int, flag: bool = False) -> int:
    return uid


async def get_in(ctx: RunContext, uid: int = 0) -> int:
    return uid


# -- options, when the decorator is made -------------------------------------------------------------------------

OF_BOTH = [
    *wrong("resource", TypeError, "pass a name such as 'cart:{cart_id}'", 5, None, object()),
    *wrong("resource", ValueError, "empty segment", "", "cart:", ":cart"),
    pytest.param(Wrong("resource", (), ValueError, ("resource", "()", "pass a name")), id="resource=()"),
    *wrong("resource", ValueError, "begin with a name", "{uid}", "a{uid}:b"),
    *wrong("resource", ValueError, "no template", "cart:{", "cart:}"),
    *wrong("resource", ValueError, "plain name of a parameter", "cart:{uid.x}", "cart:{0}", "cart:{}", "cart:{uid!r}"),
    *wrong("scope", ValueError, "pass 'global' or 'session'", None, "user", [], 5),
    *wrong("name", TypeError, "'get_cart', or leave it out", 5, b"name", ""),
]
OF_READS = [
    *wrong("ttl", ValueError, "0 or more, or None for ever", -1, NAN),
    *wrong("ttl", TypeError, "0 or more, or None for ever", *NOT_SECONDS),
    *wrong("poll", TypeError, "pass True or False", None, 1, "no"),
    *wrong("maxsize", ValueError, "0 or more, or None for no bound", -1),
    *wrong("maxsize", TypeError, "0 or more, or None for no bound", "128", 1.5, True),
    *wrong("copy", TypeError, "pass a function of the result", 5, "deep"),
    *wrong("key", TypeError, "key(*args, **kwargs) -> hashable", 5, "uid"),
    *wrong("ignore", TypeError, "names of parameters", 5, None),
    *wrong("cache_errors", TypeError, "mapping of exception classes to seconds", KeyError, 5),
]
OF_WRITES = [
    *wrong("clear_all", TypeError, "pass True or False", None, 1, "no"),
    *wrong("key_fn", TypeError, "pass a plain function", 5, "uid", get),
]


@pytest.mark.parametrize("case", [*OF_BOTH, *OF_READS])
def test_a_wrong_option_of_a_read_is_refused_when_the_decorator_is_made(case: Wrong) -> None:
    with refused(case.kind, *case.words):
        AgentCache(**{"resource": "cart", case.parameter: case.value})


@pytest.mark.parametrize("case", [*OF_BOTH, *OF_WRITES])
def test_a_wrong_option_of_a_write_is_refused_when_the_decorator_is_made(case: Wrong) -> None:
    with refused(case.kind, *case.words):
        AgentCacheInvalidator(**{"resource": "cart", case.parameter: case.value})


def test_a_function_that_says_which_calls_change_and_the_word_that_all_do_contradict_each_other() -> None:
    with refused(TypeError, "key_fn", "clear_all=True", "pass clear_all=False"):
        AgentCacheInvalidator("cart", key_fn=lambda args, kwargs: (args, kwargs))


@pytest.mark.parametrize("decorator", [AgentCache, AgentCacheInvalidator])
def test_an_unknown_option_is_refused_in_the_name_of_the_decorator(decorator: Any) -> None:
    with refused(TypeError, decorator.__name__, "max_size"):
        decorator("cart", max_size=5)


@pytest.mark.parametrize("decorator", [AgentCache, AgentCacheInvalidator])
def test_a_decorator_without_a_resource_is_refused(decorator: Any) -> None:
    with refused(TypeError, "resource"):
        decorator()
    with refused(TypeError, "resource", "function", "pass a name such as"):
        decorator(get)


# -- options, when a tool is decorated ---------------------------------------------------------------------------

ON_TOOLS = [
    *wrong("vary", TypeError, "pass a plain function", 5, "uid", get),
    *wrong("tags", TypeError, "a tuple of strings", "users", 5, None),
    pytest.param(Wrong("tags", ("",), ValueError, ("tags", "empty string")), id="tags=('',)"),
    pytest.param(Wrong("tags", (5,), TypeError, ("tags", "5", "int", "string")), id="tags=(5,)"),
    pytest.param(Wrong("tags", ("a:{x}",), TypeError, ("a:{x}", "'x'", "uid, flag")), id="tags=('a:{x}',)"),
    pytest.param(Wrong("tags", ("a:{",), ValueError, ("a:{", "no template")), id="tags=('a:{',)"),
    pytest.param(Wrong("resource", "a:{x}", TypeError, ("a:{x}", "'x'", "uid, flag")), id="resource='a:{x}'"),
]


@pytest.mark.parametrize("decorator", [AgentCache, AgentCacheInvalidator])
@pytest.mark.parametrize("case", ON_TOOLS)
def test_an_option_that_does_not_fit_the_tool_is_refused_when_that_is_decorated(case: Wrong, decorator: Any) -> None:
    with refused(case.kind, *case.words):
        decorator(**{"resource": "cart", case.parameter: case.value})(get)


@pytest.mark.parametrize("decorator", [AgentCache, AgentCacheInvalidator])
def test_a_vary_that_asks_for_what_the_tool_does_not_have_is_refused(decorator: Any) -> None:
    with refused(TypeError, "vary", "'user'", "uid, flag", "name one of these"):
        decorator("cart", vary=lambda user: user)(get)
    with refused(TypeError, "vary", "'one', 'two'", "ctx, uid", "one other for the context"):
        decorator("cart", vary=lambda one, two: one)(get_in)


def test_a_name_to_ignore_that_is_none_of_the_tools_is_refused() -> None:
    with refused(ValueError, "ignore", "'page'", "uid, flag"):
        AgentCache("cart", ignore=("page",))(get)


@pytest.mark.parametrize("linger", ["5", -1, NAN, True])
def test_a_linger_that_is_none_is_refused_when_the_tool_is_decorated(linger: Any) -> None:
    with refused((TypeError, ValueError), "linger", repr(linger), "0 or more"):
        AgentCacheInvalidator("cart", linger=linger)(get)


# -- contexts ----------------------------------------------------------------------------------------------------


def test_a_global_tool_that_is_given_a_context_must_say_whose_its_results_are() -> None:
    with refused(
        TypeError, "get_in", "'ctx'", "share its results with everybody", "vary=lambda ctx", "scope='session'"
    ):
        AgentCache("cart")(get_in)
    AgentCache("cart", vary=lambda ctx: ctx.deps.user)(get_in)
    AgentCache("cart", scope="session")(get_in)
    AgentCache("cart", poll=True)(get_in)
    AgentCacheInvalidator("cart")(get_in)


def test_so_it_must_in_whatever_form_the_context_comes() -> None:
    async def optional(ctx: RunContext | None = None) -> None: ...
    async def annotated(ctx: Annotated[RunContext, "the run"]) -> None: ...
    async def by_name_only(uid: int, *, ctx: RunContext) -> None: ...

    for tool in (optional, annotated, by_name_only):
        with refused(TypeError, tool.__name__, "'ctx'"):
            AgentCache("cart")(tool)


def test_a_resource_does_not_name_what_a_framework_fills_in() -> None:
    with refused(TypeError, "cart:{ctx}", "'ctx'", "uid", "vary="):
        AgentCache("cart:{ctx}", scope="session")(get_in)


async def test_a_context_in_a_parameter_that_does_not_say_so_is_refused_at_the_call() -> None:
    runs = 0

    async def untyped(ctx, uid=0):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202 - which is the case
        nonlocal runs
        runs += 1
        return uid

    look: Any = AgentCache("cart")(untyped)
    calls: list[Any] = [lambda: look(RunContext(1)), lambda: look(ctx=RunContext(1), uid=5)]
    for call in calls:
        with refused(TypeError, "untyped", "'ctx'", "RunContext", "annotate the parameter"):
            await call()
    assert runs == 0
    assert await look("anything else") == 0


# -- calls -------------------------------------------------------------------------------------------------------


async def test_what_identifies_nobody_is_refused_at_the_call() -> None:
    look = AgentCache("cart", vary=lambda uid: [uid])(get)  # type: ignore[arg-type, return-value]  # which is the case
    with refused(TypeError, "vary", "[1]", "not hashable", "an id"):
        await look(1)
    AgentCache("cart", vary=lambda uid: uid)(get)


async def test_an_error_of_vary_is_the_callers() -> None:
    look = AgentCache("cart", vary=lambda uid: 1 // uid)(get)
    with pytest.raises(ZeroDivisionError):
        await look(0)
    assert await look(1) == 1


async def test_an_argument_without_a_value_is_refused_with_what_to_do() -> None:
    @AgentCache("cart")
    async def look(lines: Any) -> Any:
        return lines

    with refused(TypeError, "look", "lines", "ignore=('lines',)", "key="):
        await look(_Sealed())
    assert await look(1) == 1


class _Sealed:
    __hash__ = None  # type: ignore[assignment]  # as of an array

    def __reduce__(self) -> Any:
        raise TypeError


async def test_a_time_to_live_that_is_none_is_refused_where_it_is_computed() -> None:
    look = AgentCache("cart", ttl=lambda _: "long")(get)  # type: ignore[arg-type, return-value]  # which is the case
    with refused(TypeError, "ttl", "'long'"):
        await look(1)


# -- sessions ----------------------------------------------------------------------------------------------------

OF_SESSIONS = [
    *wrong("session_id", TypeError, "pass a name, or nothing", "", 5, b"chat"),
    *wrong("loop_detection", TypeError, "pass True or False", None, 1, "yes"),
    *wrong("max_tool_repeats", TypeError, "a whole number", "5", 5.0, None, True),
    *wrong("max_tool_repeats", ValueError, "pass 2 or more", 1, 0, -5),
    *wrong("max_execution_depth", TypeError, "a whole number", "5", 5.0, None, True),
    *wrong("max_execution_depth", ValueError, "pass 1 or more", 0, -5),
    *wrong("on_loop", ValueError, "'raise', 'warn', 'short_circuit'", "stop", None, [], 5),
]


@pytest.mark.parametrize("case", OF_SESSIONS)
def test_a_wrong_option_of_a_session_is_refused(case: Wrong) -> None:
    options: dict[str, Any] = {case.parameter: case.value}
    with refused(case.kind, *case.words):
        AgentCacheSession(**options)


@pytest.mark.parametrize("name", ["", None, 5])
async def test_a_fork_without_a_name_is_refused(name: Any) -> None:
    async with AgentCacheSession() as session:
        with refused(TypeError, "name", repr(name), "'researcher'"):
            session.fork(name)


async def test_a_session_that_could_not_be_entered_leaves_the_context_as_it_was() -> None:
    look = AgentCache("cart", scope="session")(get)
    async with AgentCacheSession() as session:
        with pytest.raises(RuntimeError):
            await session.__aenter__()
        await look(1)
        assert explain(look, 1).startswith("hit")
    assert explain(look, 1).startswith("miss: its scope is the session")


async def test_whatever_was_refused_the_next_tool_works() -> None:
    for bad in ({"ttl": -1}, {"name": 5}, {"vary": 5}):
        with pytest.raises((TypeError, ValueError)):
            AgentCache("cart", **bad)(get)  # type: ignore[arg-type]  # which is the case
    look, change = AgentCache("cart")(get), AgentCacheInvalidator("cart")(get)
    assert await look(1) == 1
    assert explain(look, 1).startswith("hit")
    await change(1)
    assert explain(look, 1).startswith("miss")
    assert list(await asyncio.gather(look(1), look(1))) == [1, 1]
