-- One row per session and per tombstone. "no" is the session's number inside
-- this database; a deletion gives the tombstone a new one, so that what hangs
-- on the old number can be removed at leisure (table garbage).
CREATE TABLE sessions (
  no         INTEGER PRIMARY KEY,
  id         TEXT    NOT NULL UNIQUE,
  epoch      TEXT    NOT NULL,
  head       INTEGER NOT NULL,
  floor      INTEGER NOT NULL,
  bytes      INTEGER NOT NULL,
  created_at INTEGER NOT NULL, -- Unix milliseconds, like every time here
  updated_at INTEGER NOT NULL,
  deleted_at INTEGER,          -- not null: a tombstone, which keeps the head
  closed     INTEGER NOT NULL DEFAULT 0,
  title      TEXT    NOT NULL DEFAULT '',
  scope      TEXT    NOT NULL DEFAULT '',
  tags       TEXT    NOT NULL DEFAULT '[]', -- a JSON array of strings
  meta       TEXT,                          -- a JSON object
  turn       TEXT    NOT NULL DEFAULT '',   -- the open turn
  turn_at    INTEGER NOT NULL DEFAULT 0
) STRICT;

-- Rows in the order of arrival: clustering by session would write random pages.
CREATE TABLE events (
  pos        INTEGER PRIMARY KEY,
  session_no INTEGER NOT NULL,
  id         INTEGER NOT NULL,
  time       INTEGER NOT NULL,
  type       TEXT    NOT NULL,
  turn       TEXT,
  parent     TEXT,
  data       BLOB    NOT NULL,
  raw        BLOB,
  UNIQUE (session_no, id)
) STRICT;

-- Keys outlive the events that retention removes: a key is good for the life
-- of its session.
CREATE TABLE event_keys (
  session_no INTEGER NOT NULL,
  key        TEXT    NOT NULL,
  id         INTEGER NOT NULL,
  hash       BLOB    NOT NULL,
  PRIMARY KEY (session_no, key)
) STRICT, WITHOUT ROWID;

CREATE TABLE producers (
  session_no INTEGER NOT NULL,
  producer   TEXT    NOT NULL,
  epoch      INTEGER NOT NULL,
  seq        INTEGER NOT NULL,
  first      INTEGER NOT NULL, -- ids of the request with this seq
  last       INTEGER NOT NULL,
  PRIMARY KEY (session_no, producer)
) STRICT, WITHOUT ROWID;

-- Numbers of deleted sessions whose rows are still to be removed.
CREATE TABLE garbage (
  session_no INTEGER PRIMARY KEY
) STRICT;

-- Written only to find out whether the disk takes writes again.
CREATE TABLE probe (
  one INTEGER PRIMARY KEY CHECK (one = 1),
  at  INTEGER NOT NULL
) STRICT;
