"""Sends each line of standard input over one signed socket, and prints the reply to each; ends with 1 at the first refusal.

    python send.py ws://127.0.0.1:8080/v2 < venue.jsonl

The key is in API_KEY and its secret in API_SECRET, in the environment: others on the host can see a command line.
"""

import asyncio
import base64
import hashlib
import hmac
import json
import os
import sys
import time

import websockets

ADDRESS, KEY, SECRET = sys.argv[1], os.environ["API_KEY"], os.environ["API_SECRET"]


def signed():
    nonce = str(time.time_ns())
    text = b"/v2" + hashlib.sha256(nonce.encode()).digest()
    sign = base64.b64encode(hmac.digest(base64.b64decode(SECRET), text, "sha512")).decode()
    return {"API-Key": KEY, "API-Nonce": nonce, "API-Sign": sign}


async def main():
    async with websockets.connect(ADDRESS, additional_headers=signed()) as socket:
        for number, line in enumerate(filter(str.strip, sys.stdin), start=1):
            await socket.send(json.dumps(json.loads(line) | {"req_id": number}))
            while (reply := json.loads(await socket.recv())).get("req_id") != number:
                pass  # status and heartbeats come in between
            print(json.dumps(reply))
            if not reply.get("success"):
                sys.exit(1)


try:
    asyncio.run(main())
except websockets.InvalidStatus as refused:
    sys.exit(f"{refused.response.status_code} {refused.response.body.decode()}")
