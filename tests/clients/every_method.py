"""Every trading method and every channel of v2, through SpotWSClient as it comes. What was used is printed, for the
test to compare with the table of operations."""

import asyncio
import sys

from kraken.spot import SpotWSClient

HTTP, SOCKET, KEY, SECRET = sys.argv[1:5]
LIMIT = {"order_type": "limit", "side": "buy", "order_qty": 0.1, "limit_price": 20000.1}
PAIR = {"symbol": "BTC/USD"}


async def main():
    inbox = asyncio.Queue()
    client = SpotWSClient(
        key=KEY, secret=SECRET, callback=inbox.put, rest_url=HTTP, ws_url=SOCKET, auth_ws_url=SOCKET
    )
    await client.start()

    async def until(what, wanted):
        while True:
            try:
                message = await asyncio.wait_for(inbox.get(), 20)
            except TimeoutError:
                sys.exit(f"no {what}")
            if wanted(message):
                return message

    numbers = iter(range(1, 1000))

    async def call(method, params=None):
        req_id = next(numbers)
        message = {"method": method, "req_id": req_id} | ({"params": params} if params is not None else {})
        await client.send_message(message)
        reply = await until(f"reply to {method}", lambda m: m.get("req_id") == req_id)
        assert reply["success"], reply
        print("used", method)
        return reply["result"]

    for params in (
        {"channel": "book", "symbol": ["BTC/USD"], "depth": 25},
        {"channel": "level3", "symbol": ["BTC/USD"]},
        {"channel": "ohlc", "symbol": ["BTC/USD"], "interval": 5},
        {"channel": "trade", "symbol": ["BTC/USD"], "snapshot": True},
        {"channel": "ticker", "symbol": ["BTC/USD"], "event_trigger": "bbo"},
        {"channel": "instrument"},
        {"channel": "executions", "snap_orders": True, "ratecounter": True},
        {"channel": "balances", "snapshot": True},
    ):
        await client.subscribe(params=params)
        channel = params["channel"]
        await until(f"snapshot of {channel}", lambda m: m.get("channel") == channel and m["type"] == "snapshot")
        print("used", channel)

    placed = await call("add_order", LIMIT | PAIR | {"cl_ord_id": "every-1", "validate": False})
    amended = await call("amend_order", {"order_id": placed["order_id"], "limit_price": 20000.2})
    assert amended["amend_id"]
    assert (await call("amend_order", {"cl_ord_id": "every-1", "order_qty": 0.2}))["cl_ord_id"] == "every-1"
    plain = await call("add_order", LIMIT | PAIR)
    edited = await call("edit_order", {"order_id": plain["order_id"], "order_qty": 0.3} | PAIR)
    assert edited["original_order_id"] == plain["order_id"] != edited["order_id"]
    rows = await call("batch_add", PAIR | {"orders": [LIMIT, LIMIT | {"limit_price": 19000.0}]})
    count = await call("batch_cancel", {"orders": [row["order_id"] for row in rows]})
    assert count["count"] == 2
    canceled = await call("cancel_order", {"order_id": [edited["order_id"]]})
    assert canceled["order_id"] == edited["order_id"]
    stop = {"order_type": "stop-loss-limit", "side": "sell", "order_qty": 0.01, "limit_price": 900.0}
    await call("add_order", stop | PAIR | {"triggers": {"reference": "last", "price": 1000.0, "price_type": "static"}})
    iceberg = LIMIT | PAIR | {"order_type": "iceberg", "display_qty": 0.02}
    await call("add_order", iceberg)
    armed = await call("cancel_all_orders_after", {"timeout": 60})
    assert armed["triggerTime"] > armed["currentTime"]
    assert (await call("cancel_all_orders_after", {"timeout": 0}))["triggerTime"] == "0"
    assert (await call("cancel_all"))["count"] == 3
    await client.send_message({"method": "ping", "req_id": 999})
    await until("pong", lambda m: m.get("method") == "pong" and m.get("req_id") == 999)
    print("used ping")
    for channel in ("book", "level3", "ohlc"):
        params = {"channel": channel, "symbol": ["BTC/USD"]}
        params |= {"book": {"depth": 25}, "ohlc": {"interval": 5}}.get(channel, {})
        await client.unsubscribe(params=params)
        await until(f"end of {channel}", lambda m: m.get("method") == "unsubscribe" and m["success"])
    await client.close()


asyncio.run(main())
