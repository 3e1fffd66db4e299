//! Counters from a server's Prometheus page.

use crate::endpoint::Endpoint;

const COMMITS: &str = "countersign_journal_commits_total";
const ORDERS: &str = "countersign_orders_accepted_total";

const EVENTS: &str = "countersign_journal_events_total";
const SEND_QUEUE: &str = "countersign_send_queue_bytes";
const HISTORY_LAG: &str = "countersign_history_lag_events";
const BUILD: &str = "countersign_build_info{version=\"";

/// The server's version, if the page has it.
pub async fn version(endpoint: &Endpoint) -> Option<String> {
    version_in(&endpoint.get("/metrics").await.ok()?)
}

fn version_in(page: &str) -> Option<String> {
    let reported = page.lines().find_map(|line| line.strip_prefix(BUILD))?;
    reported.split_once('"').map(|(version, _)| version.to_owned())
}

/// Events that the server's process has journaled, if the page has it.
pub async fn journal_events(endpoint: &Endpoint) -> Option<f64> {
    counter(&endpoint.get("/metrics").await.ok()?, EVENTS)
}

/// Events released but not in the history tables yet, if the page has it.
pub async fn history_lag(endpoint: &Endpoint) -> Option<f64> {
    counter(&endpoint.get("/metrics").await.ok()?, HISTORY_LAG)
}

/// Bytes that wait to be written on all sockets, estimated by the server, if the page has it.
pub async fn send_queue_bytes(endpoint: &Endpoint) -> Option<f64> {
    counter(&endpoint.get("/metrics").await.ok()?, SEND_QUEUE)
}

/// The two counters whose quotient is syncs per order.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Counters {
    commits: f64,
    orders: f64,
}

impl Counters {
    /// Reads the page; `None` if it cannot be read or lacks either counter. That is no error: other servers may have no
    /// such page.
    pub async fn read(endpoint: &Endpoint) -> Option<Self> {
        Self::parse(&endpoint.get("/metrics").await.ok()?)
    }

    fn parse(page: &str) -> Option<Self> {
        Some(Self { commits: counter(page, COMMITS)?, orders: counter(page, ORDERS)? })
    }

    /// Journal commits, each of which is one sync, per accepted order since `earlier`.
    pub fn syncs_per_order_since(self, earlier: Self) -> Option<f64> {
        crate::figures::ratio(self.commits - earlier.commits, self.orders - earlier.orders)
    }
}

/// The sum over a counter's label sets.
fn counter(page: &str, name: &str) -> Option<f64> {
    let samples = page.lines().filter_map(|line| {
        let rest = line.strip_prefix(name)?;
        let value = match rest.strip_prefix('{') {
            Some(labelled) => labelled.rsplit_once('}')?.1,
            None if rest.starts_with(' ') => rest,
            None => return None,
        };
        value.split_whitespace().next()?.parse::<f64>().ok()
    });
    samples.fold(None, |sum, value| Some(sum.unwrap_or(0.0) + value))
}

#[cfg(test)]
mod tests {
    use super::*;

    const PAGE: &str = "# HELP countersign_journal_commits Commits.\n\
        # TYPE countersign_journal_commits counter\n\
        countersign_journal_commits_total 40\n\
        countersign_orders_accepted_total{symbol=\"BTC/USD\"} 9000\n\
        countersign_orders_accepted_total{symbol=\"ETH/USD\"} 1000 1700000000\n\
        countersign_orders_accepted_total_other 5\n\
        countersign_build_info{version=\"0.1.0\"} 1\n";

    #[test]
    fn labelled_counters_add_up_and_names_match_whole() {
        let now = Counters::parse(PAGE).unwrap();
        assert_eq!(now, Counters { commits: 40.0, orders: 10_000.0 });
        let earlier = Counters { commits: 20.0, orders: 0.0 };
        assert_eq!(now.syncs_per_order_since(earlier), Some(0.002));
        assert_eq!(now.syncs_per_order_since(now), None, "no orders, no figure");
    }

    #[test]
    fn a_page_without_what_is_looked_for_gives_nothing() {
        assert_eq!(Counters::parse("other_total 1\n"), None);
        assert_eq!((version_in(PAGE).as_deref(), version_in("other_total 1\n")), (Some("0.1.0"), None));
    }
}
