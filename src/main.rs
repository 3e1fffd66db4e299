//! The `countersign` program: reads its arguments and runs one command.
fn main() {}
