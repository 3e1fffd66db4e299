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
        // What each iceberg hides, and the size of its slices.
        let mut hidden: Vec<(Quantity, Quantity)> = Vec::new();
        for maker in queue.filter(|maker| state.is_live(maker, now)) {
            match (own(maker), passes_own) {
                (true, true) => continue,
                (true, false) => return ControlFlow::Break(()),
                (false, _) => {}
            }
            each(maker.visible(), price)?;
            hidden.extend(slices(maker));
        }
        while !hidden.is_empty() {
            for (behind, size) in &mut hidden {
                let slice = (*behind).min(*size);
                each(slice, price)?;
                *behind = behind.minus(slice);
            }
            hidden.retain(|(behind, _)| *behind > Quantity::ZERO);
        }
    }
    ControlFlow::Continue(())
}

/// What an iceberg hides behind its current slice, and the size of a slice.
fn slices(maker: &Order) -> Option<(Quantity, Quantity)> {
    let display = maker.terms.as_ref()?.display.filter(|display| display.shown < maker.remaining())?;
    Some((maker.remaining().minus(display.shown), display.size.max(Quantity(1))))
}
