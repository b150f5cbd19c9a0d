-- Webhooks: readers of the feed that the server runs itself. Times are Unix
-- milliseconds, 0 for never. The secret is kept as it is: it signs.
CREATE TABLE webhooks (
  no          INTEGER PRIMARY KEY, -- order of creation
  id          TEXT    NOT NULL UNIQUE,
  url         TEXT    NOT NULL,
  types       TEXT    NOT NULL, -- a JSON array of strings
  sessions    TEXT    NOT NULL, -- likewise, of patterns
  secret      TEXT    NOT NULL,
  paused      INTEGER NOT NULL,
  created_at  INTEGER NOT NULL,
  updated_at  INTEGER NOT NULL,
  cursor      INTEGER NOT NULL, -- id of the last event of the feed that it is done with
  failures    INTEGER NOT NULL DEFAULT 0, -- in a row
  failing_at  INTEGER NOT NULL DEFAULT 0, -- the first of those
  next_at     INTEGER NOT NULL DEFAULT 0,
  last_at     INTEGER NOT NULL DEFAULT 0,
  last_status INTEGER NOT NULL DEFAULT 0,
  last_error  TEXT    NOT NULL DEFAULT '',
  dropped     INTEGER NOT NULL DEFAULT 0
) STRICT;
