"""Frameworks: what agent frameworks put into the hands of a tool, known by name, so that none has to be imported.

A class is known by the package that defines it and its own name, looked for along the MRO, so that subclasses count.
"""

from __future__ import annotations

import functools
import inspect
import re
import sys
from collections.abc import Iterable
from types import UnionType
from typing import Annotated, Any, Final, Literal, TypeAlias, Union, get_args, get_origin

Known: TypeAlias = frozenset[tuple[str, str]]

#: Why a parameter is no argument of the model's: it brings the ``"context"`` of the run, and with it somebody's
#: identity; or what a ``"dependency"`` returns, which may be somebody's too; or something ``"neutral"``, such as the id
#: of the call.
Injected: TypeAlias = Literal["context", "dependency", "neutral"]

CONTEXTS: Final[Known] = frozenset({
    ("pydantic_ai", "RunContext"),
    ("agents", "RunContextWrapper"),
    ("agents", "AgentHookContext"),
    ("fastmcp", "Context"),
    ("fastmcp", "UserSession"),
    ("fastmcp", "_CurrentContext"),
    ("fastmcp", "_CurrentAccessToken"),
    ("fastmcp", "_CurrentHeaders"),
    ("fastmcp", "_CurrentRequest"),
    ("fastmcp", "_TokenClaim"),
    ("mcp", "Context"),
    ("mcp", "ServerRequestContext"),
    ("langchain_core", "_DirectlyInjectedToolArg"),
    ("langchain_core", "InjectedToolArg"),
    ("langchain_core", "RunnableConfig"),
    ("langgraph", "ToolRuntime"),
    ("langgraph", "Runtime"),
    ("google", "ReadonlyContext"),
    ("google", "InvocationContext"),
})  # fmt: skip
NEUTRAL: Final[Known] = frozenset({
    ("langchain_core", "InjectedToolCallId"),
    ("langchain_core", "BaseRunManager"),
    ("langchain_core", "BaseCallbackManager"),
    ("autogen_core", "CancellationToken"),
})  # fmt: skip
#: Classes of default values by which a framework fills in what a function of the user's returns, such as the user.
DEPENDENCIES: Final[Known] = frozenset({
    ("uncalled_for", "_FunctionalDependency"),
    ("fastmcp", "Depends"),
    ("fastapi", "Depends"),
})  # fmt: skip
#: The same for what the framework itself provides, which is nobody's.
PROVIDED: Final[Known] = frozenset({
    ("fastmcp", "Dependency"),
    ("uncalled_for", "Dependency"),
    ("docket", "Dependency"),
})  # fmt: skip
#: In the order in which they are looked for: an id of a call is one of the things that are injected, too.
_ROLES: Final[tuple[tuple[Injected, Known], ...]] = (
    ("neutral", NEUTRAL), ("context", CONTEXTS), ("dependency", DEPENDENCIES), ("neutral", PROVIDED),
)  # fmt: skip
#: What a tool raises, or returns, to have the call approved, deferred or resumed: it has not failed, nor finished.
PAUSES: Final[Known] = frozenset({
    ("pydantic_ai", "ApprovalRequired"),
    ("pydantic_ai", "CallDeferred"),
    ("langgraph", "GraphBubbleUp"),
    ("mcp", "UrlElicitationRequiredError"),
    ("fastmcp", "InputRequiredToolResult"),
    ("mcp", "InputRequiredResult"),
    ("mcp_types", "InputRequiredResult"),
})  # fmt: skip
#: What a tool raises to be called again, or because its own run is at an end: it says nothing of any other call.
RETRIES: Final[Known] = frozenset({
    ("agent_cache", "AgentLoopDetectedError"),
    ("pydantic_ai", "ModelRetry"),
    ("pydantic_ai", "ToolFailed"),
    ("pydantic_ai", "ToolRetryError"),
})  # fmt: skip
#: Values that steer the run instead of answering the model.
STEERING: Final[Known] = frozenset({
    ("langgraph", "Command"),
    ("langgraph", "Interrupt"),
    ("langgraph", "Send"),
    ("pydantic_ai", "DeferredToolRequests"),
    ("pydantic_ai", "ToolDenied"),
    ("agents", "Handoff"),
})  # fmt: skip


def is_known(kind: type, known: Known) -> bool:
    """Whether ``kind`` is one of these classes or derives from one."""
    named: Any = kind  # a class is hashable, whatever the stubs of its metaclass say
    return _is_known(named, known)


@functools.lru_cache(maxsize=1024)
def _is_known(kind: Any, known: Known) -> bool:
    return any((str(base.__module__).partition(".")[0], base.__name__) in known for base in kind.__mro__)


def injected(annotation: object, default: object) -> Injected | None:
    """What a parameter is filled in with, None if it is the model's to fill in.

    Its name alone says nothing: where a framework goes by that, `is_injected` tells from the value.
    """
    kinds = {type(default), *_kinds(annotation)}
    for role, known in _ROLES:
        if any(is_known(kind, known) for kind in kinds):
            return role
    if isinstance(annotation, str):  # it could not be resolved: the names in it say what it will be
        names = set(re.findall(r"\w+", annotation))
        return next((role for role, known in _ROLES if not names.isdisjoint(_names(known))), None)
    return None


def _names(known: Known) -> Iterable[str]:
    return (name for _, name in known)


def _kinds(annotation: object) -> Iterable[type]:
    """The classes that an annotation is made of, those in its metadata included."""
    origin = get_origin(annotation)
    if origin is Annotated:
        inner, *metadata = get_args(annotation)
        yield from _kinds(inner)
        for each in metadata:
            yield each if isinstance(each, type) else type(each)
    elif origin is Union or origin is UnionType:
        for part in get_args(annotation):
            yield from _kinds(part)
    elif isinstance(origin, type):
        yield origin
    elif isinstance(annotation, type):
        yield annotation
    else:
        yield from _kinds_behind(origin or annotation)


def _kinds_behind(name: object) -> Iterable[type]:
    """The classes that another name stands for: an alias, a new type, or a variable with a bound."""
    for meaning in ("__value__", "__supertype__", "__bound__"):
        try:
            found = getattr(name, meaning, None)
        except NameError:  # what is behind a lazy alias is known to type checkers only
            continue
        if found is not None:
            yield from _kinds(found)


def is_injected(value: object) -> bool:
    """Whether an argument is what a framework hands to its tools."""
    return is_known(type(value), CONTEXTS) or is_known(type(value), NEUTRAL)


def is_answered(context: Any) -> bool:
    """Whether somebody has approved this very call, or answered what it has asked: the next one must ask again."""
    for name in ("tool_call_approved", "input_responses", "request_state"):
        try:
            answer = getattr(context, name, None)
        except Exception:  # noqa: BLE001, S112 - a context that is no part of a request says so in its own way
            continue
        if answer is not None and answer is not False:
            return True
    return False


def was_answered_before() -> bool:
    """Whether the tool that runs in this context has been given the answer to a LangGraph ``interrupt()``.

    It may be another process that has asked, so that nothing was raised in this one.
    """
    runnables: Any = sys.modules.get("langchain_core.runnables.config")
    return runnables is not None and is_resumed(runnables.var_child_runnable_config.get())


def is_resumed(config: Any) -> bool:
    """Whether an ``interrupt()`` in the call with this config, or in a graph that it runs, may have been answered.

    Answers that are given by the id of their interrupt do not say where they belong, and count for the whole run.
    """
    configurable = (config or {}).get("configurable") or {}
    scratchpad = configurable.get("__pregel_scratchpad")
    if getattr(scratchpad, "resume", None) or configurable.get("__pregel_resume_map"):
        return True
    waiting = getattr(scratchpad, "get_null_resume", None)
    return waiting is not None and waiting(False) is not None


def has_paused(outcome: object) -> bool:
    """Whether a tool has raised or returned this to wait for somebody."""
    return is_known(type(outcome), PAUSES)


def is_signal(error: BaseException) -> bool:
    """Whether a tool has raised this to steer the run: never to be kept."""
    return is_known(type(error), PAUSES) or is_known(type(error), RETRIES)


def reason_not_to_keep(value: Any) -> str | None:
    """Why a result may not be given to another call, None if it may."""
    parts = value if isinstance(value, list | tuple) else (value,)
    for part in parts:
        kind = type(part)
        if is_known(kind, STEERING) or is_known(kind, PAUSES):
            return f"a {kind.__name__} steers the run that it was made in"
        if _field(part, "tool_call_id") is not None:
            return "it carries the id of its call"
        if is_error(part):
            return "it reports an error"
        if _is(part, "kind", "tool-return") and _field(part, "tools"):
            return "it changes the tools of its run"
    return None


def is_error(value: Any) -> bool:
    """Whether a result says of itself that the call has failed."""
    said = _field(value, "is_error")
    if said is None:  # asked for only then: where both are there, the second is deprecated
        said = _field(value, "isError")
    return said is True or _is(value, "status", "error")


def _is(value: Any, name: str, word: str) -> bool:
    found = _field(value, name)
    return isinstance(found, str) and found == word  # the column of a table would answer with another one


def _field(value: Any, name: str) -> Any:
    if isinstance(value, dict):
        return value.get(name)
    if isinstance(value, str | bytes | int | float | type(None)):
        return None
    try:
        return getattr(value, name, None)
    except Exception:  # noqa: BLE001 - whatever a stranger's attribute raises: it says nothing of a call
        return None


def check_tool(tool: Any, decorator: str) -> None:
    """Refuse what is no function any more, and a function that a framework has taken as it was."""
    owner = type(tool).__module__.partition(".")[0]
    if isinstance(tool, classmethod | staticmethod):
        raise TypeError(f"{tool!r} is a {type(tool).__name__} already: put @{type(tool).__name__} above @{decorator}")
    if not inspect.isroutine(tool):
        name = getattr(tool, "name", None) or getattr(tool, "__name__", None) or repr(tool)
        raise TypeError(
            f"{name} is a {type(tool).__name__} of {owner}, not a function: put @{decorator} below the decorator that "
            f"makes it a tool, next to the def; for tools that you did not write see agent_cache.integrations"
        )
    if getattr(tool, "__fastmcp__", None) is not None:
        raise TypeError(
            f"{tool.__name__} is registered with FastMCP already, which keeps the function as it was: put "
            f"@{decorator} below @mcp.tool, next to the def"
        )
