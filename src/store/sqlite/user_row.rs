//! A user's record and its row.

use std::collections::BTreeMap;

use rusqlite::{Connection, OptionalExtension as _, Row, types::Type};

use crate::{
    id::UserId,
    store::{Account, User},
};

/// Every statement that reads users begins with it: `from_row` counts columns.
macro_rules! select {
    () => {
        "SELECT users.id, username.exact, email.exact, users.roles, users.attributes, users.created_at,
                users.disabled, users.password_hash
         FROM users
         JOIN names AS username ON username.user_id = users.id AND username.kind = 0
         LEFT JOIN names AS email ON email.user_id = users.id AND email.kind = 1"
    };
}

/// The account, unless there never was one or it has been deleted.
pub(super) fn load(db: &Connection, id: &UserId) -> rusqlite::Result<Option<Account>> {
    let sql = concat!(select!(), " WHERE users.id = ?1 AND users.deleted_at IS NULL");
    db.prepare_cached(sql)?.query_row([id], from_row).optional()
}

/// Users in the order in which they were created, behind `after`.
pub(super) fn page(db: &Connection, after: Option<&UserId>, limit: u32) -> rusqlite::Result<Vec<User>> {
    // An id that never was compares with NULL, and nothing comes behind it.
    let sql = concat!(
        select!(),
        " WHERE users.deleted_at IS NULL
            AND users.number > iif(?1 IS NULL, 0, (SELECT number FROM users WHERE id = ?1))
          ORDER BY users.number LIMIT ?2"
    );
    db.prepare_cached(sql)?
        .query_map((after, limit), |row| from_row(row).map(|account| account.user))?
        .collect()
}

fn from_row(row: &Row<'_>) -> rusqlite::Result<Account> {
    let user = User {
        id: row.get(0)?,
        username: row.get(1)?,
        email: row.get(2)?,
        roles: json(row, 3)?,
        attributes: json(row, 4)?,
        created_at: row.get(5)?,
        disabled: row.get(6)?,
    };
    Ok(Account { user, password_hash: row.get(7)? })
}

fn json<T: serde::de::DeserializeOwned>(row: &Row<'_>, column: usize) -> rusqlite::Result<T> {
    let text = row.get_ref(column)?.as_str()?;
    serde_json::from_str(text)
        .map_err(|error| rusqlite::Error::FromSqlConversionFailure(column, Type::Text, Box::new(error)))
}

pub(super) fn roles_text(roles: &[String]) -> rusqlite::Result<String> {
    text(&roles)
}

pub(super) fn attributes_text(attributes: &BTreeMap<String, String>) -> rusqlite::Result<String> {
    text(attributes)
}

fn text<T: serde::Serialize>(value: &T) -> rusqlite::Result<String> {
    serde_json::to_string(value).map_err(|error| rusqlite::Error::ToSqlConversionFailure(Box::new(error)))
}
