//! Faults and warnings: kept by position, shown with their line and a caret.
//!
//! Never here: which lines hold secrets (`redaction`, `source`).

use std::{fmt, ops::Range, sync::Arc};

use annotate_snippets::{AnnotationKind, Group, Level, Origin, Renderer, Snippet};

use super::source::{Position, Source};

/// One thing that is wrong, or looks wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// Where in the file; `None` where no line of it is to blame.
    pub position: Option<Position>,
    /// The key that it concerns, as in `route[0].path`; empty where there is none.
    pub key: String,
    /// What is wrong, in a few words.
    pub message: String,
    /// What was expected, or what to do.
    pub hint: String,
    span: Option<Range<usize>>,
}

/// Everything that is wrong with a configuration, by position.
#[derive(Debug)]
pub struct Faults(Findings);

/// What works, and should be looked at all the same, by position.
#[derive(Debug)]
pub struct Warnings(Findings);

#[derive(Debug)]
struct Findings {
    source: Arc<Source>,
    list: Vec<Finding>,
}

impl Finding {
    pub(super) fn at(
        span: Range<usize>,
        key: &str,
        message: impl Into<String>,
        hint: impl Into<String>,
    ) -> Self {
        Self { span: Some(span), ..Self::nowhere(key, message, hint) }
    }

    /// What no line of the file is to blame for.
    pub(super) fn nowhere(key: &str, message: impl Into<String>, hint: impl Into<String>) -> Self {
        Self { position: None, key: key.to_owned(), message: message.into(), hint: hint.into(), span: None }
    }
}

impl Faults {
    pub(super) fn new(source: Arc<Source>, list: Vec<Finding>) -> Self {
        Self(Findings::new(source, list))
    }

    /// The file cannot be read at all.
    pub(super) fn of_file(name: String, hint: String) -> Self {
        let message = format!("cannot read `{name}`");
        let source = Arc::new(Source::new(name, "".into()));
        Self(Findings::new(source, vec![Finding::nowhere("", message, hint)]))
    }

    /// All of them, by position.
    pub fn iter(&self) -> impl Iterator<Item = &Finding> {
        self.0.list.iter()
    }

    /// The faults for people, in colours where `coloured`: the first [`Self::SHOWN`], and how many more.
    pub fn render(&self, coloured: bool) -> String {
        self.0.render(&Level::ERROR, coloured)
    }

    /// Faults that [`Self::render`] shows at most.
    pub const SHOWN: usize = 50;
}

impl Warnings {
    pub(super) fn new(source: Arc<Source>, list: Vec<Finding>) -> Self {
        Self(Findings::new(source, list))
    }

    /// All of them, by position.
    pub fn iter(&self) -> impl Iterator<Item = &Finding> {
        self.0.list.iter()
    }

    /// Whether there is none.
    pub const fn is_empty(&self) -> bool {
        self.0.list.is_empty()
    }

    /// The warnings for people, in colours where `coloured`; as many as of faults.
    pub fn render(&self, coloured: bool) -> String {
        self.0.render(&Level::WARNING, coloured)
    }
}

impl fmt::Display for Faults {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.render(false))
    }
}

impl std::error::Error for Faults {}

impl fmt::Display for Warnings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.render(false))
    }
}

impl Findings {
    fn new(source: Arc<Source>, mut list: Vec<Finding>) -> Self {
        for finding in &mut list {
            finding.position = finding.span.as_ref().map(|span| source.position(span.start));
        }
        list.sort_by_key(|finding| finding.position);
        Self { source, list }
    }

    fn render(&self, level: &Level<'static>, coloured: bool) -> String {
        let renderer = if coloured { Renderer::styled() } else { Renderer::plain() };
        let mut reports: Vec<String> = self
            .list
            .iter()
            .take(Faults::SHOWN)
            .map(|finding| renderer.render(&[self.report(finding, level.clone())]))
            .collect();
        if let Some(more @ 1..) = self.list.len().checked_sub(Faults::SHOWN) {
            reports.push(format!("and {more} more"));
        }
        let mut rendered = reports.join("\n\n");
        if !rendered.is_empty() {
            rendered.push('\n');
        }
        rendered
    }

    fn report<'a>(&'a self, finding: &'a Finding, level: Level<'a>) -> Group<'a> {
        let title = level.primary_title(&finding.message);
        let (Some(Position { line: number, column }), Some(span)) = (finding.position, &finding.span) else {
            return title.element(Level::NOTE.message(&finding.hint));
        };
        match self.source.line(span) {
            // The line alone is handed over, so that no neighbour of it can ever be shown.
            Some((line, span)) => title.element(
                Snippet::source(line)
                    .line_start(number)
                    .path(self.source.name())
                    .annotation(AnnotationKind::Primary.span(span).label(&finding.hint)),
            ),
            None => title
                .element(Origin::path(self.source.name()).line(number).char_column(column))
                .element(Level::NOTE.message(&finding.hint)),
        }
    }
}
