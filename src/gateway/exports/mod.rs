//! Exports: files of trades and ledger entries, made in the background and fetched by links that work once.
//!
//! The engine keeps the orders for exports and checks who may have them; this module has the files, which can be made
//! again at any time. A link is in memory only: it is valid for a minute, and a restart voids it.

mod download;
mod job;
mod maker;
mod sheet;
#[cfg(test)]
mod tests;

pub use download::routes;
pub use maker::make;

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use parking_lot::Mutex;

use tokio::sync::Notify;
use zeroize::Zeroizing;

use super::passwords::{bearer_hash, new_bearer_token};
use crate::access::principal::Principal;
use crate::domain::ids::ExportId;
use crate::domain::time::Moment;
use crate::engine::exports::Export;

/// How long a link is valid, µs.
const LINK_US: u64 = 60_000_000;

/// The progress of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Progress {
    /// When it was begun.
    pub started: Moment,
    /// Rows written.
    pub rows: u64,
}

/// Permission to download a file once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Link {
    export: ExportId,
    /// Who asked for it; the key is checked again when the link is used.
    by: Principal,
    made: Moment,
}

/// What sessions, the maker and the download share.
pub struct Exports {
    dir: PathBuf,
    /// By the hash of the token.
    links: Mutex<HashMap<[u8; 32], Link>>,
    /// Of the exports that are being made.
    progress: Mutex<HashMap<ExportId, Progress>>,
    /// Notified when something was ordered or removed.
    changed: Notify,
}

impl Exports {
    /// Exports whose files lie in `exports` under a data directory.
    pub fn under(data_dir: &Path) -> Exports {
        let changed = Notify::new();
        // The first check of the directory is at the start.
        changed.notify_one();
        Exports { dir: data_dir.join("exports"), links: Mutex::default(), progress: Mutex::default(), changed }
    }

    /// Tells the maker that an export was ordered or removed.
    pub fn changed(&self) {
        self.changed.notify_one();
    }

    /// The progress of an export while its file is being made.
    pub fn progress(&self, id: ExportId) -> Option<Progress> {
        self.progress.lock().get(&id).copied()
    }

    fn set_progress(&self, all: HashMap<ExportId, Progress>) {
        *self.progress.lock() = all;
    }

    /// A new link to an export, valid for a minute: its token, and until when. It voids the previous link of the same
    /// key or Member to the same export.
    pub fn link(&self, export: ExportId, by: Principal, now: Moment) -> (Zeroizing<String>, Moment) {
        let (token, until) = (new_bearer_token(), now.plus_us(LINK_US));
        let mut links = self.links.lock();
        let is_former = |link: &Link| (link.export, link.by.actor) == (export, by.actor);
        links.retain(|_, link| !is_former(link) && now.is_near(link.made, LINK_US));
        links.insert(bearer_hash(&token), Link { export, by, made: now });
        (token, until)
    }

    /// Uses up a link: returns the export and who asked for it.
    fn redeem(&self, token: &str, now: Moment) -> Option<(ExportId, Principal)> {
        let used = self.links.lock().remove(&bearer_hash(token))?;
        now.is_near(used.made, LINK_US).then_some((used.export, used.by))
    }

    fn path(&self, export: &Export) -> PathBuf {
        self.dir.join(file_name(export))
    }
}

/// The name of an export's file.
fn file_name(export: &Export) -> String {
    format!("{}.{}", export.id, export.format.name())
}
