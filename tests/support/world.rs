//! A server in this process on a small world.

use std::fs::File;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;
use std::time::{Duration, Instant};

use countersign::access::tier::{Tier, Tiers};
use countersign::config::Config;
use countersign::engine::command::Command;
use countersign::gateway::passwords::hash_password;
use countersign::gateway::secrets::MasterKey;
use countersign::gateway::sign_in::totp_context;
use countersign::server::{Plan, Server};
use serde_json::{Value, json};

use super::client::{Client, PASSWORD, TOTP, code, soon};
pub use super::genesis::{Person, Wanted, api_key, key, other, people, with};
use super::genesis::{Secrets, events};

pub const MASTER: &str = "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=";

pub struct World {
    pub server: Option<Server>,
    pub address: SocketAddr,
    dir: tempfile::TempDir,
    config: Config,
}

/// The secret of key `number`: its bytes are its number.
pub fn secret(number: u8) -> Vec<u8> {
    vec![number; 64]
}

impl World {
    /// Keys are numbered from 1 in the order given; the venue operator's is 200.
    pub async fn new(keys: &[Wanted]) -> World {
        World::governed(keys, true).await
    }

    /// `policy`: whether withdrawals need one approval.
    pub async fn governed(keys: &[Wanted], policy: bool) -> World {
        World::made(keys, &people(), policy, |_| {}).await
    }

    /// Settings other than the defaults.
    pub async fn configured(keys: &[Wanted], change: impl FnOnce(&mut Config)) -> World {
        World::made(keys, &people(), true, change).await
    }

    /// Members other than Alice, Bob and Carol.
    pub async fn peopled(keys: &[Wanted], people: &[Person]) -> World {
        World::made(keys, people, true, |_| {}).await
    }

    /// With all of these given.
    pub async fn made(keys: &[Wanted], people: &[Person], policy: bool, change: impl FnOnce(&mut Config)) -> World {
        let dir = tempfile::tempdir().unwrap();
        let genesis = genesis(keys, people, policy);
        let mut config = unlimited(SocketAddr::from((Ipv4Addr::LOCALHOST, 0)), dir.path());
        change(&mut config);
        let (server, address) = start(config.clone(), Some(genesis)).await;
        World { server: Some(server), address, dir, config }
    }

    /// Stops in order and starts again on the same data and port, with the same settings.
    pub async fn restart(&mut self) {
        self.stop().await;
        self.start().await;
    }

    pub async fn stop(&mut self) {
        soon("end of the server", self.server.take().unwrap().stop()).await.unwrap();
    }

    pub async fn start(&mut self) {
        self.unlocked().await;
        let mut config = self.config.clone();
        config.listen = self.address;
        let (server, address) = start(config, None).await;
        (self.server, self.address) = (Some(server), address);
    }

    /// Waits until the lock of the data is free. Until a child that another test starts runs its own program, it has a
    /// copy of every open file, and so the lock of a server that has stopped in the meantime.
    pub async fn unlocked(&self) {
        let Ok(lock) = File::open(self.config.data_dir.join("lock")) else { return };
        let began = Instant::now();
        while lock.try_lock().is_err() {
            assert!(began.elapsed() < Duration::from_secs(20), "the lock of a stopped server is free");
            tokio::task::yield_now().await;
        }
    }

    pub fn dir(&self) -> &Path {
        self.dir.path()
    }

    /// Stops in order and tries to start with another master key; returns what the operator is told.
    pub async fn restart_with(&mut self, master: &str) -> String {
        self.stop().await;
        let config = Config::at(SocketAddr::from((Ipv4Addr::LOCALHOST, 0)), self.dir.path().to_owned());
        let master = MasterKey::from_text(master).unwrap();
        Server::start(Plan { config, master, genesis: None }).await.unwrap_err().to_string()
    }

    pub async fn bot(&self, number: u8) -> Client {
        Client::signed(self.address, &api_key(number), &secret(number)).await.unwrap()
    }

    pub async fn venue(&self) -> Client {
        self.bot(200).await
    }

    /// Alice has all rights, Bob View and Approve, Carol View.
    pub async fn member(&self, name: &str) -> Client {
        Client::member(self.address, &format!("{name}@acme.test"), 0).await.unwrap()
    }
}

/// Members who may do all. Of their codes two are good for some time yet, this step's and the next.
pub struct Governors {
    address: SocketAddr,
    member: Option<Client>,
    acted: usize,
}

impl Governors {
    /// A world in which Bob may do what Alice may.
    pub async fn with(keys: &[Wanted]) -> (World, Governors) {
        let mut people = people();
        people[1].permissions = people[0].permissions.clone();
        let world = World::peopled(keys, &people).await;
        let governors = Governors { address: world.address, member: None, acted: 0 };
        (world, governors)
    }

    /// Does what takes a code, as one of them who has one left.
    pub async fn act(&mut self, method: &str, mut params: Value) -> Value {
        let (name, steps) = (["alice", "bob"][self.acted / 2], self.acted % 2);
        self.acted += 1;
        if steps == 0 {
            self.member = Some(Client::member(self.address, &format!("{name}@acme.test"), 0).await.unwrap());
        }
        params["otp"] = json!(code(steps as i64));
        self.member.as_mut().unwrap().call(method, params).await
    }
}

/// What a world begins with, its secrets sealed under [`MASTER`].
pub fn genesis(keys: &[Wanted], people: &[Person], policy: bool) -> Command {
    let master = MasterKey::from_text(MASTER).unwrap();
    let hashed = hash_password(PASSWORD);
    let secrets = Secrets {
        sealed: &|number| master.seal(api_key(number).as_bytes(), &secret(number)),
        member: &|id| (Some(hashed.clone()), Some(master.seal(&totp_context(id), TOTP.as_bytes()))),
    };
    Command::Genesis(events(keys, people, policy, &secrets))
}

/// Advances the clock of a server that shares the test's only thread, so that nobody really waits.
pub async fn passes(seconds: u64) {
    tokio::time::pause();
    tokio::time::advance(Duration::from_secs(seconds)).await;
    tokio::time::resume();
}

/// In tests that are not about rates, keys trade and sockets send as fast as the machine lets them.
fn unlimited(address: SocketAddr, dir: &Path) -> Config {
    let mut config = Config::at(address, dir.to_owned());
    config.rates = Tiers::all(Tier::Unlimited);
    config.limits.messages_per_second = 1_000_000;
    config
}

async fn start(config: Config, genesis: Option<Command>) -> (Server, SocketAddr) {
    let master = MasterKey::from_text(MASTER).unwrap();
    let server = Server::start(Plan { config, master, genesis }).await.unwrap();
    let address = server.address();
    (server, address)
}
