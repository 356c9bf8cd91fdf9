//! User names and e-mail addresses: whether they are free, and whose they are.

use super::{
    database::{Database, get},
    open::LOCKS,
    user_row,
};
use crate::{
    id::UserId,
    store::{Account, Name, StoreError},
};

/// Which of a user's names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Username = 0,
    Email = 1,
}

/// Waits until nobody else is about to give a name away. The first of all locks.
pub(super) async fn lock(db: &Database<'_>) -> Result<(), StoreError> {
    db.execute("SELECT pg_advisory_xact_lock($1, $2)", &[&LOCKS, &NAMES_LOCK]).await?;
    Ok(())
}

/// Whether `name` is canonically a name or an address of somebody else than `own`. A deleted user's count unless
/// `restore`. Only who holds [`lock`] may rely on the answer.
pub(super) async fn is_taken(
    db: &Database<'_>,
    name: &Name,
    own: Option<&UserId>,
    restore: bool,
) -> Result<bool, StoreError> {
    let sql = "SELECT EXISTS (
                   SELECT 1 FROM portcullis.names JOIN portcullis.users ON users.id = names.user_id
                   WHERE names.canonical = $1 AND names.user_id IS DISTINCT FROM $2
                     AND (users.deleted_at IS NULL OR NOT $3))";
    get(&db.row(sql, &[&name.canonical, &own, &restore]).await?, 0)
}

/// Gives the user a name of that kind, in place of the one they have.
pub(super) async fn set(db: &Database<'_>, user: &UserId, kind: Kind, name: &Name) -> Result<(), StoreError> {
    let sql = "INSERT INTO portcullis.names (user_id, kind, exact, canonical) VALUES ($1, $2, $3, $4)
               ON CONFLICT (user_id, kind) DO UPDATE SET exact = excluded.exact, canonical = excluded.canonical";
    db.execute(sql, &[user, &(kind as i32), &name.exact, &name.canonical]).await?;
    Ok(())
}

/// Takes the user's name of that kind away.
pub(super) async fn clear(db: &Database<'_>, user: &UserId, kind: Kind) -> Result<(), StoreError> {
    let sql = "DELETE FROM portcullis.names WHERE user_id = $1 AND kind = $2";
    db.execute(sql, &[user, &(kind as i32)]).await?;
    Ok(())
}

/// Whom `name` means: the one user whose user name it is exactly, else whose address it is exactly, else the one
/// user that has it canonically. Two such users are none: imported users may share names.
pub(super) async fn find(db: &Database<'_>, wanted: &Wanted) -> Result<Option<Account>, StoreError> {
    // No text of PostgreSQL's holds it, so no name does.
    if wanted.name.exact.contains('\0') || wanted.name.canonical.contains('\0') {
        return Ok(None);
    }
    // Exact ones first, user names before addresses: of each kind two are enough to tell one from several, and where
    // there is none, a user has two names at most.
    let sql = concat!(
        user_row::select!(", found.exact = $1, found.kind"),
        " JOIN portcullis.names AS found ON found.user_id = users.id
          WHERE users.deleted_at IS NULL AND (found.exact = $1 OR found.canonical = $2)
            AND (found.kind = 0 AND $3 OR found.kind = 1 AND $4)
          ORDER BY found.exact = $1 DESC, found.kind LIMIT 4"
    );
    let Wanted { name, usernames, emails } = wanted;
    let rows = db.rows(sql, &[&name.exact, &name.canonical, usernames, emails]).await?;
    let mut found = Vec::with_capacity(rows.len());
    for row in &rows {
        found.push((get::<bool>(row, 8)?, get::<i32>(row, 9)?, user_row::read(row)?));
    }
    for kind in [Kind::Username, Kind::Email] {
        let exact: Vec<&Account> = found
            .iter()
            .filter(|(exact, of, _)| *exact && *of == kind as i32)
            .map(|(_, _, found)| found)
            .collect();
        match exact.as_slice() {
            [] => {}
            [account] => return Ok(Some((*account).clone())),
            _ => return Ok(None),
        }
    }
    let mut accounts = found.into_iter().map(|(_, _, account)| account);
    let Some(first) = accounts.next() else { return Ok(None) };
    Ok(accounts.all(|other| other.user.id == first.user.id).then_some(first))
}

/// A name to be found, and among which names.
pub(super) struct Wanted {
    pub(super) name: Name,
    pub(super) usernames: bool,
    pub(super) emails: bool,
}

const NAMES_LOCK: i32 = 2;
