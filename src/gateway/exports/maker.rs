//! The task that makes the files. It compares the engine's exports with the files in the directory, makes the missing
//! ones and removes those that belong to no export, after a restart as at any other time.
//!
//! A few Organizations have a file in progress, one each, and these advance in turn, a page at a time, through one
//! reader; the next Organization begins when one of them ends. After each round the task sleeps as long as it has worked:
//! exports, however many and large, take at most half a core and leave the other readers to queries.

#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::ops::Bound;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::{Instant, sleep, timeout_at};

use super::job::{Job, Stuck, part_name};
use super::{Exports, file_name};
use crate::access::principal::Principal;
use crate::domain::ids::{ExportId, OrganizationId};
use crate::engine::command::Command;
use crate::engine::exports::Export;
use crate::engine::query::{Query, View};
use crate::gateway::context::{Gateway, Unanswered};
use crate::history::History;
use crate::sequencer::handle::{Answer, Work};

/// Files in progress at a time, of all Organizations together: each is open, and has a page in memory.
const IN_PROGRESS_MAX: usize = 8;
/// The time between two checks of the directory when nothing was ordered: exports also expire.
const SWEEP: Duration = Duration::from_secs(60);
/// The pause before something that failed is tried again.
const RETRY: Duration = Duration::from_secs(5);

/// Makes files until the server stops; unfinished ones start over after the restart.
pub async fn make(gateway: Arc<Gateway>) {
    let maker = Maker::of(Arc::clone(&gateway));
    tokio::select! {
        () = maker.run() => {}
        () = gateway.stopping() => {}
    }
}

struct Maker {
    gateway: Arc<Gateway>,
    history: History,
    /// The exports whose file is missing, in progress or not, as of the last comparison.
    missing: BTreeMap<(OrganizationId, ExportId), Export>,
    /// Of the Organizations whose file is in progress or paused after a failure; at most [`IN_PROGRESS_MAX`].
    places: BTreeMap<OrganizationId, Place>,
    /// Which Organization began last: the one after it is next.
    last: OrganizationId,
    /// When exports and directory are compared even if nothing was ordered.
    sweep: Instant,
}

/// An Organization's place among those with a file in progress. It keeps it after a failure, so that a fault of all
/// files, such as a full disk, is met by no more attempts and warnings in a pause than there are places.
struct Place {
    /// `None` after a failure that lost the file: the place is free after the pause.
    job: Option<Job>,
    /// Nothing is done for it before.
    resume: Instant,
}

impl Maker {
    fn of(gateway: Arc<Gateway>) -> Maker {
        // Else an Organization that asks much could hold up the files of all.
        let history = gateway.history.apart();
        let (missing, places, last) = (BTreeMap::new(), BTreeMap::new(), OrganizationId(0));
        Maker { gateway, history, missing, places, last, sweep: Instant::now() }
    }

    fn exports(&self) -> &Exports {
        &self.gateway.exports
    }

    async fn run(mut self) {
        loop {
            if let Err(problem) = self.turn().await {
                tracing::warn!(%problem, "no export is made; trying again");
                // The engine or the directory fails, which concerns all: files in progress continue after the pause.
                sleep(RETRY).await;
                self.exports().changed();
            }
        }
    }

    /// Waits until there is something to do, looks for work if something has changed, writes a page of each file, begins
    /// files in the free places, and sleeps.
    async fn turn(&mut self) -> Result<(), Stuck> {
        let changed = &self.gateway.exports.changed;
        // In the past if a file in progress is not paused.
        let due = self.places.values().map(|place| place.resume).fold(self.sweep, Instant::min);
        let woken = timeout_at(due, changed.notified()).await.is_ok();
        let began = Instant::now();
        if woken || self.sweep <= began {
            self.compare().await?;
        }
        let ready: Vec<OrganizationId> =
            self.places.iter().filter(|(_, place)| place.resume <= began).map(|(id, _)| *id).collect();
        for organization in ready {
            self.advance(organization).await?;
            self.publish();
        }
        self.begin().await;
        self.publish();
        sleep(began.elapsed()).await;
        Ok(())
    }

    /// Writes a page of an Organization's file, and finishes it after the last one. A failure pauses this Organization
    /// only: the others wait no longer than history may take for a page. An engine that does not answer pauses all.
    async fn advance(&mut self, organization: OrganizationId) -> Result<(), Stuck> {
        // Taken out while it is worked on: if it failed before the pause, another Organization may have the place.
        let Some(mut job) = self.places.remove(&organization).and_then(|place| place.job) else { return Ok(()) };
        let reference = self.gateway.directory.reference();
        let id = job.export.id;
        match job.page(&self.history, &reference).await {
            Ok(true) => {
                self.places.insert(organization, Place { job: Some(job), resume: Instant::now() });
            }
            Ok(false) => match self.finish(job).await {
                Err(stuck @ Stuck::File(_)) => self.pause(organization, id, None, &stuck),
                finished => return finished,
            },
            // Nothing has changed, so the file goes on after the pause.
            Err(Stuck::Busy) => self.pause(organization, id, Some(job), &Stuck::Busy),
            Err(stuck) => {
                job.discard().await;
                self.pause(organization, id, None, &stuck);
            }
        }
        Ok(())
    }

    /// Lets an Organization wait before its file goes on, or without `job` starts over when it is its turn again.
    fn pause(&mut self, organization: OrganizationId, export: ExportId, job: Option<Job>, problem: &Stuck) {
        tracing::warn!(%export, %problem, "an export is not made; trying again");
        self.places.insert(organization, Place { job, resume: Instant::now() + RETRY });
    }

    async fn finish(&mut self, job: Job) -> Result<(), Stuck> {
        let (export, progress) = job.finish(&self.exports().dir).await?;
        let command = Command::FinishExport { export: export.id, started: progress.started, rows: progress.rows };
        match self.gateway.ask(Principal::SERVER, Work::Command(command)).await {
            Ok(_) => {}
            // It was removed meanwhile: the next comparison removes the file.
            Err(Unanswered::Refused(_)) => self.exports().changed(),
            Err(Unanswered::Unavailable) => return Err(Stuck::Unanswered),
        }
        self.missing.remove(&(export.organization, export.id));
        Ok(())
    }

    /// Begins files until no place is free or no Organization waits. One that fails takes a place, too.
    async fn begin(&mut self) {
        while self.places.len() < IN_PROGRESS_MAX {
            let Some(export) = self.next() else { return };
            let (organization, id) = (export.organization, export.id);
            self.last = organization;
            match Job::begin(&self.exports().dir, export, (self.gateway.clock)()).await {
                Ok(job) => {
                    self.places.insert(organization, Place { job: Some(job), resume: Instant::now() });
                }
                Err(error) => self.pause(organization, id, None, &Stuck::File(error)),
            }
        }
    }

    /// The oldest missing file of the Organization whose turn it is: of those without a place, the first after the one
    /// that began last, by id and around. So each waits for every other once at most, however much that one orders.
    fn next(&self) -> Option<Export> {
        let last = (self.last, ExportId(u64::MAX));
        let after = self.missing.range((Bound::Excluded(last), Bound::Unbounded));
        let mut around = after.chain(self.missing.range(..=last)).map(|(_, export)| export);
        around.find(|export| !self.places.contains_key(&export.organization)).cloned()
    }

    /// Compares the engine's exports with jobs and directory, and updates these.
    async fn compare(&mut self) -> Result<(), Stuck> {
        let all = self.all().await?;
        let ordered = |job: &Job| all.iter().any(|export| export.id == job.export.id);
        self.places.retain(|_, place| place.job.as_ref().is_none_or(ordered));
        let found = self.tidy(&all).await?;
        let is_missing = |export: &Export| export.made.is_none() || !found.contains(&file_name(export));
        let missing = all.into_iter().filter(is_missing);
        self.missing = missing.map(|export| ((export.organization, export.id), export)).collect();
        self.sweep = Instant::now() + SWEEP;
        Ok(())
    }

    /// The engine's exports, queried page by page so that no query is long.
    async fn all(&self) -> Result<Vec<Export>, Stuck> {
        let mut all: Vec<Export> = Vec::new();
        loop {
            let query = Query::AllExports(all.last().map(|last| last.id));
            match self.gateway.ask(Principal::SERVER, Work::Query(query)).await {
                Ok(Answer::View(View::Exports(page))) if page.is_empty() => return Ok(all),
                Ok(Answer::View(View::Exports(page))) => all.extend(page),
                Ok(_) | Err(_) => return Err(Stuck::Unanswered),
            }
        }
    }

    /// Removes files that belong to no export; returns the names of the others.
    async fn tidy(&self, all: &[Export]) -> io::Result<BTreeSet<String>> {
        let dir = &self.exports().dir;
        tokio::fs::DirBuilder::new().recursive(true).mode(0o700).create(dir).await?;
        let mut known: BTreeSet<String> = all.iter().map(file_name).collect();
        known.extend(self.in_progress().map(|job| part_name(&job.export)));
        let mut found = BTreeSet::new();
        let mut entries = tokio::fs::read_dir(dir).await?;
        while let Some(entry) = entries.next_entry().await? {
            let name = entry.file_name().to_string_lossy().into_owned();
            if known.contains(&name) {
                found.insert(name);
            } else if let Err(error) = tokio::fs::remove_file(entry.path()).await {
                // No export needs it, so a failure to remove it is only logged.
                tracing::warn!(name, %error, "a stray file in exports could not be removed");
            }
        }
        Ok(found)
    }

    fn in_progress(&self) -> impl Iterator<Item = &Job> {
        self.places.values().filter_map(|place| place.job.as_ref())
    }

    fn publish(&self) {
        self.exports().set_progress(self.in_progress().map(|job| (job.export.id, job.progress)).collect());
    }
}
