//! One run: clients, clock, scheduler and faults from one seed, with every law checked on the way.

use std::sync::Arc;

use countersign::domain::time::Moment;
use countersign::engine::Engine;
use countersign::engine::command::Command;
use countersign::sequencer::handle::{Submission, Work};
use countersign::sequencer::recovery::{recent, verify};
use countersign::sequencer::{Released, Stamped, codec};
use countersign::storage::journal::Row;
use countersign::storage::memory::Fault;

use super::clients::{Asked, Clients};
use super::dice::Dice;
use super::followers::Followers;
use super::history::History;
use super::hooks::Hooks;
use super::laws::Laws;
use super::model::Model;
use super::server::{Life, Server, Told};
use super::world::{DAY, SECOND, SERVER, START, VENUE, genesis};

/// What a run may meet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Faults {
    /// Anything at any time: no law may break, and nothing is said of progress.
    Any,
    /// None in its second half: everything accepted is answered, and everything due happens.
    Bounded,
}

#[derive(Clone, Copy, Debug)]
pub struct Plan {
    pub seed: u64,
    pub requests: u64,
    pub faults: Faults,
}

/// What came of a run.
#[derive(Debug)]
pub struct Report {
    pub commands: u64,
    pub answered: u64,
    pub survived: u64,
    pub lost: u64,
    pub events: u64,
    pub hooks: Hooks,
    /// The same for the same plan.
    pub trace: String,
}

/// Turns that the slowest append takes.
const SLOWEST: u64 = 6;
/// More turns than anything accepted needs to be answered.
const TURNS_MAX: usize = 1_000;
/// Ticks within which a server that only reads has tried whether it may write again.
const PROBED: usize = 8;

struct Run {
    plan: Plan,
    dice: Dice,
    now: Moment,
    server: Server,
    clients: Clients,
    history: History,
    model: Model,
    laws: Laws,
    followers: Followers,
    hooks: Hooks,
    /// Shown since the server was last started: on the disk whatever happens.
    shown: Vec<Arc<Stamped>>,
    /// The disk is full, so only queries are answered.
    read_only: bool,
    given: u64,
    commands: u64,
    trace: u64,
}

/// Says how to see a failure again.
struct Again(Plan);

impl Drop for Again {
    fn drop(&mut self) {
        if std::thread::panicking() {
            let Plan { seed, requests, faults } = self.0;
            println!("{faults:?} faults, {requests} requests, seed {seed} failed; again: scripts/simulate 1 {seed}");
        }
    }
}

pub fn play(plan: Plan) -> Report {
    let _again = Again(plan);
    let mut runtime = tokio::runtime::Builder::new_current_thread();
    let runtime = runtime.enable_time().start_paused(true).build().unwrap();
    runtime.block_on(Run::new(plan).play())
}

impl Run {
    fn new(plan: Plan) -> Run {
        Run {
            plan,
            dice: Dice::new(plan.seed),
            now: START,
            server: Server::new(),
            clients: Clients::default(),
            history: History::default(),
            model: Model::default(),
            laws: Laws::default(),
            followers: Followers::new(),
            hooks: Hooks::default(),
            shown: Vec::new(),
            read_only: false,
            given: 0,
            commands: 0,
            trace: 0,
        }
    }

    async fn play(mut self) -> Report {
        let first = genesis(!self.dice.one_in(4));
        self.server.set_clock(self.now);
        self.server.start(1_000, Some(first.clone())).await.expect("an empty disk takes genesis");
        for told in self.server.told() {
            let Told::Released(batch) = told else { panic!("nothing failed") };
            self.model.begin(&first, &batch);
            batch.events.iter().for_each(|event| self.show(event));
        }
        while self.given < self.plan.requests {
            self.step().await;
        }
        if self.plan.faults == Faults::Bounded {
            self.settle().await;
        }
        self.server.kill();
        self.restart().await;
        let verified = verify(&self.server.reader(), &self.server.snapshots()).await.expect("the journal is sound");
        assert_eq!(verified.state, self.model.state().digest(), "law 4: the journal replays to another state");
        let state: String = verified.state.iter().map(|byte| format!("{byte:02x}")).collect();
        Report {
            commands: self.commands,
            answered: self.history.answered,
            survived: self.history.survived,
            lost: self.history.lost,
            events: verified.seq,
            hooks: self.hooks,
            trace: format!("{:016x}-{state}", self.trace),
        }
    }

    async fn step(&mut self) {
        self.pass_time();
        self.give();
        let faulty = self.plan.faults == Faults::Any || self.given < self.plan.requests / 2;
        if faulty && self.dice.one_in(40) {
            self.fail();
        }
        if self.read_only && self.dice.one_in(8) {
            self.server.disk.heal();
        }
        if self.dice.one_in(6) {
            self.server.tick().await;
        }
        for _ in 0..self.dice.below(4) {
            self.turn().await;
        }
        if self.dice.one_in(4) {
            self.followers.step(&mut self.dice, self.model.state().seq, &mut self.hooks);
        }
        if !faulty {
            return;
        }
        match self.dice.below(400) {
            0 => {
                self.hooks.hit("kill");
                self.server.kill();
                if !self.history.is_empty() {
                    self.hooks.hit("kill with a batch on its way");
                }
                self.restart().await;
            }
            1 => self.stop().await,
            _ => {}
        }
    }

    fn pass_time(&mut self) {
        let dice = &mut self.dice;
        self.now = match dice.below(1_000) {
            0..700 => self.now.plus_us(dice.below(5_000)),
            700..950 => self.now.plus_us(dice.below(2 * SECOND)),
            950..985 => self.now.plus_us(dice.below(600 * SECOND)),
            985..993 => {
                self.hooks.hit("clock set back");
                self.now.minus_us(dice.below(3_600 * SECOND))
            }
            993..999 => self.now.plus_us(dice.below(6 * 3_600 * SECOND)),
            _ => {
                self.hooks.hit("clock set forward by days");
                self.now.plus_us(dice.below(10 * DAY))
            }
        };
        self.server.set_clock(self.now);
    }

    /// Several clients ask at once, each one read's worth.
    fn give(&mut self) {
        let reads = if self.dice.one_in(50) { self.dice.below(12) } else { self.dice.below(3) };
        for _ in 0..reads {
            let count = self.dice.within(1, 10);
            for _ in 0..count {
                let (by, asked) = self.clients.next(&mut self.dice, self.now);
                let work = match &asked {
                    Asked::Command(command) => Work::Command(command.clone()),
                    Asked::Query(query) => Work::Query(query.clone()),
                };
                let commands = u64::from(matches!(asked, Asked::Command(_)));
                (self.given, self.commands) = (self.given + 1, self.commands + commands);
                // One by one: of several, a full queue takes those that have its reserve.
                if !self.server.submit(vec![Submission { by, work, ticket: self.history.invoke(by, asked) }]) {
                    self.hooks.hit("queue full");
                    self.history.revoke(1);
                }
            }
        }
    }

    fn fail(&mut self) {
        let (name, fault) = match self.dice.below(8) {
            0 => ("append refused", Fault::Refused),
            1 => ("append unanswered", Fault::Unanswered),
            2 => ("append torn", Fault::Torn),
            3 => ("disk full", Fault::Full),
            _ => {
                self.hooks.hit("slow append");
                return self.server.disk.slow(self.dice.below(SLOWEST) as u32);
            }
        };
        self.hooks.hit(name);
        self.server.disk.fail(fault);
    }

    async fn turn(&mut self) {
        let life = self.server.turn().await;
        self.history.take(self.now);
        self.hear();
        if life == Life::Failed {
            self.restart().await;
        }
    }

    /// Takes what was let out to everybody who follows it.
    fn hear(&mut self) {
        let mut failed = 0;
        for told in self.server.told() {
            match told {
                Told::Released(batch) => self.released(&batch),
                Told::Failed(tickets) => {
                    let open = self.history.tickets().take(tickets.len());
                    failed = tickets.len();
                    assert!(open.eq(tickets), "law 9: who is told of a failure is not who waits for an answer");
                }
                Told::Accepting(true) => {
                    self.hooks.hit("writes taken again");
                    self.read_only = false;
                }
                // Reads go on without a start: what is on the disk is what was shown, and the rest is forgotten.
                Told::Accepting(false) => {
                    self.hooks.hit("only reads served");
                    self.read_only = true;
                    self.history.lose(failed);
                    self.model.restart();
                }
            }
        }
    }

    fn released(&mut self, batch: &Released<usize>) {
        for (ticket, outcome) in &batch.answers {
            let kind = outcome.as_ref().map_or_else(|reject| 1 + reject.code as u64, |_| 0);
            self.trace = (self.trace ^ *ticket as u64 ^ (kind << 32)).wrapping_mul(0x0000_0100_0000_01b3);
            if let Err(reject) = outcome {
                self.hooks.refusal(reject.code);
            }
        }
        self.model.released(batch, &mut self.history);
        batch.events.iter().for_each(|event| self.show(event));
        self.laws.end();
    }

    fn show(&mut self, event: &Arc<Stamped>) {
        self.laws.see(event, self.model.state());
        self.followers.tell(event);
        self.hooks.event(&event.event);
        self.clients.known.learn(event);
        self.shown.push(Arc::clone(event));
    }

    /// Lets go of the server in order: whatever it accepted is answered, unless the disk fails now.
    async fn stop(&mut self) {
        self.server.stop();
        for _ in 0..TURNS_MAX {
            let life = self.server.turn().await;
            self.history.take(self.now);
            self.hear();
            if life != Life::Running {
                if life == Life::Stopped {
                    self.hooks.hit("stop with a snapshot");
                    assert!(self.history.is_empty(), "law 9: an orderly stop leaves a request unanswered");
                }
                return self.restart().await;
            }
        }
        panic!("the server does not stop");
    }

    /// Starts the server again on what its disk holds, and compares that with what everybody was told.
    async fn restart(&mut self) {
        self.read_only = false;
        let intact = self.damage().await;
        loop {
            self.account().await;
            self.laws.compare(self.model.state());
            let kept = self.dice.of(&[40, 300, 100_000]);
            let recent = recent(&self.server.reader(), kept).await.expect("the journal is read");
            self.followers.restart(&recent, self.model.state().seq);
            let expected = self.model.state().digest();
            self.model.restart();
            let queue_max = self.dice.of(&[12, 30, 100, 1_000]);
            let started = self.server.start(queue_max, None).await;
            if let Some(recovered) = self.server.recovered() {
                assert_eq!(recovered, expected, "law 4: the state recovered is not the one that was left");
            }
            match started {
                Ok(()) => break,
                // The disk failed again under the first tick.
                Err(_) => self.server.disk.heal(),
            }
            self.hear();
        }
        if !intact {
            self.server.disk.damage(|_, snapshots| snapshots.clear());
        }
        self.server.disk.heal();
        self.hear();
    }

    /// Snapshots are a convenience: spoils them sometimes. Whether they are as they were saved.
    async fn damage(&mut self) -> bool {
        let there = self.server.snapshots().newest_first().next().is_some();
        let kind = self.dice.below(6);
        if !there || kind == 0 {
            self.server.disk.damage(|_, snapshots| snapshots.clear());
            self.hooks.hit("start from the first row");
            return true;
        }
        let at = self.dice.below(u64::MAX) as usize;
        match kind {
            1 => self.server.disk.damage(|_, snapshots| {
                for body in snapshots.iter_mut().map(|snapshot| &mut snapshot.body) {
                    let at = at % body.len();
                    body[at] ^= 1;
                }
            }),
            2 => self.server.disk.damage(|_, snapshots| snapshots.iter_mut().for_each(|of| of.format += 1)),
            _ => {
                self.hooks.hit("start from a snapshot");
                return true;
            }
        }
        self.hooks.hit(if kind == 1 { "snapshot damaged" } else { "snapshot of an unknown format" });
        false
    }

    /// Accounts for what is on the disk: all that was shown, and what more may have come of unanswered requests.
    async fn account(&mut self) {
        let from = self.shown.first().map_or(self.model.state().seq.0 + 1, |first| first.seq.0);
        let rows = self.server.reader().rows(from, u32::MAX).await.expect("the disk is read");
        let last = self.model.state().seq.0;
        let (shown, beyond): (Vec<Row>, Vec<Row>) = rows.into_iter().partition(|row| row.first_seq <= last);
        let stored = shown.iter().flat_map(|row| {
            codec::stamped(codec::decode(row.format, &row.body).expect("the journal is read"), row.first_seq)
        });
        let there = |of: &Stamped, stored: &Stamped| {
            (of.seq, of.at, of.by, &of.event) == (stored.seq, stored.at, stored.by, &stored.event)
        };
        let mut count = 0;
        for (of, stored) in self.shown.iter().zip(stored) {
            assert!(there(of, &stored), "law 1: {of:?} was shown, and {stored:?} is on the disk");
            count += 1;
        }
        assert_eq!(count, self.shown.len(), "law 1: what was shown is not on the disk");
        self.shown.clear();
        let (survived, lost) = (self.history.survived, self.history.lost);
        for event in self.model.crashed(&beyond, &mut self.history) {
            self.show(&event);
        }
        self.laws.end();
        self.shown.clear();
        if self.history.survived > survived {
            self.hooks.hit("unanswered request took effect");
        }
        if self.history.lost > lost {
            self.hooks.hit("unanswered request was lost");
        }
    }

    /// With the faults over: everything accepted is answered, and what is due happens.
    async fn settle(&mut self) {
        self.server.disk.heal();
        self.server.disk.slow(0);
        for _ in 0..PROBED {
            self.turn().await;
            self.server.tick().await;
        }
        assert!(!self.read_only, "liveness: the disk has room and no command is taken");
        // A halt is no fault, and nobody else would end it.
        let (by, asked) = (VENUE, Asked::Command(Command::Resume));
        let work = Work::Command(Command::Resume);
        let ticket = self.history.invoke(by, asked);
        if !self.server.submit(vec![Submission { by, work, ticket }]) {
            self.history.revoke(1);
        }
        for days in [0, 1, 40] {
            self.now = self.now.plus_us(days * DAY).max(self.model.state().at);
            self.server.set_clock(self.now);
            self.server.tick().await;
            for _ in 0..TURNS_MAX {
                self.turn().await;
                if self.history.is_empty() {
                    break;
                }
            }
            assert!(self.history.is_empty(), "liveness: a request was accepted and is never answered");
            // A slow append that nobody waits for may be on its way still, and the tick behind it.
            for _ in 0..SLOWEST {
                self.turn().await;
            }
            self.nothing_is_due();
        }
    }

    fn nothing_is_due(&self) {
        let state = self.model.state();
        assert!(state.approvals.expired(self.now).is_empty(), "liveness: a request outlives its time");
        assert!(state.orders.watches().due(self.now).is_none(), "liveness: an order outlives its time");
        let mut again = Engine::new(state.clone());
        again.handle(self.now, &SERVER, &Command::Tick).expect("a tick is never refused");
        assert_eq!(again.events(), [], "liveness: something due did not happen");
    }
}
