//! What clients see: serde and JSON Schema types per topic. Knows no engine type.

pub mod catalogue;
pub mod earn;
pub mod items;
pub mod leaf;
pub mod market_data;
pub mod movements;
pub mod params;
pub mod results;
