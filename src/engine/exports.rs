//! Exports: what was ordered, by whom, and whether its file is made.
//!
//! Ordering an export is a command like any other, so it is durable when acknowledged, and its rights are checked where
//! all rights are. Making the file is the server's work: it can be made again from the history tables at any time, as
//! of the sequence at which it was ordered.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Bound;

use serde::{Deserialize, Serialize};

use super::caller::ServiceCaller;
use super::event::Event;
use super::reject::{Code, Reject};
use super::reply::Reply;
use super::state::State;
use super::transition::Transition;
use crate::access::key::KeySettings;
use crate::access::operation::Operation;
use crate::domain::exports::{Column, Format, Report};
use crate::domain::ids::{AccountId, ExportId, OrganizationId, ServiceUserId};
use crate::domain::limits::{COMMENT_BYTES_MAX, EXPORT_US, EXPORTS_MAX, EXPORTS_OPEN_MAX};
use crate::domain::time::{Moment, Period};

/// Exports that one query of the server reads.
const PAGE: usize = 64;

/// What `export_add` gives.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RequestedExport {
    /// What it contains.
    pub report: Report,
    /// The form of the file.
    pub format: Format,
    /// The columns in order, each once; the report's own when `None`.
    pub columns: Option<Vec<Column>>,
    /// The period that it covers.
    pub period: Period,
    /// The client's own description; shown in its status only.
    pub description: String,
}

/// An export.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Export {
    /// Its id: the sequence as of which it is made.
    pub id: ExportId,
    /// The Organization.
    pub organization: OrganizationId,
    /// Of which account.
    pub account: AccountId,
    /// Who ordered it.
    pub service_user: ServiceUserId,
    /// What it contains.
    pub report: Report,
    /// The form of its file.
    pub format: Format,
    /// Its columns in order.
    pub columns: Vec<Column>,
    /// The client's own description.
    pub description: String,
    /// It holds the entries from here.
    pub from: Moment,
    /// It holds the entries before here.
    pub until: Moment,
    /// When it was ordered.
    pub created_at: Moment,
    /// Set once its file is made.
    pub made: Option<Made>,
}

/// How making a file went.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Made {
    /// When it was begun.
    pub started: Moment,
    /// When it was complete.
    pub completed: Moment,
    /// Rows in it, its header not counted.
    pub rows: u64,
}

/// What became of an export.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum ExportChange {
    /// It was ordered.
    Added,
    /// Its file was made.
    Made,
    /// It was removed, or its time was over.
    Removed,
}

impl Export {
    /// When it is removed.
    pub fn expires_at(&self) -> Moment {
        self.created_at.plus_us(EXPORT_US)
    }

    /// Whether a key with these settings may read all of it (rule 10).
    fn within(&self, settings: &KeySettings) -> bool {
        let Period { from, until } = settings.query_dates;
        from.is_none_or(|from| from <= self.from) && until.is_none_or(|until| self.until <= until)
    }
}

/// All exports.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Exports {
    all: BTreeMap<ExportId, Export>,
    of_account: BTreeMap<AccountId, BTreeSet<ExportId>>,
}

impl Exports {
    /// Folds an event in.
    pub fn apply(&mut self, export: &Export, change: ExportChange) {
        match change {
            ExportChange::Added | ExportChange::Made => {
                self.all.insert(export.id, export.clone());
                self.of_account.entry(export.account).or_default().insert(export.id);
            }
            ExportChange::Removed => {
                self.all.remove(&export.id);
                if let Some(of_account) = self.of_account.get_mut(&export.account) {
                    of_account.remove(&export.id);
                }
            }
        }
    }

    /// The exports after `after`, oldest first, of every account; as many as one query may read.
    pub fn page(&self, after: Option<ExportId>) -> impl Iterator<Item = &Export> {
        let from = after.map_or(Bound::Unbounded, Bound::Excluded);
        self.all.range((from, Bound::Unbounded)).map(|(_, export)| export).take(PAGE)
    }

    /// An account's, oldest first.
    pub fn of(&self, account: AccountId) -> impl Iterator<Item = &Export> {
        self.of_account.get(&account).into_iter().flatten().filter_map(|id| self.all.get(id))
    }
}

fn unknown() -> Reject {
    Reject::field(Code::UnknownExport, "export_id", "give the id of an export of the account")
}

/// The exports of the caller's account, whichever key ordered them, as far as the caller's query dates reach. For the
/// caller no others exist.
fn visible(state: &State, caller: ServiceCaller) -> impl Iterator<Item = &Export> {
    let settings = &state.keys.service_user(caller.id).settings;
    state.exports.of(caller.account).filter(|export| export.within(settings))
}

fn find(state: &State, caller: ServiceCaller, id: ExportId) -> Result<&Export, Reject> {
    visible(state, caller).find(|export| export.id == id).ok_or_else(unknown)
}

/// The caller's exports, or the one named; only one whose file is made can be retrieved.
pub fn of(
    state: &State,
    caller: ServiceCaller,
    operation: Operation,
    id: Option<ExportId>,
) -> Result<Vec<Export>, Reject> {
    let Some(id) = id else { return Ok(visible(state, caller).cloned().collect()) };
    let export = find(state, caller, id)?;
    if operation == Operation::ExportRetrieve && export.made.is_none() {
        return Err(Reject::field(Code::ExportNotReady, "export_id", "ask again when its status is Processed"));
    }
    Ok(vec![export.clone()])
}

/// `export_add`. The key's query dates limit its contents for good; if they change later, the export may be hidden.
pub fn add(t: &mut Transition<'_>, caller: ServiceCaller, request: &RequestedExport) -> Result<Reply, Reject> {
    if request.description.len() > COMMENT_BYTES_MAX || request.description.chars().any(char::is_control) {
        return Err(Reject::invalid("description", "give at most 500 bytes without control characters"));
    }
    if request.period.is_empty() {
        return Err(Reject::invalid("end", "give a time after start"));
    }
    let full = |advice: &str| Err(Reject::field(Code::LimitReached, "report", advice));
    let exports = &t.state().exports;
    if exports.of(caller.account).count() >= EXPORTS_MAX {
        return full(&format!("the account has {EXPORTS_MAX} exports; remove one"));
    }
    let accounts = &t.state().members.organization(caller.organization).accounts;
    let open = accounts.iter().flat_map(|account| exports.of(*account)).filter(|export| export.made.is_none());
    if open.count() >= EXPORTS_OPEN_MAX {
        return full(&format!("{EXPORTS_OPEN_MAX} exports wait to be made; wait for one or remove it"));
    }
    let period = request.period.within(t.state().keys.service_user(caller.id).settings.query_dates);
    let from = period.from.unwrap_or_default();
    // Nothing in it is later than its order.
    let ordered = t.now().plus_us(1);
    let until = period.until.map_or(ordered, |until| until.min(ordered));
    let export = Export {
        id: ExportId(t.next_seq().0),
        organization: caller.organization,
        account: caller.account,
        service_user: caller.id,
        report: request.report,
        format: request.format,
        columns: request.columns.clone().unwrap_or_else(|| request.report.columns().to_vec()),
        description: request.description.clone(),
        from,
        until,
        created_at: t.now(),
        made: None,
    };
    t.emit(Event::ExportChanged { export: Box::new(export.clone()), change: ExportChange::Added });
    Ok(Reply::Export(Box::new(export)))
}

/// `export_remove`, whether its file is made or not.
pub fn remove(t: &mut Transition<'_>, caller: ServiceCaller, id: ExportId) -> Result<Reply, Reject> {
    let export = Box::new(find(t.state(), caller, id)?.clone());
    t.emit(Event::ExportChanged { export, change: ExportChange::Removed });
    Ok(Reply::ExportRemoved)
}

/// Records that the file is made; refused if the export was removed meanwhile, so that the file is removed too. A file
/// that was lost is made and recorded again.
pub fn finish(t: &mut Transition<'_>, id: ExportId, started: Moment, rows: u64) -> Result<Reply, Reject> {
    let export = t.state().exports.all.get(&id).ok_or_else(unknown)?;
    let made = Some(Made { started, completed: t.now(), rows });
    let export = Box::new(Export { made, ..export.clone() });
    t.emit(Event::ExportChanged { export, change: ExportChange::Made });
    Ok(Reply::Done)
}

/// Removes the exports whose time is over.
pub fn tick(t: &mut Transition<'_>) {
    let now = t.now();
    // They are in the order in which they were ordered; the next tick finds what does not fit on one page.
    let due: Vec<Export> =
        t.state().exports.page(None).take_while(|export| export.expires_at() <= now).cloned().collect();
    for export in due {
        t.emit(Event::ExportChanged { export: Box::new(export), change: ExportChange::Removed });
    }
}
