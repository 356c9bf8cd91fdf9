-- When the entry was appended, by the clock of whoever did; NULL before this was written down.
ALTER TABLE revocations ADD COLUMN revoked_at INTEGER;
