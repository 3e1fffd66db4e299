//! The engine by scripts: no sockets, no disk, no clock.
#![allow(clippy::unwrap_used)]

mod trading;
mod venue;
