"""From the arguments of a call to its key, its values and its partition."""

from __future__ import annotations

from contextvars import ContextVar
from typing import Any

import pytest

from agent_cache._binding import Binding
from agent_cache._signature import resolved_annotations, resolved_signature
from tests.spec.agent_cache.people import RunContext


def plain(a: int, b: int = 2, /, c: int = 3, *, d: int = 4) -> None: ...
def with_context(ctx: RunContext, a: int, b: int = 2) -> None: ...
def collecting(a: int, *rest: int, **more: int) -> None: ...


def test_every_way_of_writing_a_call_has_one_key() -> None:
    binding = Binding(plain)
    assert binding.key((1,), {}) == binding.key((1, 2), {"c": 3}) == binding.key((1, 2, 3), {"d": 4})
    assert binding.key((1,), {}) != binding.key((2,), {})


def test_contexts_are_no_part_of_a_key_and_are_named() -> None:
    binding = Binding(with_context, vary=lambda ctx: ctx.deps.user)
    assert (binding.contexts, binding.injected, binding.keyed) == (("ctx",), ("ctx",), ("a", "b"))
    assert binding.key((RunContext("ann"), 1), {}) == binding.key((), {"ctx": RunContext("bob"), "a": 1})
    assert binding.is_varied
    assert binding.is_answered((RunContext("ann", approved=True), 1), {})
    assert binding.is_answered((), {"ctx": RunContext("ann", approved=True)})
    assert not binding.is_answered((RunContext("ann"), 1), {})


def test_values_are_by_name_with_defaults() -> None:
    assert dict(Binding(plain).values((1,), {"d": 5})) == {"a": 1, "b": 2, "c": 3, "d": 5}
    assert dict(Binding(collecting).values((1, 2), {"x": 3})) == {"a": 1, "rest": (2,), "more": {"x": 3}}


def test_a_call_is_completed_with_none_for_what_a_framework_fills_in() -> None:
    binding = Binding(with_context)
    context = RunContext("ann")
    assert binding.completed((context, 1), {}) == ((context, 1), {})
    args, kwargs = binding.completed((1,), {})
    assert dict(binding.values(args, kwargs)) == {"ctx": None, "a": 1, "b": 2}
    args, kwargs = binding.completed((), {"a": 1})
    assert dict(binding.values(args, kwargs)) == {"ctx": None, "a": 1, "b": 2}
    with pytest.raises(TypeError):
        binding.values(*binding.completed((1, 2, 3, 4), {}))


def test_the_keys_of_a_call_that_is_written_down() -> None:
    binding = Binding(with_context)
    key = binding.key
    assert list(binding.keys((1,), {})) == [key((None, 1), {})]
    assert list(binding.keys((), {"a": 1})) == [key((None, 1), {})]
    assert list(binding.keys((1, 5), {})) == [key((None, 5), {}), key((None, 1, 5), {})]
    assert list(binding.keys((None, 1, 5), {})) == [key((None, 1, 5), {})]
    with pytest.raises(TypeError):
        list(binding.keys((1, 2, 3, 4), {}))
    assert list(Binding(plain).keys((1,), {})) == [Binding(plain).key((1,), {})]


@pytest.mark.parametrize(
    ("function", "values", "expected"),
    [
        (plain, {"a": 1, "b": 2, "c": 3, "d": 4, "other": 5}, ((1, 2, 3), {"d": 4})),
        (with_context, {"a": 1, "b": 5}, ((None, 1, 5), {})),
        (plain, {"a": 1}, None),
        (collecting, {"a": 1}, None),
        (collecting, {"a": 1, "rest": (2,), "more": {}}, None),
    ],
    ids=["all", "without the context", "without defaults", "collecting", "collecting both"],
)
def test_values_are_mapped_onto_one_call_or_onto_all(function: Any, values: dict[str, Any], expected: Any) -> None:
    binding = Binding(function)
    assert binding.mapped(values, "writer") == (None if expected is None else binding.key(*expected))


def test_a_value_that_is_missing_is_refused() -> None:
    with pytest.raises(TypeError, match="writer was not run: it has no argument 'a', which plain needs"):
        Binding(plain).mapped({"b": 2}, "writer")


def test_a_key_of_the_users_is_made_of_all_arguments() -> None:
    binding = Binding(plain, key=lambda a, b, c, d: a)
    assert binding.keyed == ("a", "b", "c", "d")
    assert binding.key((1,), {}) == binding.key((1, 9, 9), {})
    assert binding.mapped({"a": 1, "b": 2, "c": 3, "d": 4}, "writer") == binding.key((1,), {})


class Method:
    """A class with tools."""

    def tool(self, a: int) -> None: ...

    @classmethod
    def of_class(cls, a: int) -> None: ...


class Derived(Method):
    """A class that has them from another."""


def test_a_method_is_mapped_for_objects_that_have_it() -> None:
    binding = Binding(Method.tool)
    for receiver in (Method(), Derived()):
        assert binding.mapped({"self": receiver, "a": 1}, "writer") == binding.key((receiver, 1), {})
    assert binding.mapped({"self": object(), "a": 1}, "writer") is None
    binding = Binding(Method.__dict__["of_class"].__func__)
    assert binding.mapped({"cls": Derived, "a": 1}, "writer") == binding.key((Derived, 1), {})
    assert binding.mapped({"cls": int, "a": 1}, "writer") is None


def test_a_parameter_called_self_of_a_function_is_one_like_any_other() -> None:
    def tool(self: Method) -> None: ...

    binding, receiver = Binding(tool), Method()
    assert binding.mapped({"self": receiver}, "writer") == binding.key((receiver,), {})


def test_an_argument_that_collects_can_be_asked_for() -> None:
    binding = Binding(collecting, vary=lambda rest, more: (rest, tuple(more)))
    partition = binding.partition((1, 2, 3), {"x": 4})
    assert partition is not None
    assert partition.value == ((2, 3), ("x",))


def test_a_builtin_that_does_not_say_what_it_takes_is_called_bare() -> None:
    user: ContextVar[str] = ContextVar("user", default="ann")
    partition = Binding(plain, vary=user.get).partition((1,), {})
    assert partition is not None
    assert partition.value == "ann"
    assert Binding(plain).partition((1,), {}) is None


def later(a: int, b: Missing) -> list[int]:  # type: ignore[name-defined]  # noqa: F821 - it is missing
    return [a, b]


def test_annotations_are_resolved_as_far_as_their_names_are_known() -> None:
    assert resolved_annotations(later) == {"a": int, "b": "Missing", "return": list[int]}
    signature = resolved_signature(later)
    assert [p.annotation for p in signature.parameters.values()] == [int, "Missing"]
    assert signature.return_annotation == list[int]
    assert resolved_annotations(_with_object) == {"a": int, "b": "Missing"}


def _with_object(a: int, b: int) -> None: ...


_with_object.__annotations__ = {"a": int, "b": "Missing"}
