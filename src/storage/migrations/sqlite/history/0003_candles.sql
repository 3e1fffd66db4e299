-- What the trades of a market came to in each stretch of time. seq is the last event that is in it: what was
-- told before is not added again.
CREATE TABLE candles (
    market   INTEGER NOT NULL,
    interval INTEGER NOT NULL,
    begin_us INTEGER NOT NULL,
    open     INTEGER NOT NULL,
    high     INTEGER NOT NULL,
    low      INTEGER NOT NULL,
    close    INTEGER NOT NULL,
    trades   INTEGER NOT NULL,
    volume   INTEGER NOT NULL,
    cost     INTEGER NOT NULL,
    seq      INTEGER NOT NULL,
    PRIMARY KEY (market, interval, begin_us)
) WITHOUT ROWID;
-- Journals of before this release are not read, so there is no past to fill in.
