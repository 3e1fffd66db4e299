//! What falls due. Rights with a time are judged by the stamp of each command; `Tick` only makes the
//! consequences happen (rule 39).

use super::transition::Transition;
use super::{allocations, dead_mans_switch, decisions, exports, members, service_users, triggers};

/// Lets whatever is due by now happen. In a halt that is what ends or is canceled; money stays where it is (rule 35).
pub fn tick(t: &mut Transition<'_>) {
    service_users::tick(t);
    members::tick(t);
    dead_mans_switch::tick(t);
    decisions::tick(t);
    exports::tick(t);
    if t.state().halted.is_some() {
        triggers::expire(t);
    } else {
        triggers::tick(t);
        allocations::tick(t);
    }
}
