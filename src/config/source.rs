use std::{ops::Range, sync::Arc};

/// The text of a configuration file, and which of its bytes nobody may see.
#[derive(Debug)]
pub(super) struct Source {
    name: String,
    text: Arc<str>,
    line_starts: Vec<usize>,
    hidden: Vec<Range<usize>>,
}

/// Where something stands in the file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Position {
    /// The line, from 1.
    pub line: usize,
    /// The character in the line, from 1.
    pub column: usize,
}

impl Source {
    pub(super) fn new(name: String, text: Arc<str>) -> Self {
        let newlines = text.bytes().enumerate().filter(|(_, byte)| *byte == b'\n');
        let line_starts = std::iter::once(0).chain(newlines.map(|(at, _)| at + 1)).collect();
        Self { name, text, line_starts, hidden: Vec::new() }
    }

    /// The file's path as the operator wrote it.
    pub(super) fn name(&self) -> &str {
        &self.name
    }

    pub(super) fn text(&self) -> &str {
        &self.text
    }

    /// Never shows a line that touches one of `ranges`.
    pub(super) fn hide(&mut self, ranges: impl IntoIterator<Item = Range<usize>>) {
        self.hidden.extend(ranges);
    }

    /// Behind the last character that is not blank: where what is missing would go.
    pub(super) fn end(&self) -> Range<usize> {
        let end = self.text.trim_end().len();
        end..end
    }

    pub(super) fn position(&self, at: usize) -> Position {
        let (line, start) = self.line_start(at);
        // Behind the end is at the end.
        let before = self.text.get(start..at).or_else(|| self.text.get(start..)).unwrap_or_default();
        Position { line, column: before.chars().count() + 1 }
    }

    /// The line on which `span` begins and the span within it, cut at the line's end; `None` where the line
    /// must not be shown.
    pub(super) fn line(&self, span: &Range<usize>) -> Option<(&str, Range<usize>)> {
        let (_, start) = self.line_start(span.start);
        let whole = self.text.get(start..)?.split('\n').next()?;
        let end = start + whole.len();
        if self.hidden.iter().any(|hidden| hidden.start <= end && hidden.end >= start) {
            return None;
        }
        let line = whole.trim_end_matches('\r');
        let within = |at: usize| at.clamp(start, start + line.len()) - start;
        Some((line, within(span.start)..within(span.end)))
    }

    /// The number of the line that holds `at`, from 1, and its first byte.
    fn line_start(&self, at: usize) -> (usize, usize) {
        let number = self.line_starts.partition_point(|start| *start <= at);
        (number, number.checked_sub(1).and_then(|index| self.line_starts.get(index)).copied().unwrap_or(0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn positions_count_characters_from_one() {
        let source = Source::new("f".to_owned(), "a\nö = 1\n".into());
        assert_eq!(source.position(0), Position { line: 1, column: 1 });
        assert_eq!(source.position("a\nö".len()), Position { line: 2, column: 2 });
        assert_eq!(source.position(99), Position { line: 3, column: 1 });
    }

    #[test]
    fn a_line_that_touches_a_hidden_range_is_not_shown() {
        let text = "one\nkey = \"\"\"\nsecret\"\"\"\nlast";
        let mut source = Source::new("f".to_owned(), text.into());
        let hidden = text.find("\"\"\"").unwrap()..text.find("\nlast").unwrap();
        source.hide([hidden]);
        assert_eq!(source.line(&(0..3)), Some(("one", 0..3)));
        assert_eq!(source.line(&(4..7)), None);
        let secret = text.find("secret").unwrap();
        assert_eq!(source.line(&(secret..secret + 2)), None);
        let last = text.find("last").unwrap();
        assert_eq!(source.line(&(last..last + 99)), Some(("last", 0..4)));
    }
}
