//! What in a path makes lenient readers disagree, found in one pass: a path without any costs no reading.

/// What in a path could be read in more than one way: one pass over the bytes, on the road of every request.
///
/// A path without any mark but capital letters has one reading, but for their case and a trailing slash.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Marks(u16);

impl Marks {
    /// `%`.
    pub(super) const ESCAPE: Self = Self(1);
    /// `\`.
    pub(super) const BACKSLASH: Self = Self(1 << 1);
    /// `;`.
    pub(super) const PARAMETERS: Self = Self(1 << 2);
    /// `?` or `#`.
    pub(super) const CUT: Self = Self(1 << 3);
    /// `//`.
    pub(super) const DOUBLE_SLASH: Self = Self(1 << 4);
    /// A segment that ends in a dot or a blank; dot segments are such.
    pub(super) const LOOSE_END: Self = Self(1 << 5);
    /// A byte beyond ASCII.
    pub(super) const BEYOND_ASCII: Self = Self(1 << 6);
    /// A control byte.
    pub(super) const CONTROL: Self = Self(1 << 7);
    /// A capital letter.
    pub(super) const CAPITAL: Self = Self(1 << 8);

    /// The marks of `path`.
    pub(super) fn of(path: &[u8]) -> Self {
        let mut marks = 0;
        // Nothing stands before the first.
        let mut previous = b'_';
        for &byte in path {
            marks |= BYTES.get(usize::from(byte)).copied().unwrap_or(0);
            if byte == b'/' {
                marks |= before_slash(previous);
            }
            previous = byte;
        }
        if is_loose(previous) {
            marks |= Self::LOOSE_END.0;
        }
        Self(marks)
    }

    /// Whether no rewrite would do anything.
    pub(super) const fn is_ordinary(self) -> bool {
        self.0 & !Self::CAPITAL.0 == 0
    }

    pub(super) const fn has(self, mark: Self) -> bool {
        self.0 & mark.0 != 0
    }
}

/// What some file systems and frameworks drop at the end of a name: dots and white space, decoded too.
pub(super) const fn is_loose(byte: u8) -> bool {
    byte == b'.' || is_blank(byte)
}

/// White space, and the control bytes that URL parsers drop with it at the ends.
pub(super) const fn is_blank(byte: u8) -> bool {
    byte == b' ' || byte.is_ascii_control()
}

const fn before_slash(previous: u8) -> u16 {
    match previous {
        b'/' => Marks::DOUBLE_SLASH.0,
        byte if is_loose(byte) => Marks::LOOSE_END.0,
        _ => 0,
    }
}

const BYTES: [u16; 256] = {
    let mut marks = [0; 256];
    let mut byte = 0;
    while byte < 256 {
        #[allow(
            clippy::indexing_slicing,
            clippy::cast_possible_truncation,
            reason = "below 256, at compile time"
        )]
        {
            marks[byte] = match byte as u8 {
                b'%' => Marks::ESCAPE.0,
                b'\\' => Marks::BACKSLASH.0,
                b';' => Marks::PARAMETERS.0,
                b'?' | b'#' => Marks::CUT.0,
                b'A'..=b'Z' => Marks::CAPITAL.0,
                0x80..=0xff => Marks::BEYOND_ASCII.0,
                0..=0x1f | 0x7f => Marks::CONTROL.0,
                _ => 0,
            };
        }
        byte += 1;
    }
    marks
};

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_ordinary_path_has_no_other_reading() {
        for path in [
            "/",
            "/api/v1/users/42",
            "/a/",
            "/.well-known/x.json",
            "/A-b_c~d!$&'()*+,=:@",
            "/a.b/c..d/...e",
            "/{x}|\"<>^`",
        ] {
            assert!(Marks::of(path.as_bytes()).is_ordinary(), "{path}");
        }
    }

    #[test]
    fn each_oddity_leaves_its_mark() {
        for (path, mark) in [
            (&b"/%20"[..], Marks::ESCAPE),
            (b"/a\\b", Marks::BACKSLASH),
            (b"/a;b", Marks::PARAMETERS),
            (b"/a?b", Marks::CUT),
            (b"/a#b", Marks::CUT),
            (b"//", Marks::DOUBLE_SLASH),
            (b"/a//b", Marks::DOUBLE_SLASH),
            (b"/.", Marks::LOOSE_END),
            (b"/a/../b", Marks::LOOSE_END),
            (b"/a./b", Marks::LOOSE_END),
            (b"/a /b", Marks::LOOSE_END),
            (b"/a ", Marks::LOOSE_END),
            (b"/\xc3\xa9", Marks::BEYOND_ASCII),
            (b"/a\0b", Marks::CONTROL),
            (b"/\x7fb", Marks::CONTROL),
            (b"/aBc", Marks::CAPITAL),
        ] {
            assert_eq!(Marks::of(path), mark, "{}", path.escape_ascii());
        }
        assert!(Marks::of(b"/a\t").has(Marks::LOOSE_END));
        assert!(Marks::of(b"/a\x01/b").has(Marks::LOOSE_END));
    }
}
