//! Public market data: a projection of released events on its own task.
