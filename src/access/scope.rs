//! The ten scopes of a Service User's key.

use serde::{Deserialize, Serialize};

use crate::domain::named::named;

named! {
    /// What a key may ask for, named as in the API key permissions.
    #[derive(PartialOrd, Ord, Hash)]
    pub enum Scope {
        /// Balances and funding status.
        Query = "query",
        /// Allocate and deallocate.
        Earn = "earn",
        /// Deposit addresses and history.
        Deposit = "deposit",
        /// Ask for withdrawals.
        Withdraw = "withdraw",
        /// Open orders and trades as they happen.
        QueryOpenOrders = "query_open_orders",
        /// Closed orders and past trades.
        QueryClosedOrders = "query_closed_orders",
        /// Place and change orders.
        ModifyOrders = "modify_orders",
        /// Cancel orders and close positions.
        CancelOrders = "cancel_orders",
        /// Ledger entries.
        QueryLedger = "query_ledger",
        /// Exports of trades and ledger.
        ExportData = "export_data",
    }
}

impl Scope {
    const fn bit(self) -> u16 {
        1 << self as u16
    }
}

/// A set of scopes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct ScopeSet(u16);

impl ScopeSet {
    /// No scope.
    pub const NONE: ScopeSet = ScopeSet(0);
    /// All ten.
    pub const ALL: ScopeSet = ScopeSet((1 << Scope::ALL.len()) - 1);

    /// The set of the scopes listed.
    pub fn of(scopes: &[Scope]) -> ScopeSet {
        ScopeSet(scopes.iter().fold(0, |bits, scope| bits | scope.bit()))
    }

    /// Whether `scope` is in the set.
    pub const fn holds(self, scope: Scope) -> bool {
        self.0 & scope.bit() != 0
    }

    /// The scopes in the set, in the order of [`Scope::ALL`].
    pub fn iter(self) -> impl Iterator<Item = Scope> {
        Scope::ALL.into_iter().filter(move |scope| self.holds(*scope))
    }
}
