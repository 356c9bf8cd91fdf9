//! User names and e-mail addresses: whether they are free, and whose they are.

use rusqlite::{Connection, OptionalExtension as _, params};

use crate::{id::UserId, store::Name};

/// Which of a user's names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Username = 0,
    Email = 1,
}

/// Whether `name` is canonically a name or an address of somebody else than `own`. A deleted user's count unless
/// `restore`. Only the transaction that then writes the name may rely on the answer.
pub(super) fn is_taken(
    db: &Connection,
    name: &Name,
    own: Option<&UserId>,
    restore: bool,
) -> rusqlite::Result<bool> {
    let sql = "SELECT EXISTS (
                   SELECT 1 FROM names JOIN users ON users.id = names.user_id
                   WHERE names.canonical = ?1 AND names.user_id IS NOT ?2
                     AND (users.deleted_at IS NULL OR NOT ?3))";
    db.prepare_cached(sql)?.query_row(params![name.canonical, own, restore], |row| row.get(0))
}

/// Gives the user a name of that kind, in place of the one they have.
pub(super) fn set(db: &Connection, user: &UserId, kind: Kind, name: &Name) -> rusqlite::Result<()> {
    let sql = "INSERT OR REPLACE INTO names (user_id, kind, exact, canonical) VALUES (?1, ?2, ?3, ?4)";
    db.prepare_cached(sql)?.execute(params![user, kind as i64, name.exact, name.canonical])?;
    Ok(())
}

/// Takes the user's name of that kind away.
pub(super) fn clear(db: &Connection, user: &UserId, kind: Kind) -> rusqlite::Result<()> {
    db.prepare_cached("DELETE FROM names WHERE user_id = ?1 AND kind = ?2")?
        .execute(params![user, kind as i64])?;
    Ok(())
}

/// Whom `name` means: the one user whose user name it is exactly, else whose address it is exactly, else the one
/// user that has it canonically. Two such users are none: imported users may share names.
pub(super) fn find(db: &Connection, name: &Name, kinds: &[Kind]) -> rusqlite::Result<Option<UserId>> {
    for kind in kinds {
        let sql = "SELECT names.user_id FROM names JOIN users ON users.id = names.user_id
                   WHERE names.exact = ?1 AND names.kind = ?2 AND users.deleted_at IS NULL LIMIT 2";
        let found = db
            .prepare_cached(sql)?
            .query_map(params![name.exact, *kind as i64], |row| row.get(0))?
            .collect::<rusqlite::Result<Vec<UserId>>>()?;
        match found.as_slice() {
            [] => {}
            [user] => return Ok(Some(user.clone())),
            _ => return Ok(None),
        }
    }
    let sql = "SELECT min(names.user_id) FROM names JOIN users ON users.id = names.user_id
               WHERE names.canonical = ?1 AND (names.kind = 0 AND ?2 OR names.kind = 1 AND ?3)
                 AND users.deleted_at IS NULL
               HAVING count(DISTINCT names.user_id) = 1";
    let allowed = (name.canonical.as_str(), kinds.contains(&Kind::Username), kinds.contains(&Kind::Email));
    db.prepare_cached(sql)?.query_row(allowed, |row| row.get(0)).optional()
}
