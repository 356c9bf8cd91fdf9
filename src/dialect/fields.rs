//! The members of a request's body, JSON or form.

use std::fmt;

use serde::{
    Deserialize, Deserializer,
    de::{Error, MapAccess, SeqAccess, Visitor},
};

use crate::secret::{ExposeSecret, SecretText};

/// Why a body is no operation. The texts are DRF's, which clients know.
#[derive(Debug, PartialEq, Eq)]
pub enum WireError {
    /// Not JSON, or a member twice.
    Broken(String),
    /// Members that are missing or of a wrong type: names and why.
    Fields(Vec<(&'static str, &'static str)>),
    /// Neither JSON nor a form.
    MediaType(String),
    /// JSON, but no object.
    NotAnObject(&'static str),
}

/// The members of one body.
#[derive(Debug, Default)]
pub(super) struct Fields(Vec<(String, Value)>);

/// A member's value, as far as an operation looks at it.
#[derive(Debug)]
enum Value {
    Null,
    Other,
    Text(SecretText),
}

impl Fields {
    /// Reads a body. An empty one has no members.
    pub(super) fn read(content_type: Option<&str>, body: &[u8]) -> Result<Self, WireError> {
        if body.is_empty() {
            return Ok(Self::default());
        }
        let content_type = content_type.unwrap_or_default();
        let media_type = content_type.split(';').next().unwrap_or_default().trim();
        if media_type.eq_ignore_ascii_case("application/json") {
            Self::from_json(body)
        } else if media_type.eq_ignore_ascii_case("application/x-www-form-urlencoded") {
            Self::from_form(body)
        } else {
            Err(WireError::MediaType(content_type.chars().take(100).collect()))
        }
    }

    fn from_json(body: &[u8]) -> Result<Self, WireError> {
        let broken = |error: serde_json::Error| WireError::Broken(format!("JSON parse error - {error}"));
        match serde_json::from_slice(body).map_err(broken)? {
            Document::Object(fields) => Ok(Self(fields)),
            Document::Other(kind) => Err(WireError::NotAnObject(kind)),
        }
    }

    fn from_form(body: &[u8]) -> Result<Self, WireError> {
        let mut fields: Vec<(String, Value)> = Vec::new();
        for (name, value) in form_urlencoded::parse(body) {
            if fields.iter().any(|(known, _)| *known == name) {
                return Err(WireError::Broken(format!("The field \"{}\" comes twice.", shown(&name))));
            }
            if fields.len() >= MOST_MEMBERS {
                return Err(WireError::Broken("Too many fields.".to_owned()));
            }
            // A form holds bytes: those that are no UTF-8 are another text than the one typed.
            if value.contains('\u{fffd}') {
                return Err(WireError::Broken("The form is not UTF-8.".to_owned()));
            }
            fields.push((name.into_owned(), Value::Text(value.into_owned().into())));
        }
        Ok(Self(fields))
    }

    /// Takes a member that must be there: a text that is not blank.
    pub(super) fn text(
        &mut self,
        name: &'static str,
        faults: &mut Vec<(&'static str, &'static str)>,
    ) -> SecretText {
        let mut fault = |why| {
            faults.push((name, why));
            SecretText::default()
        };
        match self.take(name) {
            None => fault("This field is required."),
            Some(Value::Null) => fault("This field may not be null."),
            Some(Value::Other) => fault("Not a valid string."),
            Some(Value::Text(text)) if text.expose_secret().is_empty() => {
                fault("This field may not be blank.")
            }
            Some(Value::Text(text)) if text.expose_secret().contains('\0') => {
                fault("Null characters are not allowed.")
            }
            Some(Value::Text(text)) => text,
        }
    }

    /// Takes a member that may be missing, null or blank.
    pub(super) fn optional_text(
        &mut self,
        name: &'static str,
        faults: &mut Vec<(&'static str, &'static str)>,
    ) -> Option<SecretText> {
        match self.take(name) {
            None | Some(Value::Null) => None,
            Some(Value::Text(text)) => Some(text).filter(|text| !text.expose_secret().is_empty()),
            Some(Value::Other) => {
                faults.push((name, "Not a valid string."));
                None
            }
        }
    }

    fn take(&mut self, name: &str) -> Option<Value> {
        let index = self.0.iter().position(|(known, _)| known == name)?;
        Some(self.0.swap_remove(index).1)
    }
}

/// An operation has a handful of members; more would only be compared with each other.
const MOST_MEMBERS: usize = 64;

/// What a request names is shown short, and without what would break a line.
fn shown(name: &str) -> String {
    name.chars().filter(|c| !c.is_control()).take(40).collect()
}

enum Document {
    Object(Vec<(String, Value)>),
    Other(&'static str),
}

impl<'j> Deserialize<'j> for Document {
    fn deserialize<D: Deserializer<'j>>(reader: D) -> Result<Self, D::Error> {
        struct DocumentVisitor;
        impl<'j> Visitor<'j> for DocumentVisitor {
            type Value = Document;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }
            fn visit_map<M: MapAccess<'j>>(self, mut map: M) -> Result<Document, M::Error> {
                members(&mut map).map(Document::Object)
            }
            fn visit_seq<S: SeqAccess<'j>>(self, mut list: S) -> Result<Document, S::Error> {
                while list.next_element::<Value>()?.is_some() {}
                Ok(Document::Other("list"))
            }
            fn visit_bool<E>(self, _: bool) -> Result<Document, E> {
                Ok(Document::Other("bool"))
            }
            fn visit_i64<E>(self, _: i64) -> Result<Document, E> {
                Ok(Document::Other("int"))
            }
            fn visit_u64<E>(self, _: u64) -> Result<Document, E> {
                Ok(Document::Other("int"))
            }
            fn visit_f64<E>(self, _: f64) -> Result<Document, E> {
                Ok(Document::Other("float"))
            }
            fn visit_str<E>(self, _: &str) -> Result<Document, E> {
                Ok(Document::Other("str"))
            }
            fn visit_unit<E>(self) -> Result<Document, E> {
                Ok(Document::Other("null"))
            }
        }
        reader.deserialize_any(DocumentVisitor)
    }
}

fn members<'j, M: MapAccess<'j>>(map: &mut M) -> Result<Vec<(String, Value)>, M::Error> {
    let mut fields: Vec<(String, Value)> = Vec::new();
    while let Some(name) = map.next_key::<String>()? {
        if fields.iter().any(|(known, _)| *known == name) {
            return Err(M::Error::custom(format_args!("the member \"{}\" comes twice", shown(&name))));
        }
        if fields.len() >= MOST_MEMBERS {
            return Err(M::Error::custom("too many members"));
        }
        fields.push((name, map.next_value()?));
    }
    Ok(fields)
}

impl<'j> Deserialize<'j> for Value {
    fn deserialize<D: Deserializer<'j>>(reader: D) -> Result<Self, D::Error> {
        struct ValueVisitor;
        impl<'j> Visitor<'j> for ValueVisitor {
            type Value = Value;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a value")
            }
            fn visit_unit<E>(self) -> Result<Value, E> {
                Ok(Value::Null)
            }
            fn visit_bool<E>(self, _: bool) -> Result<Value, E> {
                Ok(Value::Other)
            }
            // Not its text: `1.10` would come out as `1.1`, another password than the one that was sent.
            fn visit_i64<E>(self, _: i64) -> Result<Value, E> {
                Ok(Value::Other)
            }
            fn visit_u64<E>(self, _: u64) -> Result<Value, E> {
                Ok(Value::Other)
            }
            fn visit_f64<E>(self, _: f64) -> Result<Value, E> {
                Ok(Value::Other)
            }
            fn visit_str<E>(self, text: &str) -> Result<Value, E> {
                Ok(Value::Text(text.to_owned().into()))
            }
            fn visit_string<E>(self, text: String) -> Result<Value, E> {
                Ok(Value::Text(text.into()))
            }
            fn visit_seq<S: SeqAccess<'j>>(self, mut list: S) -> Result<Value, S::Error> {
                while list.next_element::<Value>()?.is_some() {}
                Ok(Value::Other)
            }
            fn visit_map<M: MapAccess<'j>>(self, mut map: M) -> Result<Value, M::Error> {
                members(&mut map).map(|_| Value::Other)
            }
        }
        reader.deserialize_any(ValueVisitor)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const JSON: Option<&str> = Some("application/json; charset=utf-8");
    const FORM: Option<&str> = Some("application/x-www-form-urlencoded");

    fn name(content_type: Option<&str>, body: &str) -> Result<String, String> {
        let mut faults = Vec::new();
        let mut fields = Fields::read(content_type, body.as_bytes()).map_err(|error| format!("{error:?}"))?;
        let text = fields.text("name", &mut faults);
        match faults.as_slice() {
            [] => Ok(text.expose_secret().to_owned()),
            [(_, why), ..] => Err((*why).to_owned()),
        }
    }

    #[test]
    fn a_member_is_a_text() {
        for (content_type, body, expected) in [
            (JSON, r#"{"name":"ada","other":[{"x":null}]}"#, Ok("ada")),
            (JSON, r#"{"name":" ada "}"#, Ok(" ada ")),
            (JSON, r#"{"name":7}"#, Err("Not a valid string.")),
            (JSON, r#"{"name":1.10}"#, Err("Not a valid string.")),
            (FORM, "name=a%20d+a", Ok("a d a")),
            (JSON, "", Err("This field is required.")),
            (None, "", Err("This field is required.")),
            (JSON, "{}", Err("This field is required.")),
            (JSON, r#"{"name":null}"#, Err("This field may not be null.")),
            (JSON, r#"{"name":""}"#, Err("This field may not be blank.")),
            (JSON, r#"{"name":true}"#, Err("Not a valid string.")),
            (JSON, r#"{"name":["ada"]}"#, Err("Not a valid string.")),
            (JSON, r#"{"name":"a\u0000"}"#, Err("Null characters are not allowed.")),
        ] {
            assert_eq!(
                name(content_type, body),
                expected.map(str::to_owned).map_err(str::to_owned),
                "{body}"
            );
        }
    }

    #[test]
    fn a_body_that_means_two_things_means_none() {
        for (content_type, body) in [
            (JSON, r#"{"name":"a","name":"b"}"#),
            (JSON, r#"{"name":"a","n\u0061me":"b"}"#),
            (JSON, r#"{"name":"a","x":{"y":1,"y":2}}"#),
            (JSON, r#"{"name":"a"}{"#),
            (JSON, r#"{"name":"a""#),
            (JSON, r#"{"name":NaN}"#),
            (JSON, "\u{feff}{}"),
            (FORM, "name=a&name=b"),
            (FORM, "name=%ff"),
        ] {
            assert!(name(content_type, body).unwrap_err().starts_with("Broken("), "{body}");
        }
        assert_eq!(name(JSON, "[]"), Err("NotAnObject(\"list\")".to_owned()));
        assert_eq!(name(JSON, "null"), Err("NotAnObject(\"null\")".to_owned()));
        assert_eq!(name(Some("text/plain"), "x"), Err("MediaType(\"text/plain\")".to_owned()));
        assert_eq!(name(None, "x"), Err("MediaType(\"\")".to_owned()));
    }
}
