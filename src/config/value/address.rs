//! `"127.0.0.1:8000"`, and where nobody may listen, too, `"off"`.

use std::net::SocketAddr;

use toml::{Spanned, de::DeValue};

use super::{FromToml, ToToml, Wrong, parsed};

impl FromToml for SocketAddr {
    fn from_toml(value: &Spanned<DeValue<'_>>, wrongs: &mut Vec<Wrong>) -> Option<Self> {
        let expected = r#"an address and port such as "127.0.0.1:9901" or "[::1]:9901""#;
        parsed(value, wrongs, expected, |text| text.parse().ok())
    }
}

impl ToToml for SocketAddr {
    fn to_toml(&self) -> toml::Value {
        self.to_string().into()
    }
}

/// Where to listen, or nowhere.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::config) struct Listening(pub(in crate::config) Option<SocketAddr>);

impl FromToml for Listening {
    fn from_toml(value: &Spanned<DeValue<'_>>, wrongs: &mut Vec<Wrong>) -> Option<Self> {
        let expected = r#"an address and port such as "0.0.0.0:8443" or "[::]:8443", or "off""#;
        parsed(value, wrongs, expected, |text| match text {
            OFF => Some(Self(None)),
            text => text.parse().ok().map(|address| Self(Some(address))),
        })
    }
}

impl ToToml for Listening {
    fn to_toml(&self) -> toml::Value {
        self.0.map_or_else(|| OFF.to_owned(), |address| address.to_string()).into()
    }
}

const OFF: &str = "off";

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::value::testing::read;

    #[test]
    fn a_listener_has_an_address_and_a_port_or_is_off() {
        for text in ["127.0.0.1:0", "[::]:8443", "off"] {
            let listening = read::<Listening>(&format!("{text:?}")).unwrap();
            assert_eq!(listening.to_toml(), text.into());
        }
        for text in ["", "8443", "localhost:8443", "127.0.0.1", "Off", "127.0.0.1:65536"] {
            assert!(read::<Listening>(&format!("{text:?}")).is_err(), "{text}");
        }
    }
}
