//! Rows of a file. CSV follows RFC 4180; in TSV, which has no quotes, a control character becomes a space. Lines end in
//! CR LF, the first one names the columns.
//!
//! Every value is a number, a time, an id or a fixed word: no text of a client's is written, so none can act as a
//! formula in a spreadsheet.

use crate::domain::decimal::write_units;
use crate::domain::exports::{Column, Format};
use crate::domain::ids::{ExecId, Seq};
use crate::domain::terms::FeeCurrency;
use crate::engine::entries::{Entry, of_fill};
use crate::engine::reference::Reference;
use crate::gateway::outbound::records;
use crate::history::PastFill;

/// Appends the row that names the columns.
pub(super) fn header(out: &mut String, format: Format, columns: &[Column]) {
    row(out, format, columns, |value, column| value.push_str(column.name()));
}

/// Appends the row of a fill.
pub(super) fn fill(out: &mut String, format: Format, columns: &[Column], reference: &Reference, of: &PastFill) {
    let order = &of.fill.order;
    let market = reference.market(order.market);
    let fee_in_base = order.fee_in() == FeeCurrency::Base;
    row(out, format, columns, |value, column| match column {
        Column::Txid => value.push_str(&ExecId(of.offset).to_string()),
        Column::OrderTxid => value.push_str(&order.id.to_string()),
        Column::Pair => value.push_str(&market.symbol),
        Column::Time => value.push_str(&of.at.to_string()),
        Column::Type => value.push_str(order.side.name()),
        Column::OrderType => value.push_str(order.order_type.name()),
        Column::Price => write_units(value, of.price.0, market.price_decimals),
        Column::Cost => write_units(value, of.cost.0, market.quote_decimals),
        Column::Fee if fee_in_base => write_units(value, of.fill.fee.0, market.base_decimals),
        Column::Fee => write_units(value, of.fill.fee.0, market.quote_decimals),
        Column::Vol => write_units(value, of.qty.0, market.qty_decimals),
        Column::Margin => write_units(value, 0, market.quote_decimals),
        Column::Misc if fee_in_base => value.push_str("fcib"),
        Column::Ledgers => {
            let (seq, _) = Seq::of_offset(of.offset);
            let [base, quote] = of_fill(seq, of.maker);
            value.push_str(&format!("{base},{quote}"));
        }
        Column::Misc
        | Column::RefId
        | Column::Subtype
        | Column::Aclass
        | Column::Asset
        | Column::Amount
        | Column::Balance
        | Column::Wallet => {}
    });
}

/// Appends the row of a ledger entry, with the values that `ledgers` shows.
pub(super) fn entry(out: &mut String, format: Format, columns: &[Column], reference: &Reference, of: &Entry) {
    let record = records::entry(reference, of);
    row(out, format, columns, |value, column| match column {
        Column::Txid => value.push_str(&record.ledger_id),
        Column::RefId => value.push_str(&record.ref_id),
        Column::Time => value.push_str(&record.timestamp),
        Column::Type => value.push_str(record.r#type),
        Column::Subtype => value.push_str(record.subtype.unwrap_or_default()),
        Column::Aclass => value.push_str(record.asset_class),
        Column::Asset => value.push_str(&record.asset),
        Column::Amount => value.push_str(record.amount.text()),
        Column::Fee => value.push_str(record.fee.text()),
        Column::Balance => value.push_str(record.balance.text()),
        Column::Wallet => value.push_str(record.wallet_id),
        Column::OrderTxid
        | Column::Pair
        | Column::OrderType
        | Column::Price
        | Column::Cost
        | Column::Vol
        | Column::Margin
        | Column::Misc
        | Column::Ledgers => {}
    });
}

fn row(out: &mut String, format: Format, columns: &[Column], write: impl Fn(&mut String, Column)) {
    let mut value = String::new();
    for (at, column) in columns.iter().enumerate() {
        if at > 0 {
            out.push(if format == Format::Csv { ',' } else { '\t' });
        }
        value.clear();
        write(&mut value, *column);
        match format {
            Format::Csv if value.contains([',', '"', '\r', '\n']) => {
                out.push('"');
                out.push_str(&value.replace('"', "\"\""));
                out.push('"');
            }
            Format::Csv => out.push_str(&value),
            Format::Tsv => out.extend(value.chars().map(|c| if c.is_control() { ' ' } else { c })),
        }
    }
    out.push_str("\r\n");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_quoted_where_the_format_needs_it() {
        let value = |column: Column| match column {
            Column::Txid => "plain",
            Column::Misc => "a,b",
            Column::Pair => "say \"x\"",
            Column::Time => "two\r\nlines\there",
            _ => "",
        };
        let columns = [Column::Txid, Column::Misc, Column::Fee, Column::Pair, Column::Time];
        let written = |format| {
            let mut out = String::new();
            row(&mut out, format, &columns, |out, column| out.push_str(value(column)));
            out
        };
        assert_eq!(written(Format::Csv), "plain,\"a,b\",,\"say \"\"x\"\"\",\"two\r\nlines\there\"\r\n");
        assert_eq!(written(Format::Tsv), "plain\ta,b\t\tsay \"x\"\ttwo  lines here\r\n");
    }
}
