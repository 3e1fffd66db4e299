//! The projector of released events into SQL tables, and the queries over them.
