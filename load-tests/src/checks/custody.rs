//! What custody is sent about withdrawals: nothing twice, and no end of a withdrawal that was not released.

use std::collections::HashSet;

use super::Check;

/// Withdrawals that are released and have not ended.
#[derive(Debug)]
pub struct Released {
    open: HashSet<String>,
    check: Check,
}

impl Released {
    /// Nothing sent yet to `owner`.
    pub fn new(owner: &str) -> Self {
        let check = Check::new(format!("{owner} custody: no withdrawal out of turn"));
        Self { open: HashSet::new(), check }
    }

    /// Takes an item; one without a `refid` is a notice about something else. A snapshot's items were released before.
    pub fn reported(&mut self, refid: Option<&str>, status: Option<&str>, is_snapshot: bool) {
        let Some(refid) = refid else { return };
        self.check.looked_at += u64::from(!is_snapshot);
        let is_right = match status {
            Some("Pending") => self.open.insert(refid.to_owned()),
            Some("Success" | "Failure") => self.open.remove(refid),
            _ => false,
        };
        if !is_right {
            self.check.violated(format!("{refid} is {} out of turn", status.unwrap_or("without a status")));
        }
    }

    /// The verdict; none if nothing was sent.
    pub fn check(self) -> Option<Check> {
        (self.check.looked_at > 0 || self.check.violations > 0).then_some(self.check)
    }
}
