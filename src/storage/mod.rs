//! Bytes in order, kept safely: the journal and the history tables. Sole owner of sqlx; knows no engine type.
