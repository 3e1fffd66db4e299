//! The task that makes the files. It compares the engine's exports with the files in the directory, makes the missing
//! ones and removes those that belong to no export, after a restart as at any other time.
//!
//! Each Organization has one file in progress, and all of them advance in turn, a page at a time, through one reader.
//! After each round the task sleeps as long as it has worked: exports, however many and large, take at most half a core
//! and leave the other readers to queries.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::{Instant, sleep, timeout};

use super::job::{Job, Stuck, part_name};
use super::{Exports, file_name};
use crate::access::principal::Principal;
use crate::domain::ids::OrganizationId;
use crate::engine::command::Command;
use crate::engine::exports::Export;
use crate::engine::query::{Query, View};
use crate::gateway::context::{Gateway, Unanswered};
use crate::history::History;
use crate::sequencer::handle::{Answer, Work};

/// The time between two checks of the directory when nothing was ordered: exports also expire.
const SWEEP: Duration = Duration::from_secs(60);
/// The pause before something that failed is tried again.
const RETRY: Duration = Duration::from_secs(5);

/// Makes files until the server stops; unfinished ones start over after the restart.
pub async fn make(gateway: Arc<Gateway>) {
    // Else an Organization that asks much could hold up the files of all.
    let history = gateway.history.apart();
    let maker = Maker { gateway: Arc::clone(&gateway), history, jobs: BTreeMap::new() };
    tokio::select! {
        () = maker.run() => {}
        () = gateway.stopping() => {}
    }
}

struct Maker {
    gateway: Arc<Gateway>,
    history: History,
    jobs: BTreeMap<OrganizationId, Job>,
}

impl Maker {
    fn exports(&self) -> &Exports {
        &self.gateway.exports
    }

    async fn run(mut self) {
        loop {
            if let Err(problem) = self.turn().await {
                tracing::warn!(%problem, "an export is not made; trying again");
                // Other files in progress continue after the pause.
                sleep(RETRY).await;
                self.exports().changed();
            }
        }
    }

    /// Looks for work if there is none or something has changed, writes a page of each file, and sleeps.
    async fn turn(&mut self) -> Result<(), Stuck> {
        let changed = &self.gateway.exports.changed;
        let idle = self.jobs.is_empty();
        // An idle maker checks at least this often, even if not woken.
        let patience = if idle { SWEEP } else { Duration::ZERO };
        let woken = timeout(patience, changed.notified()).await.is_ok();
        let began = Instant::now();
        if woken || idle {
            self.compare().await?;
        }
        let open: Vec<OrganizationId> = self.jobs.keys().copied().collect();
        for organization in open {
            self.advance(organization).await?;
        }
        sleep(began.elapsed()).await;
        Ok(())
    }

    /// Writes a page of an Organization's file, and finishes it after the last one.
    async fn advance(&mut self, organization: OrganizationId) -> Result<(), Stuck> {
        // Taken out while it is worked on: on failure it starts over, unless history was just busy.
        let Some(mut job) = self.jobs.remove(&organization) else { return Ok(()) };
        let reference = self.gateway.directory.reference();
        match job.page(&self.history, &reference).await {
            Ok(false) => {
                self.finish(job).await?;
                self.exports().changed();
            }
            page @ (Ok(true) | Err(Stuck::Busy)) => {
                self.jobs.insert(organization, job);
                page?;
            }
            Err(stuck) => {
                job.discard().await;
                return Err(stuck);
            }
        }
        self.publish();
        Ok(())
    }

    async fn finish(&mut self, job: Job) -> Result<(), Stuck> {
        let (export, progress) = job.finish(&self.exports().dir).await?;
        let command = Command::FinishExport { export: export.id, started: progress.started, rows: progress.rows };
        match self.gateway.ask(Principal::SERVER, Work::Command(command)).await {
            // If it was removed meanwhile, the next comparison removes the file.
            Ok(_) | Err(Unanswered::Refused(_)) => Ok(()),
            Err(Unanswered::Unavailable) => Err(Stuck::Unanswered),
        }
    }

    /// Compares the engine's exports with jobs and directory, and updates these.
    async fn compare(&mut self) -> Result<(), Stuck> {
        let all = self.all().await?;
        self.jobs.retain(|_, job| all.iter().any(|export| export.id == job.export.id));
        let found = self.tidy(&all).await?;
        for export in all {
            let there = export.made.is_some() && found.contains(&file_name(&export));
            if !there && !self.jobs.contains_key(&export.organization) {
                let now = (self.gateway.clock)();
                let organization = export.organization;
                self.jobs.insert(organization, Job::begin(&self.exports().dir, export, now).await?);
            }
        }
        self.publish();
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
        known.extend(self.jobs.values().map(|job| part_name(&job.export)));
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

    fn publish(&self) {
        self.exports().set_progress(self.jobs.values().map(|job| (job.export.id, job.progress)).collect());
    }
}
