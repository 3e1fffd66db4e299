-- Who did what in each Organization. Journals of before know no actors, so there is nothing to go back for.
CREATE TABLE audit (
    entry_offset INTEGER PRIMARY KEY,
    organization INTEGER NOT NULL,
    at_us        INTEGER NOT NULL,
    body         BLOB    NOT NULL
);
CREATE INDEX audit_time ON audit (organization, at_us, entry_offset);
