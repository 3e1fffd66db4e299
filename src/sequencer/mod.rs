//! The single writer: takes commands in order, journals their events in groups, then releases them.
