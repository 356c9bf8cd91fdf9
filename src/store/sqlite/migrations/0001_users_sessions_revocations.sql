-- Instants are milliseconds since the Unix epoch; identifiers of sessions and tokens are sixteen bytes.

CREATE TABLE users (
    number        INTEGER PRIMARY KEY AUTOINCREMENT,
    id            TEXT    NOT NULL UNIQUE,
    password_hash TEXT    NOT NULL,
    roles         TEXT    NOT NULL,
    attributes    TEXT    NOT NULL,
    created_at    INTEGER NOT NULL,
    disabled      INTEGER NOT NULL CHECK (disabled IN (0, 1)),
    deleted_at    INTEGER
) STRICT;

-- `kind` 0 is the user name, 1 the e-mail address. Imported users may share canonical forms, so no index is
-- unique: the writer checks new names in its transaction. A deleted user's names stay, to be given to nobody.
CREATE TABLE names (
    user_id   TEXT    NOT NULL REFERENCES users (id),
    kind      INTEGER NOT NULL CHECK (kind IN (0, 1)),
    exact     TEXT    NOT NULL,
    canonical TEXT    NOT NULL,
    PRIMARY KEY (user_id, kind)
) STRICT, WITHOUT ROWID;

CREATE INDEX names_by_exact ON names (exact);
CREATE INDEX names_by_canonical ON names (canonical);

-- `former` holds up to four tokens of sixteen bytes, each with its instant in eight, big-endian, latest first.
CREATE TABLE sessions (
    id                   BLOB    NOT NULL PRIMARY KEY CHECK (length(id) = 16),
    user_id              TEXT    NOT NULL REFERENCES users (id),
    base                 BLOB    NOT NULL CHECK (length(base) = 16),
    successor            BLOB    CHECK (length(successor) = 16),
    successor_made_at    INTEGER,
    successor_expires_at INTEGER,
    access               BLOB    CHECK (length(access) = 16),
    access_made_at       INTEGER,
    access_expires_at    INTEGER,
    former               BLOB    NOT NULL CHECK (length(former) <= 96 AND length(former) % 24 = 0),
    successor_used       INTEGER NOT NULL CHECK (successor_used IN (0, 1)),
    greatest_expiry      INTEGER NOT NULL,
    ends_at              INTEGER NOT NULL,
    opened_at            INTEGER NOT NULL,
    refreshed_at         INTEGER NOT NULL,
    address              TEXT,
    agent                TEXT    NOT NULL
) STRICT, WITHOUT ROWID;

CREATE INDEX sessions_by_user ON sessions (user_id, refreshed_at);
CREATE INDEX sessions_by_expiry ON sessions (greatest_expiry);

-- Refresh tokens from elsewhere that have opened a session: each does so once.
CREATE TABLE adoptions (
    token      BLOB    NOT NULL PRIMARY KEY CHECK (length(token) = 16),
    user_id    TEXT    NOT NULL,
    session_id BLOB    NOT NULL CHECK (length(session_id) = 16),
    until      INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE INDEX adoptions_by_until ON adoptions (until);

-- `kind` 1 is a token, 2 a session, 3 a user up to the instant `at`, 4 a user blocked, 5 a user unblocked.
-- Users need not be ours. AUTOINCREMENT: the sequence must never go back, or sessions would seem older than
-- they are.
CREATE TABLE revocations (
    sequence INTEGER PRIMARY KEY AUTOINCREMENT,
    kind     INTEGER NOT NULL CHECK (kind BETWEEN 1 AND 5),
    id       BLOB    CHECK (length(id) = 16),
    user_id  TEXT,
    at       INTEGER,
    until    INTEGER NOT NULL,
    CHECK ((kind IN (1, 2)) = (id IS NOT NULL)),
    CHECK ((kind IN (3, 4, 5)) = (user_id IS NOT NULL)),
    CHECK ((kind = 3) = (at IS NOT NULL))
) STRICT;

CREATE INDEX revocations_by_id ON revocations (id) WHERE id IS NOT NULL;
CREATE INDEX revocations_by_user ON revocations (user_id, kind) WHERE user_id IS NOT NULL;
CREATE INDEX revocations_by_until ON revocations (until);
