-- Blobs: content that events refer to by its SHA-256. A row without one is an
-- upload that is under way, was interrupted, or is being removed.
CREATE TABLE blobs (
  no           INTEGER PRIMARY KEY,
  sha256       BLOB UNIQUE,
  bytes        INTEGER NOT NULL,
  chunk_bytes  INTEGER NOT NULL, -- of every piece but the last
  content_type TEXT    NOT NULL,
  created_at   INTEGER NOT NULL  -- of the last upload
) STRICT;

-- Content in pieces, so that no transaction is long: seq is 0, 1, 2 …
CREATE TABLE blob_chunks (
  blob_no INTEGER NOT NULL,
  seq     INTEGER NOT NULL,
  data    BLOB    NOT NULL,
  PRIMARY KEY (blob_no, seq)
) STRICT;

-- Which events refer to which content, whether it is here or not.
CREATE TABLE blob_refs (
  session_no INTEGER NOT NULL,
  id         INTEGER NOT NULL,
  sha256     BLOB    NOT NULL,
  PRIMARY KEY (session_no, id, sha256)
) STRICT, WITHOUT ROWID;

CREATE INDEX blob_refs_sha256 ON blob_refs (sha256);
