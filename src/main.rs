//! The `countersign` program: reads its arguments and runs one command.

use std::process::ExitCode;

use countersign::cli;

#[tokio::main]
async fn main() -> ExitCode {
    cli::run().await
}
