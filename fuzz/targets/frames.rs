//! Frames of a WebSocket: however the bytes are cut up, the borders are where a reader of the whole finds them.
#![no_main]

use libfuzzer_sys::fuzz_target;
use portcullis::proxy::FrameBorders;

fuzz_target!(|input: (Vec<u8>, Vec<u8>)| {
    let (cuts, bytes) = input;
    let mut followed = FrameBorders::default();
    let mut rest = bytes.as_slice();
    for cut in cuts {
        let (piece, behind) = rest.split_at(usize::from(cut).min(rest.len()));
        followed.follow(piece);
        rest = behind;
    }
    followed.follow(rest);
    assert_eq!(followed.passed(), bytes.len() as u64);

    let (mut border, mut closed) = (0, false);
    while let Some(length) = frame(&bytes[border..]) {
        closed |= bytes[border] & 0x0f == 8;
        border += length;
    }
    assert_eq!((followed.border(), followed.has_closed()), (border as u64, closed));
});

/// The length of the whole frame in front (RFC 6455, section 5.2); `None` where there is none.
fn frame(bytes: &[u8]) -> Option<usize> {
    let second = *bytes.get(1)?;
    let (head, length) = match second & 0x7f {
        126 => (4, u64::from(u16::from_be_bytes(bytes.get(2..4)?.try_into().ok()?))),
        127 => (10, u64::from_be_bytes(bytes.get(2..10)?.try_into().ok()?)),
        length => (2, length.into()),
    };
    let mask = if second & 0x80 == 0 { 0 } else { 4 };
    let whole = usize::try_from(length).ok()?.checked_add(head + mask)?;
    (bytes.len() >= whole).then_some(whole)
}
