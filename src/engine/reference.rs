//! Assets and markets, by number and by name.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::reject::{Code, Reject};
use crate::domain::assets::Asset;
use crate::domain::ids::{AssetId, MarketId};
use crate::domain::markets::{Market, MarketStatus};
use crate::domain::text::{AssetCode, Symbol};

/// What the server trades and holds. Nothing is ever removed.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reference {
    assets: Vec<Asset>,
    markets: Vec<Market>,
    asset_by_code: BTreeMap<AssetCode, AssetId>,
    market_by_symbol: BTreeMap<Symbol, MarketId>,
    statuses: Vec<MarketStatus>,
}

impl Reference {
    /// Folds a new asset in.
    pub fn add_asset(&mut self, asset: &Asset) {
        assert_eq!(asset.id, AssetId::at(self.assets.len()), "assets are numbered in order");
        self.asset_by_code.insert(asset.code, asset.id);
        self.assets.push(asset.clone());
    }

    /// Folds a new market in.
    pub fn add_market(&mut self, market: &Market) {
        assert_eq!(market.id, MarketId::at(self.markets.len()), "markets are numbered in order");
        self.market_by_symbol.insert(market.symbol, market.id);
        self.markets.push(market.clone());
        self.statuses.push(MarketStatus::Online);
    }

    /// Folds a market's new status in.
    pub fn set_status(&mut self, market: MarketId, status: MarketStatus) {
        self.statuses[market.index()] = status;
    }

    /// The status of a market.
    pub fn status(&self, market: MarketId) -> MarketStatus {
        self.statuses[market.index()]
    }

    /// All assets, by number.
    pub fn assets(&self) -> &[Asset] {
        &self.assets
    }

    /// All markets, by number.
    pub fn markets(&self) -> &[Market] {
        &self.markets
    }

    /// The asset of a number that appears in an event or record.
    pub fn asset(&self, id: AssetId) -> &Asset {
        &self.assets[id.index()]
    }

    /// The market of a number that appears in an event or record.
    pub fn market(&self, id: MarketId) -> &Market {
        &self.markets[id.index()]
    }

    /// The asset that a client names.
    pub fn find_asset(&self, code: &str) -> Result<&Asset, Reject> {
        let found = self.asset_by_code.get(code).map(|id| self.asset(*id));
        found.ok_or_else(|| Reject::field(Code::UnknownAsset, "asset", "name an asset of the instrument channel"))
    }

    /// The market that a client names.
    pub fn find_market(&self, symbol: &Symbol) -> Result<&Market, Reject> {
        let found = self.market_by_symbol.get(symbol).map(|id| self.market(*id));
        found.ok_or_else(|| Reject::field(Code::UnknownMarket, "symbol", "name a pair of the instrument channel"))
    }

    /// The market of two assets, if there is one. Its symbol is made of their codes.
    pub fn find_pair(&self, base: AssetId, quote: AssetId) -> Option<&Market> {
        let [base, quote] = [base, quote].map(|id| self.asset(id).code);
        let symbol = Symbol::from(&format!("{base}/{quote}")).ok()?;
        self.market_by_symbol.get(&symbol).map(|id| self.market(*id))
    }
}

#[cfg(test)]
impl Reference {
    /// BTC, with 8 decimals, USD and the market between them, as tests need them.
    pub fn btc_usd(quote_decimals: u8, price_decimals: u8) -> Reference {
        use crate::domain::money::{Amount, Price, Quantity};

        let mut reference = Reference::default();
        for (at, code, decimals) in [(0, "BTC", 8), (1, "USD", quote_decimals)] {
            reference.add_asset(&Asset {
                id: AssetId::at(at),
                code: AssetCode::from(code).expect("a short code"),
                decimals,
                display_decimals: 2,
                method: code.to_owned(),
                network: code.to_owned(),
                withdrawal_min: Amount(1),
                withdrawal_fee: Amount(1),
                deposit_min: Amount(1),
            });
        }
        reference.add_market(&Market {
            id: MarketId::at(0),
            symbol: Symbol::from("BTC/USD").expect("a short symbol"),
            base: AssetId::at(0),
            quote: AssetId::at(1),
            base_decimals: 8,
            quote_decimals,
            price_decimals,
            qty_decimals: 8,
            price_increment: Price(1),
            qty_increment: Quantity(1),
            qty_min: Quantity(1),
            cost_min: Amount(1),
            maker_ppm: 0,
            taker_ppm: 0,
        });
        reference
    }
}
