"""Two machines of the shop, which share a Redis server: what one changes, the other serves from then on."""

from __future__ import annotations

import asyncio
import multiprocessing
import os
from multiprocessing.connection import Connection
from tempfile import TemporaryDirectory

from examples.web.machines_shop import app, get_user, lifespan, remote, rename


async def serve(requests: Connection) -> None:
    """Answer requests, one after the other: a user to ask for, and perhaps a new name."""
    async with lifespan(app):
        while request := await asyncio.to_thread(requests.recv):
            user_id, *name = request
            if name:
                await rename(user_id, *name)
            # What another machine has changed may still be on its way, for a second at most: wait until it is here.
            await remote.hear_all()
            before = get_user.get_metrics()
            user = await get_user(user_id)
            after = get_user.get_metrics()
            places = {"hits": "memory", "backup_hits": "Redis", "backup_misses": "the database"}
            requests.send(f"{user}, from " + next(places[name] for name in places if after[name] > before[name]))


def work(requests: Connection) -> None:
    """Be a machine."""
    asyncio.run(serve(requests))


class Machine:
    """A process of its own, which imports the shop for itself."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.requests, theirs = multiprocessing.Pipe()
        self.process = multiprocessing.get_context("spawn").Process(target=work, args=(theirs,))
        self.process.start()

    def ask(self, *request: object) -> None:
        """Send a request, and print what comes back."""
        self.requests.send(request)
        print(f"{self.name}: {self.requests.recv()}")

    def stop(self) -> None:
        """Let it end."""
        self.requests.send(())
        self.process.join()


def main() -> None:
    """Let one machine change what the other has in memory."""
    with TemporaryDirectory() as folder:
        os.environ["SHOP_DATABASE"] = f"{folder}/shop.db"
        left, right = Machine("left"), Machine("right")
        left.ask(7, "Ada")
        right.ask(7)
        right.ask(7)
        left.ask(7, "Grace")
        right.ask(7)
        right.ask(7)
        left.stop()
        right.stop()


if __name__ == "__main__":
    main()
