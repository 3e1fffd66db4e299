-- One row per group commit. The body is opaque here; the digest chains it to all rows before.
CREATE TABLE journal (
    first_seq BIGINT PRIMARY KEY,
    count     BIGINT NOT NULL,
    format    BIGINT NOT NULL,
    body      BYTEA  NOT NULL,
    digest    BYTEA  NOT NULL
);

-- Bodies are dense already: trying to compress them would only cost time on each commit.
ALTER TABLE journal ALTER COLUMN body SET STORAGE EXTERNAL;
