//! The domain's vocabulary: identifiers, money, time, assets, markets and orders.
//!
//! Values only, valid by construction. Nothing here reads a clock, draws a random number or does I/O.
#![deny(clippy::disallowed_types, clippy::disallowed_methods)]

pub mod assets;
pub mod candles;
pub mod canonical;
pub mod cursor;
pub mod decimal;
pub mod exports;
pub mod ids;
pub mod limits;
pub mod markets;
pub mod money;
pub mod named;
pub mod orders;
pub mod prints;
pub mod terms;
pub mod text;
pub mod time;
