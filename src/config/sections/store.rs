use crate::{
    config::{reader::Section, value::Written},
    store::Settings,
};

pub(super) fn read(store: &mut Section<'_, '_, '_>) -> Settings {
    let url = store.take_if("url", Written::nowhere(DEFAULT), |url| sqlite(&url.text).map(drop));
    // A wrong one was reported.
    Settings { path: store.context.folder.join(sqlite(&url.text).unwrap_or_default()) }
}

/// The path in `sqlite:PATH`, or what is wrong.
fn sqlite(url: &str) -> Result<&str, String> {
    const EXPECTED: &str = r#"expected "sqlite:PATH""#;
    if url.starts_with("postgres") {
        return Err(format!("PostgreSQL is not there yet; {EXPECTED}"));
    }
    match url.strip_prefix("sqlite:") {
        Some(path) if path.starts_with("//") => Err(format!("{EXPECTED}, without slashes behind the colon")),
        Some("") => Err(format!("the path is missing; {EXPECTED}")),
        Some(":memory:") => Err(format!("{EXPECTED}: in memory a logout would not outlive the process")),
        Some(path) if !path.ends_with('/') => Ok(path),
        _ => Err(EXPECTED.to_owned()),
    }
}

const DEFAULT: &str = "sqlite:data/portcullis.db";
