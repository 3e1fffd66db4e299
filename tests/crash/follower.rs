//! A follower of private channels through all kills, which keeps everything that it receives.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::client::{Client, soon};
use super::load::{End, heed_until_the_end};

/// What each channel sent from its first item on.
#[derive(Default)]
pub struct Follower {
    told: BTreeMap<&'static str, Vec<Value>>,
    /// The frame that comes next on a channel that numbers them (rule 43).
    sequences: BTreeMap<&'static str, u64>,
}

impl Follower {
    pub fn of(channels: &[&'static str]) -> Follower {
        Follower { told: channels.iter().map(|channel| (*channel, Vec::new())).collect(), ..Follower::default() }
    }

    /// All that a channel sent.
    pub fn told(&self, channel: &str) -> &[Value] {
        &self.told[channel]
    }

    pub fn channels(&self) -> Vec<&'static str> {
        self.told.keys().copied().collect()
    }

    /// Subscribes from where each channel had got to; the first time from the beginning.
    pub async fn resume(&mut self, client: &mut Client) {
        self.sequences.clear();
        for channel in self.channels() {
            let from = self.told[channel].last().map_or(0, offset);
            let result = client.call("subscribe", json!({"channel": channel, "from_offset": from})).await;
            assert!(result.get("warnings").is_none(), "{channel} from {from}: {result}");
        }
    }

    /// Reads until a channel has sent a `wanted` item, as one of the last.
    pub async fn until(&mut self, client: &mut Client, channel: &str, wanted: impl Fn(&Value) -> bool) {
        self.until_all(client, channel, |told| told.iter().rev().take(100).any(&wanted)).await;
    }

    /// Reads until what a channel has sent is `wanted`.
    pub async fn until_all(&mut self, client: &mut Client, channel: &str, wanted: impl Fn(&[Value]) -> bool) {
        let read = async {
            while !wanted(&self.told[channel]) {
                self.take(&client.next().await);
            }
        };
        soon(&format!("end of {channel}"), read).await;
    }

    /// Reads until the server is gone.
    pub async fn follow_until_the_end(&mut self, mut client: Client) -> End {
        heed_until_the_end(&mut client, async |_, frame| self.take(frame)).await
    }

    fn take(&mut self, frame: &Value) {
        let Some((channel, told)) = self.told.iter_mut().find(|(channel, _)| frame["channel"] == json!(channel)) else {
            return;
        };
        assert_eq!(frame["type"], "update", "a snapshot was not asked for: {frame}");
        if let Some(sequence) = frame["sequence"].as_u64() {
            let next = self.sequences.entry(channel).or_insert(1);
            assert_eq!(sequence, *next, "{frame}");
            *next += 1;
        }
        for item in frame["data"].as_array().unwrap() {
            let last = told.last().map_or(0, offset);
            assert!(last < offset(item), "{channel} told {item} after {last}");
            told.push(item.clone());
        }
    }

    /// Compares what was received through all kills with what a new client is sent, channel by channel.
    pub async fn compare_with_a_replay(&self, client: &mut Client) {
        for (channel, told) in &self.told {
            let Some(last) = told.last() else { panic!("{channel} told nothing") };
            let mut whole = Follower::of(&[channel]);
            whole.resume(client).await;
            whole.until(client, channel, |item| offset(item) >= offset(last)).await;
            let replayed = whole.told(channel);
            let differs = told.iter().zip(replayed).find(|(told, replayed)| told != replayed);
            assert!(differs.is_none(), "{channel}: told and replayed differ: {differs:?}");
            assert_eq!(told.len(), replayed.len(), "{channel}");
            client.call("unsubscribe", json!({"channel": channel})).await;
        }
    }
}

fn offset(item: &Value) -> u64 {
    item["offset"].as_u64().unwrap()
}
