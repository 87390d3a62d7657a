"""Two workers of the shop, as a server would start them: what one changes, the other serves from then on."""

from __future__ import annotations

import asyncio
import multiprocessing
import os
from multiprocessing.connection import Connection
from tempfile import TemporaryDirectory

from examples.web.shop import get_user, rename


async def serve(requests: Connection) -> None:
    """Answer requests, one after the other: a user to ask for, and perhaps a new name."""
    while request := await asyncio.to_thread(requests.recv):
        user_id, *name = request
        if name:
            await rename(user_id, *name)
        hits = get_user.get_metrics()["hits"]
        user = await get_user(user_id)
        requests.send(f"{user}, {'from memory' if get_user.get_metrics()['hits'] > hits else 'from the database'}")


def work(requests: Connection) -> None:
    """Be a worker."""
    asyncio.run(serve(requests))


class Worker:
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
    """Let one worker change what the other has in memory."""
    with TemporaryDirectory() as folder:
        os.environ["SHOP_DATABASE"] = f"{folder}/shop.db"
        left, right = Worker("left"), Worker("right")
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
