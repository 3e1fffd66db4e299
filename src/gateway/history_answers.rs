//! Answers that wait for SQL: pages of history, orders by id, past fills, the audit log.

use futures::FutureExt as _;
use serde::de::DeserializeOwned;

use super::answers::Group;
use super::call::Call;
use super::close::Close;
use super::filters;
use super::inbound::{HistoryRequest, Page};
use super::outbound::executions::{self, Execution, OneSide};
use super::outbound::{array, items, page, records};
use super::replay::{AT_ONCE_MAX, ReplayPage};
use super::ring::Item;
use super::session::{End, Session};
use super::upgrade::WebSocket;
use crate::access::operation::Operation;
use crate::domain::cursor::Cursor;
use crate::domain::ids::{OrderId, Seq};
use crate::domain::orders::Order;
use crate::domain::text::Symbol;
use crate::domain::time::Moment;
use crate::engine::command::OrderRef;
use crate::engine::entries::Entry;
use crate::engine::query::{AuditGrant, HistoryGrant};
use crate::engine::reference::Reference;
use crate::engine::reject::{Code, Reject};
use crate::engine::transfers::{Transfer, TransferFilter};
use crate::history::{Busy, ClosedOrder, History, HistoryFilter, PastFill};
use crate::wire::results::{AuditLog, Ledgers};

/// Fills in the snapshot that `snap_trades` asks for.
const FILLS_MAX: usize = 50;

/// A call and its answer.
type Answered = (Call, Result<String, Busy>);

/// What history has delivered to a session.
pub(super) enum HistoryResult {
    /// The answer to a call.
    Answered(Answered),
    /// The past fills of a subscription to `executions`, by its number.
    Fills(u64, Result<String, Busy>),
    /// A page of a replay.
    Replay(ReplayPage),
}

/// Items that wait for past fills still being read: the fills must come first, because offsets only rise (rule 41).
#[derive(Debug)]
pub(super) struct AwaitingFills {
    /// The fills are as of this event.
    reached: Seq,
    items: Vec<Item>,
}

impl AwaitingFills {
    /// Whether an item must come after the fills.
    pub(super) fn holds(&self, item: &Item) -> bool {
        item.stamped.seq > self.reached
    }

    /// Keeps an item; `false` if it has `max` already.
    pub(super) fn keep(&mut self, item: &Item, max: usize) -> bool {
        let room = self.items.len() < max;
        if room {
            self.items.push(item.clone());
        }
        room
    }
}

impl Session {
    fn spawn_history_query<T>(&mut self, call: Call, ask: impl FnOnce(History) -> T)
    where
        T: Future<Output = Result<String, Busy>> + Send + 'static,
    {
        let text = ask(self.gateway.history.clone());
        self.history.spawn(text.map(|text| HistoryResult::Answered((call, text))));
    }

    /// Queries history for the last fills; later items wait until they are written.
    pub(super) fn show_fills(&mut self, number: u64, grant: HistoryGrant) {
        let (history, reference) = (self.gateway.history.clone(), self.gateway.directory.reference());
        if let Some(subscription) = self.subscriptions.get_mut(&Operation::Executions) {
            subscription.held = Some(Box::new(AwaitingFills { reached: grant.reached, items: Vec::new() }));
        }
        self.history.spawn(async move {
            let fills = history.last_fills(&grant, FILLS_MAX).await;
            HistoryResult::Fills(number, fills.map(|fills| fills_text(&reference, &fills, Some(grant.reached))))
        });
    }

    /// Writes the last fills as a snapshot frame of their own, then the items that waited for them: clients look at a
    /// frame's first item to tell fills from orders, so the two are never in one frame.
    pub(super) async fn write_fills(
        &mut self,
        number: u64,
        told: Result<String, Busy>,
        socket: &mut WebSocket,
    ) -> Option<End> {
        let channel = Operation::Executions;
        let subscription = self.subscriptions.get_mut(&channel).filter(|subscription| subscription.number == number)?;
        // The acknowledgement promised them.
        let Ok(data) = told else { return Some(End::Close(Close::FillsNotReady)) };
        let held = subscription.held.take();
        self.frame(channel, true, &data);
        let (reference, dates) = (self.gateway.directory.reference(), self.query_dates());
        for some in held.iter().flat_map(|held| held.items.chunks(AT_ONCE_MAX)) {
            let mut group: Option<Group> = None;
            for item in some {
                self.add(&mut group, channel, item, &reference, filters::live(dates, item));
            }
            self.end_group(&mut group);
            if let Err(failed) = self.write(socket).await {
                return Some(failed);
            }
        }
        None
    }

    /// Answers with a page of history once SQL has it.
    pub(super) fn query_history(&mut self, call: Call, request: HistoryRequest, grant: HistoryGrant, now: Moment) {
        let reference = self.gateway.directory.reference();
        let filter = match &request {
            HistoryRequest::ClosedOrders(page) | HistoryRequest::Trades(page) | HistoryRequest::Ledgers(page) => {
                filter(page, &reference)
            }
            HistoryRequest::LedgersNamed(_) => Ok(HistoryFilter::default()),
        };
        let filter = match filter {
            Ok(filter) => filter,
            Err(reject) => return self.refused(&call, &reject, now),
        };
        self.spawn_history_query(call, |history| async move {
            match request {
                HistoryRequest::ClosedOrders(_) => history
                    .closed_orders(&grant, &filter)
                    .await
                    .map(|(orders, cursor)| orders_text(&reference, Vec::new(), &orders, cursor)),
                HistoryRequest::Trades(_) => history.trades(&grant, &filter).await.map(|(fills, cursor)| {
                    page_text("trades", cursor, |text| text.push_str(&fills_text(&reference, &fills, None)))
                }),
                HistoryRequest::Ledgers(_) => history
                    .ledger_entries(&grant, &filter)
                    .await
                    .map(|(entries, cursor)| entries_text(&reference, &entries, cursor)),
                HistoryRequest::LedgersNamed(ids) => history
                    .ledger_entries_named(&grant, &ids)
                    .await
                    .map(|entries| entries_text(&reference, &entries, None)),
            }
        });
    }

    /// Answers with deposits or withdrawals: the open ones, and the ended ones once SQL has them.
    pub(super) fn transfers<T: Transfer + DeserializeOwned + Send + 'static>(
        &mut self,
        call: Call,
        filter: TransferFilter,
        grant: HistoryGrant,
        open: Vec<T>,
        text: fn(&Reference, &[T], Option<Cursor>) -> String,
    ) {
        let reference = self.gateway.directory.reference();
        let asset = filter.asset.and_then(|code| reference.find_asset(&code).ok()).map(|asset| asset.id);
        self.spawn_history_query(call, move |history| async move {
            let page = history.transfers(&grant, &filter, asset, open).await;
            page.map(|(all, cursor)| text(&reference, &all, cursor))
        });
    }

    /// Answers with a page of the audit log once SQL has it.
    pub(super) fn audit(&mut self, call: Call, page: &Page, grant: AuditGrant, now: Moment) {
        let filter = match filter(page, &self.gateway.directory.reference()) {
            Ok(filter) => filter,
            Err(reject) => return self.refused(&call, &reject, now),
        };
        self.spawn_history_query(call, |history| async move {
            history.audit_log(&grant, &filter).await.map(|(entries, cursor)| {
                let entries = entries.iter().map(records::audit).collect();
                items::to_json(&AuditLog { entries, cursor: cursor.map(|cursor| cursor.to_string()) })
            })
        });
    }

    /// Answers `query_orders`: the open ones, and the closed ones once SQL has them.
    pub(super) fn find(&mut self, call: Call, refs: Box<[OrderRef]>, open: Vec<Order>, grant: Option<HistoryGrant>) {
        let reference = self.gateway.directory.reference();
        let texts = open.iter().map(|order| {
            let mut text = String::new();
            items::open_order(&mut text, &reference, order, Seq(order.id.0).offset(0));
            (order.id, text)
        });
        let texts: Vec<(OrderId, String)> = texts.collect();
        self.spawn_history_query(call, |history| async move {
            let ids: Vec<OrderId> =
                refs.iter().filter_map(|of| if let OrderRef::Id(id) = of { Some(*id) } else { None }).collect();
            let named: Vec<&str> = refs
                .iter()
                .filter_map(|of| if let OrderRef::ClientId(id) = of { Some(id.as_str()) } else { None })
                .collect();
            let closed = match &grant {
                Some(grant) => history.find(grant, &ids, &named).await,
                None => Ok(Vec::new()),
            };
            closed.map(|closed| orders_text(&reference, texts, &closed, None))
        });
    }

    /// Writes an answer from history.
    pub(super) fn write_history_answer(&mut self, (call, text): Answered) {
        let now = (self.gateway.clock)();
        match text {
            Ok(text) => self.reply(call.envelope(now), Ok(&text)),
            Err(Busy) => self.reply(call.envelope(now), Err(&busy().text())),
        }
    }
}

/// The refusal of what history does not answer in time.
pub(super) fn busy() -> Reject {
    Reject::advised(Code::Busy, "history did not answer in time; retry in 1000 ms")
}

/// The rows that a page asks for, with its names resolved.
fn filter(page: &Page, reference: &Reference) -> Result<HistoryFilter, Reject> {
    let market = page.symbol.as_deref().map(|symbol| {
        let symbol = Symbol::from(symbol)
            .map_err(|_| Reject::invalid("symbol", "give the symbol of a pair, as in `instrument`"))?;
        reference.find_market(&symbol).map(|market| market.id)
    });
    let asset = page.asset.as_deref().map(|code| reference.find_asset(code).map(|asset| asset.id));
    Ok(HistoryFilter {
        market: market.transpose()?,
        asset: asset.transpose()?,
        kind: page.entry_type.clone(),
        cl_ord_id: page.cl_ord_id,
        userref: page.order_userref,
        period: page.period,
        limit: page.limit,
        cursor: page.cursor,
    })
}

/// Ledger entries and where the next page begins.
fn entries_text(reference: &Reference, entries: &[Entry], cursor: Option<Cursor>) -> String {
    let entries = entries.iter().map(|entry| records::entry(reference, entry)).collect();
    items::to_json(&Ledgers { entries, cursor: cursor.map(|cursor| cursor.to_string()) })
}

fn page_text(name: &str, cursor: Option<Cursor>, write: impl FnOnce(&mut String)) -> String {
    let mut text = String::new();
    page(&mut text, name, cursor, write);
    text
}

/// Fills as an array; in a snapshot with the offset at which it was taken (rule 41), in a page with their own.
fn fills_text(reference: &Reference, fills: &[PastFill], snapshot: Option<Seq>) -> String {
    let mut text = String::new();
    array(&mut text, fills, |text, past| {
        let (order, what) = (&past.fill.order, Execution::Trade(OneSide::past(past)));
        let offset = snapshot.map_or(past.offset, Seq::snapshot_offset);
        executions::item(text, reference, order, what, past.at, offset);
    });
    text
}

/// Orders, newest first, each once: one that was open when the engine answered and has closed since counts as open.
fn orders_text(
    reference: &Reference,
    open: Vec<(OrderId, String)>,
    closed: &[ClosedOrder],
    cursor: Option<Cursor>,
) -> String {
    // A page must keep the order of closing, which its cursor relies on; orders found by name have no cursor.
    let mixed = !open.is_empty();
    let mut all = open;
    for closed in closed {
        if all.iter().any(|(id, _)| *id == closed.order.id) {
            continue;
        }
        let what = closed.reason.map_or(Execution::Filled, Execution::Canceled);
        let mut text = String::new();
        executions::item(&mut text, reference, &closed.order, what, closed.at, closed.offset);
        all.push((closed.order.id, text));
    }
    if mixed {
        all.sort_by_key(|(id, _)| std::cmp::Reverse(*id));
    }
    page_text("orders", cursor, |out| array(out, &all, |out, (_, text)| out.push_str(text)))
}
