"""What a framework fills in is no part of a key, and what stands for somebody must say whose result it is."""

from __future__ import annotations

from typing import Annotated, Any, Optional, Protocol, TypeVar

import pytest

from agent_cache import AgentCache, AgentCacheInvalidator, AgentCacheSession
from tests.spec.agent_cache.people import InjectedToolCallId, RunContext, Shop


class OwnContext(RunContext):
    """A context of the application's own, derived from that of the framework."""


class Depends:
    """The default of a parameter that a framework fills in."""

    __module__ = "fastmcp.dependencies"


async def test_runs_of_one_user_share_results_whatever_their_contexts(shop: Shop) -> None:
    @AgentCache("cart", vary=lambda ctx: ctx.deps.user)
    async def get_cart(ctx: RunContext, cart_id: int) -> int:
        return shop.read(cart_id)

    for _ in range(3):
        await get_cart(RunContext("ann"), 7)
        await get_cart(ctx=RunContext("ann"), cart_id=7)
    assert shop.reads == {7: 1}


async def _direct(ctx: RunContext) -> None: ...
async def _optional(ctx: RunContext | None = None) -> None: ...
async def _old_optional(ctx: Optional[RunContext] = None) -> None: ...  # noqa: UP045 - as it was written before
async def _quoted(ctx: "RunContext") -> None: ...  # noqa: UP037 - as some write it
async def _annotated(ctx: Annotated[RunContext, "the run"]) -> None: ...
async def _derived(ctx: OwnContext) -> None: ...
async def _keyword(*, ctx: RunContext) -> None: ...


def _plain(ctx: RunContext) -> None: ...


CONTEXTS = [_direct, _optional, _old_optional, _quoted, _annotated, _derived, _keyword, _plain]


@pytest.mark.parametrize("tool", CONTEXTS, ids=lambda tool: tool.__name__)
def test_a_global_tool_with_a_context_must_say_whose_its_results_are(tool: Any) -> None:
    with pytest.raises(TypeError, match=r"is given 'ctx', the context of somebody's run.*vary="):
        AgentCache("cart")(tool)
    AgentCache("cart", vary=lambda ctx: 1)(tool)
    AgentCache("cart", scope="session")(tool)
    AgentCache("cart", poll=True)(tool)
    AgentCacheInvalidator("cart")(tool)


async def test_a_context_that_does_not_say_so_is_refused_at_the_call(shop: Shop) -> None:
    @AgentCache("cart")
    async def get_cart(ctx, cart_id: int = 7) -> int:  # type: ignore[no-untyped-def]  # noqa: ANN001 - as users forget it
        return shop.read(cart_id)

    refused = pytest.raises(TypeError, match=r"the argument 'ctx' is a RunContext, .*annotate the parameter")
    with refused:
        await get_cart(RunContext("ann"))
    with refused:
        await get_cart(ctx=RunContext("ann"))
    assert not shop.reads
    assert await get_cart("text") == 0


class HasUser(Protocol):
    """Whoever has a user."""

    user: str


T = TypeVar("T")


@pytest.mark.parametrize("annotation", [Any, object, HasUser, T, "unknown.Thing"], ids=repr)
async def test_so_is_one_whose_annotation_says_nothing_of_it(annotation: Any, shop: Shop) -> None:
    async def tool(ctx, cart_id: int = 7) -> int:  # type: ignore[no-untyped-def]  # noqa: ANN001 - given below
        return shop.read(cart_id)

    tool.__annotations__["ctx"] = annotation
    get_cart = AgentCache("cart")(tool)
    with pytest.raises(TypeError, match="the argument 'ctx' is a RunContext"):
        await get_cart(RunContext("ann"))
    assert await get_cart("text") == 0


async def test_the_id_of_a_call_is_filled_in_and_nobodys(shop: Shop) -> None:
    @AgentCache("cart")
    async def get_cart(cart_id: int, call_id: Annotated[str, InjectedToolCallId]) -> int:
        return shop.read(cart_id)

    assert [await get_cart(7, "call 1"), await get_cart(7, "call 2")] == [0, 0]
    assert shop.reads == {7: 1}


async def test_a_dependency_is_no_part_of_the_key_and_may_tell_whose_call_it_is(shop: Shop) -> None:
    async def get_cart(
        cart_id: int,
        shop_: Any = Depends(),  # noqa: B008 - so it is written
    ) -> int:
        return shop.read(cart_id)

    with pytest.raises(TypeError, match="get_cart is given 'shop_', which may be a user's own"):
        AgentCache("cart")(get_cart)
    of_all = AgentCache("cart", vary=lambda: "everybody")(get_cart)
    assert [await of_all(7, object()), await of_all(7, object())] == [0, 0]
    assert shop.reads == {7: 1}
    by_user = AgentCache("cart", vary=lambda shop_: shop_)(get_cart)
    assert [await by_user(7, "ann"), await by_user(7, "bob"), await by_user(7, "ann")] == [0, 0, 0]
    assert shop.reads == {7: 3}


async def test_parameters_that_are_ignored_are_no_part_of_the_key(shop: Shop) -> None:
    @AgentCache("cart", ignore=("verbose",))
    async def get_cart(cart_id: int, verbose: bool = False) -> int:
        return shop.read(cart_id)

    @AgentCache("cart", ignore="verbose")
    async def get_cart_too(cart_id: int, verbose: bool = False) -> int:
        return shop.read(("too", cart_id))

    for tool in (get_cart, get_cart_too):
        await tool(7), await tool(7, True), await tool(7, verbose=True)
    assert shop.reads == {7: 1, ("too", 7): 1}


async def test_a_key_of_ones_own(shop: Shop) -> None:
    @AgentCache("search", key=lambda query: query.strip().lower())
    async def search(query: str) -> int:
        return shop.read("search")

    for query in ("Tea", " tea ", "TEA"):
        await search(query)
    assert shop.reads["search"] == 1


async def test_arguments_that_are_not_hashable_are_told_apart_by_value(shop: Shop) -> None:
    @AgentCache("search")
    async def search(filters: dict[str, Any], words: list[str]) -> int:
        return shop.read(str(filters["a"]))

    for _ in range(2):
        await search({"a": 1, "b": [2]}, ["x"])
        await search({"b": [2], "a": 1}, ["x"])
        await search({"a": 2, "b": [2]}, ["x"])
    assert shop.reads == {"1": 1, "2": 1}


async def test_arguments_that_do_not_fit_are_refused_as_the_tool_would(shop: Shop) -> None:
    @AgentCache("cart")
    async def get_cart(cart_id: int) -> int:
        return shop.read(cart_id)

    @AgentCacheInvalidator("cart")
    async def add_item(cart_id: int) -> None:
        shop.write(cart_id)

    for tool in (get_cart, add_item):
        wrong: Any = tool
        with pytest.raises(TypeError):
            await wrong()
        with pytest.raises(TypeError):
            await wrong(1, 2)
    assert not shop.reads
    assert not shop.versions


async def test_annotations_that_cannot_be_resolved_are_known_by_their_last_name() -> None:
    async def tool(ctx, cart_id: int) -> None: ...  # type: ignore[no-untyped-def]  # noqa: ANN001 - given below

    tool.__annotations__["ctx"] = "unknown.RunContext[Deps]"
    with pytest.raises(TypeError, match="the context of somebody's run"):
        AgentCache("cart")(tool)
    tool.__annotations__["ctx"] = "unknown.Anything"
    AgentCache("cart")(tool)


async def test_a_context_in_a_session_needs_no_vary(shop: Shop) -> None:
    @AgentCache("cart", scope="session")
    async def get_cart(ctx: RunContext, cart_id: int) -> int:
        return shop.read(cart_id)

    async with AgentCacheSession():
        await get_cart(RunContext("ann"), 7), await get_cart(RunContext("ann"), 7)
    assert shop.reads == {7: 1}
