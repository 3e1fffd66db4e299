//! The making of one file: page after page of history, into a file that gets its name once it is complete and on disk.

use std::io;
use std::path::{Path, PathBuf};

use tokio::fs::{File, OpenOptions};
use tokio::io::AsyncWriteExt as _;

use super::{Progress, file_name, sheet};
use crate::domain::exports::Report;
use crate::domain::ids::Seq;
use crate::domain::time::{Moment, Period};
use crate::engine::exports::Export;
use crate::engine::query::HistoryGrant;
use crate::engine::reference::Reference;
use crate::history::{Busy, History, HistoryFilter};

/// Rows read at a time: this bounds an export's memory, and how long it occupies a reader.
pub(super) const PAGE_ROWS: usize = 1_000;

/// Why a file could not be continued.
#[derive(Debug, thiserror::Error)]
pub(super) enum Stuck {
    /// History does not answer in time.
    #[error("history is busy")]
    Busy,
    /// The engine does not answer.
    #[error("the engine does not answer")]
    Unanswered,
    /// The file cannot be written.
    #[error(transparent)]
    File(#[from] io::Error),
}

impl From<Busy> for Stuck {
    fn from(_: Busy) -> Stuck {
        Stuck::Busy
    }
}

/// A file being made.
pub(super) struct Job {
    pub export: Export,
    pub progress: Progress,
    grant: HistoryGrant,
    filter: HistoryFilter,
    pub file: File,
    path: PathBuf,
    /// The text of one page.
    text: String,
}

/// The name of the file until it is complete.
pub(super) fn part_name(export: &Export) -> String {
    format!("{}.part", file_name(export))
}

impl Job {
    /// Begins the file of `export` in `dir`, overwriting what an earlier attempt left.
    pub async fn begin(dir: &Path, export: Export, now: Moment) -> io::Result<Job> {
        let path = dir.join(part_name(&export));
        let file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&path).await?;
        let seq = Seq(export.id.0);
        let grant = HistoryGrant {
            account: export.account,
            service_user: None,
            dates: Period { from: Some(export.from), until: Some(export.until) },
            reached: seq,
            at: export.created_at,
        };
        // Newest first, backwards from the order itself: it does not include anything later.
        let cursor = Some(History::cursor_after(&grant));
        let filter = HistoryFilter { limit: PAGE_ROWS, cursor, ..HistoryFilter::default() };
        let mut text = String::new();
        sheet::header(&mut text, export.format, &export.columns);
        let progress = Progress { started: now, rows: 0 };
        Ok(Job { export, progress, grant, filter, file, path, text })
    }

    /// Writes the next page; `false` after the last one. If history is busy, nothing has changed.
    pub async fn page(&mut self, history: &History, reference: &Reference) -> Result<bool, Stuck> {
        let Export { format, columns, .. } = &self.export;
        let (rows, cursor) = match self.export.report {
            Report::Trades => {
                let (fills, cursor) = history.trades(&self.grant, &self.filter).await?;
                fills.iter().for_each(|of| sheet::fill(&mut self.text, *format, columns, reference, of));
                (fills.len(), cursor)
            }
            Report::Ledgers => {
                let (entries, cursor) = history.ledger_entries(&self.grant, &self.filter).await?;
                entries.iter().for_each(|of| sheet::entry(&mut self.text, *format, columns, reference, of));
                (entries.len(), cursor)
            }
        };
        self.file.write_all(self.text.as_bytes()).await?;
        self.text.clear();
        self.progress.rows += rows as u64;
        self.filter.cursor = cursor;
        Ok(self.filter.cursor.is_some())
    }

    /// How much of the file it holds in memory.
    #[cfg(test)]
    pub fn buffer_bytes(&self) -> usize {
        self.text.capacity()
    }

    /// Gives the file its name, once it is on disk.
    pub async fn finish(mut self, dir: &Path) -> io::Result<(Export, Progress)> {
        if let Err(error) = self.name(dir).await {
            self.discard().await;
            return Err(error);
        }
        Ok((self.export, self.progress))
    }

    async fn name(&mut self, dir: &Path) -> io::Result<()> {
        self.file.flush().await?;
        self.file.sync_all().await?;
        tokio::fs::rename(&self.path, dir.join(file_name(&self.export))).await?;
        File::open(dir).await?.sync_all().await
    }

    /// Removes the incomplete file that cannot be written: on a full disk the journal needs the space.
    pub async fn discard(self) {
        // If this fails, the next attempt overwrites it.
        let _ = tokio::fs::remove_file(&self.path).await;
    }
}
