"""`clear_all=False`: of the resource itself, a write takes the calls that it maps to."""

from __future__ import annotations

from typing import Any
from weakref import WeakSet

import pytest

from agent_cache import AgentCache, AgentCacheInvalidator, _reading
from agent_cache.integrations import Rules
from tests.spec.agent_cache.people import RunContext, Shop


@pytest.fixture(autouse=True)
def _no_other_tools(monkeypatch: pytest.MonkeyPatch) -> None:
    """Those of other tests live until the garbage is collected, and are mapped onto as well."""
    monkeypatch.setattr(_reading, "_readings", WeakSet())


async def test_the_call_with_the_same_arguments_is_taken_and_no_other(shop: Shop) -> None:
    @AgentCache("cart")
    async def get_cart(cart_id: int) -> int:
        return shop.read(cart_id)

    @AgentCacheInvalidator("cart", clear_all=False)
    async def add_item(item: str, cart_id: int) -> None:
        shop.write(cart_id)

    assert [await get_cart(7), await get_cart(8)] == [0, 0]
    await add_item("tea", 7)
    await add_item("milk", cart_id=7)
    assert [await get_cart(7), await get_cart(8)] == [2, 0]
    assert shop.reads == {7: 2, 8: 1}


async def test_it_maps_onto_every_read_tool_of_the_resource_known_at_the_call(shop: Shop) -> None:
    @AgentCacheInvalidator("cart", clear_all=False)
    async def add_item(cart_id: int) -> None:
        shop.write(cart_id)

    @AgentCache("cart")
    async def get_cart(cart_id: int) -> tuple[str, int]:
        return "cart", shop.read(cart_id)

    @AgentCache(["other", "cart"])
    async def get_total(cart_id: int) -> tuple[str, int]:
        return "total", shop.read(cart_id)

    for version in range(3):
        for cart_id in (7, 8):
            expected = version if cart_id == 7 else 0
            assert (await get_cart(cart_id), await get_total(cart_id)) == (("cart", expected), ("total", expected))
        await add_item(7)
    assert shop.reads == {7: 6, 8: 2}


async def test_where_an_optional_argument_is_missing_all_calls_are_taken(shop: Shop) -> None:
    @AgentCache("cart")
    async def get_cart(cart_id: int, currency: str = "EUR") -> int:
        return shop.read((cart_id, currency))

    @AgentCacheInvalidator("cart", clear_all=False)
    async def add_item(cart_id: int) -> None:
        """Write."""

    for _ in range(2):
        await get_cart(7), await get_cart(7, "USD"), await get_cart(8)
        await add_item(7)
    assert set(shop.reads.values()) == {2}


async def test_arguments_of_the_write_that_have_defaults_count(shop: Shop) -> None:
    @AgentCache("cart")
    async def get_cart(cart_id: int) -> int:
        return shop.read(cart_id)

    @AgentCacheInvalidator("cart", clear_all=False)
    async def add_item(cart_id: int = 7) -> None:
        """Write."""

    for _ in range(2):
        await get_cart(7), await get_cart(8)
        await add_item()
    assert shop.reads == {7: 2, 8: 1}


async def test_a_missing_argument_is_refused_before_the_tool_runs(shop: Shop) -> None:
    @AgentCache("cart to map")
    async def get_cart(cart_id: int) -> int:
        return shop.read(cart_id)

    await _refuses("cart to map", get_cart, shop)


async def test_so_is_a_missing_one_that_is_passed_by_name_only(shop: Shop) -> None:
    @AgentCache("cart to map by name")
    async def get_cart(*, cart_id: int) -> int:
        return shop.read(cart_id)

    await _refuses("cart to map by name", get_cart, shop)


async def _refuses(resource: str, get_cart: Any, shop: Shop) -> None:
    @AgentCacheInvalidator(resource, clear_all=False)
    async def add_item(item: str) -> None:
        shop.write("ran")

    assert await get_cart(cart_id=7) == 0
    with pytest.raises(TypeError, match=r"add_item was not run: it has no argument 'cart_id', which get_cart needs"):
        await add_item("tea")
    assert not shop.versions
    assert await get_cart(cart_id=7) == 0
    assert shop.reads == {7: 1}


async def test_arguments_that_collect_the_rest_take_all_calls(shop: Shop) -> None:
    @AgentCache("cart")
    async def get_carts(*ids: int, **options: Any) -> int:
        return shop.read((ids, *options))

    @AgentCacheInvalidator("cart", clear_all=False)
    async def touch(*ids: int, **options: Any) -> None:
        """Write."""

    for _ in range(2):
        await get_carts(1, 2), await get_carts(3), await get_carts(1, 2, deep=True)
        await touch(1, 2)
    assert set(shop.reads.values()) == {2}


async def test_keyword_only_arguments_map(shop: Shop) -> None:
    @AgentCache("cart")
    async def get_cart(*, cart_id: int) -> int:
        return shop.read(cart_id)

    @AgentCacheInvalidator("cart", clear_all=False)
    async def add_item(cart_id: int) -> None:
        """Write."""

    for _ in range(2):
        await get_cart(cart_id=7), await get_cart(cart_id=8)
        await add_item(7)
    assert shop.reads == {7: 2, 8: 1}


async def test_the_context_of_the_run_is_no_argument_to_map(shop: Shop) -> None:
    @AgentCache("cart", vary=lambda ctx: ctx.deps.user)
    async def get_cart(ctx: RunContext, cart_id: int) -> int:
        return shop.read((ctx.deps.user, cart_id))

    @AgentCacheInvalidator("cart", clear_all=False)
    async def add_item(cart_id: int) -> None:
        """Write."""

    ann, bob = RunContext("ann"), RunContext("bob")
    for _ in range(2):
        await get_cart(ann, 7), await get_cart(ann, 8), await get_cart(bob, 7)
        await add_item(7)
    assert shop.reads == {("ann", 7): 2, ("ann", 8): 1, ("bob", 7): 2}


async def test_methods_map_onto_calls_of_the_same_object(shop: Shop) -> None:
    class Carts:
        @AgentCache("cart")
        async def get(self, cart_id: int) -> int:
            return shop.read((id(self), cart_id))

        @AgentCacheInvalidator("cart", clear_all=False)
        async def add(self, cart_id: int) -> None:
            """Write."""

    class Special(Carts):
        @AgentCacheInvalidator("cart", clear_all=False)
        async def set(self, cart_id: int) -> None:
            """Write."""

    one, other = Special(), Special()
    for n in range(2):
        await one.get(7), await one.get(8), await other.get(7)
        await (one.set(7) if n else one.add(7))
    await one.get(7)
    assert shop.reads == {(id(one), 7): 3, (id(one), 8): 1, (id(other), 7): 1}


async def test_a_method_of_another_class_takes_all_calls(shop: Shop) -> None:
    class Reads:
        @AgentCache("cart")
        async def get(self, cart_id: int) -> int:
            return shop.read(cart_id)

    class Writes:
        @AgentCacheInvalidator("cart", clear_all=False)
        async def add(self, cart_id: int) -> None:
            """Write."""

    reads, writes = Reads(), Writes()
    for _ in range(2):
        await reads.get(7), await reads.get(8)
        await writes.add(7)
    assert shop.reads == {7: 2, 8: 2}


# -- key_fn ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("returned", "taken"),
    [
        (((7,), {}), {7}),
        (([7], {"currency": "EUR"}), {7}),
        (((), {"cart_id": 8}), {8}),
        ([((7,), {}), ((9,), {})], {7, 9}),
        ([], set()),
        (((10,), {}), set()),
    ],
)
async def test_key_fn_says_which_calls_are_taken(shop: Shop, returned: Any, taken: set[int]) -> None:
    given: list[Any] = []

    def key_fn(args: Any, kwargs: Any) -> Any:
        given.append((args, kwargs))
        return returned

    @AgentCache("cart by key_fn")
    async def get_cart(cart_id: int, currency: str = "EUR") -> int:
        return shop.read(cart_id)

    @AgentCacheInvalidator("cart by key_fn", clear_all=False, key_fn=key_fn)
    async def add_item(what: str, *, into: int) -> None:
        """Write."""

    for _ in range(2):
        for cart_id in (7, 8, 9):
            await get_cart(cart_id)
        await add_item("tea", into=3)
    assert shop.reads == {cart_id: 2 if cart_id in taken else 1 for cart_id in (7, 8, 9)}
    assert given == [(("tea",), {"into": 3})] * 2


@pytest.mark.parametrize("returned", [7, None, (7,), ((7,), {}, 1), [7], (7, {}), ((7,), ()), {"cart_id": 7}, "77"])
async def test_what_is_no_pair_of_arguments_is_refused_before_the_tool_runs(shop: Shop, returned: Any) -> None:
    @AgentCache("cart of pairs")
    async def get_cart(cart_id: int) -> int:
        return shop.read(cart_id)

    @AgentCacheInvalidator("cart of pairs", clear_all=False, key_fn=lambda args, kwargs: returned)
    async def add_item() -> None:
        shop.write("ran")

    with pytest.raises(TypeError, match=r"add_item was not run: key_fn=.* returned .*\(args, kwargs\)"):
        await add_item()
    assert not shop.versions
    assert await get_cart(1) == 0


async def test_a_pair_that_does_not_fit_the_read_tool_is_refused_before_the_tool_runs(shop: Shop) -> None:
    @AgentCache("cart that does not fit")
    async def get_cart(cart_id: int) -> int:
        return shop.read(cart_id)

    @AgentCacheInvalidator("cart that does not fit", clear_all=False, key_fn=lambda args, kwargs: ((1, 2), {}))
    async def add_item() -> None:
        shop.write("ran")

    with pytest.raises(TypeError, match=r"add_item was not run: .* which is no call of get_cart"):
        await add_item()
    assert not shop.versions
    assert await get_cart(1) == 0


async def test_an_error_of_key_fn_is_passed_on_and_says_where_it_came_from(shop: Shop) -> None:
    error = KeyError("cart")

    def key_fn(args: Any, kwargs: Any) -> Any:
        raise error

    @AgentCache("cart that raises")
    async def get_cart(cart_id: int) -> int:
        return shop.read(cart_id)

    @AgentCacheInvalidator("cart that raises", clear_all=False, key_fn=key_fn)
    async def add_item() -> None:
        shop.write("ran")

    with pytest.raises(KeyError) as caught:
        await add_item()
    assert caught.value is error
    assert any("add_item was not run" in note for note in error.__notes__)
    assert not shop.versions
    assert await get_cart(1) == 0


@pytest.mark.parametrize("pair", [((7, 1), {}), ((None, 7, 1), {}), ((7,), {"page": 1}), ((), {"cart_id": 7})])
async def test_a_pair_may_leave_the_context_out(shop: Shop, pair: Any) -> None:
    @AgentCache("cart with context", vary=lambda ctx: ctx.deps.user)
    async def get_cart(ctx: RunContext, cart_id: int, page: int = 1) -> int:
        return shop.read((cart_id, page))

    @AgentCacheInvalidator("cart with context", clear_all=False, key_fn=lambda args, kwargs: pair)
    async def add_item() -> None:
        """Write."""

    ann = RunContext("ann")
    for _ in range(2):
        await get_cart(ann, 7), await get_cart(ann, 9)
        await add_item()
    assert shop.reads == {(7, 1): 2, (9, 1): 1}


async def test_a_tool_that_others_have_declared_is_taken_whole(shop: Shop) -> None:
    """Its parameters are not known."""
    rules = Rules(read={"foreign_get": "cart by rules"}, scope="global", vary=lambda: "all")

    @AgentCacheInvalidator("cart by rules", clear_all=False, key_fn=lambda args, kwargs: ((7,), {}))
    async def add_item() -> None:
        """Write."""

    @AgentCacheInvalidator("cart by rules", clear_all=False)
    async def add_by_name(cart_id: int) -> None:
        """Write."""

    async def read(cart_id: int) -> None:
        async def run(_: Any, arguments: dict[str, Any]) -> int:
            return shop.read(arguments["cart_id"])

        await rules.call("foreign_get", None, {"cart_id": cart_id}, run)

    await read(7)
    await read(8)
    await add_item()
    await read(7)
    await read(8)
    await add_by_name(7)
    await read(7)
    await read(8)
    assert shop.reads == {7: 3, 8: 3}


# -- paths -----------------------------------------------------------------------------------------------------------


async def test_lists_above_and_children_below_are_taken_whole(shop: Shop) -> None:
    @AgentCache("cart")
    async def list_carts(page: int) -> int:
        return shop.read(("list", page))

    @AgentCache("cart:{cart_id}")
    async def get_cart(cart_id: int, currency: str) -> int:
        return shop.read((cart_id, currency))

    @AgentCache("cart:{cart_id}:items:{item}")
    async def get_item(cart_id: int, item: str) -> int:
        return shop.read((cart_id, "item", item))

    @AgentCacheInvalidator("cart:{cart_id}", clear_all=False)
    async def reprice(cart_id: int, currency: str) -> None:
        """Write."""

    for _ in range(2):
        await list_carts(1), await list_carts(2)
        for cart_id in (7, 8):
            await get_cart(cart_id, "EUR"), await get_cart(cart_id, "USD")
            await get_item(cart_id, "tea")
        await reprice(7, "EUR")
    assert {key for key, n in shop.reads.items() if n == 2} == {
        ("list", 1), ("list", 2), (7, "EUR"), (7, "item", "tea")
    }  # fmt: skip


async def test_read_tools_of_other_resources_need_not_map(shop: Shop) -> None:
    @AgentCache("order:{order_id}")
    async def get_order(order_id: int) -> int:
        return shop.read(order_id)

    @AgentCacheInvalidator("shelf", clear_all=False)
    async def stock_up() -> None:
        """Write."""

    await get_order(1)
    await stock_up()
    await get_order(1)
    assert shop.reads == {1: 1}


@pytest.mark.parametrize("options", [{"key_fn": lambda args, kwargs: ((), {})}, {"key_fn": 7, "clear_all": False}])
def test_a_key_fn_that_cannot_be_one_is_refused_at_decoration(options: dict[str, Any]) -> None:
    with pytest.raises(TypeError, match="key_fn="):
        AgentCacheInvalidator("cart", **options)


@pytest.mark.parametrize("linger", ["soon", -1, float("nan")])
def test_a_linger_that_is_none_is_refused_at_decoration(linger: Any) -> None:
    async def write() -> None:
        """Write."""

    with pytest.raises((TypeError, ValueError), match="linger"):
        AgentCacheInvalidator("cart", linger=linger)(write)
