"""What can be seen of tools: metrics, spans, and why a call would hit or miss; never anybody's arguments."""

# ruff: noqa: PT012 - what is raised at the end of a block is the case, and so the block is part of it
from __future__ import annotations

import asyncio
import contextlib
import itertools
import re
from collections.abc import Iterator
from typing import Any

import pytest
from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from agent_cache import (
    AgentCache,
    AgentCacheInvalidator,
    AgentCacheSession,
    AgentLoopDetectedError,
    _explain,
    _notes,
    _spans,
    explain,
    get_metrics,
)
from cache.testing import FakeClock
from tests.spec.agent_cache.people import ApprovalRequired, RunContext
from tests.spec.refusal import refused
from tests.spec.steering import Loader, settle, start

# -- metrics -----------------------------------------------------------------------------------------------------

ZERO = {
    "hits": 0, "misses": 0, "coalesced": 0, "loads": 0, "load_errors": 0, "invalidations": 0, "fenced": 0,
    "evictions": 0, "expirations": 0, "bypassed": 0, "size": 0, "writes": 0, "loops": 0, "hit_rate": 0.0,
}  # fmt: skip


def tools(name: str) -> dict[str, int | float]:
    return get_metrics()["tools"][name]


def resources(name: str) -> dict[str, int | float]:
    return get_metrics()["resources"][name]


async def test_a_tool_that_was_not_called_shows_zeros() -> None:
    @AgentCache("metric:{a}", name="metric zero")
    async def look(a: int) -> int:
        return a

    assert tools("metric zero") == ZERO == resources("metric:{a}")


async def test_hits_misses_and_loads_are_counted_for_the_tool_and_its_resource() -> None:
    @AgentCache("metric hits", name="metric hits")
    async def look(a: int) -> int:
        return a

    for a in (1, 1, 2, 1):
        await look(a)
    assert tools("metric hits") == ZERO | {"hits": 2, "misses": 2, "loads": 2, "size": 2, "hit_rate": 0.5}
    assert resources("metric hits") == tools("metric hits")


def test_plain_tools_are_counted_alike() -> None:
    @AgentCache("metric plain", name="metric plain")
    def look(a: int) -> int:
        return a

    look(1), look(1)
    assert tools("metric plain") == ZERO | {"hits": 1, "misses": 1, "loads": 1, "size": 1, "hit_rate": 0.5}


async def test_what_joins_an_execution_is_a_coalesced_miss() -> None:
    loader = Loader()

    @AgentCache("metric coalesced", name="metric coalesced")
    async def look() -> Any:
        return await loader()

    calls = [await start(look()) for _ in range(3)]
    loader.end("seen")
    await asyncio.gather(*calls)
    assert tools("metric coalesced") == ZERO | {"misses": 3, "loads": 1, "coalesced": 2, "size": 1}


async def test_failures_are_load_errors() -> None:
    @AgentCache("metric errors", name="metric errors")
    async def look() -> None:
        raise OSError

    with pytest.raises(OSError):  # noqa: PT011 - it has no message
        await look()
    assert tools("metric errors") == ZERO | {"misses": 1, "loads": 1, "load_errors": 1}


async def test_writes_and_what_they_invalidate_and_fence_are_counted() -> None:
    loader = Loader()

    @AgentCache("metric writes", name="metric read")
    async def look(a: int) -> Any:
        return await loader() if a else a

    @AgentCacheInvalidator("metric writes", name="metric write")
    async def change() -> None: ...

    await look(0)
    reading = await start(look(1))
    await change()
    loader.end("old")
    await reading
    await look(0)
    counted = {"misses": 3, "loads": 3, "invalidations": 1, "fenced": 1, "size": 1}
    assert tools("metric read") == ZERO | counted
    assert tools("metric write") == ZERO | {"writes": 1}
    assert resources("metric writes") == ZERO | counted | {"writes": 1}


async def test_evictions_are_counted() -> None:
    @AgentCache("metric small", maxsize=1, name="metric small")
    async def look(a: int) -> int:
        return a

    await look(1)
    await look(2)
    assert tools("metric small") == ZERO | {"misses": 2, "loads": 2, "evictions": 1, "size": 1}


async def test_expirations_are_counted(time: FakeClock) -> None:
    @AgentCache("metric brief", ttl=5, name="metric brief")
    async def look() -> int:
        return 1

    await look()
    time.advance(6)
    await look()
    assert tools("metric brief")["expirations"] == 1


async def test_calls_that_do_not_go_through_the_cache_are_bypassed_and_nothing_else() -> None:
    @AgentCache("metric bypass", poll=True, name="metric poll")
    async def poll() -> int:
        return 1

    @AgentCache("metric bypass", scope="session", name="metric no session")
    async def look() -> int:
        return 1

    @AgentCache("metric bypass", name="metric stream")
    def stream() -> Iterator[int]:
        yield 1

    @AgentCache("metric bypass", vary=lambda: None, name="metric unknown")
    async def unknown() -> int:
        return 1

    for _ in range(3):
        await poll(), await look(), list(stream()), await unknown()
    for name in ("metric poll", "metric no session", "metric stream", "metric unknown"):
        assert tools(name) == ZERO | {"bypassed": 3}
    assert resources("metric bypass")["bypassed"] == 12


async def test_sessions_are_added_up_open_or_closed() -> None:
    @AgentCache("metric session", scope="session", name="metric session")
    async def look() -> int:
        return 1

    for _ in range(2):
        async with AgentCacheSession() as session:
            await look(), await look()
            assert session.get_metrics() == {
                "metric session": ZERO | {"hits": 1, "misses": 1, "loads": 1, "size": 1, "hit_rate": 0.5}
            }
            async with AgentCacheSession():
                await look()
    assert tools("metric session") == ZERO | {"hits": 2, "misses": 4, "loads": 4, "hit_rate": 1 / 3}


async def test_hits_and_misses_are_the_calls_through_the_cache_whatever_happens() -> None:
    calls = 0

    @AgentCache("metric sum", scope="session", name="metric sum", maxsize=2)
    async def look(a: int) -> int:
        if a == 3:
            raise OSError
        return a

    @AgentCacheInvalidator("metric sum")
    async def change() -> None: ...

    for round_ in range(3):
        async with AgentCacheSession():
            for a in (1, 2, 3, 1, 4, 1, 2, 2):
                calls += 1
                with contextlib.suppress(OSError):
                    await look(a)
                if a == 4 and round_:
                    await change()
    found = tools("metric sum")
    assert found["hits"] + found["misses"] == calls
    assert found["hits"] > 0 < found["load_errors"]


async def test_a_tool_that_asks_for_approval_keeps_what_was_counted() -> None:
    asks = False

    @AgentCache("metric guard", name="metric guard")
    async def look() -> int:
        if asks:
            raise ApprovalRequired
        return 1

    @AgentCacheInvalidator("metric guard")
    async def change() -> None: ...

    await look(), await look()
    await change()
    asks = True
    with pytest.raises(ApprovalRequired):
        await look()
    found = tools("metric guard")
    assert found["hits"] + found["misses"] == 3


async def test_tools_of_one_name_are_added_up() -> None:
    made = []
    for _ in range(2):

        @AgentCache("metric twins", name="metric twins")
        async def look() -> int:
            return 1

        made.append(look)
        await look()
    assert tools("metric twins")["misses"] == 2 == resources("metric twins")["misses"]


async def test_a_tool_of_several_resources_counts_for_each_once() -> None:
    @AgentCache(("metric one", "metric two", "metric one"), name="metric several")
    async def look() -> int:
        return 1

    await look()
    assert tools("metric several")["misses"] == 1
    assert resources("metric one")["misses"] == 1 == resources("metric two")["misses"]


async def test_loops_of_a_tool_that_is_both_count_once_for_its_resource() -> None:
    @AgentCacheInvalidator("metric both", name="metric both")
    @AgentCache("metric both", name="metric both")
    async def look() -> int:
        return 1

    async with AgentCacheSession(loop_detection=True, max_tool_repeats=2, on_loop="warn"):
        await look(), await look()
    assert tools("metric both")["loops"] == 1 == resources("metric both")["loops"]


async def test_no_argument_and_nobodys_identity_is_ever_in_a_name() -> None:
    @AgentCache("metric:{item}", vary=lambda ctx: ctx.deps.user, name="metric private", tags=("tag {item}",))
    async def look(ctx: RunContext, item: str) -> str:
        return item

    @AgentCacheInvalidator("metric:{item}", vary=lambda ctx: ctx.deps.user, name="metric private write")
    async def change(ctx: RunContext, item: str) -> str:
        return item

    async with AgentCacheSession("secret session", loop_detection=True):
        await look(RunContext("secret user"), "secret item")
        await change(RunContext("secret user"), "secret item")
        assert "secret" not in repr(get_metrics())
    assert "metric:{item}" in get_metrics()["resources"]


def test_names_are_sorted() -> None:
    metrics = get_metrics()
    assert all(list(metrics[kind]) == sorted(metrics[kind]) for kind in ("tools", "resources"))


# -- explain -----------------------------------------------------------------------------------------------------


class Watchmaker:
    """Stands for the module ``time`` where explanations and notes look at it."""

    _mornings = itertools.count(1000, 1000)

    def __init__(self) -> None:
        self.now = float(next(self._mornings))

    def monotonic(self) -> float:
        return self.now


@pytest.fixture
def moment(monkeypatch: pytest.MonkeyPatch, time: FakeClock) -> Watchmaker:
    made = Watchmaker()
    for module in (_explain, _notes, "agent_cache._read_call"):
        monkeypatch.setattr(f"{module}.time" if isinstance(module, str) else f"{module.__name__}.time", made)
    return made


@AgentCache("explained", name="get_cart")
async def get_cart(a: int = 0) -> int:
    return a


@AgentCacheInvalidator("explained", name="add_item")
async def add_item() -> None: ...


async def test_what_was_never_executed_misses(moment: Watchmaker) -> None:
    assert explain(get_cart, -1) == "miss: get_cart was not executed with these arguments yet"


async def test_what_is_kept_hits(moment: Watchmaker) -> None:
    await get_cart(1)
    moment.now += 2.34
    assert explain(get_cart, 1) == explain(get_cart, a=1) == "hit: the result of get_cart was made 2.3 s ago"


async def test_what_is_kept_for_a_time_says_for_how_long(moment: Watchmaker) -> None:
    @AgentCache("explained", ttl=60)
    async def look() -> int:
        return 1

    await look()
    moment.now += 10
    assert explain(look) == "hit: the result of look was made 10.0 s ago, good for 50.0 s more"


async def test_what_was_kept_before_the_notes_begin_hits_too(
    moment: Watchmaker, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_notes, "MOST", 1)
    await get_cart(2)
    await get_cart(3)
    assert explain(get_cart, 2) == "hit: the result of get_cart is kept"


async def test_what_was_written_misses(moment: Watchmaker) -> None:
    await get_cart(4)
    moment.now += 1
    await add_item()
    moment.now += 0.4
    assert explain(get_cart, 4) == "miss: resource explained was invalidated by add_item 0.4 s ago"


async def test_what_is_being_written_misses(moment: Watchmaker) -> None:
    loader = Loader()

    @AgentCacheInvalidator("explained", name="slow_write")
    async def write() -> Any:
        await loader()

    await get_cart(5)
    writing = await start(write())
    assert explain(get_cart, 5) == "miss: resource explained is being written by slow_write right now"
    moment.now += 1
    await add_item()
    assert explain(get_cart, 5) == "miss: resource explained is being written by slow_write right now"
    moment.now += 1
    await get_cart(5)
    moment.now += 1
    loader.end(None)
    await writing
    assert explain(get_cart, 5) == "miss: resource explained was invalidated by slow_write 0.0 s ago"


async def test_a_write_that_ended_before_the_result_was_made_is_not_to_blame(moment: Watchmaker) -> None:
    @AgentCache("explained", maxsize=1)
    async def look(a: int) -> int:
        return a

    await add_item()
    moment.now += 1
    await look(1)
    await look(2)
    assert explain(look, 1) == (
        "miss: the last result, of 0.0 s ago, has made room for others, or something that it was made from has changed"
    )


async def test_what_has_expired_misses(moment: Watchmaker, time: FakeClock) -> None:
    @AgentCache("explained", ttl=5)
    async def look() -> int:
        return 1

    await look()
    moment.now += 7
    time.advance(7)
    assert explain(look) == "miss: the last result expired 2.0 s ago"


@pytest.mark.parametrize(
    ("result", "reason"),
    [
        ({"is_error": True}, "it reports an error"),
        ({"tool_call_id": "7"}, "it carries the id of its call"),
    ],
)
async def test_what_may_not_be_kept_misses_and_says_why(moment: Watchmaker, result: Any, reason: str) -> None:
    @AgentCache("explained")
    async def look() -> Any:
        return result

    await look()
    moment.now += 3
    assert explain(look) == f"miss: the last result, of 3.0 s ago, was not kept: {reason}"


async def test_what_has_failed_misses_and_says_so(moment: Watchmaker) -> None:
    @AgentCache("explained")
    async def look() -> Any:
        raise OSError("private words")

    with pytest.raises(OSError, match="private words"):
        await look()
    said = explain(look)
    assert said.startswith("miss: ")
    assert "OSError" in said
    assert "private" not in said


async def test_what_is_polled_misses() -> None:
    @AgentCache("explained", poll=True)
    async def look() -> int:
        return 1

    assert explain(look) == "miss: tools with poll=True are never cached"


async def test_what_needs_a_session_misses_without_one() -> None:
    @AgentCache("explained", scope="session")
    async def look() -> int:
        return 1

    assert explain(look).startswith("miss: its scope is the session, and none is open")
    async with AgentCacheSession():
        assert explain(look) == "miss: look was not executed with these arguments yet"
        await look()
        assert re.fullmatch(r"hit: the result of look was made \d+\.\d s ago", explain(look))


async def test_what_nobody_is_known_for_misses() -> None:
    @AgentCache("explained", vary=lambda: None)
    async def look() -> int:
        return 1

    assert explain(look) == "miss: vary returned None, so that nobody knows whose result it is"


async def test_what_asks_for_approval_misses() -> None:
    @AgentCache("explained")
    async def look() -> int:
        raise ApprovalRequired

    with pytest.raises(ApprovalRequired):
        await look()
    assert explain(look) == "miss: it has asked for approval before"


async def test_what_was_approved_misses() -> None:
    @AgentCache("explained", vary=lambda ctx: ctx.deps.user)
    async def look(ctx: RunContext) -> int:
        return 1

    assert explain(look, RunContext(1, approved=True)) == "miss: somebody has approved or answered this very call"


async def test_an_explanation_is_one_sentence_and_neither_runs_nor_counts() -> None:
    before = tools("get_cart")
    assert "\n" not in explain(get_cart, -2)
    assert tools("get_cart") == before


async def test_an_explanation_knows_nothing_of_others() -> None:
    @AgentCache("private", vary=lambda ctx: ctx.deps.user)
    async def look(ctx: RunContext) -> int:
        return 1

    @AgentCacheInvalidator("private", vary=lambda ctx: ctx.deps.user)
    async def change(ctx: RunContext) -> None: ...

    await look(RunContext("ada"))
    await change(RunContext("ada"))
    assert explain(look, RunContext("bob")) == "miss: look was not executed with these arguments yet"
    assert "invalidated by change" in explain(look, RunContext("ada"))
    await look(RunContext("bob"))
    await change(RunContext("ada"))
    assert explain(look, RunContext("bob")).startswith("hit: ")


async def test_a_session_knows_nothing_of_another() -> None:
    @AgentCache("private", scope="session")
    async def look() -> int:
        return 1

    async with AgentCacheSession():
        await look()
        async with AgentCacheSession():
            assert explain(look) == "miss: look was not executed with these arguments yet"


async def test_what_a_framework_fills_in_may_be_left_out() -> None:
    @AgentCache("explained", vary=lambda a: a)
    async def look(ctx: RunContext, a: int) -> int:
        return a

    await look(RunContext("ada"), 1)
    for said in (explain(look, 1), explain(look, a=1), explain(look, None, 1)):
        assert said.startswith("hit: ")


async def test_unless_vary_asks_for_it() -> None:
    @AgentCache("explained", vary=lambda ctx: ctx.deps.user)
    async def look(ctx: RunContext) -> int:
        return 1

    with refused(AttributeError, "'deps'", "look", "was left out", "vary", "pass it"):
        explain(look)


async def test_an_error_of_vary_itself_is_passed_on_as_it_is() -> None:
    @AgentCache("explained", vary=lambda ctx: ctx.deps.user)
    async def look(ctx: RunContext) -> int:
        return 1

    with pytest.raises(AttributeError) as caught:
        explain(look, 5)
    assert not hasattr(caught.value, "__notes__")


async def test_methods_are_explained_bound_and_unbound() -> None:
    class Shop:
        @AgentCache("explained")
        async def look(self, a: int) -> int:
            return a

    shop = Shop()
    await shop.look(1)
    assert explain(shop.look, 1).startswith("hit: ")
    assert explain(Shop.look, shop, a=1).startswith("hit: ")
    assert explain(Shop().look, 1).startswith("miss: ")


async def test_a_tool_that_is_both_is_explained_as_a_reader() -> None:
    @AgentCacheInvalidator("unrelated")
    @AgentCache("explained")
    async def look() -> int:
        return 1

    assert explain(look) == "miss: look was not executed with these arguments yet"


def test_what_is_no_cached_tool_is_not_explained() -> None:
    with refused(TypeError, "add_item", "not decorated with @AgentCache"):
        explain(add_item)
    with refused(TypeError, "5", "not decorated with @AgentCache"):
        explain(5)  # type: ignore[arg-type]  # which is the case


async def test_arguments_that_do_not_fit_are_refused() -> None:
    with refused(TypeError, "get_cart", "b"):
        explain(get_cart, b=1)


# -- spans -------------------------------------------------------------------------------------------------------


class Spans:
    def __init__(self) -> None:
        self._exporter = InMemorySpanExporter()
        provider = TracerProvider()
        provider.add_span_processor(SimpleSpanProcessor(self._exporter))
        self._tracer = provider.get_tracer("tests")

    async def around(self, *calls: Any) -> dict[str, Any]:
        """What is said on a span around these calls."""
        with self._tracer.start_as_current_span("run", record_exception=False, set_status_on_exception=False):
            for call in calls:
                with contextlib.suppress(OSError, AgentLoopDetectedError):
                    await call()
        (span,) = self._exporter.get_finished_spans()
        self._exporter.clear()
        assert not span.events
        return dict(span.attributes or {})


@pytest.fixture
def spans() -> Spans:
    return Spans()


def attributes(tool: str, resource: str, outcome: str, **more: str) -> dict[str, Any]:
    return {
        "agent_cache.tool": tool,
        "agent_cache.resource": (resource,),
        "agent_cache.outcome": outcome,
        **{f"agent_cache.{name}": value for name, value in more.items()},
    }


async def test_a_span_says_hit_or_miss(spans: Spans) -> None:
    @AgentCache("spanned:{a}")
    async def look(a: str) -> str:
        return a

    assert await spans.around(lambda: look("secret")) == attributes("look", "spanned:{a}", "miss")
    assert await spans.around(lambda: look("secret")) == attributes("look", "spanned:{a}", "hit")


async def test_a_span_says_coalesced(spans: Spans) -> None:
    loader = Loader()

    @AgentCache("spanned")
    async def look() -> Any:
        return await loader()

    first = await start(look())
    second = await start(spans.around(look))
    loader.end(1)
    await first
    assert await second == attributes("look", "spanned", "coalesced")


async def test_a_span_says_bypass_write_and_error(spans: Spans) -> None:
    @AgentCache("spanned", poll=True)
    async def poll() -> int:
        return 1

    @AgentCacheInvalidator("spanned")
    async def write() -> int:
        return 1

    @AgentCacheInvalidator("spanned", linger=0)
    async def fail() -> int:
        raise OSError("secret")

    @AgentCache("spanned", name="broken")
    async def broken() -> int:
        raise OSError("secret")

    assert await spans.around(poll) == attributes("poll", "spanned", "bypass")
    assert await spans.around(write) == attributes("write", "spanned", "write")
    assert await spans.around(fail) == attributes("fail", "spanned", "error")
    assert await spans.around(broken) == attributes("broken", "spanned", "error")


async def test_a_span_names_all_resources(spans: Spans) -> None:
    @AgentCache(("one:{a}", "two"))
    async def look(a: int) -> int:
        return a

    assert (await spans.around(lambda: look(1)))["agent_cache.resource"] == ("one:{a}", "two")


async def test_a_span_says_of_what_kind_a_loop_is(spans: Spans) -> None:
    @AgentCache("spanned")
    async def look() -> int:
        return 1

    async with AgentCacheSession("secret", loop_detection=True, max_tool_repeats=2):
        await look()
        said = await spans.around(look)
    assert said == attributes("look", "spanned", "hit", loop="repeat")


async def test_a_span_says_that_a_call_was_refused(spans: Spans) -> None:
    @AgentCache("spanned")
    async def look() -> int:
        return 1

    said: dict[str, Any] = {}
    with pytest.raises(AgentLoopDetectedError):
        async with AgentCacheSession(loop_detection=True, max_tool_repeats=2):
            await spans.around(look, look)
            said = await spans.around(look)
    assert said == attributes("look", "spanned", "refused", loop="repeat")


async def test_a_span_says_that_a_failure_has_completed_a_loop(spans: Spans) -> None:
    @AgentCacheInvalidator("spanned", linger=0)
    async def fail() -> int:
        raise OSError

    async with AgentCacheSession(loop_detection=True):
        said = await spans.around(fail, fail, fail)
    assert said == attributes("fail", "spanned", "error", loop="errors")


async def test_a_span_says_short_circuit(spans: Spans) -> None:
    @AgentCacheInvalidator("spanned")
    async def write() -> None: ...

    async with AgentCacheSession(loop_detection=True, max_tool_repeats=2, on_loop="short_circuit"):
        said = await spans.around(write, write, write)
    assert said == attributes("write", "spanned", "short_circuit")


async def test_nothing_that_anybody_has_given_is_ever_on_a_span(spans: Spans) -> None:
    @AgentCache("spanned:{item}", vary=lambda ctx: ctx.deps.user, tags=("tag {item}",))
    async def look(ctx: RunContext, item: str) -> str:
        return "secret result"

    async with AgentCacheSession("secret session"):
        said = await spans.around(lambda: look(RunContext("secret user"), "secret item"))
    assert "secret" not in repr(said)


async def test_without_a_span_nothing_happens() -> None:
    assert not trace.get_current_span().is_recording()
    await get_cart()


async def test_a_span_that_does_not_record_is_told_nothing() -> None:
    class Deaf(trace.NonRecordingSpan):
        def set_attribute(self, key: str, value: Any) -> None:
            pytest.fail("it does not record")

    with trace.use_span(Deaf(trace.INVALID_SPAN_CONTEXT)):
        await get_cart()


async def test_without_the_package_nothing_happens(spans: Spans, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_spans, "_trace", None)
    assert await spans.around(get_cart) == {}
    await settle()
