"""SpotWSClient as its documentation uses it: subscribe, trade, cancel. Ends with 0 when all came that must come."""

import asyncio
import sys

from kraken.spot import SpotWSClient

HTTP, SOCKET, KEY, SECRET = sys.argv[1:5]


class Seen:
    """Messages so far, and who waits for the next."""

    def __init__(self):
        self.messages = []
        self.changed = asyncio.Condition()

    async def add(self, message):
        async with self.changed:
            self.messages.append(message)
            self.changed.notify_all()

    async def wait(self, what, wanted):
        def find():
            return next((message for message in self.messages if wanted(message)), None)

        async with self.changed:
            try:
                await asyncio.wait_for(self.changed.wait_for(lambda: find() is not None), 20)
            except TimeoutError:
                sys.exit(f"no {what} among {self.messages}")
        return find()

    async def reply(self, req_id):
        message = await self.wait(f"reply {req_id}", lambda m: m.get("req_id") == req_id)
        assert message["success"], message
        return message["result"]

    async def execution(self, exec_type, order_id):
        def wanted(message):
            return message.get("channel") == "executions" and any(
                item["exec_type"] == exec_type and item["order_id"] == order_id for item in message["data"]
            )

        await self.wait(f"{exec_type} of {order_id}", wanted)


async def main():
    seen = Seen()
    client = SpotWSClient(
        key=KEY, secret=SECRET, callback=seen.add, rest_url=HTTP, ws_url=SOCKET, auth_ws_url=SOCKET
    )
    await client.start()
    await client.subscribe(params={"channel": "ticker", "symbol": ["BTC/USD"]}, req_id=1)
    await client.subscribe(params={"channel": "instrument"})
    await client.subscribe(params={"channel": "executions", "snap_orders": True})
    await client.subscribe(params={"channel": "balances"})
    for channel in ("ticker", "instrument", "executions", "balances"):
        await seen.wait(f"{channel} snapshot", lambda m: m.get("channel") == channel and m["type"] == "snapshot")
    order = {"order_type": "limit", "side": "buy", "order_qty": 0.1, "limit_price": 40000.1, "symbol": "BTC/USD"}
    await client.send_message({"method": "add_order", "req_id": 11, "params": order | {"cl_ord_id": "stock-1"}})
    resting = (await seen.reply(11))["order_id"]
    await seen.execution("new", resting)
    await client.send_message({"method": "cancel_order", "req_id": 12, "params": {"order_id": [resting]}})
    assert (await seen.reply(12))["order_id"] == resting
    await seen.execution("canceled", resting)
    market = {"order_type": "market", "side": "buy", "order_qty": 0.01, "symbol": "BTC/USD"}
    await client.send_message({"method": "add_order", "req_id": 13, "params": market})
    await seen.execution("filled", (await seen.reply(13))["order_id"])
    await client.send_message({"method": "add_order", "req_id": 14, "params": order})
    await seen.reply(14)
    await client.send_message({"method": "cancel_all", "req_id": 15})
    assert (await seen.reply(15))["count"] >= 1
    # Methods that the client does not know go out on its public socket and bring their own token.
    token = (await client.get_ws_token())["token"]
    await client.send_message({"method": "key_info", "req_id": 16, "params": {"token": token}})
    assert (await seen.reply(16))["service_user"] == "Treasury Bot"
    assert any(s["channel"] == "executions" for s in client.active_private_subscriptions)
    assert any(s["channel"] == "ticker" for s in client.active_public_subscriptions)
    await client.close()


asyncio.run(main())
