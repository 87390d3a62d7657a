"""Rules: which tools of a framework read what, and which write it."""

from __future__ import annotations

import inspect
import threading
from collections.abc import Callable, Hashable, Iterable, Mapping
from functools import lru_cache, partial
from typing import Any, NamedTuple, TypeAlias

from agent_cache._audience import Partition
from agent_cache._binding import Arguments
from agent_cache._call import Scope
from agent_cache._frameworks import is_answered
from agent_cache._outcome import canonical, copier
from agent_cache._reading import Reading
from agent_cache._resources import Resource, resources_of
from agent_cache._writing import Writing
from cache import DEFAULT, AsyncCache

#: Runs a tool: ``run(context, arguments) -> result``, or an awaitable of it.
Run: TypeAlias = Callable[[Any, dict[str, Any]], Any]


class Rules:
    """What the tools of an agent read and write, by their names, for tools that you cannot decorate.

    They are given to the hook of a framework: see the modules of `agent_cache.integrations`. A tool that is in neither
    mapping passes through, and one that is in both reads and writes. For all else see `agent_cache.AgentCache` and
    `agent_cache.AgentCacheInvalidator`, whose promises hold here too.

    Args:
        read: The resource that a tool reads, or several: ``{"get_cart": "cart:{cart_id}"}``, with arguments of the
            tool in it. Where a call leaves one out, what lies above is read as a whole.
        write: The resource that a tool writes.
        scope: ``"session"`` keeps results in the open `agent_cache.AgentCacheSession`; ``"global"`` shares them, and
            wants to know with whom.
        vary: Whose call it is: a function of the context that the framework hands to its tools, called with it or
            without anything. Must be given with ``scope="global"``; ``vary=lambda: "everybody"`` says that nothing is
            anybody's own.
        ttl: Seconds to keep a result, None until it is written; or a function of the result.
        poll: Tools that are meant to be called again and again: never cached, and no loop.
        hints: The resource of tools of an MCP server that no rule names: one that declares ``readOnlyHint`` reads it,
            any other writes it. To be given for servers that you trust, since it is they that declare.
        maxsize: Results to keep at most of each tool.

    Raises:
        TypeError: an argument has the wrong type; or the scope is global, and ``vary`` is missing.
        ValueError: a tool is to be cached and polled, or a word is unknown.

    """

    def __init__(
        self,
        read: Mapping[str, str | Iterable[str]] | None = None,
        write: Mapping[str, str | Iterable[str]] | None = None,
        *,
        scope: Scope = "session",
        vary: Callable[..., Hashable] | None = None,
        ttl: float | Callable[[Any], float | None] | None = None,
        poll: Iterable[str] = (),
        hints: str | None = None,
        maxsize: int | None = 1024,
    ) -> None:
        self._reads = _resources(read, "read")
        self._writes = _resources(write, "write")
        self._hinted = None if hints is None else (Resource(hints),)
        if scope not in ("global", "session"):
            raise ValueError(f"scope={scope!r} is unknown: pass 'global' or 'session'")
        if scope == "global" and vary is None:
            raise TypeError(
                "scope='global' shares results with everybody: say whose they are with vary=lambda ctx: ctx..., such "
                "as the id of the user, or keep them in the session with scope='session'; what is the same for "
                "everybody is vary=lambda: 'everybody'"
            )
        self._scope: Scope = scope
        self._vary = None if vary is None else _vary(vary)
        self._ttl = ttl
        self._poll = _tools(poll, "poll")
        both = self._poll & self._reads.keys()
        if both:
            raise ValueError(
                f"poll and read both name {', '.join(sorted(both))}: a tool that is polled is never cached"
            )
        self._make_cache = partial(AsyncCache, maxsize, None if callable(ttl) else ttl, bus=None, backup=None)
        self._make_cache()  # which refuses at once what is no maxsize and no ttl
        self._named = lru_cache(maxsize=None)(self._make_plan)
        self._unnamed = lru_cache(maxsize=256)(self._make_plan)
        self._lock = threading.Lock()

    async def call(
        self,
        tool: str,
        context: Any,
        arguments: Mapping[str, Any],
        run: Run,
        *,
        read_only: bool | None = None,
        source: str = "",
    ) -> Any:
        """Call a tool through its rules: what an adapter does in the hook of its framework.

        Args:
            tool: Its name.
            context: What the framework hands over of the run, for ``vary``.
            arguments: Those that the model has given.
            run: Runs the tool.
            read_only: What an MCP server says of it; None for a tool of no MCP server.
            source: Where it comes from, if tools of several sources may have one name: their results are kept apart.

        """
        return await self._plan(tool, read_only, source).call((context, dict(arguments)), run)

    def call_blocking(
        self, tool: str, context: Any, arguments: Mapping[str, Any], run: Run, *, read_only: bool | None = None
    ) -> Any:
        """The same for a hook that is no coroutine function."""
        return self._plan(tool, read_only).call_blocking((context, dict(arguments)), run)

    def wants_hint(self, tool: str) -> bool:
        """Whether it counts what its server says of a tool: where it does not, nobody need ask."""
        return self._hinted is not None and not self._is_named(tool)

    def _is_named(self, tool: str) -> bool:
        return tool in self._reads or tool in self._writes

    def _plan(self, tool: str, read_only: bool | None, source: str = "") -> Plan:
        # A model, or whoever else calls a tool by a name of its own making, must not push out those that there are.
        plan_of = self._named if self._is_named(tool) else self._unnamed
        with self._lock:
            return plan_of(tool, read_only, source)

    def _make_plan(self, tool: str, read_only: bool | None, _: str) -> Plan:
        reads, writes = self._reads.get(tool), self._writes.get(tool)
        if reads is None and writes is None and self._hinted is not None and read_only is not None:
            reads, writes = (self._hinted, None) if read_only else (None, self._hinted)
        binding = _Binding(self._vary)
        writing = None
        if writes is not None:
            writing = Writing(
                tool,
                binding,
                writes,
                scope=self._scope,
                clear_all=True,
                key_fn=None,
                linger=DEFAULT,
                tags_of=_no_tags,
                may_be_none=True,
                reads_itself=reads is not None,
                poll=tool in self._poll,
            )
            if reads is None:
                return Plan(None, writing)
        # Every call is watched, by its reading if it has one: a tool that reads nothing is kept nowhere.
        reading = Reading(
            tool,
            binding,
            reads or (),
            scope=self._scope,
            poll=tool in self._poll,
            ttl=self._ttl,
            make_cache=partial(self._make_cache, name=tool),
            make_copy=copier(None),
            tags_of=_no_tags,
            may_be_none=True,
        )
        reading.writes = writing is not None
        return Plan(reading, writing)


class Plan(NamedTuple):
    """How one tool is called."""

    reading: Reading | None
    writing: Writing | None

    async def call(self, args: Arguments, run: Run) -> Any:
        """Write around read, where it does both."""
        if self.writing is None:
            return await self._read(run, *args)
        return await self.writing.call(args, {}, run if self.reading is None else partial(self._read, run))

    def call_blocking(self, args: Arguments, run: Run) -> Any:
        """The same for a plain function."""
        if self.writing is None:
            return self._read_blocking(run, *args)
        run = run if self.reading is None else partial(self._read_blocking, run)
        return self.writing.call_blocking(args, {}, run)

    async def _read(self, run: Run, *args: Any) -> Any:
        return await run(*args) if self.reading is None else await self.reading.call(args, {}, run)

    def _read_blocking(self, run: Run, *args: Any) -> Any:
        return run(*args) if self.reading is None else self.reading.call_blocking(args, {}, run)


class _Binding:
    """The arguments of a foreign tool: its context, and what the model has given by name."""

    personal = ("context",)

    def __init__(self, vary: Callable[[Any], Hashable] | None) -> None:
        self._vary = vary

    @property
    def is_varied(self) -> bool:
        return self._vary is not None

    def key(self, args: Arguments, _: dict[str, Any]) -> Hashable:
        try:
            return canonical(args[1])
        except TypeError:  # no key can be made of an argument: it is a call like no other
            return object()

    def values(self, args: Arguments, _: dict[str, Any]) -> Mapping[str, Any]:
        values: Mapping[str, Any] = args[1]
        return values

    def partition(self, args: Arguments, _: dict[str, Any]) -> Partition | None:
        return None if self._vary is None else Partition.of(self._vary(args[0]), self._vary)

    def is_answered(self, args: Arguments, _: dict[str, Any]) -> bool:
        return is_answered(args[0])

    def completed(self, args: Arguments, kwargs: dict[str, Any]) -> tuple[Arguments, dict[str, Any]]:
        return args, kwargs

    def mapped(self, _: Mapping[str, Any], __: str) -> Hashable | None:
        """Its parameters are not known: whoever writes one call of it has written all."""
        return None


def checked_rules(rules: object) -> Rules:
    """What a hook was given, if it is rules.

    Raises:
        TypeError: it is something else.

    """
    if not isinstance(rules, Rules):
        raise TypeError(f"rules={rules!r}, of type {type(rules).__name__}: pass agent_cache.integrations.Rules(...)")
    return rules


def _resources(given: object, name: str) -> dict[str, tuple[Resource, ...]]:
    if given is None:
        return {}
    if not isinstance(given, Mapping):
        raise TypeError(f"{name}={given!r}: pass a mapping of tools to resources, such as {{'get_cart': 'cart'}}")
    for tool in given:
        if not isinstance(tool, str):
            raise TypeError(f"{name} names {tool!r}, of type {type(tool).__name__}: tools are named by strings")
    return {tool: resources_of(resource) for tool, resource in given.items()}


def _tools(given: object, name: str) -> frozenset[str]:
    if isinstance(given, str):
        return frozenset([given])
    names: list[str] = []
    for each in given if isinstance(given, Iterable) else (given,):
        if not isinstance(each, str):
            raise TypeError(f"{name}={given!r}: pass the names of tools, such as ('check_order',)")
        names.append(each)
    return frozenset(names)


def _vary(vary: Callable[..., Hashable]) -> Callable[[Any], Hashable]:
    if not callable(vary) or inspect.iscoroutinefunction(vary):
        raise TypeError(f"vary={vary!r}: pass a plain function of the context, such as lambda ctx: ctx.deps.user_id")
    try:
        wanted = [p for p in inspect.signature(vary).parameters.values() if p.default is p.empty]
    except ValueError:  # a builtin, such as ContextVar.get, that does not say
        wanted = []
    if len(wanted) > 1:
        raise TypeError(
            f"vary={vary!r} asks for {len(wanted)} arguments: it is given the context of the framework, or none"
        )
    return vary if wanted else lambda _: vary()


def _no_tags(_: Mapping[str, Any]) -> Iterable[str]:
    return ()
