//! Parties that send requests all the time, and remember their requests and the answers.

use rand::rngs::StdRng;
use serde_json::{Value, json};
use tokio::sync::mpsc::UnboundedSender;

use super::client::Client;

/// Numbers of requests begin here; a client's own begin at 1.
const FIRST: u64 = 1_000_000;

/// A request that takes effect at most once, even if it is sent again.
#[derive(Clone, Debug)]
pub struct Asked {
    pub method: &'static str,
    pub params: Value,
}

/// The behaviour of a party.
pub trait Mind: Send + 'static {
    /// Requests under way at once.
    const IN_FLIGHT: usize;

    /// The next request, if there is one now.
    fn next(&mut self, dice: &mut StdRng) -> Option<Asked>;

    /// Takes an item of a channel that the party follows.
    fn told(&mut self, _item: &Value) {}

    /// Takes the result of a request that was executed.
    fn done(&mut self, _asked: &Asked, _result: &Value) {}

    /// Takes notice of a request that was never accepted.
    fn forget(&mut self, _asked: &Asked) {}
}

/// How a socket ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct End {
    pub code: u16,
    pub reason: String,
    /// The last state on `status`.
    pub system: String,
}

/// Reads messages and hands them to `heed` until the server is gone.
pub async fn heed_until_the_end(client: &mut Client, mut heed: impl AsyncFnMut(&mut Client, &Value)) -> End {
    let mut system = String::new();
    loop {
        match client.next_or_end().await {
            Ok(frame) => {
                if frame["channel"] == "status" {
                    system = frame["data"][0]["system"].as_str().unwrap().to_owned();
                }
                heed(client, &frame).await;
            }
            Err((code, reason)) => return End { code, reason, system },
        }
    }
}

/// A mind with its memory.
pub struct Party<M> {
    pub mind: M,
    dice: StdRng,
    /// Requests that were executed, with their results.
    pub done: Vec<(Asked, Value)>,
    /// Requests that may have been executed.
    under_way: Vec<(u64, Asked)>,
    asked: u64,
}

impl<M: Mind> Party<M> {
    pub fn new(mind: M, dice: StdRng) -> Party<M> {
        Party { mind, dice, done: Vec::new(), under_way: Vec::new(), asked: FIRST }
    }

    /// Sends requests until the server is gone; counts each answer.
    pub async fn ask_until_the_end(&mut self, mut client: Client, answers: UnboundedSender<()>) -> End {
        self.ask_what_comes_to_mind(&mut client).await;
        heed_until_the_end(&mut client, async |client, frame| {
            if frame["channel"].is_string() {
                frame["data"].as_array().into_iter().flatten().for_each(|item| self.mind.told(item));
            } else {
                let number = frame["req_id"].as_u64();
                let at = self.under_way.iter().position(|(asked, _)| Some(*asked) == number);
                let (_, asked) = self.under_way.swap_remove(at.expect("an answer to what was asked"));
                self.note(asked, frame);
                // Once the server is about to end, nobody counts any more.
                let _ = answers.send(());
            }
            self.ask_what_comes_to_mind(client).await;
        })
        .await
    }

    async fn ask_what_comes_to_mind(&mut self, client: &mut Client) {
        while self.under_way.len() < M::IN_FLIGHT
            && let Some(asked) = self.mind.next(&mut self.dice)
        {
            self.asked += 1;
            let message = json!({"method": asked.method, "req_id": self.asked, "params": asked.params});
            self.under_way.push((self.asked, asked));
            // If the server is gone, reading ends too, and with it this.
            client.try_send(&message.to_string()).await;
        }
    }

    /// Repeats every request that was not answered.
    pub async fn ask_again(&mut self, client: &mut Client) {
        for (_, asked) in std::mem::take(&mut self.under_way) {
            let reply = client.reply(asked.method, asked.params.clone()).await;
            self.note(asked, &reply);
        }
    }

    /// Requests that were not answered were not executed.
    pub fn forget(&mut self) {
        for (_, asked) in self.under_way.drain(..) {
            self.mind.forget(&asked);
        }
    }

    /// Asks for one thing, which must be done.
    pub async fn ask(&mut self, client: &mut Client, method: &'static str, params: Value) -> Value {
        let result = client.call(method, params.clone()).await;
        self.done.push((Asked { method, params }, result.clone()));
        result
    }

    fn note(&mut self, asked: Asked, reply: &Value) {
        if reply["success"] == json!(true) {
            self.mind.done(&asked, &reply["result"]);
            self.done.push((asked, reply["result"].clone()));
        }
    }

    /// The requests by a method that were executed.
    pub fn done_by(&self, method: &str) -> impl Iterator<Item = (&Value, &Value)> {
        self.done.iter().filter(move |(asked, _)| asked.method == method).map(|(asked, result)| (&asked.params, result))
    }
}
