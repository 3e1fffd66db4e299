//! The ten scopes of a Service User's key.

use serde::{Deserialize, Serialize};

/// What a key may ask for, named as in the API key permissions.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Scope {
    /// Balances and funding status.
    Query,
    /// Allocate and deallocate.
    Earn,
    /// Deposit addresses and history.
    Deposit,
    /// Ask for withdrawals.
    Withdraw,
    /// Open orders and trades as they happen.
    QueryOpenOrders,
    /// Closed orders and past trades.
    QueryClosedOrders,
    /// Place and change orders.
    ModifyOrders,
    /// Cancel orders and close positions.
    CancelOrders,
    /// Ledger entries.
    QueryLedger,
    /// Exports of trades and ledger.
    ExportData,
}

impl Scope {
    /// Every scope, in the order of the specification.
    pub const ALL: [Scope; 10] = [
        Scope::Query,
        Scope::Earn,
        Scope::Deposit,
        Scope::Withdraw,
        Scope::QueryOpenOrders,
        Scope::QueryClosedOrders,
        Scope::ModifyOrders,
        Scope::CancelOrders,
        Scope::QueryLedger,
        Scope::ExportData,
    ];

    /// Its name on the wire.
    pub const fn name(self) -> &'static str {
        match self {
            Scope::Query => "query",
            Scope::Earn => "earn",
            Scope::Deposit => "deposit",
            Scope::Withdraw => "withdraw",
            Scope::QueryOpenOrders => "query_open_orders",
            Scope::QueryClosedOrders => "query_closed_orders",
            Scope::ModifyOrders => "modify_orders",
            Scope::CancelOrders => "cancel_orders",
            Scope::QueryLedger => "query_ledger",
            Scope::ExportData => "export_data",
        }
    }

    /// The scope of that name.
    pub fn parse(name: &str) -> Option<Scope> {
        Scope::ALL.into_iter().find(|scope| scope.name() == name)
    }

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
    pub const ALL: ScopeSet = ScopeSet((1 << 10) - 1);

    /// The set of the scopes listed.
    pub fn of(scopes: &[Scope]) -> ScopeSet {
        ScopeSet(scopes.iter().fold(0, |bits, scope| bits | scope.bit()))
    }

    /// Whether `scope` is in the set.
    pub const fn holds(self, scope: Scope) -> bool {
        self.0 & scope.bit() != 0
    }

    /// The scopes in the set, in the order of the specification.
    pub fn iter(self) -> impl Iterator<Item = Scope> {
        Scope::ALL.into_iter().filter(move |scope| self.holds(*scope))
    }
}
