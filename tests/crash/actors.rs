//! Who is active while the server is killed: bots that trade, earn and withdraw, Members who vote, and custody.

use std::collections::{BTreeMap, BTreeSet};

use countersign::server::wall_clock;
use rand::RngExt as _;
use rand::rngs::StdRng;
use rand::seq::IteratorRandom as _;
use serde_json::{Value, json};

use super::client::code;
use super::load::{Asked, Mind};

/// The strategy without periods.
pub const STRATEGY: &str = "ESTRAT1";
/// Addresses of the pool; the first is Acme's, the second Other's.
pub const ADDRESSES: [&str; 2] = ["bc1q0", "bc1q1"];
/// Votes per code; codes are scarce, so a Member waits until this many can be cast and as many are left over.
const VOTES: usize = 6;
/// A Member thinks of approving once in this many looks at the queue. All four at the first occasion would spend the
/// codes of half a minute at one instant, and a kill at that instant would leave no vote acknowledged.
const LOOKS: u32 = 16;
/// Members choose among this many requests, the same for all, so that votes meet on some requests and not on others.
const CHOICE: usize = 8;

/// A key that trades around one price, so that some orders rest and some meet others.
pub struct Trader {
    key: u8,
    /// Whether the account has an address to withdraw to.
    withdraws: bool,
    made: usize,
    /// Own orders that were acknowledged and may be open.
    placed: Vec<String>,
}

impl Trader {
    pub fn new(key: u8, withdraws: bool) -> Trader {
        Trader { key, withdraws, made: 0, placed: Vec::new() }
    }

    /// A name that no other request has.
    pub fn name(&mut self) -> String {
        self.made += 1;
        format!("k{}n{}", self.key, self.made)
    }

    /// An order that rests.
    pub fn resting(&mut self) -> Value {
        json!({"order_type": "limit", "side": "buy", "symbol": "BTC/USD", "order_qty": "0.001", "limit_price": 900,
            "cl_ord_id": self.name()})
    }

    fn order(&mut self, dice: &mut StdRng) -> Asked {
        let side = if dice.random() { "buy" } else { "sell" };
        let qty = format!("0.00{}", dice.random_range(1..10));
        let mut params = json!({"order_type": "limit", "side": side, "symbol": "BTC/USD", "order_qty": qty,
            "cl_ord_id": self.name()});
        match dice.random_range(0..10) {
            0 => params["order_type"] = json!("market"),
            _ => params["limit_price"] = json!(1_000 + dice.random_range(-20..=20)),
        }
        Asked { method: "add_order", params }
    }
}

impl Mind for Trader {
    const IN_FLIGHT: usize = 8;

    fn next(&mut self, dice: &mut StdRng) -> Option<Asked> {
        let asked = match dice.random_range(0..100) {
            0..20 if !self.placed.is_empty() => {
                let order = self.placed.swap_remove(dice.random_range(0..self.placed.len()));
                Asked { method: "cancel_order", params: json!({"order_id": [order]}) }
            }
            20..26 => {
                let method = if dice.random_range(0..3) == 0 { "earn_deallocate" } else { "earn_allocate" };
                let amount = format!("0.0{}", dice.random_range(1..10));
                Asked { method, params: json!({"strategy_id": STRATEGY, "amount": amount, "client_id": self.name()}) }
            }
            26..36 if self.withdraws => {
                let amount = format!("0.000{}", dice.random_range(2..10));
                let params = json!({"asset": "BTC", "key": "cold-1", "amount": amount, "client_id": self.name()});
                Asked { method: "withdraw", params }
            }
            _ => self.order(dice),
        };
        Some(asked)
    }

    fn done(&mut self, asked: &Asked, result: &Value) {
        if asked.method == "add_order" {
            self.placed.push(result["order_id"].as_str().unwrap().to_owned());
        }
    }
}

/// A Member who watches the queue.
pub struct Voter {
    /// The step of the last one-time code used.
    used: u64,
    /// Requests that wait for a vote, in their last form.
    pending: BTreeMap<String, Value>,
    /// Every vote that was ever sent: the request, and the decision.
    pub sent: BTreeSet<(String, &'static str)>,
}

impl Voter {
    pub fn new() -> Voter {
        Voter { used: 0, pending: BTreeMap::new(), sent: BTreeSet::new() }
    }

    /// The next one-time code that was not used yet, if there is one already.
    fn code(&mut self) -> Option<String> {
        let now = wall_clock().0 / 1_000_000 / 30;
        let step = now.max(self.used + 1);
        if step > now + 1 {
            return None;
        }
        self.used = step;
        Some(code(i64::try_from(step - now).unwrap()))
    }

    fn ballot(&mut self, votes: usize, decision: &'static str, dice: &mut StdRng) -> Vec<Value> {
        let mut ballot = Vec::new();
        for _ in 0..votes {
            // Nobody ends what another has approved, so that some quorums stay half reached across kills.
            let open = |item: &Value| decision == "approve" || item["votes"].as_array().is_some_and(Vec::is_empty);
            let open = self.pending.iter().filter(|(_, item)| open(item)).map(|(request, _)| request).take(CHOICE);
            let Some(request) = open.choose(dice).cloned() else { break };
            let item = self.pending.remove(&request).unwrap();
            ballot.push(json!({"request_id": request, "digest": item["digest"]}));
            self.sent.insert((request, decision));
        }
        ballot
    }
}

impl Mind for Voter {
    const IN_FLIGHT: usize = 2;

    fn next(&mut self, dice: &mut StdRng) -> Option<Asked> {
        if self.pending.is_empty() {
            return None;
        }
        if dice.random_range(0..15) == 0 {
            let requests = self.ballot(1, "reject", dice);
            let params = json!({"requests": requests, "reason": "not ours"});
            return (!requests.is_empty()).then_some(Asked { method: "reject", params });
        }
        let thinks = self.pending.len() >= 2 * VOTES && dice.random_range(0..LOOKS) == 0;
        let otp = if thinks { self.code() } else { None }?;
        let params = json!({"requests": self.ballot(VOTES, "approve", dice), "otp": otp});
        Some(Asked { method: "approve", params })
    }

    fn told(&mut self, item: &Value) {
        let Some(request) = item["request_id"].as_str() else { return };
        let voted = ["approve", "reject"].iter().any(|way| self.sent.contains(&(request.to_owned(), *way)));
        match item["state"] == "pending" && !voted {
            true => self.pending.insert(request.to_owned(), item.clone()),
            false => self.pending.remove(request),
        };
    }

    fn forget(&mut self, asked: &Asked) {
        let ballot = asked.params["requests"].as_array().unwrap();
        let cast = |request: &str| ballot.iter().any(|vote| vote["request_id"] == request);
        self.sent.retain(|(request, decision)| *decision != asked.method || !cast(request));
    }
}

/// The venue's custody: settles or fails what is released to it, and reports deposits.
pub struct Custodian {
    credited: usize,
    /// Withdrawals to decide on.
    released: BTreeSet<String>,
    decided: BTreeSet<String>,
}

impl Custodian {
    pub fn new() -> Custodian {
        Custodian { credited: 0, released: BTreeSet::new(), decided: BTreeSet::new() }
    }

    /// A deposit that was not reported yet.
    pub fn deposit(&mut self, address: &str, amount: &str) -> Value {
        self.credited += 1;
        json!({"asset": "BTC", "address": address, "amount": amount, "txid": format!("tx-{}", self.credited)})
    }

    /// A withdrawal that was released and not decided on yet.
    fn take_released(&mut self) -> Option<String> {
        let refid = self.released.pop_first()?;
        self.decided.insert(refid.clone());
        Some(refid)
    }
}

impl Mind for Custodian {
    const IN_FLIGHT: usize = 2;

    fn next(&mut self, dice: &mut StdRng) -> Option<Asked> {
        let roll = dice.random_range(0..100);
        if roll < 70
            && let Some(refid) = self.take_released()
        {
            let method = if roll < 50 { "settle_withdrawal" } else { "fail_withdrawal" };
            let mut params = json!({"refid": refid});
            if method == "fail_withdrawal" {
                params["reason"] = json!("no such address");
            }
            return Some(Asked { method, params });
        }
        let address = ADDRESSES[dice.random_range(0..2)];
        let amount = format!("0.000{}", dice.random_range(1..10));
        Some(Asked { method: "credit_deposit", params: self.deposit(address, &amount) })
    }

    fn told(&mut self, item: &Value) {
        let Some(refid) = item["refid"].as_str() else { return };
        if item["status"] == "Pending" && !self.decided.contains(refid) {
            self.released.insert(refid.to_owned());
        }
    }

    fn forget(&mut self, asked: &Asked) {
        if let Some(refid) = asked.params["refid"].as_str() {
            self.decided.remove(refid);
        }
    }
}
