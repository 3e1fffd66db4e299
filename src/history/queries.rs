//! Queries over the tables, within the accounts and dates that the engine granted.

use std::cmp::Reverse;
use std::time::Duration;

use serde::de::DeserializeOwned;

use super::History;
use super::audit::Audited;
use super::rows::{ClosedOrder, PastFill, read, read_candle};
use crate::domain::candles::{CANDLES_MAX, DAY_MINUTES, INTERVALS};
use crate::domain::cursor::Cursor;
use crate::domain::ids::{AssetId, LedgerId, MarketId, OrderId, Seq};
use crate::domain::limits::PAGE_MAX;
use crate::domain::prints::{MarketPast, PRINTS_KEPT};
use crate::domain::text::ClientOrderId;
use crate::domain::time::{Moment, Period};
use crate::engine::entries::Entry;
use crate::engine::query::{AuditGrant, HistoryGrant};
use crate::storage::history::{HistoryError, HistoryReader, OrderFilter, Page, SortKey, Stored};

/// How long a query may take (rule 40).
pub const QUERY_TIMEOUT: Duration = Duration::from_secs(2);

/// The tables are behind, too many queries are running, or the tables cannot be read: try again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Busy;

impl From<HistoryError> for Busy {
    fn from(error: HistoryError) -> Busy {
        tracing::warn!(%error, "a history query failed");
        Busy
    }
}

/// Which rows to return.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct HistoryFilter {
    /// Of this market.
    pub market: Option<MarketId>,
    /// Of this asset.
    pub asset: Option<AssetId>,
    /// Of this type of ledger entry.
    pub kind: Option<String>,
    /// With this client id.
    pub cl_ord_id: Option<ClientOrderId>,
    /// Of this group.
    pub userref: Option<i64>,
    /// Of this time.
    pub period: Period,
    /// At most.
    pub limit: usize,
    /// After this row.
    pub cursor: Option<Cursor>,
}

/// The past that public market data needs, from the tables as they are now.
pub(super) async fn past(reader: &HistoryReader) -> Result<MarketPast, HistoryError> {
    let mut past = MarketPast::default();
    let traded = reader.traded_markets().await?;
    for market in traded.into_iter().filter_map(|market| u16::try_from(market).map(MarketId).ok()) {
        for interval in INTERVALS {
            let candles = reader.last_candles(market.0.into(), interval, CANDLES_MAX as u32).await?;
            past.candles.extend(candles.iter().rev().map(|row| (market, interval, read_candle(row))));
        }
        // A minute without a trade has no candle, so these cover at least a day.
        let minutes = reader.last_candles(market.0.into(), 1, DAY_MINUTES as u32).await?;
        past.minutes.extend(minutes.iter().rev().map(|row| (market, read_candle(row))));
        // The taker's side has what anybody may see of the trade.
        let sides = reader.last_trades(market.0.into(), 2 * PRINTS_KEPT as u32).await?;
        let fills = sides.iter().rev().filter_map(|row| read::<PastFill>(&row.body));
        past.prints.extend(fills.filter(|fill| !fill.maker).map(|fill| (market, fill.print())));
    }
    Ok(past)
}

/// A page of a list, newest first, and where the next begins.
pub(super) type Paged<T> = (Vec<T>, Option<Cursor>);

impl History {
    /// The last event in the tables.
    pub fn last(&self) -> u64 {
        *self.reached.borrow()
    }

    /// Waits for the tables to have the event at `seq`.
    #[cfg(test)]
    pub(super) async fn reached(&self, seq: Seq) -> Result<(), Busy> {
        self.query(seq, async { Ok(()) }).await
    }

    /// Runs a query once the tables have the event at `seq`. One time limit covers waiting, a connection and the rows.
    pub(super) async fn query<T>(&self, seq: Seq, query: impl Future<Output = Result<T, Busy>>) -> Result<T, Busy> {
        let mut reached = self.reached.clone();
        let answered = async {
            // If somebody waits for a batch, the projector writes it without waiting for more.
            self.awaited.send_if_modified(|awaited| {
                let later = seq.0 > *awaited;
                *awaited = seq.0.max(*awaited);
                later
            });
            reached.wait_for(|at| *at >= seq.0).await.map_err(|_| Busy)?;
            query.await
        };
        tokio::time::timeout(QUERY_TIMEOUT, answered).await.unwrap_or(Err(Busy))
    }

    /// Takes every connection, so that queries wait until the returned guard is dropped.
    #[cfg(test)]
    pub async fn occupy(&self) -> impl Sized + use<> {
        self.reader.occupy().await
    }

    /// A cursor that starts a list, newest first, with the last row as of the grant.
    pub fn cursor_after(grant: &HistoryGrant) -> Cursor {
        // Stamps never go back (rule 39), so the rows of later events come before this position by time or by id.
        Cursor { at: grant.at, id: grant.reached.next().offset(0) }
    }

    /// `closed_orders`, by the time at which they closed.
    pub async fn closed_orders(
        &self,
        grant: &HistoryGrant,
        wanted: &HistoryFilter,
    ) -> Result<Paged<ClosedOrder>, Busy> {
        self.query(grant.reached, async {
            let filter = OrderFilter {
                market: wanted.market.map(|market| market.0.into()),
                cl_ord_id: wanted.cl_ord_id.as_deref(),
                userref: wanted.userref,
            };
            Ok(decode_page(self.reader.closed_orders(&page(grant, wanted), &filter).await?, wanted.limit))
        })
        .await
    }

    /// `ledgers`, by time.
    pub async fn ledger_entries(&self, grant: &HistoryGrant, wanted: &HistoryFilter) -> Result<Paged<Entry>, Busy> {
        self.query(grant.reached, async {
            let asset = wanted.asset.map(|asset| asset.0.into());
            let rows = self.reader.ledger_entries(&page(grant, wanted), asset, wanted.kind.as_deref()).await?;
            Ok(decode_page(rows, wanted.limit))
        })
        .await
    }

    /// `audit_log`, by time, each entry with the chain of its journal row.
    pub async fn audit_log(&self, grant: &AuditGrant, wanted: &HistoryFilter) -> Result<Paged<Audited>, Busy> {
        self.query(grant.reached, async {
            let page = within(grant.organization.0.into(), Period::ALWAYS, wanted);
            let mut rows = self.reader.audit(&page).await?;
            let next = cut(&mut rows, wanted.limit, |row| (row.at_us, row.id));
            let seqs: Vec<u64> = rows.iter().map(|row| Seq::of_offset(row.id).0.0).collect();
            let chains = self.journal.chains_of(&seqs).await.map_err(|error| {
                tracing::warn!(%error, "the journal's chain cannot be read");
                Busy
            })?;
            let audited = rows
                .iter()
                .zip(chains)
                .filter_map(|(row, chain)| Some(Audited { entry: read(&row.body)?, offset: row.id, chain }));
            Ok((audited.collect(), next))
        })
        .await
    }

    /// `trades_history`, by time.
    pub async fn trades(&self, grant: &HistoryGrant, wanted: &HistoryFilter) -> Result<Paged<PastFill>, Busy> {
        self.query(grant.reached, async {
            let market = wanted.market.map(|market| market.0.into());
            Ok(decode_page(self.reader.trades(&page(grant, wanted), market).await?, wanted.limit))
        })
        .await
    }

    /// The account's ledger entries among those named, within the granted dates.
    pub async fn ledger_entries_named(&self, grant: &HistoryGrant, ids: &[LedgerId]) -> Result<Vec<Entry>, Busy> {
        self.query(grant.reached, async {
            let ids: Vec<u64> = ids.iter().map(|id| id.0).collect();
            let mut rows = self.reader.ledger_entries_by_id(grant.account.0.into(), &ids).await?;
            rows.retain(|row| grant.dates.holds(Moment(row.at_us)));
            Ok(rows.iter().filter_map(|row| read(&row.body)).collect())
        })
        .await
    }

    /// The account's last fills as of the grant and within its dates, oldest first.
    pub async fn last_fills(&self, grant: &HistoryGrant, limit: usize) -> Result<Vec<PastFill>, Busy> {
        self.query(grant.reached, async {
            // The tables may have advanced in the meantime.
            let cursor = Some(History::cursor_after(grant));
            let wanted = HistoryFilter { limit, cursor, ..HistoryFilter::default() };
            let rows = self.reader.trades(&page(grant, &wanted), None).await?;
            Ok(rows.iter().take(limit).rev().filter_map(|row| read(&row.body)).collect())
        })
        .await
    }

    /// The closed orders among those named, newest first: by order id any of the account, by client id only the
    /// caller's own (rule 30), and only those that closed within the granted dates.
    pub async fn find(
        &self,
        grant: &HistoryGrant,
        ids: &[OrderId],
        cl_ord_ids: &[&str],
    ) -> Result<Vec<ClosedOrder>, Busy> {
        self.query(grant.reached, async {
            let account = grant.account.0.into();
            let ids: Vec<u64> = ids.iter().map(|id| id.0).collect();
            let mut rows: Vec<Stored> = Vec::new();
            if !ids.is_empty() {
                rows.extend(self.reader.orders_by_id(account, &ids).await?);
            }
            if let Some(owner) = grant.service_user.filter(|_| !cl_ord_ids.is_empty()) {
                let limit = u32::try_from(PAGE_MAX).unwrap_or(u32::MAX);
                let page = Page { limit, ..page(grant, &HistoryFilter::default()) };
                rows.extend(self.reader.orders_by_client_id(&page, owner.0.into(), cl_ord_ids).await?);
            }
            rows.retain(|row| grant.dates.holds(Moment(row.at_us)));
            rows.sort_unstable_by_key(|row| Reverse(row.id));
            Ok(rows.iter().filter_map(|row| read(&row.body)).collect())
        })
        .await
    }
}

pub(super) fn page(grant: &HistoryGrant, wanted: &HistoryFilter) -> Page {
    within(grant.account.0.into(), grant.dates, wanted)
}

/// The rows wanted, within the dates, and one more, to see whether there are more.
fn within(owner: u64, dates: Period, wanted: &HistoryFilter) -> Page {
    let period = wanted.period.within(dates);
    let after = wanted.cursor.map(|cursor| SortKey { at_us: cursor.at.0, id: cursor.id });
    // Also given as a bound of its own, so that a deep page is found by look-up, not by counting.
    let behind = after.map_or(u64::MAX, |after| after.at_us.saturating_add(1));
    Page {
        owner,
        start_us: period.from.map_or(0, |at| at.0),
        end_us: period.until.map_or(behind, |at| at.0.min(behind)),
        after,
        limit: u32::try_from(wanted.limit + 1).unwrap_or(u32::MAX),
    }
}

/// The records of a page of rows, and where the next page begins.
fn decode_page<T: DeserializeOwned>(mut rows: Vec<Stored>, limit: usize) -> Paged<T> {
    let next = cut(&mut rows, limit, |row| (row.at_us, row.id));
    (rows.iter().filter_map(|row| read(&row.body)).collect(), next)
}

/// Cuts `rows` to a page of `limit` rows; returns the cursor after the last one if more follow.
pub(super) fn cut<T>(rows: &mut Vec<T>, limit: usize, place: impl Fn(&T) -> (u64, u64)) -> Option<Cursor> {
    let more = rows.len() > limit;
    rows.truncate(limit);
    let (at, id) = place(rows.last().filter(|_| more)?);
    Some(Cursor { at: Moment(at), id })
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::access::principal::Actor;
    use crate::domain::ids::{AccountId, OrganizationId, ServiceUserId};
    use crate::domain::orders::{CancelReason, Order, OrderStatus};
    use crate::engine::event::Event;
    use crate::history::Feed;
    use crate::sequencer::Stamped;
    use crate::storage::{Journal, Storage};
    use std::sync::Arc;

    /// Empty tables that follow a feed, and the journal that must get events first.
    pub async fn followed(dir: &std::path::Path) -> (History, Feed, Journal) {
        let storage = Storage::Sqlite(dir.to_owned());
        let journal = storage.journal().await.unwrap();
        let (feed, incoming) = crate::history::feed();
        let reader = storage.reader().await.unwrap();
        let started = crate::history::start(&storage, &reader, incoming, Duration::MAX, Seq(0)).await;
        let (history, past, _) = started.unwrap();
        // The projector uses the same connections for it.
        past.await.unwrap();
        (history, feed, journal)
    }

    fn grant(seq: u64) -> HistoryGrant {
        let (account, dates) = (AccountId(1), Period::ALWAYS);
        HistoryGrant { account, service_user: None, dates, reached: Seq(seq), at: Moment(seq) }
    }

    /// The runtime's time advances by itself once all tasks wait.
    #[tokio::test]
    async fn rule_40_who_waits_for_a_connection_is_told_after_two_seconds_too() {
        let dir = tempfile::tempdir().unwrap();
        let (history, _feed, _journal) = followed(dir.path()).await;
        let occupied = history.occupy().await;
        tokio::time::pause();
        let began = tokio::time::Instant::now();
        let page = history.closed_orders(&grant(0), &HistoryFilter { limit: 1, ..HistoryFilter::default() }).await;
        assert_eq!((page, began.elapsed().as_secs()), (Err(Busy), QUERY_TIMEOUT.as_secs()));
        tokio::time::resume();
        drop(occupied);
        let page = history.closed_orders(&grant(0), &HistoryFilter { limit: 1, ..HistoryFilter::default() }).await;
        assert_eq!(page, Ok((Vec::new(), None)));
    }

    #[tokio::test]
    async fn rule_40_who_waits_for_its_own_other_queries_is_told_after_two_seconds_and_keeps_nobody_waiting() {
        let dir = tempfile::tempdir().unwrap();
        let (history, _feed, _journal) = followed(dir.path()).await;
        let places = history.reader.places();
        let held = (places.take(1).await, places.take(1).await);
        let wanted = HistoryFilter { limit: 1, ..HistoryFilter::default() };
        let other = HistoryGrant { account: AccountId(2), ..grant(0) };
        assert_eq!(history.closed_orders(&other, &wanted).await, Ok((Vec::new(), None)));
        assert_eq!(history.apart().trades(&grant(0), &wanted).await, Ok((Vec::new(), None)), "for an export");
        tokio::time::pause();
        assert_eq!(history.closed_orders(&grant(0), &wanted).await, Err(Busy));
        assert_eq!(history.trades(&grant(0), &wanted).await, Err(Busy));
        assert_eq!(history.ledger_entries(&grant(0), &wanted).await, Err(Busy));
        assert_eq!(history.ledger_entries_named(&grant(0), &[LedgerId(1)]).await, Err(Busy));
        assert_eq!(history.find(&grant(0), &[OrderId(1)], &[]).await, Err(Busy));
        let audit = AuditGrant { organization: OrganizationId(1), reached: Seq(0) };
        assert_eq!(history.audit_log(&audit, &wanted).await, Err(Busy));
        tokio::time::resume();
        drop(held);
        assert_eq!(history.closed_orders(&grant(0), &wanted).await, Ok((Vec::new(), None)));
    }

    /// An order of the event at `seq`, which canceled it.
    pub fn canceled(seq: u64, owner: u16, cl_ord_id: &str) -> Arc<Stamped> {
        let order = Order {
            owner: ServiceUserId(owner.into()),
            cl_ord_id: Some(ClientOrderId::from(cl_ord_id).unwrap()),
            status: OrderStatus::Canceled,
            ..Order::waiting(seq)
        };
        let event = Event::OrderCanceled { order, reason: CancelReason::UserRequested };
        Arc::new(Stamped { seq: Seq(seq), at: Moment(seq), by: Actor::Server, rate: None, event })
    }

    #[tokio::test]
    async fn rule_30_ones_own_orders_are_found_by_name_behind_whatever_others_and_other_names_have() {
        let dir = tempfile::tempdir().unwrap();
        let (history, mut feed, mut journal) = followed(dir.path()).await;
        let more = PAGE_MAX as u64 + 100;
        let own = [canceled(1, 7, "rare"), canceled(2, 7, "early"), canceled(3, 7, "rare")];
        let others = (4..more).map(|seq| canceled(seq, 8, "rare"));
        let often = (more..2 * more).map(|seq| canceled(seq, 7, "often"));
        let events = Arc::new(own.into_iter().chain(others).chain(often).collect());
        crate::history::journal_events(&mut journal, &events).await;
        feed.feed(&events);
        let asker = HistoryGrant { service_user: Some(ServiceUserId(7)), ..grant(2 * more - 1) };
        let found = async |grant: &HistoryGrant, names: &[&str]| -> Vec<u64> {
            history.find(grant, &[], names).await.unwrap().iter().map(|of| of.order.id.0).collect()
        };
        assert_eq!(found(&asker, &["rare"]).await, [3, 1], "not those of another");
        let all = found(&asker, &["often", "early", "often", "rare"]).await;
        assert_eq!((all.len(), &all[PAGE_MAX - 3..]), (PAGE_MAX, &[3, 2, 1][..]), "not behind another name");
        assert!(all.is_sorted_by(|newer, older| newer > older), "newest first, each once");
        let until = Some(Moment(more + 2));
        let dated = HistoryGrant { dates: Period { from: Some(Moment(2)), until }, ..asker };
        assert_eq!(found(&dated, &["often", "rare"]).await, [more + 1, more, 3], "start ≤ t < end");
    }
}
