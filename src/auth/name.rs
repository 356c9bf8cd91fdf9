//! Names of accounts: which are allowed, and when two are the same.

use caseless::Caseless;
use precis_profiles::{UsernameCasePreserved, precis_core::profile::Profile};
use unicode_normalization::UnicodeNormalization;

use crate::store::Name;

/// Why a new name is refused, in the words of an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NameFault {
    /// Not an e-mail address.
    #[error("Enter a valid email address.")]
    EmailInvalid,
    /// A name kept for others.
    #[error("This username is reserved.")]
    Reserved,
    /// Too many characters.
    #[error("Ensure this field has no more than 150 characters.")]
    TooLong,
    /// Characters that are no part of a user name.
    #[error("Enter a valid username. It may hold letters, digits and visible signs, without spaces.")]
    UsernameInvalid,
}

/// The form in which two spellings of one name are equal: NFKC and case folding.
pub fn canonical(name: &str) -> String {
    // Folding can leave a text unnormalised, and normalising can bring up what folds: once more is enough
    // (Unicode, chapter 3.13, D146).
    name.nfkc().default_case_fold().nfkc().default_case_fold().nfkc().collect()
}

/// Takes a new user name: 1 to 150 characters of PRECIS's username class (RFC 8265, section 3.4).
///
/// # Errors
/// [`NameFault`].
pub fn username(text: &str, reserved: &[String]) -> Result<Name, NameFault> {
    if text.chars().count() > MAX_USERNAME {
        return Err(NameFault::TooLong);
    }
    // As given, or not at all: a profile that maps the name would store another than the one typed.
    let enforced = UsernameCasePreserved::new().enforce(text).map_err(|_| NameFault::UsernameInvalid)?;
    if enforced != text {
        return Err(NameFault::UsernameInvalid);
    }
    let name = Name { exact: text.to_owned(), canonical: canonical(text) };
    if reserved.iter().any(|word| canonical(word) == name.canonical) {
        return Err(NameFault::Reserved);
    }
    Ok(name)
}

/// Takes a new e-mail address: one `@` between a local part and a domain, no blanks, nothing invisible
/// (RFC 5321, section 4.5.3.1, for the lengths).
///
/// # Errors
/// [`NameFault::EmailInvalid`].
pub fn email(text: &str) -> Result<Name, NameFault> {
    let (local, domain) = text.rsplit_once('@').ok_or(NameFault::EmailInvalid)?;
    let lengths = text.len() <= MAX_EMAIL && (1..=64).contains(&local.len());
    let local_fits = !local.chars().any(|c| c == '@' || c == '"' || c.is_whitespace() || c.is_control())
        && !local.starts_with('.')
        && !local.ends_with('.')
        && !local.contains("..");
    let domain_fits = domain.split('.').all(|label| {
        !label.is_empty()
            && label.len() <= 63
            && !label.starts_with('-')
            && !label.ends_with('-')
            && label.chars().all(|c| c == '-' || c.is_alphanumeric())
    });
    let invisible = canonical(text).chars().any(|c| !c.is_ascii_graphic() && !c.is_alphanumeric());
    if lengths && local_fits && domain_fits && !invisible {
        Ok(Name { exact: text.to_owned(), canonical: canonical(text) })
    } else {
        Err(NameFault::EmailInvalid)
    }
}

const MAX_USERNAME: usize = 150;
const MAX_EMAIL: usize = 254;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spellings_of_one_name_are_one() {
        for (one, other) in [
            ("Bob", "bob"),
            ("ＢＯＢ", "bob"),
            ("zoe\u{308}", "ZO\u{cb}"),
            ("Straße", "STRASSE"),
            ("ﬁ", "FI"),
            ("\u{1e9e}", "ss"),
        ] {
            assert_eq!(canonical(one), canonical(other), "{one} {other}");
        }
        assert_ne!(canonical("bob"), canonical("b0b"));
    }

    #[test]
    fn user_names_are_as_typed_or_refused() {
        let reserved = ["admin".to_owned()];
        for good in ["ada", "Bob", "zoë", "ada@example.com", "a.b-c_d+e", "李雷", &"x".repeat(150)] {
            assert!(username(good, &reserved).is_ok(), "{good}");
        }
        for (bad, fault) in [
            ("", NameFault::UsernameInvalid),
            (" ada", NameFault::UsernameInvalid),
            ("ada ", NameFault::UsernameInvalid),
            ("a da", NameFault::UsernameInvalid),
            ("ada\0", NameFault::UsernameInvalid),
            ("ada\n", NameFault::UsernameInvalid),
            ("a\u{200b}da", NameFault::UsernameInvalid),
            ("ada\u{202e}", NameFault::UsernameInvalid),
            ("ＢＯＢ", NameFault::UsernameInvalid),
            ("zoe\u{308}", NameFault::UsernameInvalid),
            ("Admin", NameFault::Reserved),
            ("ADMIN", NameFault::Reserved),
        ] {
            assert_eq!(username(bad, &reserved), Err(fault), "{bad:?}");
        }
        assert_eq!(username(&"x".repeat(151), &reserved), Err(NameFault::TooLong));
    }

    #[test]
    fn email_addresses_have_two_sides_and_nothing_invisible() {
        for good in
            ["a@b", "ada@example.com", "a.b+c@sub.example.co", "zoë@exämple.com", "O'Neil@example.com"]
        {
            assert!(email(good).is_ok(), "{good}");
        }
        for bad in [
            "",
            "ada",
            "@example.com",
            "ada@",
            "a@b@c",
            "a b@c.d",
            "ada@exa mple.com",
            "ada@.com",
            "ada@example..com",
            "ada@-example.com",
            ".ada@example.com",
            "a..b@example.com",
            "ada@example.com\n",
            "a\u{200b}@b.c",
            "\"a\"@b.c",
        ] {
            assert_eq!(email(bad), Err(NameFault::EmailInvalid), "{bad:?}");
        }
        assert!(email(&format!("{}@example.com", "x".repeat(65))).is_err());
    }
}
