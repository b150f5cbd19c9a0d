-- Full-text search. How far each session's log has been gone through, off the
-- path of appends (store/sqlite/derive.go), and what it takes to go on.
CREATE TABLE derived (
  session_no INTEGER PRIMARY KEY,
  id         INTEGER NOT NULL, -- the last event that was gone through
  ended      INTEGER NOT NULL, -- the last turn_end of those, or the event before the first
  generation INTEGER NOT NULL, -- rises when content is redacted: what was read before then is void
  state      BLOB              -- of store.Extractor, or NULL
) STRICT;

-- Texts that can be found. Numbers are never given twice: the index may still
-- know one that is gone. A row whose session number is negative waits to be
-- taken out of the index and is not found any more.
CREATE TABLE docs (
  doc        INTEGER PRIMARY KEY AUTOINCREMENT,
  session_no INTEGER NOT NULL,
  first      INTEGER NOT NULL, -- ids of the first and last event that the text is from
  id         INTEGER NOT NULL,
  turn       TEXT    NOT NULL,
  kind       TEXT    NOT NULL,
  time       INTEGER NOT NULL, -- of the event "id", Unix milliseconds
  text       TEXT    NOT NULL
) STRICT;

CREATE INDEX docs_session ON docs (session_no, id, first);

-- The index of the words that store.Words gives, which are all that is to be
-- known of case, diacritics and scripts: the tokenizer only splits at spaces.
-- "tags" holds the session's number and the kind, so that a search for them
-- reads no other rows. The texts themselves are in docs.
CREATE VIRTUAL TABLE search USING fts5 (text, tags, content='', tokenize='ascii');
