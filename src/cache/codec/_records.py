"""Records: classes of a user's that are known, what their objects are made of, and how they come back.

An object comes back by its state, as with copy and pickle: no initialiser of its class decides again what was decided
when it was made. The state is checked against the declared types of the fields, both when it is written and when it is
read.
"""

from __future__ import annotations

import dataclasses
import enum
import functools
import inspect
import sys
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from types import MemberDescriptorType
from typing import Any, NamedTuple

from cache._arguments import shown
from cache.codec._errors import Refused, Unencodable
from cache.codec._names import hints

# The flag of CPython for a class that was made by a class statement: a built-in one keeps state that cannot be seen.
_MADE_IN_PYTHON = 1 << 9


class Form(NamedTuple):
    """A declared type: what it is in a text, which classes fit, and what else must hold for their objects."""

    text: str
    kinds: tuple[type, ...] = (object,)
    inner: Callable[[Any], bool] | None = None

    def fits(self, value: Any) -> bool:
        return isinstance(value, self.kinds) and (self.inner is None or self.inner(value))


def title(kind: type) -> str:
    return f"{kind.__module__}.{kind.__qualname__}"


class Record(ABC):
    """One class. ``annotations`` are its fields; what they mean is declared by who can read annotations."""

    def __init__(self, kind: type, annotations: Mapping[str, Any]) -> None:
        self.kind = kind
        self.annotations = annotations
        self.forms: Mapping[str, Form] = {}
        self.optional: frozenset[str] = frozenset()

    def declare(self, forms: Mapping[str, Form]) -> None:
        """Take note of what the fields are declared as."""
        self.forms = forms
        self._names = tuple(forms)
        self._kinds = [form.kinds for form in forms.values()]
        self._inner = [(name, form.inner) for name, form in forms.items() if form.inner is not None]

    def told(self) -> str:
        """What the class is, for the text of its form."""
        fields = ", ".join(f"{name}: {form.text}" for name, form in self.forms.items())
        return f"{type(self).__name__} {title(self.kind)}({fields})"

    @abstractmethod
    def state(self, value: Any) -> Any:
        """What ``value`` is made of."""

    @abstractmethod
    def build(self, state: Any) -> Any:
        """The object that is made of ``state``, which anybody may have written."""

    def check(self, fields: Mapping[str, Any], error: type[Refused | Unencodable]) -> None:
        """Each field is there and fits, and nothing else is."""
        if self._fit(fields):
            return
        for name, form in self.forms.items():
            if name not in fields:
                if name not in self.optional:
                    raise error(f"a {title(self.kind)} has no {name}")
            elif not form.fits(fields[name]):
                value = fields[name]
                raise error(
                    f"{title(self.kind)}.{name} is {shown(value)}, of type {type(value).__name__}, and is declared as "
                    f"{form.text}"
                )
        if not fields.keys() <= self.forms.keys():
            names = ", ".join(map(str, sorted(fields.keys() - self.forms.keys(), key=str)))
            raise error(f"a {title(self.kind)} has {names} besides its fields")

    def _fit(self, fields: Mapping[str, Any]) -> bool:
        """Whether all fields are there, in their order, and fit: the usual case, with little of it in Python."""
        return (
            tuple(fields) == self._names
            and all(map(isinstance, fields.values(), self._kinds))
            and all(inner(fields[name]) for name, inner in self._inner)
        )


class Members(Record):
    """An Enum: its members by name; of a Flag, what has no name of its own by value."""

    def __init__(self, kind: type[enum.Enum]) -> None:
        super().__init__(kind, {})
        self._members: Mapping[str, enum.Enum] = kind.__members__

    def told(self) -> str:
        members = ", ".join(
            f"{name}={member.value!r}" if type(member.value) in {bool, int, float, str} else name
            for name, member in self._members.items()
        )
        return f"{super().told()}[{members}]"

    def state(self, value: Any) -> Any:
        state = value._name_ if value._name_ in self._members else value._value_
        if type(state) not in {str, int} or not self._is(self.build(state), value):
            raise Unencodable(f"{shown(value)} is no member of {title(self.kind)}")
        return state

    @staticmethod
    def _is(built: Any, value: Any) -> bool:
        # Early releases of Python 3.11 make another object of a flag with unknown bits at each look-up.
        return built is value or (isinstance(value, enum.Flag) and built._value_ == value._value_)

    def build(self, state: Any) -> Any:
        if state in self._members:
            return self._members[state]
        if issubclass(self.kind, enum.Flag):
            member = self.kind(state)
            if isinstance(member, self.kind) and member._value_ == state:  # or unknown bits were dropped in silence
                return member
        raise Refused(f"{shown(state)} is no member of {title(self.kind)}")


class Dataclass(Record):
    """A dataclass: attributes in its ``__dict__``, in slots, or in both."""

    def __init__(self, kind: type) -> None:
        declared = hints(kind)
        super().__init__(kind, {field.name: declared.get(field.name, Any) for field in dataclasses.fields(kind)})
        self._slots = [
            name
            for base in kind.__mro__
            for name, attribute in vars(base).items()
            if type(attribute) is MemberDescriptorType
        ]
        self._has_dict = bool(kind.__dictoffset__)
        self._cached = _cached(kind)
        # A field that no object has set itself has the default that stands in the class.
        self.optional = frozenset(
            name
            for name in self.annotations
            if hasattr(kind, name) and not hasattr(type(inspect.getattr_static(kind, name)), "__set__")
        )

    def state(self, value: Any) -> Any:
        state: dict[str, Any] = _without(vars(value), self._cached) if self._has_dict else {}
        if self._slots:
            state = state | {name: getattr(value, name) for name in self._slots}
        self.check(state, Unencodable)
        return state

    def build(self, state: Any) -> Any:
        self.check(state, Refused)
        value: Any = object.__new__(self.kind)
        for name in self._slots:
            object.__setattr__(value, name, state.pop(name))
        if self._has_dict:
            vars(value).update(state)
        return value


class Struct(Record):
    """A msgspec Struct. It can only be made by its initialiser, after which its fields are set as they were."""

    def __init__(self, kind: Any, force: Callable[[Any, str, Any], None]) -> None:
        declared = hints(kind)
        super().__init__(kind, {name: declared.get(name, Any) for name in kind.__struct_fields__})
        self._decides = hasattr(kind, "__post_init__")
        self._force = force

    def state(self, value: Any) -> Any:
        state = {name: getattr(value, name) for name in self.forms}
        self.check(state | getattr(value, "__dict__", {}), Unencodable)
        return state

    def build(self, state: Any) -> Any:
        self.check(state, Refused)
        value = self.kind(**state)
        if self._decides:
            for name, field in state.items():
                self._force(value, name, field)
        return value


class Model(Record):
    """A pydantic model: its fields, extra ones if it allows them, which of them were given, and private attributes."""

    def __init__(self, kind: Any, root: Any) -> None:
        kind.model_rebuild(raise_errors=False)
        super().__init__(kind, {name: field.annotation for name, field in kind.model_fields.items()})
        self._root = root
        self._new = kind.__new__
        self._cached = _cached(kind)
        self._extra = kind.model_config.get("extra") == "allow"
        self._private = kind.__private_attributes__.keys()

    def state(self, value: Any) -> Any:
        # pydantic's own, whatever a class of the user's does in its place; so below.
        state = self._root.__getstate__(value)
        fields, extra = _without(state["__dict__"], self._cached), state["__pydantic_extra__"]
        given, private = sorted(state["__pydantic_fields_set__"]), state["__pydantic_private__"]
        self._check(fields, extra, given, private, Unencodable)
        return [fields, extra, given, private]

    def build(self, state: Any) -> Any:
        fields, extra, given, private = state
        self._check(fields, extra, given, private, Refused)
        value = self._new(self.kind)
        self._root.__setstate__(
            value,
            {
                "__dict__": fields,
                "__pydantic_extra__": extra,
                "__pydantic_fields_set__": set(given),
                "__pydantic_private__": private,
            },
        )
        return value

    def _check(self, fields: Any, extra: Any, given: Any, private: Any, error: type[Refused | Unencodable]) -> None:
        self.check(fields, error)
        whole = (
            (type(extra) is dict if self._extra else extra is None)
            and {*fields, *(extra or ())}.issuperset(given)
            and (private is None or self._private >= private.keys())
        )
        if not whole:
            raise error(f"a {title(self.kind)} has attributes that its class does not allow")


def record_of(kind: type) -> Record | None:
    """What is known of ``kind``, or None if it is no record, or one that keeps more than can be seen."""
    if issubclass(kind, enum.Enum):
        return Members(kind)
    # Whoever has a class of theirs has imported them.
    msgspec, pydantic = sys.modules.get("msgspec"), sys.modules.get("pydantic")
    if msgspec and issubclass(kind, msgspec.Struct):
        return Struct(kind, msgspec.structs.force_setattr)
    if pydantic and issubclass(kind, pydantic.BaseModel):
        return Model(kind, pydantic.BaseModel)
    if dataclasses.is_dataclass(kind) and all(base.__flags__ & _MADE_IN_PYTHON for base in kind.__mro__[:-1]):
        return Dataclass(kind)
    return None


def _cached(kind: type) -> frozenset[str]:
    """Attributes that an object computes when asked, and may lack."""
    return frozenset(
        name
        for base in kind.__mro__
        for name, attribute in vars(base).items()
        if isinstance(attribute, functools.cached_property)
    )


def _without(attributes: dict[str, Any], names: frozenset[str]) -> dict[str, Any]:
    if names.isdisjoint(attributes):
        return attributes
    return {name: value for name, value in attributes.items() if name not in names}
