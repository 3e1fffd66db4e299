//! The one queue of governed work. It knows no workflow by name: a workflow file judges and carries out.

use serde::{Deserialize, Serialize};

use super::policy::Policy;
use super::workflows::Action;
use crate::access::workflow::Workflow;
use crate::domain::ids::{MemberId, OrganizationId, RequestId, ServiceUserId};
use crate::domain::text::ClientId;
use crate::domain::time::Moment;

/// Who asked.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Initiator {
    /// A Member, with the name at that time.
    Member(MemberId, String),
    /// A Service User, with the name at that time.
    ServiceUser(ServiceUserId, String),
}

/// Where a request is. All but `Pending` are final.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum RequestState {
    /// Waiting for votes.
    Pending,
    /// Completed by votes.
    Approved,
    /// Completed by Execute, or because no policy governs.
    Executed,
    /// Ended by votes against it.
    Rejected,
    /// Taken back by its initiator, or its initiator left.
    Canceled,
    /// Its time ran out.
    Expired,
    /// It could not be carried out any more.
    Failed,
}

/// For or against.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Decision {
    /// For.
    Approve,
    /// Against.
    Reject,
}

/// A vote.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Vote {
    /// Whose.
    pub member: MemberId,
    /// The name at that time.
    pub name: String,
    /// Which way.
    pub decision: Decision,
    /// When.
    pub at: Moment,
    /// Comment or reason.
    pub comment: Option<String>,
    /// Struck when its Member lost the right to vote (rule 22).
    pub struck: bool,
}

/// A request as it stands.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Request {
    /// Its id.
    pub id: RequestId,
    /// Whose queue.
    pub organization: OrganizationId,
    /// Which workflow governs it.
    pub workflow: Workflow,
    /// What will be done.
    pub action: Action,
    /// Who asked.
    pub initiator: Initiator,
    /// The initiator's own id for it, kept for ever (rule 30).
    pub client_id: Option<ClientId>,
    /// When.
    pub created_at: Moment,
    /// When its time runs out.
    pub expires_at: Moment,
    /// Lower-case hex SHA-256 of what an approver must see (rule 24).
    pub digest: String,
    /// The policy pinned when it was made; `None` when none governed.
    pub pinned: Option<Policy>,
    /// Votes in order.
    pub votes: Vec<Vote>,
    /// Where it is.
    pub state: RequestState,
    /// Why it failed or was rejected.
    pub reason: Option<String>,
}

/// The queue.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Approvals {}

impl Approvals {
    /// Folds a request in.
    pub fn apply(&mut self, _request: &Request) {}
}
