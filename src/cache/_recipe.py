"""Recipe: how a key is loaded, and what becomes of the result."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any, ClassVar, TypeAlias

from cache._domain import Names
from cache._namespace import Namespace

if TYPE_CHECKING:
    from cache._flight import Flight

#: The arguments of a call.
Arguments: TypeAlias = tuple[tuple[Any, ...], dict[str, Any]]
NO_ARGUMENTS: Arguments = ((), {})


class Recipe:
    """How a key is loaded, ``load(*args, **kwargs)`` with the arguments of the call, and what becomes of the result.

    ``names`` are the tags known before the load; those that ``tags_of`` computes from the result belong to
    ``undecided_in``. ``ttl_of`` gives the seconds to keep the result, None for ever.

    ``kind`` is the class of its loads, None where it is the usual one.
    """

    kind: ClassVar[type[Flight] | None] = None

    __slots__ = ("load", "names", "tags_of", "ttl_of", "undecided_in")

    def __init__(
        self,
        load: Callable[..., Any],
        ttl_of: Callable[[Any], float | None],
        names: Names = (),
        undecided_in: Namespace | None = None,
        tags_of: Callable[[Any], Iterable[str]] | None = None,
    ) -> None:
        self.load = load
        self.ttl_of = ttl_of
        self.names = names
        self.undecided_in = undecided_in
        self.tags_of = tags_of

    def judge(self, value: Any) -> tuple[float | None, tuple[str, ...]]:
        """The seconds to keep a result, and the tags computed from it."""
        return self.ttl_of(value), () if self.tags_of is None else tuple(self.tags_of(value))
