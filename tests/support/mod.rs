//! What the suites share that start a server or the program. The others take single files of it.
#![allow(dead_code, unused_imports, reason = "each suite uses a part")]

pub mod client;
pub mod demo;
pub mod genesis;
pub mod postgres;
pub mod served;
pub mod world;
