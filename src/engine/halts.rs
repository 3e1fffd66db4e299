//! `halt` and `resume`: the venue operator stops whatever moves money, and allows it again (rules 35, 36).

use super::event::Event;
use super::fields::check_comment;
use super::reject::{Code, Reject};
use super::reply::Reply;
use super::transition::Transition;

/// `halt`: until `resume`, across restarts. If the venue is halted already, the first reason stays.
pub fn halt(t: &mut Transition<'_>, reason: &str) -> Result<Reply, Reject> {
    check_comment("reason", Some(reason))?;
    if t.state().halted.is_none() {
        t.emit(Event::Halted { reason: reason.to_owned() });
    }
    Ok(Reply::Halted(t.state().halted.clone()))
}

/// `resume`: only if every money law holds over all balances, whatever the halt was for.
pub fn resume(t: &mut Transition<'_>) -> Result<Reply, Reject> {
    if t.state().halted.is_some() {
        t.state().ledger.check().map_err(|why| Reject::field(Code::LedgerUnsound, "ledger", why))?;
        t.emit(Event::Resumed);
    }
    Ok(Reply::Halted(None))
}
