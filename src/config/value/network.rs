//! Networks and single addresses, as in `"10.0.0.0/8"`.

use std::net::IpAddr;

use ipnet::IpNet;
use toml::{Spanned, de::DeValue};

use super::{FromToml, ToToml, Wrong, parsed};

impl FromToml for IpNet {
    fn from_toml(value: &Spanned<DeValue<'_>>, wrongs: &mut Vec<Wrong>) -> Option<Self> {
        let expected = r#"a network such as "10.0.0.0/8", or an address"#;
        let network = parsed(value, wrongs, expected, |text| {
            text.parse::<Self>().ok().or_else(|| text.parse::<IpAddr>().ok().map(Self::from))
        })?;
        if network.trunc() != network {
            // Whoever writes 10.1.2.3/8 means one of two things, and they differ in whom they believe.
            let hint = format!("expected {} or {}", network.trunc(), network.addr());
            wrongs.push(Wrong::of_value(value, hint));
            return None;
        }
        Some(network)
    }
}

impl ToToml for IpNet {
    fn to_toml(&self) -> toml::Value {
        self.to_string().into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::value::testing::read;

    #[test]
    fn a_network_is_written_with_its_first_address() {
        let of = |text: &str| read::<IpNet>(text).map(|network| network.to_string());
        assert_eq!(of(r#""10.0.0.0/8""#).unwrap(), "10.0.0.0/8");
        assert_eq!(of(r#""::1""#).unwrap(), "::1/128");
        assert_eq!(of(r#""10.1.2.3/8""#).unwrap_err(), ["expected 10.0.0.0/8 or 10.1.2.3"]);
        let expected = r#"expected a network such as "10.0.0.0/8", or an address"#;
        assert_eq!(of(r#""10.0.0.0/33""#).unwrap_err(), [expected]);
        assert_eq!(of(r#""example.com""#).unwrap_err(), [expected]);
    }
}
