-- The last trades of each market, which `trade` begins with after a restart.
CREATE INDEX trades_market ON trades (market, exec);
