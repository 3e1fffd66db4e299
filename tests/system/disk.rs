//! A data directory on a disk that is full: what is told, what is served, and what is there afterwards.

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use countersign::access::scope::ScopeSet;
use serde_json::{Value, json};

use super::client::{Client, http};
use super::world::{World, key};

/// Bytes of the small disk.
const SIZE: usize = 24 << 20;

/// A small file system in memory, mounted on a directory.
struct Disk {
    at: PathBuf,
}

impl Disk {
    fn mount(at: &Path) -> Disk {
        let mut mount = Command::new("mount");
        mount.args(["-t", "tmpfs", "-o", &format!("size={SIZE}"), "none"]).arg(at);
        let mounted = mount.status().is_ok_and(|status| status.success());
        assert!(mounted, "a small file system cannot be mounted: run this suite as root, with `mount` installed");
        Disk { at: at.to_owned() }
    }

    /// Leaves no byte free.
    fn fill(&self) {
        let mut ballast = std::fs::File::create(self.at.join("ballast")).unwrap();
        while ballast.write_all(&[0; 4_096]).is_ok() {}
    }

    fn free(&self) {
        std::fs::remove_file(self.at.join("ballast")).unwrap();
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("--lazy").arg(&self.at).status();
    }
}

fn order(price: usize) -> Value {
    json!({"order_type": "limit", "side": "buy", "symbol": "BTC/USD", "order_qty": "0.1", "limit_price": 1_000 + price})
}

/// Orders until one is not acknowledged; those that were, and what the first other one was told.
async fn order_until_refused(bot: &mut Client, acknowledged: &mut Vec<Value>) -> String {
    loop {
        let reply = bot.reply("add_order", order(1 + acknowledged.len() % 100)).await;
        match reply["success"] == json!(true) {
            true => acknowledged.push(reply["result"]["order_id"].clone()),
            false => return reply["error"].as_str().unwrap().to_owned(),
        }
    }
}

async fn open_orders(bot: &mut Client) -> Vec<Value> {
    let told = bot.call("open_orders", json!({})).await;
    let mut open: Vec<Value> =
        told["orders"].as_array().unwrap().iter().map(|order| order["order_id"].clone()).collect();
    open.sort_by_key(ToString::to_string);
    open
}

fn sorted(orders: &[Value]) -> Vec<Value> {
    let mut orders = orders.to_vec();
    orders.sort_by_key(ToString::to_string);
    orders
}

async fn system(bot: &mut Client) -> Value {
    bot.frame("status").await["data"][0]["system"].clone()
}

#[tokio::test(flavor = "multi_thread")]
async fn d6_70_a_full_disk_is_told_reads_go_on_nothing_acknowledged_is_lost_and_it_goes_on_when_there_is_room() {
    let mut mounted = None;
    let configure = |config: &mut countersign::config::Config| mounted = Some(Disk::mount(&config.data_dir));
    let mut world = World::configured(&[key(ScopeSet::ALL)], configure).await;
    let disk = mounted.unwrap();
    let (mut bot, mut watcher, mut reader) = (world.bot(1).await, world.bot(1).await, world.bot(1).await);
    watcher.subscribe("executions").await;
    assert_eq!(system(&mut bot).await, "online");
    let mut acknowledged = Vec::new();
    for price in 1..20 {
        acknowledged.push(bot.call("add_order", order(price)).await["order_id"].clone());
    }
    disk.fill();
    let refused = order_until_refused(&mut bot, &mut acknowledged).await;
    assert!(refused.starts_with("EService:Unavailable: the outcome is not known"), "{refused}");
    assert_eq!(system(&mut bot).await, "maintenance");
    let refused = bot.refused("add_order", order(1)).await;
    assert!(refused.starts_with("EService:Unavailable: nothing was done"), "{refused}");
    assert_eq!(open_orders(&mut reader).await, sorted(&acknowledged), "what is told is what is stored");
    let (status, ..) = http(world.address, "GET", "/healthz", &[], "").await;
    assert_eq!(status, 503);
    let mut bare = Client::bare(world.address).await;
    assert_eq!(system(&mut bare).await, "maintenance");
    bare.call("subscribe", json!({"channel": "book", "symbol": ["BTC/USD"]})).await;

    disk.free();
    assert_eq!(system(&mut bot).await, "online");
    let after = bot.call("add_order", order(7)).await["order_id"].clone();
    acknowledged.push(after.clone());
    assert_eq!(open_orders(&mut reader).await, sorted(&acknowledged));
    let mut streamed = Vec::new();
    while streamed.last() != Some(&after) {
        let frame = watcher.frame("executions").await;
        let items = frame["data"].as_array().unwrap().iter();
        streamed.extend(items.filter(|item| item["exec_type"] == "new").map(|item| item["order_id"].clone()));
    }
    assert_eq!(streamed, acknowledged, "the stream has no gap and nothing that was not stored");

    disk.fill();
    order_until_refused(&mut bot, &mut acknowledged).await;
    assert_eq!(system(&mut bot).await, "maintenance");
    drop((bot, watcher, reader, bare));
    let stopped = world.server.take().unwrap().stop().await.unwrap_err().to_string();
    assert!(stopped.contains("the storage takes no writes"), "{stopped}");
    disk.free();
    world.start().await;
    assert_eq!(open_orders(&mut world.bot(1).await).await, sorted(&acknowledged), "all of them, and no other");
}
