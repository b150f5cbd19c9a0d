-- What a session waits for is a fold of its log, kept in its row: hello reads
-- one row. Times are Unix milliseconds.
ALTER TABLE sessions ADD COLUMN turn_seen  INTEGER NOT NULL DEFAULT 0; -- last event or touch of the open turn
ALTER TABLE sessions ADD COLUMN turn_lease INTEGER NOT NULL DEFAULT 0; -- milliseconds; 0 is for ever
ALTER TABLE sessions ADD COLUMN notable    INTEGER NOT NULL DEFAULT 0; -- id of the last event that asks for a person
ALTER TABLE sessions ADD COLUMN waiting    INTEGER NOT NULL DEFAULT 0; -- open questions
ALTER TABLE sessions ADD COLUMN open       TEXT;                       -- store.Open as JSON; NULL when empty

-- The turns that a lease may end.
CREATE INDEX sessions_leased ON sessions (turn_lease) WHERE turn_lease > 0;

-- One row per turn. It is written when the turn is asked for, when it begins,
-- when it ends, and when something is said of it later; what an open turn has
-- come to meanwhile is in the log.
CREATE TABLE turns (
  no         INTEGER PRIMARY KEY, -- order of arrival
  session_no INTEGER NOT NULL,
  turn       TEXT    NOT NULL,
  state      TEXT    NOT NULL,    -- queued, open or ended
  reason     TEXT    NOT NULL DEFAULT '',
  first      INTEGER NOT NULL,    -- ids of its first and last event
  last       INTEGER NOT NULL,
  at         INTEGER NOT NULL,    -- when it was asked for or began
  fold       TEXT    NOT NULL,    -- store.Turn as JSON, without the text
  text       TEXT,                -- what the agent said, of an ended turn
  UNIQUE (session_no, turn)
) STRICT;

CREATE TABLE turn_tools (
  session_no INTEGER NOT NULL,
  turn       TEXT    NOT NULL,
  name       TEXT    NOT NULL,
  PRIMARY KEY (session_no, turn, name)
) STRICT, WITHOUT ROWID;

-- Every question that was asked or answered: the first answer wins, for ever.
CREATE TABLE questions (
  session_no INTEGER NOT NULL,
  request_id TEXT    NOT NULL,
  asked      INTEGER NOT NULL, -- id of the event, 0 when nobody asked
  answered   INTEGER NOT NULL, -- likewise
  PRIMARY KEY (session_no, request_id)
) STRICT, WITHOUT ROWID;

CREATE TABLE kontasks (
  no          INTEGER PRIMARY KEY, -- order of arrival
  id          TEXT    NOT NULL UNIQUE,
  session_no  INTEGER NOT NULL,
  session     TEXT    NOT NULL,
  created     INTEGER NOT NULL, -- ids of its events; 0 for none yet
  ready       INTEGER NOT NULL,
  last        INTEGER NOT NULL,
  chosen      INTEGER NOT NULL,
  choice      TEXT,             -- data of the event that chose
  created_at  INTEGER NOT NULL,
  updated_at  INTEGER NOT NULL,
  status      TEXT    NOT NULL, -- members of the record that lists filter by
  scope       TEXT    NOT NULL,
  target_user TEXT    NOT NULL,
  request_id  TEXT    NOT NULL,
  tags        TEXT    NOT NULL, -- a JSON array of strings
  record      TEXT    NOT NULL
) STRICT;

CREATE INDEX kontasks_session ON kontasks (session_no, no);
CREATE INDEX kontasks_changed ON kontasks (updated_at, no);
CREATE INDEX kontasks_request ON kontasks (request_id) WHERE request_id <> '';

-- How far each subject has seen each session.
CREATE TABLE marks (
  subject    TEXT    NOT NULL,
  session_no INTEGER NOT NULL,
  id         INTEGER NOT NULL,
  at         INTEGER NOT NULL,
  PRIMARY KEY (subject, session_no)
) STRICT, WITHOUT ROWID;

CREATE INDEX marks_session ON marks (session_no);

-- Sessions from before this file, whose turns are still to be folded.
CREATE TABLE unfolded (
  session_no INTEGER PRIMARY KEY
) STRICT;

INSERT INTO unfolded SELECT no FROM sessions WHERE deleted_at IS NULL AND head > 0;
