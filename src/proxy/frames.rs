//! Where the frames of a WebSocket end (RFC 6455, section 5.2), however their bytes are cut up.
//!
//! Never here: what the frames hold, whether they are right: that is between the client and the upstream.

/// Follows one direction of a WebSocket from frame to frame. It looks at the frames' heads alone.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct FrameBorders {
    at: Place,
    passed: u64,
    border: u64,
    /// The kind of the frame that comes, or came last.
    opcode: u8,
    closed: bool,
}

impl FrameBorders {
    /// These bytes passed.
    pub fn follow(&mut self, mut bytes: &[u8]) {
        while let Some((first, rest)) = bytes.split_first() {
            if let Place::Payload { left } = &mut self.at {
                let here = bytes.len().min(usize::try_from(*left).unwrap_or(usize::MAX));
                *left -= here as u64;
                self.passed += here as u64;
                bytes = bytes.get(here..).unwrap_or_default();
            } else {
                self.at = self.at.behind(*first, &mut self.opcode);
                self.passed += 1;
                bytes = rest;
            }
            if self.at == (Place::Payload { left: 0 }) {
                self.at = Place::Border;
                self.border = self.passed;
                self.closed |= self.opcode == CLOSE;
            }
        }
    }

    /// How many bytes have passed.
    pub const fn passed(&self) -> u64 {
        self.passed
    }

    /// How many of them make up whole frames.
    pub const fn border(&self) -> u64 {
        self.border
    }

    /// Whether one of those frames was Close: no other may follow (RFC 6455, section 5.5.1).
    pub const fn has_closed(&self) -> bool {
        self.closed
    }
}

/// What both sides are told when they are cut.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Farewell {
    /// For programs.
    pub code: CloseCode,
    /// For people; what is beyond 123 bytes is not sent.
    pub reason: &'static str,
}

/// Codes of Close frames.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CloseCode {
    /// 1008 (RFC 6455, section 7.4.1): what was allowed is so no more.
    PolicyViolation,
    /// 1013 (IANA's WebSocket Close Code Number Registry): what 503 is to a request.
    TryAgainLater,
}

impl Farewell {
    /// The Close frame that says it. What a client sends is masked.
    pub(super) fn frame(self, mask: Option<[u8; 4]>) -> Vec<u8> {
        let reason = self.reason.as_bytes();
        let reason = reason.get(..MAX_REASON).unwrap_or(reason);
        let payload = self.code.number().to_be_bytes().into_iter().chain(reason.iter().copied());
        // At most 125, so it needs no more than its seven bits.
        let length = u8::try_from(2 + reason.len()).unwrap_or(u8::MAX);
        let mut frame = vec![FIN | CLOSE];
        match mask {
            None => {
                frame.push(length);
                frame.extend(payload);
            }
            Some(mask) => {
                frame.push(MASKED | length);
                frame.extend(mask);
                frame.extend(payload.zip(mask.into_iter().cycle()).map(|(byte, mask)| byte ^ mask));
            }
        }
        frame
    }
}

impl CloseCode {
    const fn number(self) -> u16 {
        match self {
            Self::PolicyViolation => 1008,
            Self::TryAgainLater => 1013,
        }
    }
}

/// Where in a frame we stand.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Place {
    /// Between two frames.
    #[default]
    Border,
    /// Behind the first byte.
    Begun,
    /// So many bytes of the length are still to come.
    Length { left: u8, length: u64, mask: u64 },
    /// So many bytes of mask and payload are still to come.
    Payload { left: u64 },
}

impl Place {
    /// The place behind one more byte of a frame's head.
    fn behind(self, byte: u8, opcode: &mut u8) -> Self {
        match self {
            Self::Border => {
                *opcode = byte & OPCODE;
                Self::Begun
            }
            Self::Begun => {
                let mask = if byte & MASKED == 0 { 0 } else { 4 };
                match byte & !MASKED {
                    126 => Self::Length { left: 2, length: 0, mask },
                    127 => Self::Length { left: 8, length: 0, mask },
                    length => Self::Payload { left: mask + u64::from(length) },
                }
            }
            Self::Length { left, length, mask } => {
                let length = length << 8 | u64::from(byte);
                match left {
                    // A frame that claims more than can be counted never ends.
                    ..=1 => Self::Payload { left: length.saturating_add(mask) },
                    _ => Self::Length { left: left - 1, length, mask },
                }
            }
            Self::Payload { left } => Self::Payload { left: left.saturating_sub(1) },
        }
    }
}

const FIN: u8 = 0x80;
const OPCODE: u8 = 0x0f;
const CLOSE: u8 = 8;
const MASKED: u8 = 0x80;

/// What a control frame has room for behind its code (RFC 6455, section 5.5).
const MAX_REASON: usize = 123;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// A frame with a head of the shortest form that `form` allows: 0, 2 or 8 bytes of length.
    fn frame(first: u8, form: usize, masked: bool, payload: &[u8]) -> Vec<u8> {
        let bit = if masked { MASKED } else { 0 };
        let mut bytes = vec![first];
        match form {
            0 => bytes.push(bit | u8::try_from(payload.len()).unwrap()),
            2 => {
                bytes.push(bit | 126);
                bytes.extend(u16::try_from(payload.len()).unwrap().to_be_bytes());
            }
            _ => {
                bytes.push(bit | 127);
                bytes.extend((payload.len() as u64).to_be_bytes());
            }
        }
        if masked {
            bytes.extend([0x88, 0x81, 0xff, 0x7e]);
        }
        bytes.extend(payload);
        bytes
    }

    fn borders(bytes: &[u8]) -> FrameBorders {
        let mut borders = FrameBorders::default();
        borders.follow(bytes);
        assert_eq!(borders.passed(), bytes.len() as u64);
        borders
    }

    #[test]
    fn every_form_of_length_ends_where_it_says() {
        for (form, length) in [(0, 0), (0, 1), (0, 125), (2, 0), (2, 126), (2, 65_535), (8, 3), (8, 70_000)] {
            for masked in [false, true] {
                let whole = frame(0x82, form, masked, &vec![0x88; length]);
                assert_eq!(borders(&whole).border(), whole.len() as u64, "{form} {length} {masked}");
                assert_eq!(borders(&whole[..whole.len() - 1]).border(), 0, "{form} {length} {masked}");
                assert!(!borders(&whole).has_closed());
            }
        }
    }

    #[test]
    fn control_frames_within_a_message_have_borders_of_their_own() {
        let parts = [
            frame(0x01, 0, false, b"first"),
            frame(0x89, 0, false, b"ping"),
            frame(0x00, 2, false, b"second"),
            frame(0x8a, 0, false, b""),
            frame(0x80, 0, false, b"last"),
        ];
        let mut followed = FrameBorders::default();
        for part in parts {
            let (head, tail) = part.split_at(1);
            let before = followed.border();
            followed.follow(head);
            assert_eq!(followed.border(), before);
            followed.follow(tail);
            assert_eq!(followed.border(), followed.passed());
        }
        assert!(!followed.has_closed());
    }

    #[test]
    fn a_close_counts_when_it_is_whole() {
        let close = frame(0x88, 0, false, &[3, 232]);
        assert!(!borders(&close[..3]).has_closed());
        assert!(borders(&close).has_closed());
    }

    #[test]
    fn a_frame_longer_than_can_be_counted_never_ends() {
        let mut bytes = vec![0x82, 0xff];
        bytes.extend([0xff; 8]);
        bytes.extend([0; 1000]);
        assert_eq!(borders(&bytes).border(), 0);
    }

    #[test]
    fn a_close_frame_is_as_it_must_be() {
        let farewell = |code, reason| Farewell { code, reason };
        let bye = farewell(CloseCode::PolicyViolation, "bye");
        assert_eq!(bye.frame(None), b"\x88\x05\x03\xf0bye");
        assert_eq!(farewell(CloseCode::TryAgainLater, "bye").frame(None), b"\x88\x05\x03\xf5bye");
        let masked = bye.frame(Some([1, 2, 3, 4]));
        assert_eq!(masked, [0x88, 0x85, 1, 2, 3, 4, 3 ^ 1, 0xf0 ^ 2, b'b' ^ 3, b'y' ^ 4, b'e' ^ 1]);
        for mask in [None, Some([0; 4])] {
            let long = std::str::from_utf8(&[b'x'; 500]).unwrap();
            let longest = farewell(CloseCode::PolicyViolation, long).frame(mask);
            assert_eq!(longest[1] & !MASKED, 125);
            assert_eq!(borders(&longest).border(), longest.len() as u64);
            assert!(borders(&longest).has_closed());
        }
    }

    fn any_frame() -> impl Strategy<Value = Vec<u8>> {
        let length = prop_oneof![Just(0_usize), 0_usize..126, 126_usize..700];
        (any::<u8>(), length, any::<bool>(), 0..3_usize).prop_map(|(first, length, masked, form)| {
            let form = if length > 125 { [2, 8, 2][form] } else { [0, 2, 8][form] };
            frame(first, form, masked, &vec![first; length])
        })
    }

    proptest! {
        #[test]
        fn any_splitting_finds_the_same_borders(
            frames in proptest::collection::vec(any_frame(), 0..8),
            cuts in proptest::collection::vec(any::<prop::sample::Index>(), 0..12),
            missing in any::<prop::sample::Index>(),
        ) {
            let bytes = frames.concat();
            // Any part of it, too: it may end within a frame.
            let bytes = &bytes[..bytes.len() - missing.index(bytes.len() + 1)];
            let mut ends: Vec<usize> = cuts.iter().map(|cut| cut.index(bytes.len() + 1)).collect();
            ends.extend([0, bytes.len()]);
            ends.sort_unstable();
            let mut followed = FrameBorders::default();
            for piece in ends.windows(2) {
                followed.follow(&bytes[piece[0]..piece[1]]);
            }
            prop_assert_eq!(followed, borders(bytes));
            let mut whole = 0;
            for frame in &frames {
                if whole + frame.len() <= bytes.len() { whole += frame.len() } else { break }
            }
            prop_assert_eq!(followed.border(), whole as u64);
        }
    }
}
