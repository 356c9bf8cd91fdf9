//! What the targets have in common: settings as an operator would write them, so that a target follows the rooms'
//! own types as little as possible.

use std::fs;

use portcullis::{
    config::{self, Settings},
    dialect::Endpoint,
    route::RouteTable,
};
use tempfile::TempDir;

/// The settings of this configuration.
pub fn settings(text: &str) -> Settings {
    let folder = TempDir::new().expect("a folder");
    let path = folder.path().join("gateway.toml");
    fs::write(&path, text).expect("a file");
    let checked = config::read(&path).unwrap_or_else(|faults| panic!("{}", faults.render(false)));
    checked.prepare().expect("settings")
}

/// The route table of these settings, as `app` makes it.
pub fn table(settings: &Settings) -> RouteTable {
    let endpoints = settings.auth_prefix.iter().flat_map(|prefix| {
        Endpoint::ALL.into_iter().map(move |endpoint| (format!("{prefix}/{}", endpoint.path()), endpoint))
    });
    RouteTable::new(settings.routes.clone(), endpoints.collect()).expect("no ties")
}
