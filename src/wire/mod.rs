//! What clients see: serde and JSON Schema types per topic. Knows no engine type.
