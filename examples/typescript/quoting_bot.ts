// A bot with a signed handshake: it quotes, loses an answer, resumes, asks again, amends and cancels.
//
//     npm ci && npm run build && node built/quoting_bot.js ws://127.0.0.1:8080/v2 API_KEY API_SECRET
import assert from "node:assert/strict";
import { createHash, createHmac } from "node:crypto";
import { once } from "node:events";
import WebSocket from "ws";

const [url = "", key = "", secret = ""] = process.argv.slice(2);
const PATIENCE_MS = 20_000;

type Execution = { exec_type: string; order_id: string; cl_ord_id?: string; limit_price?: number; offset: number };
type Reply = { req_id?: number; success: boolean; error?: string; result: { order_id: string } };
type Frame = { channel: string; data: unknown };

/** The three headers of a signed upgrade. A nonce is higher than any before on this key: nanoseconds. */
function signed(nonce = String(BigInt(Date.now()) * 1_000_000n)): Record<string, string> {
  const hash = createHash("sha256").update(nonce).digest();
  const sign = createHmac("sha512", Buffer.from(secret, "base64")).update("/v2").update(hash).digest("base64");
  return { "API-Key": key, "API-Nonce": nonce, "API-Sign": sign };
}

/** One connection: replies are found by req_id, executions wait in a list. */
class Bot {
  private requests = 0;
  private replies = new Map<number, (reply: Reply) => void>();
  private executions: Execution[] = [];
  private arrived = () => {};

  private constructor(readonly socket: WebSocket) {
    socket.on("message", (text) => this.take(JSON.parse(String(text))));
  }

  static async connected(executions: object): Promise<Bot> {
    const bot = new Bot(new WebSocket(url, { headers: signed() }));
    await once(bot.socket, "open");
    await bot.call("subscribe", { channel: "executions", ...executions });
    return bot;
  }

  private take(message: Frame | Reply) {
    if ("channel" in message) {
      if (message.channel !== "executions") return;
      this.executions.push(...(message.data as Execution[]));
      this.arrived();
    } else if (message.req_id !== undefined) {
      this.replies.get(message.req_id)?.(message);
      this.replies.delete(message.req_id);
    }
  }

  send(method: string, params: object): number {
    this.socket.send(JSON.stringify({ method, params, req_id: ++this.requests }));
    return this.requests;
  }

  async call(method: string, params: object): Promise<Reply["result"]> {
    const req_id = this.send(method, params);
    const reply = await new Promise<Reply>((resolve) => this.replies.set(req_id, resolve));
    if (!reply.success) throw new Error(`${method}: ${reply.error}`);
    return reply.result;
  }

  /** The next execution of that kind of that order. */
  async execution(cl_ord_id: string, exec_type: string): Promise<Execution> {
    for (;;) {
      const item = this.executions.shift();
      if (item?.cl_ord_id === cl_ord_id && item.exec_type === exec_type) return item;
      if (!item) await new Promise<void>((resolve) => (this.arrived = resolve));
    }
  }
}

setTimeout(() => assert.fail("the server does not answer"), PATIENCE_MS).unref();
let bot = await Bot.connected({ snap_orders: false });

// One id for each intent, not for each try: whoever repeats it gets the same order, never a second one.
const [first, second] = ["first", "second"].map((name) => ({ cl_ord_id: `${name}-${Date.now() % 1e9}` })) as [
  { cl_ord_id: string },
  { cl_ord_id: string },
];
const quote = { symbol: "BTC/USD", side: "buy", order_type: "limit", order_qty: 0.01, limit_price: 40000 };
console.log("placed", (await bot.call("add_order", { ...quote, ...first })).order_id);
const seen = (await bot.execution(first.cl_ord_id, "new")).offset;

// The connection breaks with an order on its way. Did it arrive?
bot.send("add_order", { ...quote, ...second });
bot.socket.close();
await once(bot.socket, "close");
bot = await Bot.connected({ from_offset: seen }); // exactly what came after that offset
const placed = await bot.call("add_order", { ...quote, ...second }); // asking again is safe
assert.equal((await bot.execution(second.cl_ord_id, "new")).order_id, placed.order_id);
console.log("resumed; one order for sure", placed.order_id);

await bot.call("amend_order", { ...second, limit_price: 40100 });
assert.equal((await bot.execution(second.cl_ord_id, "amended")).limit_price, 40100);
for (const { cl_ord_id } of [first, second]) {
  await bot.call("cancel_order", { cl_ord_id: [cl_ord_id] });
  await bot.execution(cl_ord_id, "canceled");
}
console.log("amended and canceled");
bot.socket.close();
