//! Everybody who is active while the server is killed or stopped, and what they may expect after its restart.

use std::fs::Permissions;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use countersign::access::key::KeySettings;
use countersign::access::workflow::{Permission, Permissions as Rights, Workflow};
use countersign::config::{Config, DatabaseUrl};
use countersign::engine::members::Kyc;
use futures::future::join_all;
use rand::rngs::StdRng;
use rand::{RngExt as _, SeedableRng as _};
use serde_json::{Value, json};
use tokio::sync::mpsc;

use super::actors::{ADDRESSES, Custodian, STRATEGY, Trader, Voter};
use super::checks;
use super::client::{Client, code};
use super::follower::Follower;
use super::load::{End, Party};
use super::served::Served;
use super::world::{MASTER, Person, Wanted, World, api_key, secret, with};

const MEMBERS: usize = 4;
/// Keys and the accounts that they act on, counted from 0: Acme has two, Other one.
const KEYS: [(u8, usize); 3] = [(1, 0), (2, 0), (3, 1)];
const VENUE: u8 = 200;
/// How long everybody may be active until the server has ended.
const WORK_MAX: Duration = Duration::from_secs(180);
const ACCOUNT: [&str; 6] = ["executions", "balances", "ledger", "earn", "deposits", "withdrawals"];

/// Two Organizations; Acme's Members may approve, and its withdrawals need one of them. One more may set policies.
pub async fn world(database: Option<&str>) -> World {
    let mut permissions = Rights::none();
    Workflow::ALL.into_iter().for_each(|workflow| permissions.grant(workflow, Permission::Approve));
    let person = |number| Person { name: format!("m{number}"), permissions: permissions.clone(), kyc: Kyc::Verified };
    let mut people: Vec<Person> = (0..MEMBERS).map(person).collect();
    let mut permissions = Rights::none();
    permissions.grant(Workflow::ManagePolicies, Permission::Initiate);
    people.push(Person { name: "head".to_owned(), permissions, kyc: Kyc::Verified });
    // Handshakes of one key may arrive in any order.
    let wide = KeySettings { nonce_window: u64::MAX, ..KeySettings::default() };
    let wanted = KEYS.map(|(_, account)| Wanted { organization: account as u32 + 1, ..with(wide.clone()) });
    let database = database.map(|url| DatabaseUrl::parse(url).unwrap());
    let change = |config: &mut Config| {
        config.data_dir.push("data");
        config.database = database;
    };
    let mut world = World::made(&wanted, &people, true, change).await;
    world.stop().await;
    let master = world.dir().join("master.key");
    std::fs::write(&master, MASTER).unwrap();
    std::fs::set_permissions(&master, Permissions::from_mode(0o600)).unwrap();
    world
}

/// The settings file of the child. Snapshots are saved often, so that most starts use one.
pub fn settings(dir: &Path, database: Option<&str>, ring: usize) -> PathBuf {
    settings_with(dir, database, &format!("replay_ring = {ring}\nsnapshot_events = 500\n"))
}

/// The same with these limits.
pub fn settings_with(dir: &Path, database: Option<&str>, limits: &str) -> PathBuf {
    let file = dir.join("countersign.toml");
    let database = database.map(|url| format!("database = {url:?}\n")).unwrap_or_default();
    let text = format!("{database}listen = '127.0.0.1:0'\n[rates]\ntier = 'unlimited'\n[limits]\n{limits}");
    std::fs::write(&file, text).unwrap();
    file
}

/// A server on that file.
pub async fn start(settings: &Path) -> Served {
    Served::start(settings, ("warn", Stdio::inherit())).await
}

/// Everybody, for as long as the test lasts.
pub struct Cast {
    /// Votes that a withdrawal of Acme's needs.
    quorum: usize,
    /// How often a request had votes, but too few, after a restart.
    half_reached: usize,
    traders: Vec<Party<Trader>>,
    voters: Vec<Party<Voter>>,
    custodian: Party<Custodian>,
    /// Of both accounts, of Acme's approval queue, and of custody.
    followers: Vec<Follower>,
    /// The Members' sessions, which outlive the server.
    cookies: Vec<String>,
}

/// The sockets of everybody.
pub struct Present {
    traders: Vec<Client>,
    voters: Vec<Client>,
    venue: Client,
    followers: Vec<Client>,
}

async fn bot(served: &Served, number: u8) -> Client {
    Client::signed(served.address, &api_key(number), &secret(number)).await.unwrap()
}

impl Cast {
    pub fn new(dice: &mut StdRng, quorum: usize) -> Cast {
        let mut own = || StdRng::seed_from_u64(dice.random());
        Cast {
            quorum,
            half_reached: 0,
            traders: KEYS.map(|(key, account)| Party::new(Trader::new(key, account == 0), own())).into(),
            voters: (0..MEMBERS).map(|_| Party::new(Voter::new(), own())).collect(),
            custodian: Party::new(Custodian::new(), own()),
            followers: [&ACCOUNT[..], &ACCOUNT[..5], &["approvals"], &["custody"]].map(Follower::of).into(),
            cookies: Vec::new(),
        }
    }

    /// The sockets of the followers.
    async fn watch(&self, served: &Served) -> Vec<Client> {
        let member = Client::with_cookie(served.address, &self.cookies[0]).await.unwrap();
        vec![bot(served, 1).await, bot(served, 3).await, member, bot(served, VENUE).await]
    }

    /// Everybody connects, and the streams are resumed.
    pub async fn come_back(&mut self, served: &Served) -> Present {
        if self.cookies.is_empty() {
            self.settle_in(served).await;
        }
        let mut present = Present {
            traders: Vec::new(),
            voters: Vec::new(),
            venue: bot(served, VENUE).await,
            followers: self.watch(served).await,
        };
        for (key, _) in KEYS {
            present.traders.push(bot(served, key).await);
        }
        for cookie in &self.cookies {
            present.voters.push(Client::with_cookie(served.address, cookie).await.unwrap());
        }
        for (follower, client) in self.followers.iter_mut().zip(&mut present.followers) {
            follower.resume(client).await;
        }
        present
    }

    /// Everybody repeats the requests that were not answered.
    pub async fn ask_again(&mut self, present: &mut Present) {
        for (party, client) in self.traders.iter_mut().zip(&mut present.traders) {
            party.ask_again(client).await;
        }
        for (party, client) in self.voters.iter_mut().zip(&mut present.voters) {
            party.ask_again(client).await;
        }
        self.custodian.ask_again(&mut present.venue).await;
    }

    /// Requests that were not answered were not executed.
    pub fn forget_what_was_not_answered(&mut self) {
        self.traders.iter_mut().for_each(Party::forget);
        self.voters.iter_mut().for_each(Party::forget);
        self.custodian.forget();
    }

    /// The quorum is set, the Members sign in, and each account gets a deposit address.
    async fn settle_in(&mut self, served: &Served) {
        if self.quorum > 1 {
            let mut head = Client::member(served.address, "head@acme.test", 0).await.unwrap();
            let policy = json!({"workflow": "initiate_withdrawal", "quorum": self.quorum, "otp": code(0)});
            assert_eq!(head.call("set_policy", policy).await["state"], "executed");
        }
        for number in 0..MEMBERS {
            self.cookies.push(Client::sign_in(served.address, &format!("m{number}@acme.test"), 0).await);
        }
        let addresses = ADDRESSES.map(|address| json!({"address": address}));
        let pool = json!({"asset": "BTC", "addresses": addresses});
        bot(served, VENUE).await.call("add_deposit_addresses", pool).await;
        for (key, address) in [1, 3].into_iter().zip(ADDRESSES) {
            let own = bot(served, key).await.call("deposit_addresses", json!({"asset": "BTC"})).await;
            assert_eq!(own["addresses"][0]["address"], address);
        }
    }

    /// Does one more thing on each channel, and lets the followers read until they have received it.
    async fn read_up_to_now(&mut self, present: &mut Present) {
        let Cast { traders, custodian, followers, .. } = self;
        for (account, trader) in [0, 2].into_iter().enumerate() {
            let (party, client) = (&mut traders[trader], &mut present.traders[trader]);
            let (follower, watcher) = (&mut followers[account], &mut present.followers[account]);
            let order = party.mind.resting();
            let order = party.ask(client, "add_order", order).await["order_id"].clone();
            follower.until(watcher, "executions", |item| item["order_id"] == order && item["exec_type"] == "new").await;
            let earn = json!({"strategy_id": STRATEGY, "amount": "0.01", "client_id": party.mind.name()});
            let earned = party.ask(client, "earn_allocate", earn).await["operation_id"].clone();
            follower.until(watcher, "earn", |item| item["operation_id"] == earned).await;
            let deposit = custodian.mind.deposit(ADDRESSES[account], "0.0001");
            let deposit = custodian.ask(&mut present.venue, "credit_deposit", deposit).await["refid"].clone();
            follower.until(watcher, "deposits", |item| item["refid"] == deposit).await;
            for channel in ["balances", "ledger"] {
                follower.until(watcher, channel, |item| item["ref_id"] == deposit).await;
            }
        }
        let (party, client) = (&mut traders[0], &mut present.traders[0]);
        let asked = json!({"asset": "BTC", "key": "cold-1", "amount": "0.0002", "client_id": party.mind.name()});
        let asked = party.ask(client, "withdraw", asked).await;
        let is_request = |item: &Value| item["request_id"] == asked["request_id"];
        followers[0].until(&mut present.followers[0], "withdrawals", is_request).await;
        followers[2].until(&mut present.followers[2], "approvals", is_request).await;
        let released = checks::released(followers[0].told("withdrawals"));
        let (custody, watcher) = (&mut followers[3], &mut present.followers[3]);
        custody.until_all(watcher, "custody", |told| checks::released(told) >= released).await;
    }

    /// Everything that anybody received so far is consistent, also with the server's answers.
    pub async fn agree(&mut self, served: &Served, present: &mut Present) {
        self.read_up_to_now(present).await;
        let [acme, other, approvals, custody] = &self.followers[..] else { unreachable!("four of them") };
        let traders: Vec<&Party<Trader>> = self.traders.iter().collect();
        for (parties, follower) in [(&traders[..2], acme), (&traders[2..], other)] {
            checks::orders(parties, follower);
            checks::earned(parties, follower);
        }
        checks::withdrawals(&traders[..2], acme);
        for (trader, follower) in [(0, acme), (2, other)] {
            checks::order_queries(&mut present.traders[trader], &self.traders[trader], follower).await;
            checks::balances(&mut bot(served, KEYS[trader].0).await, follower).await;
        }
        checks::deposits(&self.custodian, &[acme, other]);
        self.half_reached += checks::votes(self.quorum, &self.voters, approvals, acme);
        checks::settlements(&self.custodian, custody, acme);
        checks::trades_balance(&[acme, other]);
    }

    /// What was received piece by piece equals what a new client is sent at once.
    pub async fn compare_with_replays(&self, served: &Served) {
        for (follower, mut client) in self.followers.iter().zip(self.watch(served).await) {
            follower.compare_with_a_replay(&mut client).await;
        }
    }

    /// Everybody sends requests and follows until `answers` have arrived; then `end` is done to the server in the
    /// middle of it. Returns how each socket ended.
    pub async fn ask_until(&mut self, present: Present, answers: usize, end: impl FnOnce()) -> Vec<End> {
        let Present { traders, mut voters, mut venue, followers } = present;
        venue.subscribe("custody").await;
        for client in &mut voters {
            client.subscribe("approvals").await;
        }
        let (counter, mut come) = mpsc::unbounded_channel();
        let ending = async {
            for _ in 0..answers {
                come.recv().await.expect("the server ended by itself");
            }
            end();
        };
        let pairs = self.traders.iter_mut().zip(traders);
        let trading = join_all(pairs.map(|(party, client)| party.ask_until_the_end(client, counter.clone())));
        let pairs = self.voters.iter_mut().zip(voters);
        let voting = join_all(pairs.map(|(party, client)| party.ask_until_the_end(client, counter.clone())));
        let pairs = self.followers.iter_mut().zip(followers);
        let following = join_all(pairs.map(|(follower, client)| follower.follow_until_the_end(client)));
        let custody = self.custodian.ask_until_the_end(venue, counter);
        let all = async { tokio::join!(custody, trading, voting, following, ending) };
        let (custody, trading, voting, following, ()) =
            tokio::time::timeout(WORK_MAX, all).await.expect("the server goes on, or ends as it is told to");
        [vec![custody], trading, voting, following].concat()
    }

    /// A load without variety would prove nothing.
    pub fn require_some_of_everything(&self, rounds: u64) {
        let by = |method: &str| self.traders.iter().map(|party| party.done_by(method).count() as u64).sum::<u64>();
        let voted = |method: &str| {
            let done = self.voters.iter().flat_map(|party| party.done_by(method));
            done.map(|(_, result)| checks::taken(result).count() as u64).sum::<u64>()
        };
        let custody = |method: &str| self.custodian.done_by(method).count() as u64;
        let trades = self.followers[0].told("executions").iter().filter(|item| item["exec_type"] == "trade").count();
        let counts = [
            ("orders", by("add_order"), 15 * rounds),
            ("fills", trades as u64, rounds),
            ("cancels", by("cancel_order"), rounds),
            ("allocated", by("earn_allocate"), rounds),
            ("deallocated", by("earn_deallocate"), 1),
            ("withdrawals", by("withdraw"), rounds),
            // A Member gets a code only every half minute, however often the server is killed.
            ("votes for", voted("approve"), 1 + rounds / 20),
            ("votes against", voted("reject"), rounds / 5),
            ("quorums half reached", self.half_reached as u64, if self.quorum > 1 { rounds / 5 } else { 0 }),
            ("settled or failed", custody("settle_withdrawal") + custody("fail_withdrawal"), 1 + rounds / 5),
            ("deposits", custody("credit_deposit"), rounds),
        ];
        println!("{counts:?}");
        for (what, count, least) in counts {
            assert!(count >= least, "{count} {what}: too few to show anything");
        }
    }
}
