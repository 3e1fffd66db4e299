"""Every method and channel that is not v2's, through SpotWSClient as it comes: they go out on its public socket, with a
token of the caller's. What was used is printed, for the test to compare with the table of operations."""

import asyncio
import sys

from kraken.spot import SpotWSClient

HTTP, SOCKET, KEY, SECRET = sys.argv[1:5]
PATIENCE_S = 20


async def main():
    inbox = asyncio.Queue()
    client = SpotWSClient(
        key=KEY, secret=SECRET, callback=inbox.put, rest_url=HTTP, ws_url=SOCKET, auth_ws_url=SOCKET
    )
    await client.start()
    token = (await client.get_ws_token())["token"]
    numbers = iter(range(1, 1000))

    async def until(wanted):
        while True:
            message = await asyncio.wait_for(inbox.get(), PATIENCE_S)
            if wanted(message):
                return message

    async def reply(method, params):
        req_id = next(numbers)
        await client.send_message({"method": method, "req_id": req_id, "params": params | {"token": token}})
        return await until(lambda m: m.get("req_id") == req_id)

    async def call(method, /, **params):
        answer = await reply(method, params)
        assert answer["success"], answer
        print("used", method)
        return answer["result"]

    assert (await until(lambda m: m.get("channel") == "status"))["data"][0]["system"] == "online"
    print("used status")
    for channel in ("ledger", "earn", "deposits", "withdrawals"):
        answer = await reply("subscribe", {"channel": channel})
        assert answer["success"], answer
        snapshot = await until(lambda m, channel=channel: m.get("channel") == channel)
        assert snapshot["type"] == "snapshot", snapshot
        print("used", channel)

    assert (await call("key_info"))["service_user"] == "Treasury Bot"
    assert any(row["asset"] == "BTC" for row in (await call("get_balances"))["balances"])
    assert isinstance((await call("open_orders"))["orders"], list)
    closed = (await call("closed_orders", limit=5))["orders"]
    assert (await call("query_orders", order_id=[closed[0]["order_id"]]))["orders"] == closed[:1]
    assert (await call("trades_history", symbol="BTC/USD"))["trades"]
    entries = (await call("ledgers", asset="BTC"))["entries"]
    assert (await call("query_ledgers", ledger_id=[entries[0]["ledger_id"]]))["entries"] == entries[:1]
    position = {"order_type": "settle-position", "side": "sell", "order_qty": 1, "symbol": "BTC/USD"}
    assert (await reply("add_order", position))["error"] == "EOrder:Unknown position"
    print("used settle_position")

    export_id = (await call("export_add", report="trades", format="csv"))["export_id"]
    async with asyncio.timeout(PATIENCE_S):
        while (await call("export_status", export_id=export_id))["exports"][0]["status"] != "Processed":
            pass
    assert (await call("export_retrieve", export_id=export_id))["url"].startswith("/")
    assert (await call("export_remove", export_id=export_id))["removed"]

    strategies = (await call("earn_strategies", asset="ETH"))["strategies"]
    flexible = next(of["id"] for of in strategies if of["lock_type"]["type"] == "flex")
    await call("earn_allocate", strategy_id=flexible, amount=2)
    assert (await call("earn_allocations", asset="ETH"))["allocations"]
    await call("earn_status", strategy_id=flexible)
    await call("earn_deallocate", strategy_id=flexible, amount=1)

    method = (await call("deposit_methods", asset="BTC"))["methods"][0]["method"]
    assert (await call("deposit_addresses", asset="BTC", method=method))["addresses"]
    assert isinstance((await call("deposit_status", asset="BTC"))["deposits"], list)
    assert (await call("withdraw_methods", asset="BTC"))["methods"]
    assert (await call("withdraw_addresses", asset="BTC"))["addresses"][0]["key"] == "cold-1"
    asked = {"asset": "BTC", "key": "cold-1", "amount": 0.1}
    assert (await call("withdraw_info", **asked))["approval"]["required"]
    withdrawal = await call("withdraw", **asked, client_id="extensions")
    assert withdrawal["status"] == "Initial"
    assert (await call("withdraw_status", refid=withdrawal["refid"]))["withdrawals"][0]["status"] == "Initial"
    assert (await call("withdraw_cancel", refid=withdrawal["refid"]))["canceled"]
    await client.close()


asyncio.run(main())
