-- One row per group commit. The body is opaque here; the digest chains it to all rows before.
CREATE TABLE journal (
    first_seq INTEGER PRIMARY KEY,
    count     INTEGER NOT NULL,
    format    INTEGER NOT NULL,
    body      BLOB    NOT NULL,
    digest    BLOB    NOT NULL
);
