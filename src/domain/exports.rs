//! The names in an export: its report, its columns and the format of its file.

use super::named::named;

named! {
    /// What an export contains.
    pub enum Report {
        /// Fills of the account's orders.
        Trades = "trades",
        /// Entries of the account's ledger.
        Ledgers = "ledgers",
    }
}

impl Report {
    /// Its columns in their usual order: v2's fields, with the `txid`, `pair` and `type` that v2's own files have.
    pub const fn columns(self) -> &'static [Column] {
        use Column as C;
        match self {
            Report::Trades => &[
                C::Txid,
                C::OrderTxid,
                C::Pair,
                C::Time,
                C::Type,
                C::OrderType,
                C::Price,
                C::Cost,
                C::Fee,
                C::Vol,
                C::Margin,
                C::Misc,
                C::Ledgers,
            ],
            Report::Ledgers => &[
                C::Txid,
                C::RefId,
                C::Time,
                C::Type,
                C::Subtype,
                C::Aclass,
                C::Asset,
                C::Amount,
                C::Fee,
                C::Balance,
                C::Wallet,
            ],
        }
    }
}

named! {
    /// How the values of a file are separated; the name is also the file's extension.
    pub enum Format {
        /// By commas, quoted where needed (RFC 4180).
        Csv = "csv",
        /// By tabs.
        Tsv = "tsv",
    }
}

named! {
    /// A column of a file; its name is in the file's first row.
    pub enum Column {
        /// The row's own id: of the fill, or of the ledger entry.
        Txid = "txid",
        /// The order filled.
        OrderTxid = "ordertxid",
        /// The market.
        Pair = "pair",
        /// When.
        Time = "time",
        /// Buy or sell, or the type of ledger entry.
        Type = "type",
        /// The order's type.
        OrderType = "ordertype",
        /// The price.
        Price = "price",
        /// What it cost, in quote.
        Cost = "cost",
        /// The fee.
        Fee = "fee",
        /// How much, in base.
        Vol = "vol",
        /// The amount borrowed: always zero in this version.
        Margin = "margin",
        /// `fcib` where the fee is in base.
        Misc = "misc",
        /// The ledger entries that belong to the fill.
        Ledgers = "ledgers",
        /// What moved the money.
        RefId = "refid",
        /// The subtype of ledger entry.
        Subtype = "subtype",
        /// The class of asset.
        Aclass = "aclass",
        /// The asset.
        Asset = "asset",
        /// By how much the balance changed, before the fee.
        Amount = "amount",
        /// The account's total of the asset afterwards.
        Balance = "balance",
        /// The wallet.
        Wallet = "wallet",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::named::Named;

    #[test]
    fn names_and_back() {
        assert_eq!(Format::in_any_case("CSV"), Some(Format::Csv));
        assert_eq!(Format::in_any_case("tsv"), Some(Format::Tsv));
        assert_eq!(Format::in_any_case("xls"), None);
        assert_eq!(Report::parse("ledgers"), Some(Report::Ledgers));
        assert_eq!(Report::parse("Ledgers"), None);
        for report in [Report::Trades, Report::Ledgers] {
            let names: std::collections::BTreeSet<&str> = report.columns().iter().map(|of| of.name()).collect();
            assert_eq!(names.len(), report.columns().len(), "each column once");
        }
    }
}
