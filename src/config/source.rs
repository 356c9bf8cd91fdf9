//! The text of the file, and what of it may be shown: lines with secrets never.

use std::{ops::Range, sync::Arc};

/// The text of a configuration file, and which of its bytes nobody may see.
#[derive(Debug)]
pub(super) struct Source {
    name: String,
    text: Arc<str>,
    line_starts: Vec<usize>,
    hidden: Vec<Range<usize>>,
    /// By their starts.
    masked: Vec<Range<usize>>,
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
        Self { name, text, line_starts, hidden: Vec::new(), masked: Vec::new() }
    }

    /// The file's path as the operator wrote it.
    pub(super) fn name(&self) -> &str {
        &self.name
    }

    pub(super) fn text(&self) -> &str {
        &self.text
    }

    /// Shows `********` for each of `ranges`, and nothing of a line that one of them begins or ends elsewhere.
    pub(super) fn mask(&mut self, ranges: impl IntoIterator<Item = Range<usize>>) {
        self.masked.extend(ranges);
        self.masked.sort_by_key(|range| (range.start, range.end));
    }

    /// Never shows a line that touches `range`.
    pub(super) fn hide(&mut self, range: Range<usize>) {
        self.hidden.push(range);
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
    pub(super) fn line(&self, span: &Range<usize>) -> Option<(String, Range<usize>)> {
        let (_, start) = self.line_start(span.start);
        let whole = self.text.get(start..)?.split('\n').next()?;
        let end = start + whole.len();
        let touches = |range: &&Range<usize>| range.start <= end && range.end >= start;
        if self.hidden.iter().any(|range| touches(&range)) {
            return None;
        }
        let mut shown = Shown { line: String::new(), pieces: Vec::new(), next: start };
        let mut is_masked = false;
        for range in self.masked.iter().filter(touches) {
            is_masked = true;
            if range.start < start || range.end > end {
                return None;
            }
            shown.copy(&self.text, range.start)?;
            shown.mask(range.end);
        }
        let end = start + whole.trim_end_matches('\r').len();
        let rest = self.text.get(shown.next..end).unwrap_or_default();
        // Only behind the last secret is a `#` no part of one; and the comment may well speak of it.
        if let Some(comment) = rest.find('#').filter(|_| is_masked) {
            shown.copy(&self.text, shown.next + comment)?;
            shown.mask(end);
        }
        shown.copy(&self.text, end)?;
        let from = shown.start(span.start);
        let within = from..shown.end(span.end).max(from);
        Some((shown.line, within))
    }

    /// The number of the line that holds `at`, from 1, and its first byte.
    fn line_start(&self, at: usize) -> (usize, usize) {
        let number = self.line_starts.partition_point(|start| *start <= at);
        (number, number.checked_sub(1).and_then(|index| self.line_starts.get(index)).copied().unwrap_or(0))
    }
}

/// A line as it is shown, made from left to right.
struct Shown {
    line: String,
    /// Where parts of the file are in the line, and whether behind a mask.
    pieces: Vec<(Range<usize>, Range<usize>, bool)>,
    /// What of the file comes next.
    next: usize,
}

impl Shown {
    /// Shows `text` up to `end`; `None` where it cannot be cut there.
    fn copy(&mut self, text: &str, end: usize) -> Option<()> {
        if end > self.next {
            let start = self.line.len();
            self.line.push_str(text.get(self.next..end)?);
            self.pieces.push((self.next..end, start..self.line.len(), false));
            self.next = end;
        }
        Some(())
    }

    fn mask(&mut self, end: usize) {
        if end > self.next {
            let start = self.line.len();
            self.line.push_str(MASK);
            self.pieces.push((self.next..end, start..self.line.len(), true));
            self.next = end;
        }
    }

    /// Where what begins at the byte `at` of the file is shown; the end of the line where it comes later.
    fn start(&self, at: usize) -> usize {
        match self.pieces.iter().find(|(file, ..)| at < file.end) {
            None => self.line.len(),
            Some((_, line, true)) => line.start,
            Some((file, line, false)) => line.start + at.saturating_sub(file.start),
        }
    }

    /// As [`Self::start`], for what ends before the byte `at`.
    fn end(&self, at: usize) -> usize {
        match self.pieces.iter().find(|(file, ..)| at <= file.end) {
            None => self.line.len(),
            Some((_, line, true)) => line.end,
            Some((file, line, false)) => line.start + at.saturating_sub(file.start),
        }
    }
}

/// What is shown instead of a secret, however long that is.
const MASK: &str = "********";

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
    fn carets_stand_under_what_is_masked_and_behind_it() {
        let text = "a = 'secret', ö = 'x' # c";
        let mut source = Source::new("f".to_owned(), text.into());
        source.mask([text.find("'s").unwrap()..text.find(',').unwrap(), 0..0]);
        let masked = |from: &str, to: &str| source.line(&(text.find(from).unwrap()..text.find(to).unwrap()));
        let line = "a = ********, ö = 'x' ********".to_owned();
        assert_eq!(masked("a", " ="), Some((line.clone(), 0..1)));
        assert_eq!(masked("'s", ","), Some((line.clone(), 4..12)));
        assert_eq!(masked("cret", "ret'"), Some((line.clone(), 4..12)));
        assert_eq!(masked("ö", " = 'x"), Some((line.clone(), 14..16)));
        assert_eq!(source.line(&(0..99)), Some((line.clone(), 0..line.len())));
        source.hide(2..2);
        assert_eq!(source.line(&(0..1)), None);
    }

    #[test]
    fn a_line_that_touches_a_range_that_is_longer_is_not_shown() {
        let text = "one\nkey = \"\"\"\nsecret\"\"\"\nlast";
        let mut source = Source::new("f".to_owned(), text.into());
        let hidden = text.find("\"\"\"").unwrap()..text.find("\nlast").unwrap();
        source.mask([hidden]);
        assert_eq!(source.line(&(0..3)), Some(("one".to_owned(), 0..3)));
        assert_eq!(source.line(&(4..7)), None);
        let secret = text.find("secret").unwrap();
        assert_eq!(source.line(&(secret..secret + 2)), None);
        let last = text.find("last").unwrap();
        assert_eq!(source.line(&(last..last + 99)), Some(("last".to_owned(), 0..4)));
    }
}
