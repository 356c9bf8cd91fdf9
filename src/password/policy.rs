//! What a new password must be: long enough, not too long, not one of the commonest. Taken exactly as given
//! otherwise.
//!
//! Never here: passwords that exist already; whatever they are, they go on opening their account.

use super::settings::Settings;

/// Why a new password is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Weakness {
    /// One of the commonest.
    #[error("This password is too common.")]
    Common,
    /// More characters than allowed.
    #[error("This password is too long. It must contain at most {0} characters.")]
    TooLong(usize),
    /// Fewer characters than asked.
    #[error("This password is too short. It must contain at least {0} characters.")]
    TooShort(usize),
}

impl Settings {
    /// Judges a new password, taken exactly as given: nothing is trimmed or folded but for the comparison with
    /// the commonest.
    ///
    /// # Errors
    /// The first [`Weakness`] found.
    pub fn judge(&self, password: &str) -> Result<(), Weakness> {
        let length = password.chars().count();
        if length < self.min {
            return Err(Weakness::TooShort(self.min));
        }
        if length > self.max {
            return Err(Weakness::TooLong(self.max));
        }
        let folded = password.to_lowercase();
        if COMMONEST.lines().any(|common| common == folded) {
            return Err(Weakness::Common);
        }
        Ok(())
    }
}

/// The passwords that attackers try first, in lower case, one a line.
const COMMONEST: &str = include_str!("commonest.txt");

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn length_counts_characters_and_the_commonest_are_refused() {
        let settings = Settings { min: 8, max: 12, queue: 1 };
        for (password, expected) in [
            ("sieben7", Err(Weakness::TooShort(8))),
            ("größere8", Ok(())),
            ("  spaces  ", Ok(())),
            ("thirteen13131", Err(Weakness::TooLong(12))),
            ("password1", Err(Weakness::Common)),
            ("PassWord1", Err(Weakness::Common)),
        ] {
            assert_eq!(settings.judge(password), expected, "{password}");
        }
    }
}
