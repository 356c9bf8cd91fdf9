//! A user's record and its row.

use std::collections::BTreeMap;

use tokio_postgres::Row;

use super::database::{Database, get};
use crate::{
    id::UserId,
    store::{Account, StoreError, User},
};

/// Every statement that reads users begins with it: [`read`] counts columns. What is given is read behind them.
macro_rules! select {
    ($($more:literal)?) => {
        concat!(
            "SELECT users.id, username.exact, email.exact, users.roles, users.attributes, users.created_at,
                    users.disabled, users.password_hash", $($more,)? "
             FROM portcullis.users
             JOIN portcullis.names AS username ON username.user_id = users.id AND username.kind = 0
             LEFT JOIN portcullis.names AS email ON email.user_id = users.id AND email.kind = 1"
        )
    };
}
pub(super) use select;

/// The account, unless there never was one or it has been deleted.
pub(super) async fn load(db: &Database<'_>, id: &UserId) -> Result<Option<Account>, StoreError> {
    let sql = concat!(select!(), " WHERE users.id = $1 AND users.deleted_at IS NULL");
    db.row_if_any(sql, &[id]).await?.as_ref().map(read).transpose()
}

/// Users in the order in which they were created, behind `after`.
pub(super) async fn page(
    db: &Database<'_>,
    after: Option<&UserId>,
    limit: u32,
) -> Result<Vec<User>, StoreError> {
    // An id that never was compares with NULL, and nothing comes behind it.
    let sql = concat!(
        select!(),
        " WHERE users.deleted_at IS NULL
            AND users.number > CASE WHEN $1::text IS NULL THEN 0
                                    ELSE (SELECT number FROM portcullis.users WHERE id = $1) END
          ORDER BY users.number LIMIT $2"
    );
    let rows = db.rows(sql, &[&after, &i64::from(limit)]).await?;
    rows.iter().map(|row| read(row).map(|account| account.user)).collect()
}

/// A row that [`select`] began.
pub(super) fn read(row: &Row) -> Result<Account, StoreError> {
    let user = User {
        id: get(row, 0)?,
        username: get(row, 1)?,
        email: get(row, 2)?,
        roles: json(row, 3)?,
        attributes: json(row, 4)?,
        created_at: get(row, 5)?,
        disabled: get(row, 6)?,
    };
    Ok(Account { user, password_hash: get(row, 7)? })
}

fn json<T: serde::de::DeserializeOwned>(row: &Row, column: usize) -> Result<T, StoreError> {
    serde_json::from_str(get(row, column)?).map_err(|error| StoreError::Corrupt(error.to_string()))
}

pub(super) fn roles_text(roles: &[String]) -> Result<String, StoreError> {
    text(&roles)
}

pub(super) fn attributes_text(attributes: &BTreeMap<String, String>) -> Result<String, StoreError> {
    text(attributes)
}

fn text<T: serde::Serialize>(value: &T) -> Result<String, StoreError> {
    serde_json::to_string(value).map_err(|error| StoreError::Corrupt(error.to_string()))
}
