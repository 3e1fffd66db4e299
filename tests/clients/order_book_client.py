"""SpotOrderBookClient checks the checksum of every update; the market maker of the demo makes them."""

import asyncio
import sys

from kraken.base_api import SpotClient
from kraken.spot import SpotOrderBookClient

SpotClient.URL = sys.argv[1]
UPDATES = 12


class Book(SpotOrderBookClient):
    WS_URL = sys.argv[2]
    AUTH_WS_URL = sys.argv[2]

    def __init__(self, depth):
        super().__init__(depth=depth)
        self.updates = 0
        self.done = asyncio.Event()

    async def on_book_update(self, pair, message):
        if message.get("channel") != "book":
            return
        if not self.get(pair)["valid"]:
            sys.exit(f"{pair} has a wrong checksum after {self.updates} updates: {message}")
        self.updates += message["type"] == "update"
        if self.updates >= UPDATES:
            self.done.set()


async def main():
    for depth in (10, 100):
        book = Book(depth)
        await book.start()
        await book.add_book(pairs=["BTC/USD", "ETH/USD"])
        try:
            await asyncio.wait_for(book.done.wait(), 40)
        except TimeoutError:
            sys.exit(f"only {book.updates} updates at depth {depth}")
        await book.remove_book(pairs=["BTC/USD", "ETH/USD"])
        await book.close()


asyncio.run(main())
