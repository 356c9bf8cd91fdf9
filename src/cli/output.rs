//! Writes to the terminal, and does not mind a reader that has gone.

use std::io::{self, IsTerminal, Write};

use clap::Args;
use serde_json::Value;

#[derive(Args)]
pub(super) struct Json {
    /// Print JSON
    #[arg(long)]
    pub(super) json: bool,
}

pub(super) fn is_error_terminal() -> bool {
    io::stderr().is_terminal()
}

/// To standard output. A closed pipe (`portcullis user list | head`) is no failure of ours.
pub(super) fn print(text: &str) {
    let mut out = io::stdout().lock();
    let _closed = out.write_all(text.as_bytes()).and_then(|()| out.flush());
}

/// To standard error.
pub(super) fn error(text: &str) {
    let _closed = io::stderr().lock().write_all(text.as_bytes());
}

/// JSON for machines, indented for the people who look over their shoulders.
pub(super) fn json(value: &Value) {
    print(&format!("{value:#}\n"));
}

/// Names come from strangers: what would move the operator's cursor is shown escaped.
pub(super) fn visible(text: &str) -> String {
    text.chars()
        .flat_map(|c| if c.is_control() { c.escape_default().collect::<Vec<_>>() } else { vec![c] })
        .collect()
}

/// Columns, as wide as their widest cell.
pub(super) fn table(header: &[&str], rows: &[Vec<String>]) {
    let mut widths: Vec<usize> = header.iter().map(|cell| cell.chars().count()).collect();
    for row in rows {
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = (*width).max(cell.chars().count());
        }
    }
    let line = |cells: &mut dyn Iterator<Item = &str>| {
        let padded: Vec<String> =
            cells.zip(&widths).map(|(cell, &width)| format!("{cell:<width$}")).collect();
        format!("{}\n", padded.join("  ").trim_end())
    };
    let mut text = line(&mut header.iter().copied());
    for row in rows {
        text.push_str(&line(&mut row.iter().map(String::as_str)));
    }
    print(&text);
}
