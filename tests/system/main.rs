//! The built program, driven from outside.
#![allow(clippy::unwrap_used)]

mod commands;
mod rest;
