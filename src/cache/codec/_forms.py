"""Forms: what an annotation says of a value, and which classes can be reached from it."""

from __future__ import annotations

import collections.abc
import types
import typing
from collections.abc import Callable, Iterable
from itertools import repeat
from typing import Any

from cache.codec._names import aliased, hints
from cache.codec._records import Form, Record, record_of, title

_ANYTHING = Form("Any")

# What stands around a type and says nothing of its values.
_AROUND: tuple[Any, ...] = (
    typing.Annotated, typing.ClassVar, typing.Final, typing.Required, typing.NotRequired,
)  # fmt: skip

#: What all values of are found by looping over it.
_COLLECTIONS: tuple[type, ...] = (
    list, set, frozenset, collections.abc.Collection, collections.abc.Container, collections.abc.Iterable,
    collections.abc.MutableSequence, collections.abc.MutableSet, collections.abc.Sequence, collections.abc.Set,
)  # fmt: skip
_MAPPINGS: tuple[type, ...] = (dict, collections.abc.Mapping, collections.abc.MutableMapping)


class Forms:
    """Reads annotations; ``records`` are the classes met, each with the forms of its fields, in the order of meeting.

    What cannot be read, a name that does not exist at run time or a protocol, is anything: its values have no record,
    and so must be plain.
    """

    def __init__(self) -> None:
        self.records: dict[type, Record] = {}
        self._open: set[int] = set()

    def read(self, annotation: Any) -> Form:
        """The form of what is annotated so."""
        origin, args = typing.get_origin(annotation), typing.get_args(annotation)
        if origin is not None:
            # The names of typing have an origin also where nothing is said of what is in them.
            return _GENERIC.get(origin, Forms._parametrised)(self, origin, args) if args else self.read(origin)
        if isinstance(annotation, type):
            return self._class(annotation)
        # The type of an alias is that of typing, from Python 3.12 on, or that of typing_extensions.
        reader = _SPECIAL.get(type(annotation).__name__)
        return _ANYTHING if reader is None else reader(self, annotation)

    def _parametrised(self, origin: Any, args: tuple[Any, ...]) -> Form:
        # What the variables of a class of the user's stand for is read, so that it is reached.
        whole = self.read(origin)
        return whole._replace(text=f"{whole.text}[{', '.join([self.read(arg).text for arg in args])}]")

    def _within(self, _origin: Any, args: tuple[Any, ...]) -> Form:
        return self.read(args[0])

    def _union(self, _origin: Any, args: tuple[Any, ...]) -> Form:
        forms = [self.read(arg) for arg in args]
        text = " | ".join([form.text for form in forms])
        if all(form.inner is None for form in forms):
            return Form(text, tuple([kind for form in forms for kind in form.kinds]))
        return Form(text, inner=lambda value: any(form.fits(value) for form in forms))

    def _collection(self, origin: Any, args: tuple[Any, ...]) -> Form:
        element = self.read(args[0])
        return Form(f"{_short(origin)}[{element.text}]", (origin,), _all_fit(element))

    def _mapping(self, origin: Any, args: tuple[Any, ...]) -> Form:
        key, value = self.read(args[0]), self.read(args[1])
        return Form(
            f"{_short(origin)}[{key.text}, {value.text}]",
            (origin,),
            lambda items: all(map(key.fits, items)) and all(map(value.fits, items.values())),
        )

    def _tuple(self, _origin: Any, args: tuple[Any, ...]) -> Form:
        if args[1:] == (Ellipsis,):
            element = self.read(args[0])
            return Form(f"tuple[{element.text}, ...]", (tuple,), _all_fit(element))
        forms = [self.read(arg) for arg in args]

        def inner(values: Any) -> bool:
            return len(values) == len(forms) and all(
                form.fits(value) for form, value in zip(forms, values, strict=True)
            )

        return Form(f"tuple[{', '.join([form.text for form in forms])}]", (tuple,), inner)

    def _literal(self, _origin: Any, choices: tuple[Any, ...]) -> Form:
        told = ", ".join([f"{self.read(type(choice)).text}={getattr(choice, 'name', choice)!r}" for choice in choices])
        return Form(
            f"Literal[{told}]",
            tuple({type(choice) for choice in choices}),
            lambda value: any(type(value) is type(choice) and value == choice for choice in choices),
        )

    def _class(self, kind: type) -> Form:
        if kind is float:
            return Form("float", (float, int))
        if typing.is_typeddict(kind):
            return self._typed_dict(kind)
        # A class is told in full when it is met; after that its name is enough.
        if kind in self.records:
            return Form(title(kind), (kind,))
        record = record_of(kind)
        if record is not None:
            self.records[kind] = record
            record.declare({name: self.read(annotation) for name, annotation in record.annotations.items()})
            return Form(record.told(), (kind,))
        if kind in {object, Any} or getattr(kind, "_is_protocol", False):
            return _ANYTHING
        return Form(_short(kind), (kind,))

    def _typed_dict(self, kind: Any) -> Form:
        if id(kind) in self._open:
            return Form(title(kind), (dict,))
        self._open.add(id(kind))
        declared = hints(kind)
        keys = {name: self.read(annotation) for name, annotation in declared.items()}
        # Where annotations are text, a class of this kind does not see what is said of one key.
        said = {name: typing.get_origin(annotation) for name, annotation in declared.items()}
        required = {
            name
            for name, origin in said.items()
            if origin is typing.Required or (origin is not typing.NotRequired and name in kind.__required_keys__)
        }
        self._open.discard(id(kind))

        def inner(value: Any) -> bool:
            return value.keys() >= required and all(
                name in keys and keys[name].fits(item) for name, item in value.items()
            )

        told = ", ".join([f"{name}{'' if name in required else '?'}: {form.text}" for name, form in keys.items()])
        return Form(f"{title(kind)}{{{told}}}", (dict,), inner)

    def _variable(self, variable: typing.TypeVar) -> Form:
        if variable.__bound__ is not None:
            return self.read(variable.__bound__)
        if variable.__constraints__:
            return self._union(None, variable.__constraints__)
        return _ANYTHING

    def _alias(self, alias: Any) -> Form:
        # One that contains itself, as that of JSON does, is read once.
        if id(alias) in self._open:
            return Form(alias.__name__)
        self._open.add(id(alias))
        form = self.read(aliased(alias))
        self._open.discard(id(alias))
        return form


def _short(kind: type) -> str:
    return kind.__name__ if kind.__module__ in {"builtins", "collections.abc"} else title(kind)


def _all_fit(element: Form) -> Callable[[Iterable[Any]], bool] | None:
    if element is _ANYTHING:
        return None
    if element.inner is None:
        return lambda values: all(map(isinstance, values, repeat(element.kinds)))
    return lambda values: all(map(element.fits, values))


_Generic = Callable[[Forms, Any, tuple[Any, ...]], Form]

_GENERIC: dict[Any, _Generic] = {
    typing.Literal: Forms._literal,
    typing.Union: Forms._union,
    types.UnionType: Forms._union,
    tuple: Forms._tuple,
    **dict.fromkeys(_AROUND, Forms._within),
    **dict.fromkeys(_COLLECTIONS, Forms._collection),
    **dict.fromkeys(_MAPPINGS, Forms._mapping),
}

_SPECIAL: dict[str, Callable[[Forms, Any], Form]] = {
    "NoneType": lambda _, __: Form("None", (types.NoneType,)),
    "str": lambda _, name: Form(repr(name)),
    "ForwardRef": lambda _, reference: Form(repr(reference.__forward_arg__)),
    "NewType": lambda forms, name: forms.read(name.__supertype__),
    "TypeVar": Forms._variable,
    "TypeAliasType": Forms._alias,
}
