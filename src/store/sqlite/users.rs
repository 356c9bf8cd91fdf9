//! Accounts: made, found, changed.

use rusqlite::{Connection, OptionalExtension as _, params};

use super::{
    Sqlite,
    names::{self, Kind},
    revoke, sessions, user_row,
};
use crate::{
    clock::Timestamp,
    id::UserId,
    store::{
        Account, CreateUserError, Created, Name, NewSession, NewUser, StoreError, UpdateUserError, User,
        UserChanges,
    },
};

impl Sqlite {
    pub(in crate::store) async fn create_user(
        &self,
        new: NewUser,
        session: Option<NewSession>,
        now: Timestamp,
    ) -> Result<Created, CreateUserError> {
        self.write(move |db| create(db, new, session.as_ref(), now)).await
    }

    pub(in crate::store) async fn account(&self, id: &UserId) -> Result<Option<Account>, StoreError> {
        let id = id.clone();
        self.read(move |db| Ok(user_row::load(db, &id)?)).await
    }

    pub(in crate::store) async fn account_by_name(
        &self,
        name: &Name,
        usernames: bool,
        emails: bool,
    ) -> Result<Option<Account>, StoreError> {
        let name = name.clone();
        let kinds: Vec<Kind> = [(usernames, Kind::Username), (emails, Kind::Email)]
            .into_iter()
            .filter_map(|(allowed, kind)| allowed.then_some(kind))
            .collect();
        self.read(move |db| {
            // One snapshot for both statements.
            let snapshot = db.unchecked_transaction()?;
            match names::find(&snapshot, &name, &kinds)? {
                Some(id) => Ok(user_row::load(&snapshot, &id)?),
                None => Ok(None),
            }
        })
        .await
    }

    pub(in crate::store) async fn users(
        &self,
        after: Option<UserId>,
        limit: u32,
    ) -> Result<Vec<User>, StoreError> {
        self.read(move |db| Ok(user_row::page(db, after.as_ref(), limit)?)).await
    }

    pub(in crate::store) async fn update_user(
        &self,
        id: &UserId,
        changes: UserChanges,
    ) -> Result<User, UpdateUserError> {
        let id = id.clone();
        self.write(move |db| update(db, &id, changes)).await
    }

    pub(in crate::store) async fn rehash(
        &self,
        id: &UserId,
        old_hash: &str,
        new_hash: &str,
    ) -> Result<bool, StoreError> {
        let (id, old, new) = (id.clone(), old_hash.to_owned(), new_hash.to_owned());
        self.write(move |db| {
            let sql = "UPDATE users SET password_hash = ?3
                       WHERE id = ?1 AND password_hash = ?2 AND deleted_at IS NULL";
            Ok(db.prepare_cached(sql)?.execute(params![id, old, new])? == 1)
        })
        .await
    }
}

fn create(
    db: &Connection,
    new: NewUser,
    session: Option<&NewSession>,
    now: Timestamp,
) -> Result<Created, CreateUserError> {
    if names::is_taken(db, &new.username, None, new.restore)? {
        return Err(CreateUserError::NameTaken);
    }
    if let Some(email) = &new.email
        && names::is_taken(db, email, None, new.restore)?
    {
        return Err(CreateUserError::EmailTaken);
    }
    let (number, id) = next_id(db)?;
    let sql = "INSERT INTO users (number, id, password_hash, roles, attributes, created_at, disabled)
               VALUES (?1, ?2, ?3, ?4, ?5, ?6, 0)";
    let roles = user_row::roles_text(&new.roles)?;
    let attributes = user_row::attributes_text(&new.attributes)?;
    db.prepare_cached(sql)?.execute(params![number, id, new.password_hash, roles, attributes, now])?;
    names::set(db, &id, Kind::Username, &new.username)?;
    if let Some(email) = &new.email {
        names::set(db, &id, Kind::Email, email)?;
    }
    let revoked = match new.former_until {
        Some(until) => vec![revoke::end_former(db, &id, until)?],
        None => Vec::new(),
    };
    // The first session of a new user makes no other go.
    let session = match session {
        Some(session) => Some(sessions::insert(db, &id, session, None, now)?.session),
        None => None,
    };
    let user = User {
        id,
        username: new.username.exact,
        email: new.email.map(|email| email.exact),
        roles: new.roles,
        attributes: new.attributes,
        created_at: now,
        disabled: false,
    };
    Ok(Created { user, session, revoked })
}

/// The next number and the id made of it. Imported users may have numbers for ids: behind the highest there is.
fn next_id(db: &Connection) -> rusqlite::Result<(i64, UserId)> {
    let last = "SELECT coalesce((SELECT seq FROM sqlite_sequence WHERE name = 'users'), 0)";
    let next: i64 = db.prepare_cached(last)?.query_row([], |row| row.get::<_, i64>(0))?.saturating_add(1);
    let taken: bool = db
        .prepare_cached("SELECT EXISTS (SELECT 1 FROM users WHERE id = CAST(?1 AS TEXT))")?
        .query_row([next], |row| row.get(0))?;
    let number = if taken {
        // Longer ones lie out of the counter's reach.
        let highest = "SELECT max(CAST(id AS INTEGER)) FROM users
                       WHERE id NOT GLOB '*[^0-9]*' AND length(id) <= 15";
        db.query_row(highest, [], |row| row.get::<_, Option<i64>>(0))?.unwrap_or(next).saturating_add(1)
    } else {
        next
    };
    db.query_row("SELECT CAST(?1 AS TEXT)", [number], |row| Ok((number, row.get(0)?)))
}

fn update(db: &Connection, id: &UserId, changes: UserChanges) -> Result<User, UpdateUserError> {
    let mut user = user_row::load(db, id)?.ok_or(UpdateUserError::UnknownUser)?.user;
    match changes.email {
        None => {}
        Some(None) => {
            names::clear(db, id, Kind::Email)?;
            user.email = None;
        }
        Some(Some(email)) => {
            if names::is_taken(db, &email, Some(id), false)? {
                return Err(UpdateUserError::EmailTaken);
            }
            names::set(db, id, Kind::Email, &email)?;
            user.email = Some(email.exact);
        }
    }
    if let Some(roles) = changes.roles {
        user.roles = roles;
    }
    for (name, value) in changes.attributes {
        match value {
            Some(value) => user.attributes.insert(name, value),
            None => user.attributes.remove(&name),
        };
    }
    let roles = user_row::roles_text(&user.roles)?;
    let attributes = user_row::attributes_text(&user.attributes)?;
    db.prepare_cached("UPDATE users SET roles = ?2, attributes = ?3 WHERE id = ?1")?
        .execute(params![id, roles, attributes])?;
    Ok(user)
}

/// What the writer needs to know of a user before it trusts what a caller has verified.
pub(super) struct Standing {
    pub(super) password_hash: String,
    pub(super) disabled: bool,
}

/// `None` where the user is unknown or deleted.
pub(super) fn standing(db: &Connection, id: &UserId) -> rusqlite::Result<Option<Standing>> {
    db.prepare_cached("SELECT password_hash, disabled FROM users WHERE id = ?1 AND deleted_at IS NULL")?
        .query_row([id], |row| Ok(Standing { password_hash: row.get(0)?, disabled: row.get(1)? }))
        .optional()
}
