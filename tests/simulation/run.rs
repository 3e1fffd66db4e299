//! One run: clients, clock, scheduler and faults from one seed, with every law checked on the way.

mod starts;

use std::sync::Arc;

use countersign::access::principal::Principal;
use countersign::domain::time::Moment;
use countersign::engine::Engine;
use countersign::engine::command::Command;
use countersign::engine::reject::Code;
use countersign::sequencer::handle::{Submission, Work};
use countersign::sequencer::recovery::verify;
use countersign::sequencer::{BATCH_MAX, Released, Stamped};
use countersign::storage::JournalReader;
use countersign::storage::memory::Fault;

use super::clients::Clients;
use super::coverage::Coverage;
use super::dice::Dice;
use super::followers::Followers;
use super::history::{History, Invocation};
use super::laws::Laws;
use super::model::Model;
use super::server::{Life, Server, Settings, Told};
use super::world::{DAY, SECOND, SERVER, START, VENUE, genesis};

/// The faults that a run may meet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Faults {
    /// Any fault at any time: no law may be broken, and progress is not required.
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

impl Plan {
    /// Whether its clients sometimes send more at once than a batch can take. That is expensive, so it is rare.
    fn bursts(self) -> bool {
        self.seed % 16 == 5
    }
}

/// The result of a run.
#[derive(Debug)]
pub struct Report {
    /// Commands that the engine handled, without those that found no room or were lost.
    pub commands: u64,
    pub answered: u64,
    pub survived: u64,
    pub lost: u64,
    pub events: u64,
    pub coverage: Coverage,
    /// Equal for equal plans.
    pub trace: String,
    pub journal: JournalReader,
}

/// Turns that the slowest append takes.
const SLOWEST: u64 = 6;
/// Requests that come at once in a burst: more than two batches take.
const BURST: usize = 20_000;
/// More turns than anything accepted needs to be answered.
const TURNS_MAX: usize = 1_000;
/// Ticks within which a read-only server has tried whether it can write again.
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
    coverage: Coverage,
    /// Events shown since the server was last started: they are on disk whatever happens.
    shown: Vec<Arc<Stamped>>,
    /// After a disk failure only queries are answered: the requests of the failed batch, and the engine that ran them.
    read_only: Option<(Vec<Invocation>, Engine)>,
    hurried: bool,
    /// A burst is still to come.
    bursts: bool,
    given: u64,
    /// Answered by the engine.
    commands: u64,
    trace: u64,
}

/// Prints how to reproduce a failure.
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
        let mut dice = Dice::new(plan.seed);
        let settings = Settings::draw(&mut dice);
        Run {
            plan,
            dice,
            now: START,
            server: Server::new(settings.clone()),
            clients: Clients::default(),
            history: History::default(),
            model: Model::new(settings.tiers),
            laws: Laws::default(),
            followers: Followers::new(settings.ring_items),
            coverage: Coverage::default(),
            shown: Vec::new(),
            read_only: None,
            hurried: settings.hurried,
            bursts: plan.bursts(),
            given: 0,
            commands: 0,
            trace: 0,
        }
    }

    async fn play(mut self) -> Report {
        let first = genesis(!self.dice.one_in(4));
        self.server.set_clock(self.now);
        self.server.start(2 * BURST, Some(first.clone())).await.expect("an empty disk takes genesis");
        self.coverage.command(&first);
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
        Report {
            journal: self.server.reader(),
            commands: self.commands + self.history.survived,
            answered: self.history.answered,
            survived: self.history.survived,
            lost: self.history.lost,
            events: verified.seq,
            coverage: self.coverage,
            trace: format!("{:016x}-{}", self.trace, hex::encode(verified.state)),
        }
    }

    async fn step(&mut self) {
        self.pass_time();
        self.give();
        if self.bursts && self.given > self.plan.requests / 3 {
            self.bursts = false;
            self.burst();
        }
        let faulty = self.plan.faults == Faults::Any || self.given < self.plan.requests / 2;
        if faulty && self.dice.one_in(40) {
            self.fail();
        }
        if self.read_only.is_some() && self.dice.one_in(8) {
            self.server.disk.heal();
        }
        if self.dice.one_in(6) {
            self.server.tick().await;
            self.coverage.command(&Command::Tick);
        }
        for _ in 0..self.dice.below(4) {
            self.turn().await;
        }
        if self.dice.one_in(4) {
            self.followers.step(&mut self.dice, self.model.state().seq, &mut self.coverage);
        }
        if !faulty {
            return;
        }
        // The rare time in which only reads are served is ended sooner.
        match self.dice.below(if self.read_only.is_some() { 60 } else { 400 }) {
            0 => {
                self.coverage.hit("kill");
                self.server.kill();
                if !self.history.is_empty() {
                    self.coverage.hit("kill with a batch on its way");
                }
                if self.read_only.is_some() {
                    self.coverage.hit("kill while only reads are served");
                }
                self.restart().await;
            }
            1 => self.stop().await,
            _ => {}
        }
    }

    fn pass_time(&mut self) {
        let dice = &mut self.dice;
        let passes = if self.hurried && !dice.one_in(50) { 0 } else { dice.below(1_000) };
        self.now = match passes {
            0..700 => self.now.plus_us(dice.below(5_000)),
            700..950 => self.now.plus_us(dice.below(2 * SECOND)),
            950..985 => self.now.plus_us(dice.below(600 * SECOND)),
            985..993 => {
                self.coverage.hit("clock set back");
                self.now.minus_us(dice.below(3_600 * SECOND))
            }
            993..999 => self.now.plus_us(dice.below(6 * 3_600 * SECOND)),
            _ => {
                self.coverage.hit("clock set forward by days");
                self.now.plus_us(dice.below(10 * DAY))
            }
        };
        self.server.set_clock(self.now);
    }

    /// Several clients send at once, each one read's worth.
    fn give(&mut self) {
        let reads = if self.dice.one_in(50) { self.dice.below(12) } else { self.dice.below(3) };
        for _ in 0..reads {
            let count = self.dice.within(1, 10);
            self.given += count as u64;
            let asked = (0..count).map(|_| self.clients.next(&mut self.dice, self.now)).collect();
            self.submit(asked);
        }
    }

    /// More at once than a batch can take, nearly all of it cheap.
    fn burst(&mut self) {
        for _ in 0..BURST / 500 {
            let next = |_| match self.dice.one_in(20) {
                true => self.clients.next(&mut self.dice, self.now),
                false => self.clients.reader(&mut self.dice, self.now),
            };
            let asked = (0..500).map(next).collect();
            self.submit(asked);
        }
    }

    fn submit(&mut self, asked: Vec<(Principal, Work)>) {
        let count = asked.len();
        let submission = |(by, work): (Principal, Work)| {
            let ticket = self.history.invoke(by, work.clone());
            Submission { by, work, ticket }
        };
        let refused = self.server.submit(asked.into_iter().map(submission).collect());
        if !refused.is_empty() {
            self.coverage.hit(if refused.len() < count { "queue takes a part" } else { "queue full" });
        }
        self.history.revoke(&refused);
    }

    fn fail(&mut self) {
        let (name, fault) = match self.dice.below(8) {
            0 => ("append refused", Fault::Refused),
            1 => ("append unanswered", Fault::Unanswered),
            2 => ("disk full", Fault::Full),
            3 => ("append unsynced", Fault::Unsynced { survives: self.dice.one_in(2) }),
            _ => {
                self.coverage.hit("slow append");
                return self.server.disk.slow(self.dice.below(SLOWEST) as u32);
            }
        };
        self.coverage.hit(name);
        self.server.disk.fail(fault);
    }

    async fn turn(&mut self) {
        let life = self.server.turn().await;
        self.history.take(self.now, self.server.waiting());
        self.hear(life);
        if life == Life::Failed {
            self.restart().await;
        }
    }

    /// Sends what was released to all followers.
    fn hear(&mut self, life: Life) {
        let mut failed = 0;
        for told in self.server.told() {
            match told {
                Told::Released(batch) if life == Life::Failed && nothing_done(&batch) => {
                    // They came after those whose outcome only a start can show.
                    let unknown = self.history.set_aside(failed);
                    batch.answers.iter().for_each(|(ticket, _)| drop(self.history.answer(*ticket)));
                    self.history.put_back(unknown);
                }
                Told::Released(batch) => self.released(&batch),
                Told::Failed(tickets) => {
                    let open = self.history.tickets().take(tickets.len());
                    failed = tickets.len();
                    assert!(open.eq(tickets), "law 9: who is told of a failure is not who waits for an answer");
                }
                Told::Accepting(true) => {
                    self.coverage.hit("writes taken again");
                    let (lost, _) = self.read_only.take().expect("only reads were served");
                    self.history.lost += lost.len() as u64;
                }
                // Reads continue without a start: what was shown exists, and the rest was dropped.
                Told::Accepting(false) => {
                    self.coverage.hit("only reads served");
                    self.read_only = Some((self.history.set_aside(std::mem::take(&mut failed)), self.model.restart()));
                }
            }
        }
    }

    fn released(&mut self, batch: &Released<usize>) {
        for ((ticket, outcome), invocation) in batch.answers.iter().zip(self.history.open()) {
            let kind = outcome.as_ref().map_or_else(|reject| 1 + reject.code as u64, |_| 0);
            self.trace = (self.trace ^ *ticket as u64 ^ (kind << 32)).wrapping_mul(0x0000_0100_0000_01b3);
            let unheard = outcome.as_ref().is_err_and(|reject| reject.code == Code::ReadOnly);
            assert!(!unheard || self.read_only.is_some(), "only reads are served, and nobody said so: {invocation:?}");
            self.commands += u64::from(matches!(invocation.work, Work::Command(_)) && !unheard);
            match (outcome, &invocation.work) {
                (Err(reject), _) => {
                    if reject.code == Code::RateLimit {
                        self.coverage.hit("key too fast");
                    }
                    self.coverage.refusal(reject.code);
                }
                (Ok(_), Work::Command(command)) => self.coverage.command(command),
                (Ok(_), Work::Query(query)) => self.coverage.query(query),
            }
        }
        if batch.answers.len() >= BATCH_MAX {
            self.coverage.hit("batch full");
        }
        self.model.released(batch, &mut self.history);
        batch.events.iter().for_each(|event| self.show(event));
        self.laws.end();
    }

    fn show(&mut self, event: &Arc<Stamped>) {
        self.laws.see(event, self.model.state());
        self.followers.observe(event, &self.model.state().reference, &mut self.coverage);
        self.coverage.event(&event.event);
        if self.laws.keys.lost_scope(&event.event) {
            self.coverage.hit("scope lost with requests pending");
        }
        self.clients.known.learn(event);
        self.shown.push(Arc::clone(event));
    }

    /// Stops the server in order: whatever it accepted is answered, unless the disk fails now.
    async fn stop(&mut self) {
        self.server.stop();
        for _ in 0..TURNS_MAX {
            let life = self.server.turn().await;
            self.history.take(self.now, 0);
            self.hear(life);
            if life != Life::Running {
                if life == Life::Stopped {
                    self.coverage.hit("stop with a snapshot");
                    assert!(self.history.is_empty(), "law 9: an orderly stop leaves a request unanswered");
                }
                return self.restart().await;
            }
        }
        panic!("the server does not stop");
    }

    /// Without faults, everything accepted is answered, and what is due happens.
    async fn settle(&mut self) {
        self.server.disk.heal();
        self.server.disk.slow(0);
        for _ in 0..PROBED {
            self.turn().await;
            self.server.tick().await;
        }
        assert!(self.read_only.is_none(), "liveness: the disk has room and no command is taken");
        // A halt is not a fault, and nobody else would end it.
        self.submit(vec![(VENUE, Work::Command(Command::Resume))]);
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
            // A slow append that nobody waits for may still be under way, and the tick after it.
            for _ in 0..SLOWEST {
                self.turn().await;
            }
            self.nothing_is_due();
        }
    }

    fn nothing_is_due(&self) {
        let state = self.model.state();
        assert!(state.approvals.expired(self.now).is_none(), "liveness: a request outlives its time");
        assert!(state.orders.triggers().due(self.now).is_none(), "liveness: an order outlives its time");
        let mut again = Engine::new(state.clone());
        again.handle(self.now, &SERVER, &Command::Tick).expect("a tick is never refused");
        assert_eq!(again.events(), [], "liveness: something due did not happen");
    }
}

/// Whether a batch only reports that nothing was done: nothing is written any more.
fn nothing_done(batch: &Released<usize>) -> bool {
    let mut outcomes = batch.answers.iter().map(|(_, outcome)| outcome);
    batch.events.is_empty() && outcomes.all(|told| told.as_ref().is_err_and(|reject| reject.code == Code::ReadOnly))
}
