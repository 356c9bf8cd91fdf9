use std::net::{Ipv4Addr, SocketAddr};

use crate::config::reader::Section;

/// Where the operators' surface listens: never where the public does.
pub(super) fn read(admin: &mut Section<'_, '_, '_>, https: SocketAddr) -> SocketAddr {
    let listen = admin.take("listen", SocketAddr::from((Ipv4Addr::LOCALHOST, 9901)));
    if overlap(listen, https) {
        let place = admin.place("listen");
        let hint = format!("expected another port than that of `https` in [listen], {https}");
        admin.context.fault(&place, "the admin listener is never a public one", hint);
    }
    listen
}

/// Whether one would take connections of the other. Port 0 is always a free one.
fn overlap(one: SocketAddr, other: SocketAddr) -> bool {
    let same_address = one.ip() == other.ip() || one.ip().is_unspecified() || other.ip().is_unspecified();
    one.port() != 0 && one.port() == other.port() && same_address
}
