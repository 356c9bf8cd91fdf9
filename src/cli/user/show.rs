//! Users as `portcullis user` prints them.
//!
//! Never here: hashes of passwords; [`User`] has none.

use serde_json::{Value, json};

use crate::{
    cli::output::{self, visible},
    store::User,
};

/// One user.
pub(in crate::cli) fn user(user: &User, as_json: bool) {
    if as_json {
        return output::json(&record(user));
    }
    let attributes: Vec<String> =
        user.attributes.iter().map(|(name, value)| format!("{name}={value}")).collect();
    let rows = [
        ("id", user.id.to_string()),
        ("username", user.username.clone()),
        ("email", user.email.clone().unwrap_or_default()),
        ("roles", user.roles.join(", ")),
        ("attributes", attributes.join(", ")),
        ("created", user.created_at.to_string()),
        ("state", state(user).to_owned()),
    ];
    for (name, value) in rows {
        output::print(&format!("{:<11} {}\n", name, visible(&value)));
    }
}

/// All users.
pub(in crate::cli) fn users(users: &[User], as_json: bool) {
    if as_json {
        return output::json(&Value::Array(users.iter().map(record).collect()));
    }
    let rows: Vec<Vec<String>> = users
        .iter()
        .map(|user| {
            let email = user.email.clone().unwrap_or_default();
            let cells = [
                user.id.to_string(),
                user.username.clone(),
                email,
                user.roles.join(","),
                user.created_at.to_string(),
                state(user).to_owned(),
            ];
            cells.iter().map(|cell| visible(cell)).collect()
        })
        .collect();
    output::table(&["ID", "USERNAME", "EMAIL", "ROLES", "CREATED", "STATE"], &rows);
}

fn record(user: &User) -> Value {
    json!({
        "id": user.id.as_str(),
        "username": user.username,
        "email": user.email,
        "roles": user.roles,
        "attributes": user.attributes,
        "created_at": user.created_at.to_string(),
        "disabled": user.disabled,
    })
}

const fn state(user: &User) -> &'static str {
    if user.disabled { "disabled" } else { "active" }
}
