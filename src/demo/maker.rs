//! The market maker of the second Organization: keeps quoting every market over a real socket.

use std::net::SocketAddr;
use std::time::Duration;

use serde_json::{Value, json};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

use super::Failure;
use super::client::Client;
use super::credentials::Key;
use crate::domain::decimal::units_text;

/// The time between two quotes; each goes to the next market.
const PACE: Duration = Duration::from_millis(500);

/// Symbol, decimals of a price, the price to begin with in these units, and the quantity of a quote.
const MARKETS: [(&str, u8, i64, &str); 5] = [
    ("BTC/USD", 1, 1_000_000, "0.5"),
    ("ETH/USD", 2, 350_000, "10"),
    ("SOL/USD", 2, 18_000, "200"),
    ("ETH/BTC", 5, 3_500, "10"),
    ("USDC/USD", 4, 10_000, "50000"),
];
/// Distances from the middle, in parts per 10,000: these move with it …
const NEAR: [i64; 3] = [2, 6, 10];
/// … and these stay, so that the book is never empty while the others are replaced.
const FAR: [i64; 4] = [100, 150, 200, 300];

/// The market maker at work.
pub struct Maker {
    stop: oneshot::Sender<()>,
    task: JoinHandle<()>,
}

impl Maker {
    /// Connects, quotes every market once, and continues in the background.
    pub async fn start(address: SocketAddr, key: Key) -> Result<Maker, Failure> {
        let mut client = Client::signed(address, &key).await?;
        client.must("cancel_all", json!({})).await?;
        let mut quotes = Vec::new();
        for (market, (_, _, middle, _)) in MARKETS.into_iter().enumerate() {
            for distance in FAR {
                quote(&mut client, market, middle, distance).await?;
            }
            quotes.push((middle, near(&mut client, market, middle).await?));
        }
        let (stop, stopped) = oneshot::channel();
        let task = tokio::spawn(async move {
            tokio::select! {
                ended = keep_quoting(client, quotes) => if let Err(error) = ended {
                    tracing::warn!(%error, "the market maker has left");
                },
                _ = stopped => {}
            }
        });
        Ok(Maker { stop, task })
    }

    /// Ends the quoting; the orders stay.
    pub async fn stop(self) {
        // The send fails if the market maker has ended by itself already.
        let _ = self.stop.send(());
        let _ = self.task.await;
    }
}

async fn keep_quoting(mut client: Client, mut quotes: Vec<(i64, Vec<Value>)>) -> Result<(), Failure> {
    loop {
        for (market, (middle, resting)) in quotes.iter_mut().enumerate() {
            client.drain(PACE).await?;
            let step = (*middle / 5_000).max(1);
            let drift = rand::random_range(-step..=step);
            // The price stays near its start, within the far quotes.
            let (lowest, highest) = (MARKETS[market].2 * 997 / 1_000, MARKETS[market].2 * 1_003 / 1_000);
            *middle = (*middle + drift).clamp(lowest, highest);
            if !resting.is_empty() {
                // Some may have been filled; what is left is canceled.
                client.call("cancel_order", json!({"order_id": resting})).await?.ok();
            }
            *resting = near(&mut client, market, *middle).await?;
        }
    }
}

async fn near(client: &mut Client, market: usize, middle: i64) -> Result<Vec<Value>, Failure> {
    let mut resting = Vec::new();
    for distance in NEAR {
        resting.extend(quote(client, market, middle, distance).await?);
    }
    Ok(resting)
}

/// A bid and an ask; one that would take, or that the balance no longer covers, is left out.
async fn quote(client: &mut Client, market: usize, middle: i64, distance: i64) -> Result<Vec<Value>, Failure> {
    let (symbol, decimals, _, qty) = MARKETS[market];
    let away = (middle * distance / 10_000).max(1);
    let mut placed = Vec::new();
    for (side, price) in [("buy", middle - away), ("sell", middle + away)] {
        let params = json!({
            "order_type": "limit", "side": side, "symbol": symbol, "order_qty": qty,
            "limit_price": units_text(price, decimals), "post_only": true,
        });
        if let Ok(mut result) = client.call("add_order", params).await? {
            placed.push(result["order_id"].take());
        }
    }
    Ok(placed)
}
