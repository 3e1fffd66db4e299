//! What clients see: serde and JSON Schema types per topic. Knows no engine type.

pub mod catalogue;
pub mod leaf;
pub mod params;
