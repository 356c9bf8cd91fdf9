-- Instants are milliseconds since the Unix epoch; identifiers of sessions and tokens are sixteen bytes. Whatever is
-- looked up by text is compared byte by byte: an index must not change its order with the system's locales.

CREATE SEQUENCE portcullis.user_numbers;

CREATE TABLE portcullis.users (
    number        bigint PRIMARY KEY,
    id            text   NOT NULL UNIQUE COLLATE "C",
    password_hash text   NOT NULL,
    roles         text   NOT NULL,
    attributes    text   NOT NULL,
    created_at    bigint NOT NULL,
    disabled      boolean NOT NULL,
    deleted_at    bigint
);

-- `kind` 0 is the user name, 1 the e-mail address. Imported users may share canonical forms, so no index is unique:
-- whoever writes a new name holds a lock and checks. A deleted user's names stay, to be given to nobody.
CREATE TABLE portcullis.names (
    user_id   text    NOT NULL COLLATE "C" REFERENCES portcullis.users (id),
    kind      integer NOT NULL CHECK (kind IN (0, 1)),
    exact     text    NOT NULL COLLATE "C",
    canonical text    NOT NULL COLLATE "C",
    PRIMARY KEY (user_id, kind)
);

CREATE INDEX names_by_exact ON portcullis.names (exact);
CREATE INDEX names_by_canonical ON portcullis.names (canonical);

-- `former` holds up to four tokens of sixteen bytes, each with its instant in eight, big-endian, latest first. What the
-- refresh rule compares, `made_at`, is by this database's clock; what stands in tokens is by their gateway's.
CREATE TABLE portcullis.sessions (
    id                   bytea   PRIMARY KEY CHECK (octet_length(id) = 16),
    user_id              text    NOT NULL COLLATE "C" REFERENCES portcullis.users (id),
    base                 bytea   NOT NULL CHECK (octet_length(base) = 16),
    successor            bytea   CHECK (octet_length(successor) = 16),
    successor_issued_at  bigint,
    successor_expires_at bigint,
    access               bytea   CHECK (octet_length(access) = 16),
    access_issued_at     bigint,
    access_expires_at    bigint,
    made_at              bigint,
    former               bytea   NOT NULL CHECK (octet_length(former) <= 96 AND octet_length(former) % 24 = 0),
    successor_used       boolean NOT NULL,
    greatest_expiry      bigint  NOT NULL,
    ends_at              bigint  NOT NULL,
    opened_at            bigint  NOT NULL,
    refreshed_at         bigint  NOT NULL,
    address              text,
    agent                text    NOT NULL
);

CREATE INDEX sessions_by_user ON portcullis.sessions (user_id, refreshed_at);
CREATE INDEX sessions_by_expiry ON portcullis.sessions (greatest_expiry);

-- Refresh tokens from elsewhere that have opened a session: each does so once.
CREATE TABLE portcullis.adoptions (
    token      bytea  PRIMARY KEY CHECK (octet_length(token) = 16),
    user_id    text   NOT NULL,
    session_id bytea  NOT NULL CHECK (octet_length(session_id) = 16),
    until      bigint NOT NULL
);

CREATE INDEX adoptions_by_until ON portcullis.adoptions (until);

-- The numbers of the log, in the order of its commits: whoever takes one holds a lock until the commit. They never go
-- back, or sessions would seem older than they are.
CREATE SEQUENCE portcullis.revocation_numbers;

-- `kind` 1 is a token, 2 a session, 3 a user up to the instant `at`, 4 a user blocked, 5 a user unblocked. Users need
-- not be ours. `revoked_at` is by this database's clock.
CREATE TABLE portcullis.revocations (
    sequence   bigint  PRIMARY KEY,
    kind       integer NOT NULL CHECK (kind BETWEEN 1 AND 5),
    id         bytea   CHECK (octet_length(id) = 16),
    user_id    text    COLLATE "C",
    at         bigint,
    until      bigint  NOT NULL,
    revoked_at bigint  NOT NULL,
    CHECK ((kind IN (1, 2)) = (id IS NOT NULL)),
    CHECK ((kind IN (3, 4, 5)) = (user_id IS NOT NULL)),
    CHECK ((kind = 3) = (at IS NOT NULL))
);

CREATE INDEX revocations_by_id ON portcullis.revocations (id) WHERE id IS NOT NULL;
CREATE INDEX revocations_by_user ON portcullis.revocations (user_id, kind) WHERE user_id IS NOT NULL;
CREATE INDEX revocations_by_until ON portcullis.revocations (until);
