//! The state machine. No I/O, no clock, no randomness, no hash-ordered iteration: the same commands give the same bytes on every machine.
