//! What an order would meet in the book as it is.

use std::ops::ControlFlow;

use super::state::State;
use crate::domain::money::{Price, Quantity};
use crate::domain::orders::{Order, Side};
use crate::domain::terms::SelfTrade;
use crate::domain::time::Moment;

/// Whether `order` would trade with a resting order at `price`.
pub(super) fn reaches(order: &Order, price: Price) -> bool {
    match (order.limit, order.side) {
        (None, _) => true,
        (Some(limit), Side::Buy) => price <= limit,
        (Some(limit), Side::Sell) => price >= limit,
    }
}

/// Passes to `each` the fills that `order` would have in the current book, one per maker, until `each` has seen enough
/// or the order would meet its own Organization and end. As in the book, an iceberg's next slice comes after everything
/// else at its price.
pub(super) fn walk(
    state: &State,
    order: &Order,
    now: Moment,
    mut each: impl FnMut(Quantity, Price) -> ControlFlow<()>,
) -> ControlFlow<()> {
    let own = |maker: &Order| maker.organization == order.organization;
    let passes_own = order.self_trade() == SelfTrade::CancelOldest;
    for (price, _, queue) in state.orders.book(order.market).levels(order.side.opposite()) {
        if !reaches(order, price) {
            break;
        }
        let live = queue.filter(|maker| state.is_live(maker, now));
        let mut hides = false;
        for maker in live.clone() {
            match (own(maker), passes_own) {
                (true, true) => continue,
                (true, false) => return ControlFlow::Break(()),
                (false, _) => {}
            }
            each(maker.visible(), price)?;
            hides |= maker.visible() < maker.remaining();
        }
        let mut round = 0;
        while std::mem::take(&mut hides) {
            for maker in live.clone().filter(|maker| !own(maker)) {
                let Some((behind, size)) = hidden(maker, round) else { continue };
                each(Quantity(behind.min(size)), price)?;
                hides |= behind > size;
            }
            round += 1;
        }
    }
    ControlFlow::Continue(())
}

/// What an iceberg still hides after its current slice and `round` more, and the size of a slice.
fn hidden(maker: &Order, round: i64) -> Option<(i64, i64)> {
    let display = maker.terms.as_ref()?.display?;
    let size = display.size.0.max(1);
    let behind = maker.remaining().0.saturating_sub(display.shown.0).saturating_sub(size.saturating_mul(round));
    (behind > 0).then_some((behind, size))
}
