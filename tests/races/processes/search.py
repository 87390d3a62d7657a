"""Every state that can be reached, breadth first: the first violation found has the shortest way to it."""

from __future__ import annotations

from collections.abc import Hashable, Iterator
from dataclasses import dataclass
from typing import Protocol, TypeVar

S = TypeVar("S", bound=Hashable)

#: More states than this are no small model any more.
LIMIT = 2_000_000


class Model(Protocol[S]):
    """What is explored: where it begins, what can happen next, and what must never be."""

    @property
    def initial(self) -> S: ...
    def after(self, state: S) -> list[tuple[str, S]]: ...
    def violation(self, state: S, *, final: bool) -> str | None: ...


@dataclass(frozen=True)
class Explored:
    """How many states there are, or were up to the first violation; what it is, and how it comes about."""

    states: int
    violation: str | None
    trace: tuple[str, ...]

    def __str__(self) -> str:
        return "\n".join((*self.trace, f"=> {self.violation}"))


def explore(model: Model[S]) -> Explored:
    """Look at every state of a model, or at those up to the first that is a violation."""
    came: dict[S, tuple[S, str] | None] = {model.initial: None}
    level = [model.initial]
    while level:
        following: list[S] = []
        for state in level:
            steps = model.after(state)
            violation = model.violation(state, final=not steps)
            if violation is not None:
                return Explored(len(came), violation, tuple(reversed(list(_way(came, state)))))
            for label, successor in steps:
                if successor not in came:
                    came[successor] = (state, label)
                    following.append(successor)
        if len(came) > LIMIT:
            raise AssertionError(f"more than {LIMIT:,} states: make the model smaller")
        level = following
    return Explored(len(came), None, ())


def _way(came: dict[S, tuple[S, str] | None], state: S) -> Iterator[str]:
    """The labels of the steps to a state, the last one first."""
    step = came[state]
    while step is not None:
        state, label = step
        yield label
        step = came[state]
