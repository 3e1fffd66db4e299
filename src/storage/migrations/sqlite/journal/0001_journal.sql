-- One row per group commit. The body is opaque here; the digest chains it to all rows before.
CREATE TABLE journal (
    first_seq INTEGER PRIMARY KEY,
    count     INTEGER NOT NULL,
    format    INTEGER NOT NULL,
    body      BLOB    NOT NULL,
    digest    BLOB    NOT NULL
);

-- The state at a sequence, so that a start need not read the whole journal.
CREATE TABLE snapshot (
    seq    INTEGER PRIMARY KEY,
    format INTEGER NOT NULL,
    digest BLOB    NOT NULL,
    body   BLOB    NOT NULL
);
