//! Typed settings, checked once.
