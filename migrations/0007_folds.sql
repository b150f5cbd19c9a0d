-- Folded pages of turns that have ended: what a reader with fold=1 gets for
-- the events from "first" to "last", so that it need not be folded again. All
-- of it can be made anew from the log.
CREATE TABLE folds (
  session_no INTEGER NOT NULL,
  first      INTEGER NOT NULL,
  last       INTEGER NOT NULL,
  events     INTEGER NOT NULL, -- how many the data holds
  bytes      INTEGER NOT NULL, -- of them on the wire
  data       BLOB    NOT NULL,
  PRIMARY KEY (session_no, first)
) STRICT;
