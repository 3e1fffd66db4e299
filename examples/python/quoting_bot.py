"""A bot on the unmodified python-kraken-sdk: it quotes, loses a reply, resumes, asks again, amends and cancels.

    python quoting_bot.py http://127.0.0.1:8080 ws://127.0.0.1:8080 API_KEY API_SECRET
"""

import asyncio
import itertools
import sys
import time

from kraken.spot import SpotWSClient

HTTP, SOCKET, KEY, SECRET = sys.argv[1:5]  # the SDK adds /v2 to the socket's address itself
PATIENCE_S = 20


class Bot:
    """One connection: replies are found by req_id, executions wait in a queue."""

    def __init__(self):
        self.numbers = itertools.count(1)
        self.replies = {}
        self.executions = asyncio.Queue()
        self.client = SpotWSClient(
            key=KEY, secret=SECRET, callback=self.take, rest_url=HTTP, ws_url=SOCKET, auth_ws_url=SOCKET
        )

    async def take(self, message):
        if message.get("channel") == "executions":
            for item in message["data"]:
                self.executions.put_nowait(item)
        elif waiting := self.replies.pop(message.get("req_id"), None):
            waiting.set_result(message)

    async def send(self, method, params):
        """Sends, and gives what will be the reply. The SDK fetches the token and puts it into params."""
        req_id = next(self.numbers)
        self.replies[req_id] = asyncio.get_running_loop().create_future()
        await self.client.send_message({"method": method, "params": params, "req_id": req_id})
        return self.replies[req_id]

    async def call(self, method, params):
        reply = await asyncio.wait_for(await self.send(method, params), PATIENCE_S)
        if not reply["success"]:
            raise RuntimeError(f"{method}: {reply['error']}")
        return reply["result"]

    async def execution(self, cl_ord_id, exec_type):
        """The next execution of that kind of that order."""
        while True:
            item = await asyncio.wait_for(self.executions.get(), PATIENCE_S)
            if (item.get("cl_ord_id"), item["exec_type"]) == (cl_ord_id, exec_type):
                return item


async def connected(**executions):
    bot = Bot()
    await bot.client.start()
    await bot.call("subscribe", {"channel": "executions"} | executions)
    return bot


async def main():
    bot = await connected(snap_orders=False)

    # One id for each intent, not for each try: whoever repeats it gets the same order, never a second one.
    first = {"cl_ord_id": f"first-{int(time.time())}"}
    second = {"cl_ord_id": f"second-{int(time.time())}"}
    quote = {"symbol": "BTC/USD", "side": "buy", "order_type": "limit", "order_qty": 0.01, "limit_price": 40000}
    print("placed", (await bot.call("add_order", quote | first))["order_id"])
    seen = (await bot.execution(first["cl_ord_id"], "new"))["offset"]

    # The connection breaks with an order on its way. Did it arrive?
    await bot.send("add_order", quote | second)
    await bot.client.close()
    bot = await connected(from_offset=seen)  # exactly what came after that offset
    placed = await bot.call("add_order", quote | second)  # asking again is safe
    assert (await bot.execution(second["cl_ord_id"], "new"))["order_id"] == placed["order_id"]
    print("resumed; one order for sure", placed["order_id"])

    await bot.call("amend_order", second | {"limit_price": 40100})
    assert (await bot.execution(second["cl_ord_id"], "amended"))["limit_price"] == 40100
    for order in (first, second):
        await bot.call("cancel_order", {"cl_ord_id": [order["cl_ord_id"]]})
        await bot.execution(order["cl_ord_id"], "canceled")
    print("amended and canceled")
    await bot.client.close()


asyncio.run(main())
