"""Writing: a tool that writes, and what a call of it invalidates."""

from __future__ import annotations

import logging
import threading
from collections import Counter
from collections.abc import AsyncIterator, Callable, Coroutine, Generator, Hashable, Iterable, Iterator, Mapping
from contextlib import ExitStack, asynccontextmanager, contextmanager
from contextvars import Context, copy_context
from inspect import isawaitable, iscoroutine
from types import TracebackType, coroutine
from typing import Any, TypeAlias

from agent_cache._audience import Audience, tags_written
from agent_cache._binding import Arguments, Binding, Bound
from agent_cache._call import Call, Scope
from agent_cache._metrics import enlist
from agent_cache._notes import writing
from agent_cache._read_call import Run
from agent_cache._reading import Reading, readings
from agent_cache._resources import Path, Resource, call_name, names_around, names_written
from agent_cache._session import current_session
from agent_cache._write_call import WriteCall
from cache import Mutating, mutating

logger = logging.getLogger("agent_cache")

#: ``(args, kwargs)`` of the write tool to those of a read tool, or to a list of such pairs.
KeyFn: TypeAlias = Callable[[tuple[Any, ...], dict[str, Any]], Any]


#: The tags of each resource, and those of the user's own.
ByResource: TypeAlias = "list[tuple[str, tuple[str, ...]]]"


class Writing:
    """A write tool. ``clear_all`` says that every call of its resources is invalidated, not the one that maps to it."""

    def __init__(
        self,
        name: str,
        binding: Bound,
        resources: tuple[Resource, ...],
        *,
        scope: Scope,
        clear_all: bool,
        key_fn: KeyFn | None,
        linger: Any,
        tags_of: Callable[[Mapping[str, Any]], Iterable[str]],
        may_be_none: bool,
        reads_itself: bool,
        poll: bool = False,
    ) -> None:
        self.name = name
        self.binding = binding
        self.resources = resources
        self.templates = tuple(resource.template for resource in resources)
        self.scope = scope
        self.clear_all = clear_all
        self.key_fn = key_fn
        self.linger = linger
        mutating(tags=("checked",), linger=linger)  # which refuses at once what is no linger
        self.tags_of = tags_of
        self.may_be_none = may_be_none
        #: Whether what it runs is a read tool, whose calls are watched there and may be answered from the cache.
        self.reads_itself = reads_itself
        #: Whether it is meant to be called again and again.
        self.poll = poll
        self._writes = 0
        self._warned = False
        # Reentrant, for a finalizer may run a tool.
        self._lock = threading.RLock()
        enlist(self)

    def totals(self) -> Counter[str]:
        """What is counted of this tool."""
        return Counter(writes=self._writes)

    async def call(self, args: Arguments, kwargs: dict[str, Any], run: Run) -> Any:
        """Run it with its resources covered."""
        call = WriteCall(self, args, kwargs)
        if not call.arrive(call.key):
            return call.short_answer()
        try:
            async with self.covering(args, kwargs, call):
                value = run(*args, **kwargs)
                if isawaitable(value):
                    value = await value
        except BaseException as error:  # recorded, and passed on
            call.fail(error, wrote=True)
            raise
        return call.answer(value)

    def call_blocking(self, args: Arguments, kwargs: dict[str, Any], run: Run) -> Any:
        """The same for a plain function, in whatever thread it is called."""
        call = WriteCall(self, args, kwargs)
        if not call.arrive(call.key):
            return call.short_answer()
        try:
            with self.covered(args, kwargs, call):
                value = run(*args, **kwargs)
                _check_finished(value, self.name)
        except BaseException as error:  # recorded, and passed on
            call.fail(error, wrote=True)
            raise
        return call.answer(value)

    @contextmanager
    def passing(self, args: Arguments, kwargs: dict[str, Any]) -> Iterator[None]:
        """Around a tool whose items pass through, from the first to the last."""
        Call(self.name, self.templates, current_session()).check()
        with self.covered(args, kwargs):
            yield

    @asynccontextmanager
    async def passing_async(self, args: Arguments, kwargs: dict[str, Any]) -> AsyncIterator[None]:
        """The same around an asynchronous one."""
        Call(self.name, self.templates, current_session()).check()
        async with self.covering(args, kwargs):
            yield

    @contextmanager
    def covered(self, args: Arguments, kwargs: dict[str, Any], call: WriteCall | None = None) -> Iterator[None]:
        """From entry to exit, nothing that the write may change is kept or handed to newcomers."""
        by_resource, window = self._mutation(args, kwargs)
        try:
            window.__enter__()
        except TypeError as error:
            error.add_note(f"{self.name} is a plain function, and was called by an event loop: make it an async def")
            raise
        with ExitStack() as stack:
            stack.push(window)
            stack.enter_context(self._running(by_resource, call))
            yield

    @asynccontextmanager
    async def covering(
        self, args: Arguments, kwargs: dict[str, Any], call: WriteCall | None = None
    ) -> AsyncIterator[None]:
        """The same for an asynchronous tool."""
        by_resource, window = self._mutation(args, kwargs)
        async with window:
            with self._running(by_resource, call):
                yield

    def _mutation(self, args: Arguments, kwargs: dict[str, Any]) -> tuple[ByResource, Mutating | _Beside]:
        by_resource = self._tags(args, kwargs)
        with self._lock:
            self._writes += 1
        window = mutating(tags=[tag for _, tags in by_resource for tag in tags], linger=self.linger)
        return by_resource, _Beside(window) if self.reads_itself else window

    @contextmanager
    def _running(self, by_resource: ByResource, call: WriteCall | None) -> Iterator[None]:
        with writing(self.name, by_resource):
            if call is None or self.reads_itself:
                yield
                return
            outer = call.enter()
            try:
                yield
            finally:
                call.exit(outer)

    def _warn(self) -> None:
        with self._lock:
            warn, self._warned = not self._warned, True
        if warn:
            logger.warning(
                "%s reaches no session: its scope is the session, and none is open: put `async with "
                "AgentCacheSession():` around it",
                self.name,
            )

    # -- what it changes ---------------------------------------------------------------------------------------

    def _tags(self, args: Arguments, kwargs: dict[str, Any]) -> ByResource:
        """The tags of each resource, and those of the user's own."""
        values = self.binding.values(args, kwargs)
        session = current_session()
        label = None
        if self.scope == "session":
            label = "none" if session is None else session.memory.label
            if session is None:
                self._warn()
        audience = Audience(label, self.binding.partition(args, kwargs))
        tags = []
        for resource in self.resources:
            path = resource.path(values)
            names = names_written(path) if self.clear_all else self._names_of_one(path, args, kwargs, values)
            tags.append((resource.template, tuple(dict.fromkeys(tags_written(names, audience)))))
        own = tuple(self.tags_of(values))
        if own:
            tags.append((" and ".join(own), own))
        return tags

    def _names_of_one(
        self, path: Path, args: Arguments, kwargs: dict[str, Any], values: Mapping[str, Any]
    ) -> tuple[str, ...]:
        """What changes where one call of each read tool of ``path`` does."""
        names = list(names_around(path))
        for reading in readings():
            if any(resource.may_be(path) for resource in reading.resources):
                for key in self._keys(reading, args, kwargs, values):
                    if key is None:
                        return names_written(path)
                    names.append(call_name(path, key))
        return tuple(names)

    def _keys(
        self, reading: Reading, args: Arguments, kwargs: dict[str, Any], values: Mapping[str, Any]
    ) -> Iterator[Hashable | None]:
        """The calls of ``reading`` that change; None for all of them."""
        if self.key_fn is None:
            yield reading.binding.mapped(values, self.name)
            return
        try:
            calls = self.key_fn(args, kwargs)
        except Exception as error:  # the user's, passed on with a word on where it came from
            error.add_note(f"{self.name} was not run: this was raised by key_fn={self.key_fn!r}")
            raise
        for pair in calls if isinstance(calls, list) else [calls]:
            match pair:
                case (tuple() | list() as its_args, Mapping() as its_kwargs) if isinstance(pair, tuple):
                    yield from self._keys_of(reading, tuple(its_args), dict(its_kwargs))
                case _:
                    raise TypeError(
                        f"{self.name} was not run: key_fn={self.key_fn!r} returned {calls!r}. Return the arguments of "
                        f"{reading.name} as a pair (args, kwargs), such as ((7,), {{}}), or a list of such pairs"
                    )

    def _keys_of(self, reading: Reading, args: Arguments, kwargs: dict[str, Any]) -> Iterator[Hashable | None]:
        """The keys of a call as ``key_fn`` has written it down."""
        binding = reading.binding
        try:  # of a tool that others have written the parameters are not known
            yield from binding.keys(args, kwargs) if isinstance(binding, Binding) else (None,)
        except TypeError as error:
            raise TypeError(
                f"{self.name} was not run: key_fn={self.key_fn!r} returned {(args, kwargs)!r}, which is no call of "
                f"{reading.name}: {error}"
            ) from error


def _check_finished(value: Any, tool: str) -> None:
    """Refuse a write that is still to come when it has returned: it would be made after all was invalidated.

    Raises:
        TypeError: it must be awaited.

    """
    if isawaitable(value):
        if iscoroutine(value):
            value.close()
        raise TypeError(
            f"{tool} returned {value!r}, which must be awaited, and so has not written yet: make it an `async def` "
            f"that awaits it"
        )


class _Beside:
    """A mutation beside which this context reads as everybody else: it is entered in a context of its own."""

    def __init__(self, window: Mutating) -> None:
        self._window = window
        self._context: Context = copy_context()

    def __enter__(self) -> None:
        self._context.run(self._window.__enter__)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._context.run(self._window.__exit__, kind, error, traceback)

    async def __aenter__(self) -> None:
        await _in(self._context, self._window.__aenter__())

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await _in(self._context, self._window.__aexit__(kind, error, traceback))


@coroutine
def _in(context: Context, steps: Coroutine[Any, Any, None]) -> Generator[Any, Any, None]:
    """Await in another context. In the same task: in one of its own, a cancellation would pass by what it had done."""
    error: BaseException | None = None
    while True:
        try:
            waits_for = context.run(steps.send, None) if error is None else context.run(steps.throw, error)
        except StopIteration:
            return
        try:
            yield waits_for
            error = None
        except BaseException as thrown:  # noqa: BLE001 - whatever it is, it is thrown in there
            error = thrown
