//! Everything that falls due. Time limits on rights are checked against the stamp of each command; `Tick` only carries
//! out the consequences (rule 39), so it may do so in several goes.

use super::transition::Transition;
use super::{allocations, dead_mans_switch, decisions, exports, keys, service_users, sessions, triggers};

/// Carries out what is due by now; in a halt, only ends and cancels, so money stays where it is (rule 35). Once it is
/// [long](Transition::is_long), the next Tick goes on.
pub fn tick(t: &mut Transition<'_>) {
    keys::tick(t);
    service_users::tick(t);
    sessions::tick(t);
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
