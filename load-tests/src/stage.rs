//! What a scenario runs on: the server, the baselines and what all kinds do with them.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::arrival::Arrival;
use crate::checks::Check;
use crate::children::{Baseline, BaselineChild, CountersignChild, RunDirectory};
use crate::credentials::MemberLogin;
use crate::error::LoadError;
use crate::figures::{ratio, to_f64};
use crate::follower::{Followers, Principal};
use crate::group_commit::require_records;
use crate::load::{Plan, Shape};
use crate::machine::{allowed_cores, pin};
use crate::member::Session;
use crate::mix::{Mix, MixSettings};
use crate::orders::{Load, measure, run_tag};
use crate::progress::Progress;
use crate::publisher::Approvals;
use crate::record::{Record, Series};
use crate::sampler::{self, Sampler};
use crate::scenario::Scenario;
use crate::signature::Nonces;
use crate::target::Target;
use crate::withdrawals::play_beside;

/// Everything that a run needs.
#[derive(Debug)]
pub struct Stage {
    /// What is played.
    pub scenario: Scenario,
    /// This binary, which is also the baseline servers.
    pub program: PathBuf,
    /// For the files of the run.
    pub directory: RunDirectory,
    /// The server; without it only the baselines run.
    pub target: Option<Target>,
    /// Its binary and process, where it was started for this run.
    pub server: Option<(PathBuf, CountersignChild)>,
    /// Of all keys.
    pub nonces: Nonces,
    /// Signed-in Members, by the server's address and their own.
    pub sessions: BTreeMap<(String, String), Session>,
    /// On the terminal.
    pub progress: Progress,
    /// Pins E's server to the first core and the client to the last one. D and the server, which have threads for both,
    /// run on all cores.
    pub pin: bool,
    /// The results so far.
    pub record: Record,
}

/// What is measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SystemUnderTest {
    /// The JSON echo, E.
    Echo,
    /// The JSON echo behind a group commit, D.
    DurableEcho,
    /// The server.
    Countersign,
}

impl Stage {
    /// The server.
    ///
    /// # Errors
    /// Neither a server nor keys of one were given.
    pub fn target(&self) -> Result<&Target, LoadError> {
        let missing = || LoadError::Setup("this scenario needs a server: give --server or --keys".into());
        self.target.as_ref().ok_or_else(missing)
    }

    /// A load of this scenario's length. The baselines know only limit orders, so they get these for whatever is in the
    /// mix: as many requests as the server.
    ///
    /// # Errors
    /// The mix is invalid.
    pub fn load(
        &self,
        who: SystemUnderTest,
        shape: Shape,
        arrival: Arrival,
        mix: &MixSettings,
    ) -> Result<Load, LoadError> {
        let (connections, symbol) = (shape.connections, mix.symbol.clone());
        let mix = match who {
            SystemUnderTest::Echo | SystemUnderTest::DurableEcho => Mix::new(&mix.limit_orders_only())?,
            SystemUnderTest::Countersign => Mix::new(mix)?,
        };
        let plan = Plan { arrival, mix: Arc::new(mix), timing: self.scenario.general.timing(), run: run_tag() };
        let label = String::new();
        Ok(Load { label, connections, channel: None, symbol, withdrawals: None, fan_out: None, plan })
    }

    /// Measures one system and adds the measurement under `name`.
    ///
    /// # Errors
    /// The first connection or reply that is not as it must be.
    pub async fn measure(
        &mut self,
        who: SystemUnderTest,
        name: &str,
        round: u32,
        load: &Load,
    ) -> Result<(), LoadError> {
        let load = Load { label: format!("round {round}: {name}"), ..load.clone() };
        let series = match who {
            SystemUnderTest::Echo => self.measure_echo(name, round, &load).await?,
            SystemUnderTest::DurableEcho => self.measure_durable_echo(name, round, &load).await?,
            SystemUnderTest::Countersign => return self.measure_server(name, round, &load).await,
        };
        self.add(series);
        Ok(())
    }

    /// Adds a measurement and reports it on a terminal.
    pub fn add(&mut self, series: Series) {
        self.progress.print_line(&crate::report::text::line(&series));
        self.record.series.push(series);
    }

    /// Adds a result with the goal that the scenario has for it.
    pub fn conclude(&mut self, name: &str, of: impl Fn(&crate::record::Round<'_>) -> Option<f64>) {
        let goal = self.scenario.goal(name);
        self.record.conclude(name, goal, of);
    }

    /// Adds a figure called `name` that was recorded once with a measurement and does not depend on CPU use.
    pub fn conclude_once(&mut self, name: &str) {
        let noted = self.record.series.iter().find_map(|series| series.extra.get(name).copied());
        self.record.conclude_once(name, self.scenario.goal(name), noted);
    }

    async fn measure_echo(&mut self, name: &str, round: u32, load: &Load) -> Result<Series, LoadError> {
        let child = BaselineChild::start(&self.program, Baseline::Echo)?;
        let cores = if self.pin { Cores::divide(child.process()) } else { None };
        let target = Target::baseline(child.address, child.process());
        let measured = measure(&target, &mut self.nonces, load, self.progress).await;
        let pinned = cores.is_some();
        drop(cores);
        child.stop()?;
        let (measurement, outcome) = measured?;
        let mut series = Series::of_outcome(name, round, &outcome, &measurement.cpu);
        series.extra.insert("pinned".into(), f64::from(u8::from(pinned)));
        Ok(series)
    }

    /// Measures D and checks its promise: every request that it answered is in its file.
    async fn measure_durable_echo(&mut self, name: &str, round: u32, load: &Load) -> Result<Series, LoadError> {
        let journal = self.directory.path().join("d.journal");
        let child = BaselineChild::start(&self.program, Baseline::DurableEcho(&journal))?;
        let target = Target::baseline(child.address, child.process());
        let measured = measure(&target, &mut self.nonces, load, self.progress).await;
        let totals = child.stop()?;
        let answered = measured.as_ref().map_or(0, |(_, outcome)| outcome.tally.answered);
        let kept = require_records(&journal, answered);
        remove(&journal)?;
        let (measurement, outcome) = measured?;
        kept?;
        let mut series = Series::of_outcome(name, round, &outcome, &measurement.cpu);
        if let Some(syncs) = ratio(to_f64(totals.syncs), to_f64(totals.records)) {
            series.extra.insert("syncs per order".into(), syncs);
        }
        Ok(series)
    }

    /// Measures the server, following its private streams if the scenario says so, and adds measurement and checks.
    ///
    /// # Errors
    /// The first connection or reply that is not as it must be.
    async fn measure_server(&mut self, name: &str, round: u32, load: &Load) -> Result<(), LoadError> {
        let target = self.target()?.clone();
        let followers = if self.scenario.general.follow {
            Some(self.followers(&target, name, round, load.plan.run).await?)
        } else {
            None
        };
        let withdrawals = match &load.withdrawals {
            Some(lot) => {
                let session = self.session(&target, Approvals::voter(&target)?).await?;
                Some(play_beside(&target, session, lot.clone()).await?)
            }
            None => None,
        };
        let sampler = Sampler::start(&target, load.plan.timing.window);
        let (measurement, outcome) = measure(&target, &mut self.nonces, load, self.progress).await?;
        let samples = match sampler {
            Some(sampler) => sampler.finish().await,
            None => Vec::new(),
        };
        let mut checks = Vec::new();
        if let Some(withdrawals) = withdrawals {
            checks.push(withdrawals.stop().await?);
        }
        if let Some(followers) = followers {
            let keys = target.users.len().max(1);
            let own =
                |number| outcome.tally.acknowledged.filtered(|connection| usize::from(connection) % keys == number);
            checks.extend(followers.finish(own).await);
        }
        let named = checks.into_iter().map(|check| Check { name: format!("round {round}: {}", check.name), ..check });
        self.record.checks.extend(named);
        let mut series = Series::of_outcome(name, round, &outcome, &measurement.cpu);
        if let Some(syncs) = measurement.syncs_per_order {
            series.extra.insert("syncs per order".into(), syncs);
        }
        if let Some((first, last)) = outcome.timeline.first_and_last() {
            if !samples.is_empty() {
                series.extra.extend([("first minute /s".to_owned(), first), ("last minute /s".to_owned(), last)]);
            }
            series.extra.extend(ratio(last, first).map(|share| ("last minute / first".to_owned(), share)));
        }
        series.extra.extend(sampler::figures(&samples).into_iter().map(|(name, value)| (name.to_owned(), value)));
        series.samples = samples;
        self.add(series);
        Ok(())
    }

    /// Follows everything that the given credentials may follow: every key, a Member, and custody.
    async fn followers(&mut self, target: &Target, name: &str, round: u32, run: u64) -> Result<Followers, LoadError> {
        let mut principals: Vec<Principal> = target.users.iter().cloned().map(Principal::ServiceUser).collect();
        let skipped = match Approvals::onlooker(target) {
            None => None,
            Some(_) if target.http.is_none() => Some("no web address is known; give --http".to_owned()),
            Some(member) => match self.session(target, member).await {
                Ok(session) => {
                    principals.push(Principal::Member(session));
                    None
                }
                // Its code may be spent, or the server may have another origin for the page.
                Err(refused @ LoadError::Refused { .. }) => Some(refused.to_string()),
                Err(error) => return Err(error),
            },
        };
        let named = |why| Check::skipped(format!("round {round}: {name}: approvals: not followed: {why}"));
        self.record.checks.extend(skipped.map(named));
        principals.extend(target.venue.clone().map(Principal::Venue));
        let patience = self.scenario.general.patience();
        Followers::start(&target.ws, principals, &mut self.nonces, run, patience).await
    }

    /// Signs a Member in, once for each server.
    async fn session(&mut self, target: &Target, member: &MemberLogin) -> Result<Session, LoadError> {
        let place = (target.ws.authority.clone(), member.email.clone());
        if let Some(known) = self.sessions.get(&place) {
            return Ok(known.clone());
        }
        let session = Session::sign_in(target, member).await?;
        self.sessions.insert(place, session.clone());
        Ok(session)
    }
}

fn remove(file: &Path) -> Result<(), LoadError> {
    std::fs::remove_file(file).map_err(LoadError::io(format!("remove {}", file.display())))
}

/// While this exists, server and client each have a core of their own; afterwards the client has all again.
pub struct Cores {
    all: String,
}

impl Cores {
    /// `None` where there are fewer than two cores or no `taskset`.
    pub fn divide(server: u32) -> Option<Self> {
        let all = allowed_cores()?;
        let (first, last) = (all.split([',', '-']).next()?, all.split([',', '-']).next_back()?);
        let cores = Self { all: all.clone() };
        (first != last && pin(server, first) && pin(std::process::id(), last)).then_some(cores)
    }
}

impl Drop for Cores {
    fn drop(&mut self) {
        pin(std::process::id(), &self.all);
    }
}
