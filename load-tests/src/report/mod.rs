//! What a run looks like to a reader: text, one HTML file, and beside a saved run.

pub mod difference;
pub mod html;
pub mod plot;
pub mod text;
