//! Load scenarios and baselines.
fn main() {}
