//! Deposits and withdrawals as one list: the open ones from the engine, the ended ones from SQL.

use serde::Serialize;
use serde::de::DeserializeOwned;

use super::History;
use super::queries::{Busy, HistoryFilter, Paged, cut, page};
use super::rows::{bytes, read};
use crate::domain::ids::AssetId;
use crate::domain::time::Moment;
use crate::engine::query::HistoryGrant;
use crate::engine::transfers::{Transfer, TransferFilter};
use crate::storage::history::{Stored, TransferKey, TransferRow};

/// The row of one that has ended; open ones have none.
pub(super) fn row<T: Transfer + Serialize>(of: &T) -> Option<TransferRow> {
    (!of.is_open()).then(|| TransferRow {
        stored: Stored { at_us: of.created_at().0, id: of.id(), body: bytes(of) },
        kind: T::KIND.to_owned(),
        account: of.account().0.into(),
        asset: of.asset().0.into(),
        method: of.method().to_owned(),
    })
}

impl History {
    /// `deposit_status` and `withdraw_status`: those that were `open` when the engine answered, and those that had
    /// ended by then. The key's dates limit the ended ones; open ones are present state (rules 10, 40).
    pub async fn transfers<T: Transfer + DeserializeOwned>(
        &self,
        grant: &HistoryGrant,
        filter: &TransferFilter,
        asset: Option<AssetId>,
        open: Vec<T>,
    ) -> Result<Paged<T>, Busy> {
        self.query(grant.reached, async {
            let wanted = HistoryFilter {
                period: filter.period,
                limit: filter.limit,
                cursor: filter.before,
                ..HistoryFilter::default()
            };
            let rows = match filter.id {
                Some(id) => {
                    let found = self.reader.transfer(grant.account.0.into(), T::KIND, id).await?;
                    found.into_iter().filter(|row| grant.dates.holds(Moment(row.at_us))).collect()
                }
                None => {
                    let asset = asset.map(|asset| asset.0.into());
                    let key = TransferKey { kind: T::KIND, asset, method: filter.method.as_deref() };
                    self.reader.transfers(&page(grant, &wanted), &key).await?
                }
            };
            let ended = rows.iter().filter_map(|row| read(&row.body)).filter(|of: &T| filter.admits(asset, of));
            let mut all = merged(open, ended);
            let next = cut(&mut all, filter.limit, |of| (of.created_at().0, of.id()));
            Ok((all, next))
        })
        .await
    }
}

/// Newest first, each once: one that has ended since the engine answered is shown as it was then.
fn merged<T: Transfer>(open: Vec<T>, ended: impl Iterator<Item = T>) -> Vec<T> {
    let mut all = open;
    let reported = all.len();
    for of in ended {
        if all[..reported].iter().all(|open| open.id() != of.id()) {
            all.push(of);
        }
    }
    all.sort_by_key(|of| std::cmp::Reverse((of.created_at(), of.id())));
    all
}
