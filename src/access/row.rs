//! The words of the table of [operations](super::operation): what one does, and who may use it.

use super::scope::Scope;
use super::workflow::{Permission, Workflow};

/// What an operation does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Answers from present state or history.
    Read,
    /// Changes state.
    Write,
    /// A channel to subscribe to.
    Stream,
}

/// What a Service User needs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ServiceRight {
    /// Not for Service Users.
    No,
    /// Any good key.
    Any,
    /// Any one of these scopes (rule 11).
    Scopes(&'static [Scope]),
}

/// What a Member needs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MemberRight {
    /// Not for Members.
    No,
    /// Any Member who is signed in; what is shown depends on View.
    Any,
    /// A Member with verified KYC; the engine checks the workflow of the request concerned.
    Acting,
    /// This permission, and verified KYC unless it is View.
    Holds(Workflow, Permission),
    /// This permission on any one of these workflows, and verified KYC.
    HoldsAny(&'static [Workflow], Permission),
}

/// One row of the table.
#[derive(Clone, Copy, Debug)]
pub struct Row {
    /// The method or channel on the wire.
    pub name: &'static str,
    /// Read, write or stream.
    pub kind: Kind,
    /// Open to a socket that no credential was proved for.
    pub public: bool,
    /// What a Service User needs.
    pub service_user: ServiceRight,
    /// What a Member needs.
    pub member: MemberRight,
    /// Open to venue operators.
    pub venue: bool,
}

pub(super) const fn both(name: &'static str, kind: Kind, service_user: ServiceRight, member: MemberRight) -> Row {
    Row { name, kind, public: false, service_user, member, venue: false }
}

pub(super) const fn service(name: &'static str, kind: Kind, right: ServiceRight) -> Row {
    both(name, kind, right, MemberRight::No)
}

pub(super) const fn member(name: &'static str, kind: Kind, right: MemberRight) -> Row {
    both(name, kind, ServiceRight::No, right)
}

pub(super) const fn venue(name: &'static str, kind: Kind) -> Row {
    Row { name, kind, public: false, service_user: ServiceRight::No, member: MemberRight::No, venue: true }
}

pub(super) const fn open(name: &'static str, kind: Kind) -> Row {
    Row { name, kind, public: true, service_user: ServiceRight::Any, member: MemberRight::Any, venue: true }
}
