//! Accounts: made, found, changed.

use super::{
    Postgres,
    database::{Database, get},
    names::{self, Kind, Wanted},
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

impl Postgres {
    pub(in crate::store) async fn create_user(
        &self,
        new: NewUser,
        session: Option<NewSession>,
        now: Timestamp,
    ) -> Result<Created, CreateUserError> {
        let arguments = (new, session, now);
        self.write(arguments, |db, (new, session, now)| Box::pin(create(db, new, session.as_ref(), *now)))
            .await
    }

    pub(in crate::store) async fn account(&self, id: &UserId) -> Result<Option<Account>, StoreError> {
        self.read(id.clone(), |db, id| Box::pin(user_row::load(db, id))).await
    }

    pub(in crate::store) async fn account_by_name(
        &self,
        name: &Name,
        usernames: bool,
        emails: bool,
    ) -> Result<Option<Account>, StoreError> {
        let wanted = Wanted { name: name.clone(), usernames, emails };
        self.read(wanted, |db, wanted| Box::pin(names::find(db, wanted))).await
    }

    pub(in crate::store) async fn users(
        &self,
        after: Option<UserId>,
        limit: u32,
    ) -> Result<Vec<User>, StoreError> {
        self.read((after, limit), |db, (after, limit)| Box::pin(user_row::page(db, after.as_ref(), *limit)))
            .await
    }

    pub(in crate::store) async fn update_user(
        &self,
        id: &UserId,
        changes: UserChanges,
    ) -> Result<User, UpdateUserError> {
        self.write((id.clone(), changes), |db, (id, changes)| Box::pin(update(db, id, changes))).await
    }

    pub(in crate::store) async fn rehash(
        &self,
        id: &UserId,
        old_hash: &str,
        new_hash: &str,
    ) -> Result<bool, StoreError> {
        let arguments = (id.clone(), old_hash.to_owned(), new_hash.to_owned());
        self.write(arguments, |db, (id, old, new)| {
            Box::pin(async move {
                let sql = "UPDATE portcullis.users SET password_hash = $3
                           WHERE id = $1 AND password_hash = $2 AND deleted_at IS NULL";
                Ok(db.execute(sql, &[id, old, new]).await? == 1)
            })
        })
        .await
    }
}

async fn create(
    db: &Database<'_>,
    new: &NewUser,
    session: Option<&NewSession>,
    now: Timestamp,
) -> Result<Created, CreateUserError> {
    names::lock(db).await?;
    if names::is_taken(db, &new.username, None, new.restore).await? {
        return Err(CreateUserError::NameTaken);
    }
    if let Some(email) = &new.email
        && names::is_taken(db, email, None, new.restore).await?
    {
        return Err(CreateUserError::EmailTaken);
    }
    let created_at = db.now(now).await?;
    let (number, id) = next_id(db).await?;
    let sql =
        "INSERT INTO portcullis.users (number, id, password_hash, roles, attributes, created_at, disabled)
               VALUES ($1, $2, $3, $4, $5, $6, false)";
    let (roles, attributes) =
        (user_row::roles_text(&new.roles)?, user_row::attributes_text(&new.attributes)?);
    db.execute(sql, &[&number, &id, &new.password_hash, &roles, &attributes, &created_at]).await?;
    names::set(db, &id, Kind::Username, &new.username).await?;
    if let Some(email) = &new.email {
        names::set(db, &id, Kind::Email, email).await?;
    }
    let revoked = match new.former_until {
        Some(until) => vec![revoke::end_former(db, &id, until).await?],
        None => Vec::new(),
    };
    // The first session of a new user makes no other go.
    let session = match session {
        Some(session) => Some(sessions::insert(db, &id, session, None, now).await?.session),
        None => None,
    };
    let user = User {
        id,
        username: new.username.exact.clone(),
        email: new.email.as_ref().map(|email| email.exact.clone()),
        roles: new.roles.clone(),
        attributes: new.attributes.clone(),
        created_at,
        disabled: false,
    };
    Ok(Created { user, session, revoked })
}

/// The next number and the id made of it. Imported users may have numbers for ids: behind the highest there is. Whoever
/// asks holds the lock on names.
async fn next_id(db: &Database<'_>) -> Result<(i64, UserId), StoreError> {
    let next: i64 = get(&db.row("SELECT nextval('portcullis.user_numbers')", &[]).await?, 0)?;
    let taken = "SELECT EXISTS (SELECT 1 FROM portcullis.users WHERE id = $1::bigint::text)";
    let number: i64 = if get(&db.row(taken, &[&next]).await?, 0)? {
        // Longer ones lie out of the counter's reach.
        let behind = "SELECT setval('portcullis.user_numbers', greatest($1, 1 + max(id::bigint)))
                      FROM portcullis.users WHERE id ~ '^[0-9]{1,15}$'";
        get(&db.row(behind, &[&next]).await?, 0)?
    } else {
        next
    };
    let id = number.to_string().parse();
    id.map(|id| (number, id)).map_err(|_| StoreError::Corrupt("a user's number is none".to_owned()))
}

async fn update(db: &Database<'_>, id: &UserId, changes: &UserChanges) -> Result<User, UpdateUserError> {
    if matches!(changes.email, Some(Some(_))) {
        names::lock(db).await?;
    }
    // Another change of the same user waits for this one.
    lock(db, id).await?;
    let mut user = user_row::load(db, id).await?.ok_or(UpdateUserError::UnknownUser)?.user;
    match &changes.email {
        None => {}
        Some(None) => {
            names::clear(db, id, Kind::Email).await?;
            user.email = None;
        }
        Some(Some(email)) => {
            if names::is_taken(db, email, Some(id), false).await? {
                return Err(UpdateUserError::EmailTaken);
            }
            names::set(db, id, Kind::Email, email).await?;
            user.email = Some(email.exact.clone());
        }
    }
    if let Some(roles) = &changes.roles {
        user.roles.clone_from(roles);
    }
    for (name, value) in &changes.attributes {
        match value {
            Some(value) => user.attributes.insert(name.clone(), value.clone()),
            None => user.attributes.remove(name),
        };
    }
    let (roles, attributes) =
        (user_row::roles_text(&user.roles)?, user_row::attributes_text(&user.attributes)?);
    let sql = "UPDATE portcullis.users SET roles = $2, attributes = $3 WHERE id = $1";
    db.execute(sql, &[id, &roles, &attributes]).await?;
    Ok(user)
}

/// What must be known of a user before it is trusted what a caller has verified.
pub(super) struct Standing {
    pub(super) password_hash: String,
    pub(super) disabled: bool,
    pub(super) deleted: bool,
}

/// Waits until nobody else opens or ends sessions of that user; `None` where there never was one.
pub(super) async fn lock(db: &Database<'_>, id: &UserId) -> Result<Option<Standing>, StoreError> {
    let sql = "SELECT password_hash, disabled, deleted_at IS NOT NULL FROM portcullis.users WHERE id = $1
               FOR NO KEY UPDATE";
    let Some(row) = db.row_if_any(sql, &[id]).await? else { return Ok(None) };
    Ok(Some(Standing { password_hash: get(&row, 0)?, disabled: get(&row, 1)?, deleted: get(&row, 2)? }))
}

/// As [`lock`]; `None` also for deleted users.
pub(super) async fn standing(db: &Database<'_>, id: &UserId) -> Result<Option<Standing>, StoreError> {
    Ok(lock(db, id).await?.filter(|standing| !standing.deleted))
}
