"""What frameworks inject, raise and return is known by name, with none of them installed."""

from __future__ import annotations

import importlib.util
import sys
from inspect import Parameter
from typing import Annotated, Any, NewType, Optional, TypeVar, Union

import pytest

from agent_cache._frameworks import (
    check_tool,
    has_paused,
    injected,
    is_answered,
    is_error,
    is_injected,
    is_signal,
    reason_not_to_keep,
)


def stranger(path: str, *bases: type, **attributes: Any) -> Any:
    """A class of a framework, by its full name."""
    module, _, name = path.rpartition(".")
    return type(name, bases, {"__module__": module, **attributes})


def role(annotation: Any, default: Any = Parameter.empty) -> str | None:
    return injected(annotation, default)


InjectedToolArg = stranger("langchain_core.tools.base.InjectedToolArg")
RunContext = stranger("pydantic_ai._run_context.RunContext")
ToolCallId = stranger("langchain_core.tools.base.InjectedToolCallId", InjectedToolArg)

CONTEXT = [
    "pydantic_ai._run_context.RunContext",
    "agents.run_context.RunContextWrapper",
    "agents.run_context.AgentHookContext",
    "fastmcp.server.context.Context",
    "fastmcp.server.sessions.UserSession",
    "mcp.server.mcpserver.context.Context",
    "mcp.server.fastmcp.server.Context",
    "mcp.server.context.ServerRequestContext",
    "langgraph.runtime.Runtime",
    "langgraph.prebuilt.tool_node.ToolRuntime",
    "langchain_core.tools.base._DirectlyInjectedToolArg",
    "langchain_core.tools.base.InjectedToolArg",
    "google.adk.agents.readonly_context.ReadonlyContext",
    "google.adk.agents.invocation_context.InvocationContext",
]


def test_no_framework_is_needed_or_imported() -> None:
    assert not {"pydantic_ai", "agents", "fastmcp", "langgraph", "google.adk"} & set(sys.modules)
    assert importlib.util.find_spec("pydantic_ai") is None


# -- parameters --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("path", CONTEXT)
def test_a_context_is_known_by_its_class_and_in_whatever_it_is_wrapped(path: str) -> None:
    kind = stranger(path)
    below = stranger("mine.Context", kind)
    for known in (kind, below):
        bound: Any = TypeVar("bound", bound=known)  # type: ignore[misc]  # made at run time
        for annotation in (
            known,
            Optional[known],  # noqa: UP045 - the old spelling
            Union[int, known],  # noqa: UP007 - the old spelling
            known | None,
            Annotated[known, "note"],
            Annotated[known | None, "note"],
            NewType("New", known),  # made at run time
            bound,
        ):
            assert role(annotation) == "context", annotation
        assert is_injected(known())


def test_a_generic_context_is_known_with_its_parameters() -> None:
    generic: Any = stranger("agents.run_context.RunContextWrapper", __class_getitem__=classmethod(_generic))
    assert role(generic[int]) == "context"
    assert role(generic[int] | None) == "context"


def _generic(cls: type, item: Any) -> Any:
    import types  # noqa: PLC0415 - needed here alone

    return types.GenericAlias(cls, (item,))


def test_a_typed_dict_is_a_context_by_its_annotation() -> None:
    config = stranger("langchain_core.runnables.config.RunnableConfig", dict)
    assert role(config) == role(config | None) == "context"


@pytest.mark.parametrize(
    "path",
    [
        "langchain_core.callbacks.manager.BaseRunManager",
        "langchain_core.callbacks.base.BaseCallbackManager",
        "autogen_core._cancellation_token.CancellationToken",
        "langchain_core.tools.base.InjectedToolCallId",
    ],
)
def test_what_says_nothing_of_anybody_is_neutral(path: str) -> None:
    kind = stranger(path)
    assert role(kind) == role(kind | None) == role(stranger("mine.Below", kind)) == "neutral"
    assert is_injected(kind())


@pytest.mark.parametrize("as_instance", [True, False])
def test_marks_in_annotations_are_known_as_classes_and_as_instances(as_instance: bool) -> None:
    def mark(kind: Any) -> Any:
        return kind() if as_instance else kind

    assert role(Annotated[dict[str, Any], mark(InjectedToolArg)]) == "context"
    assert role(Annotated[dict[str, Any], mark(stranger("langgraph.InjectedState", InjectedToolArg))]) == "context"
    assert role(Annotated[str, mark(ToolCallId)]) == "neutral"
    assert role(Annotated[str, "note", 5]) is None


@pytest.mark.parametrize(
    ("path", "wanted"),
    [
        ("uncalled_for.base.Dependency", "neutral"),
        ("docket.dependencies.Dependency", "neutral"),
        ("fastapi.params.Depends", "dependency"),
        ("fastmcp.server.dependencies.Depends", "dependency"),
        ("uncalled_for.functional._FunctionalDependency", "dependency"),
        ("fastmcp.server.dependencies._CurrentContext", "context"),
        ("fastmcp.server.dependencies._CurrentAccessToken", "context"),
        ("fastmcp.server.dependencies._CurrentHeaders", "context"),
        ("fastmcp.server.dependencies._CurrentRequest", "context"),
        ("fastmcp.server.dependencies._TokenClaim", "context"),
    ],
)
def test_defaults_that_a_framework_fills_in_are_known(path: str, wanted: str) -> None:
    dependency = stranger(path, stranger("uncalled_for.base.Dependency") if wanted == "context" else object)
    assert role(str, dependency()) == wanted
    assert role(Parameter.empty, dependency()) == wanted
    assert role(Annotated[str, dependency()]) == wanted


@pytest.mark.parametrize(
    ("annotation", "wanted"),
    [
        ("RunContext[Deps]", "context"),
        ("pydantic_ai.RunContext[Deps]", "context"),
        ("Optional[RunContext[Deps]]", "context"),
        ("None | ToolRuntime", "context"),
        ("Annotated[dict, InjectedToolArg]", "context"),
        ("Annotated[str, InjectedToolCallId]", "neutral"),
        ("CancellationToken", "neutral"),
        ("Decimal", None),
        ("MyRunContextual", None),
    ],
)
def test_an_annotation_that_cannot_be_resolved_is_known_by_the_names_in_it(annotation: str, wanted: str | None) -> None:
    assert role(annotation) == wanted


@pytest.mark.parametrize(
    "annotation",
    [int, str, Any, None, list[int], dict[str, Any], int | None, Parameter.empty, 5, TypeVar("free"), type],
    ids=repr,
)
def test_all_else_is_the_models(annotation: Any) -> None:
    assert role(annotation) is None
    assert role(annotation, 5) is None


@pytest.mark.parametrize("path", ["mine.RunContext", "pydantic_ai.Other", "agentsmith.RunContextWrapper"])
def test_a_class_of_another_package_or_name_is_the_models(path: str) -> None:
    assert role(stranger(path)) is None
    assert not is_injected(stranger(path)())


def test_a_class_without_a_module_is_nothing_known() -> None:
    assert role(type("Odd", (), {"__module__": None})) is None


@pytest.mark.skipif(sys.version_info < (3, 12), reason="there are no lazy aliases before Python 3.12")
def test_a_lazy_alias_is_what_it_stands_for() -> None:
    names: dict[str, Any] = {"RunContext": RunContext}
    exec("type Alias = RunContext | None\ntype Lost = Missing", names)  # noqa: S102 - a syntax error before 3.12
    assert role(names["Alias"]) == "context"
    assert role(names["Lost"]) is None


# -- outcomes ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "path",
    [
        "pydantic_ai.exceptions.ApprovalRequired",
        "pydantic_ai.exceptions.CallDeferred",
        "langgraph.errors.GraphBubbleUp",
        "mcp.shared.exceptions.UrlElicitationRequiredError",
    ],
)
def test_a_request_to_wait_is_a_pause_and_a_signal(path: str) -> None:
    for error in (stranger(path, Exception)(), stranger("mine.Below", stranger(path, Exception))()):
        assert has_paused(error)
        assert is_signal(error)


@pytest.mark.parametrize("name", ["ModelRetry", "ToolFailed", "ToolRetryError"])
def test_a_request_to_be_called_again_is_a_signal_and_no_pause(name: str) -> None:
    error = stranger(f"pydantic_ai.exceptions.{name}", Exception)()
    assert is_signal(error)
    assert not has_paused(error)


def test_an_error_is_no_signal() -> None:
    assert not is_signal(ValueError())
    assert not has_paused(ValueError())


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        (stranger("langgraph.types.Command")(), "a Command steers the run that it was made in"),
        ([1, stranger("langgraph.types.Send")()], "a Send steers the run that it was made in"),
        ((stranger("langgraph.types.Interrupt")(),), "a Interrupt steers the run that it was made in"),
        (stranger("agents.Handoff")(), "a Handoff steers the run that it was made in"),
        (stranger("mcp.types.InputRequiredResult")(), "a InputRequiredResult steers the run that it was made in"),
        (stranger("mine.ToolMessage", tool_call_id="7")(), "it carries the id of its call"),
        ({"tool_call_id": "7"}, "it carries the id of its call"),
        ([{"tool_call_id": "7"}], "it carries the id of its call"),
        ({"status": "error"}, "it reports an error"),
        ({"kind": "tool-return", "tools": ["a"]}, "it changes the tools of its run"),
    ],
)
def test_what_belongs_to_its_own_call_is_not_kept(value: Any, reason: str) -> None:
    assert reason_not_to_keep(value) == reason


class Table:
    """Answers with a column to every comparison, as a table of numbers does."""

    def __getattr__(self, name: str) -> Table:
        if name == "tool_call_id":
            raise AttributeError(name)
        return self

    def __eq__(self, other: object) -> Any:
        return self

    __hash__ = object.__hash__

    def __bool__(self) -> bool:
        raise ValueError("the truth of a column is ambiguous")


class Detached:
    """Raises whatever it likes at every look."""

    def __getattr__(self, name: str) -> Any:
        raise RuntimeError("the connection is closed")


@pytest.mark.parametrize(
    "value", [None, 1, "error", b"", [], {}, {"tool_call_id": None}, {"status": "ok"}, Table(), Detached()], ids=repr
)
def test_all_else_may_be_kept_and_is_no_error(value: Any) -> None:
    assert reason_not_to_keep(value) is None
    assert not is_error(value)


@pytest.mark.parametrize(
    "value",
    [
        {"is_error": True},
        {"isError": True},
        {"status": "error"},
        stranger("mine.Result", is_error=True)(),
        stranger("mine.Result", isError=True)(),
        stranger("mine.Result", status="error")(),
    ],
)
def test_an_error_says_so_in_one_of_three_ways(value: Any) -> None:
    assert is_error(value)


@pytest.mark.parametrize("value", [{"is_error": False}, {"is_error": 1}, {"is_error": "yes"}, {"status": "errors"}])
def test_what_only_looks_like_an_error_is_none(value: Any) -> None:
    assert not is_error(value)


def test_a_name_that_is_deprecated_is_not_asked_for_where_the_other_is_there() -> None:
    class Result:
        is_error = False

        @property
        def isError(self) -> bool:  # noqa: N802 - as MCP has called it
            pytest.fail("it is deprecated")

    assert not is_error(Result())


# -- answers of people -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["tool_call_approved", "input_responses", "request_state"])
def test_a_call_that_somebody_has_answered_is_known(name: str) -> None:
    assert is_answered(stranger("mine.Context", **{name: "answer"})())
    assert not is_answered(stranger("mine.Context", **{name: None})())
    assert not is_answered(stranger("mine.Context", **{name: False})())


def test_a_context_that_may_not_be_asked_is_not_answered() -> None:
    assert not is_answered(Detached())
    assert not is_answered(None)


def test_a_tool_whose_mark_is_none_is_no_registered_one() -> None:
    def tool() -> None: ...

    tool.__fastmcp__ = None  # type: ignore[attr-defined]  # as one that is not
    check_tool(tool, "AgentCache")
