-- Where the items of each private stream lie in the journal: a row for each block of 256 events with at least
-- one of them, and the time of the first. The items themselves are the journal's.
CREATE TABLE stream_blocks (
    stream TEXT    NOT NULL,
    block  INTEGER NOT NULL,
    at_us  INTEGER NOT NULL,
    PRIMARY KEY (stream, block)
) WITHOUT ROWID;
CREATE INDEX stream_blocks_time ON stream_blocks (at_us);

-- Every block with an item after this event is in the table: older ones were dropped, or were never noted.
CREATE TABLE streams_since (
    id  INTEGER PRIMARY KEY CHECK (id = 1),
    seq INTEGER NOT NULL
);
INSERT INTO streams_since (id, seq) SELECT 1, seq FROM checkpoint;
