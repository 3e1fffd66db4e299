//! What clients see: serde and JSON Schema types per topic. Knows no engine type.

pub mod asyncapi;
pub mod catalogue;
pub mod earn;
pub mod items;
pub mod leaf;
pub mod market_data;
pub mod params;
pub mod results;

/// Everything of `schemas/`: file name and text, as committed and as served.
pub fn published() -> Vec<(String, String)> {
    let mut files = catalogue::schemas();
    files.push(("asyncapi.json".to_owned(), asyncapi::document()));
    files
}
