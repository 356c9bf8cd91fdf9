use std::net::SocketAddr;

use toml::{Spanned, de::DeValue};

use super::{FromToml, ToToml, Wrong, parsed};

impl FromToml for SocketAddr {
    fn from_toml(value: &Spanned<DeValue<'_>>, wrongs: &mut Vec<Wrong>) -> Option<Self> {
        let expected = r#"an address and port such as "0.0.0.0:8443" or "[::]:8443""#;
        if value.get_ref().as_str() == Some("off") {
            wrongs.push(Wrong::of_value(value, format!(r#""off" is not there yet; expected {expected}"#)));
            return None;
        }
        parsed(value, wrongs, expected, |text| text.parse().ok())
    }
}

impl ToToml for SocketAddr {
    fn to_toml(&self) -> toml::Value {
        self.to_string().into()
    }
}
