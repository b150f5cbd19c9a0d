-- What a session keeps in place of what the server's settings say: store.Keep
-- as JSON. NULL says nothing.
ALTER TABLE sessions ADD COLUMN retention TEXT;

-- What is used of the quotas. Each row follows from other tables and is
-- changed in the transaction that changes those, so that an append need not
-- add up all sessions. The server's own sessions do not count.
CREATE TABLE usage (
  what  TEXT    NOT NULL, -- 'all', 'scope' or 'blobs'
  name  TEXT    NOT NULL, -- the scope, else ''
  n     INTEGER NOT NULL, -- sessions or blobs
  bytes INTEGER NOT NULL,
  PRIMARY KEY (what, name)
) STRICT, WITHOUT ROWID;

INSERT INTO usage SELECT 'scope', scope, count(*), sum(bytes) FROM sessions
  WHERE deleted_at IS NULL AND substr(id, 1, 1) <> '_' GROUP BY scope;
INSERT INTO usage SELECT 'all', '', count(*), ifnull(sum(bytes), 0) FROM sessions
  WHERE deleted_at IS NULL AND substr(id, 1, 1) <> '_';
INSERT INTO usage SELECT 'blobs', '', count(*), ifnull(sum(bytes), 0) FROM blobs WHERE sha256 IS NOT NULL;
