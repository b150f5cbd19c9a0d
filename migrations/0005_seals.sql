-- Seals of the hash chain over each session's log: the hash up to "last", which
-- is the end of a turn as a rule. They stay when retention removes the events.
CREATE TABLE seals (
  session_no INTEGER NOT NULL,
  first      INTEGER NOT NULL, -- the first event that the seal before does not cover
  last       INTEGER NOT NULL,
  hash       BLOB    NOT NULL,
  sealed_at  INTEGER NOT NULL,
  PRIMARY KEY (session_no, last)
) STRICT, WITHOUT ROWID;

-- What is left of redacted content. The event's row has empty data; the hashes
-- stand for it in the chain.
CREATE TABLE redactions (
  session_no INTEGER NOT NULL,
  id         INTEGER NOT NULL,
  data_hash  BLOB    NOT NULL,
  raw_hash   BLOB,             -- NULL when there was no raw line
  at         INTEGER NOT NULL,
  reason     TEXT    NOT NULL,
  PRIMARY KEY (session_no, id)
) STRICT, WITHOUT ROWID;

ALTER TABLE sessions ADD COLUMN redacted     INTEGER NOT NULL DEFAULT 0; -- id of the last event that says what was redacted
ALTER TABLE sessions ADD COLUMN forked_from  TEXT;                       -- the session whose history a fork began with
ALTER TABLE sessions ADD COLUMN forked_after INTEGER NOT NULL DEFAULT 0; -- and the last event of it

CREATE INDEX sessions_forked ON sessions (forked_from) WHERE forked_from IS NOT NULL;

-- Has one row, for the whole database, while unused parts of its pages may hold
-- copies of redacted content.
CREATE TABLE unscrubbed (
  one INTEGER PRIMARY KEY CHECK (one = 1)
) STRICT;
