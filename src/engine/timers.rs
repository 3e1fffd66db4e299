//! Everything that falls due. Time limits on rights are checked against the stamp of each command; `Tick` only carries
//! out the consequences (rule 39).

use super::transition::Transition;
use super::{allocations, dead_mans_switch, decisions, exports, members, service_users, triggers};

/// Carries out whatever is due by now; in a halt, only ends and cancels, so money stays where it is (rule 35).
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
