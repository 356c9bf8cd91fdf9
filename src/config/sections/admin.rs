//! `[admin]`: where operators look, never where the public comes in.

use std::net::{Ipv4Addr, SocketAddr};

use super::listen::{Listen, overlap};
use crate::config::reader::Section;

/// Where the operators' surface listens: never where the public does.
pub(super) fn read(admin: &mut Section<'_, '_, '_>, public: &Listen) -> SocketAddr {
    let listen = admin.take("listen", SocketAddr::from((Ipv4Addr::LOCALHOST, 9901)));
    if let Some((key, address)) = public.public().find(|(_, address)| overlap(listen, *address)) {
        let place = admin.place("listen");
        let hint = format!("expected another port than that of `{key}` in [listen], {address}");
        admin.context.fault(&place, "the admin listener is never a public one", hint);
    }
    listen
}
