//! What is wrong with a token, exactly: for operators alone, since it tells a forger how far they got.

/// What exactly is wrong with a token: for operators. Clients learn no more than [`TokenError`](super::TokenError).
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TokenFault {
    /// `alg` is not a key's of ours.
    #[error("its header does not say the algorithm of our keys")]
    Algorithm,
    /// `aud` is not ours.
    #[error("it is meant for others: `aud` names none of ours, or is there where none is configured")]
    Audience,
    /// What is signed is no JSON that has one meaning, or a claim has a wrong type.
    #[error("its claims are no plain JSON: broken, a member twice, or of a wrong type")]
    Claims,
    /// Past its `exp`.
    #[error("it has expired")]
    Expired,
    /// `crit` or `b64` (RFC 7515, section 4.1.11; RFC 7797).
    #[error("its header asks for extensions that nobody here knows")]
    Extension,
    /// Not three parts, or far too long.
    #[error("it is not three parts with a dot between them")]
    Form,
    /// The header is no JSON that has one meaning.
    #[error("its header is no plain JSON")]
    Header,
    /// `iss` is not ours.
    #[error("`iss` is not ours")]
    Issuer,
    /// Neither access nor refresh.
    #[error("it says of itself neither access nor refresh")]
    Kind,
    /// A token without session that lives longer than such tokens may.
    #[error("it has no `sid`, and lives longer than its kind may")]
    Lifetime,
    /// No `exp`.
    #[error("it has no `exp`")]
    NoExpiry,
    /// `iat` or `nbf` is still to come.
    #[error("its `iat` or `nbf` is still to come")]
    NotYet,
    /// `sid` is none that we can have made.
    #[error("its `sid` is none of ours")]
    Session,
    /// No key of ours has signed it, or the signature is spelled in another way.
    #[error("no key of ours has made its signature")]
    Signature,
    /// No user that can be one.
    #[error("it names no user that can be one")]
    User,
}

/// The order in which a token is checked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum TokenStep {
    /// Three parts.
    Form,
    /// A key of ours has signed it.
    Signature,
    /// What it says of itself, its user and its session.
    Claims,
    /// Whether it has begun, and has not ended.
    Times,
}

impl TokenStep {
    /// Every step, in order.
    pub const ALL: [Self; 4] = [Self::Form, Self::Signature, Self::Claims, Self::Times];
}

impl TokenFault {
    /// The step that found it.
    pub const fn step(self) -> TokenStep {
        match self {
            Self::Form => TokenStep::Form,
            Self::Algorithm | Self::Extension | Self::Header | Self::Signature => TokenStep::Signature,
            Self::Audience | Self::Claims | Self::Issuer | Self::Kind | Self::Session | Self::User => {
                TokenStep::Claims
            }
            Self::Expired | Self::Lifetime | Self::NoExpiry | Self::NotYet => TokenStep::Times,
        }
    }
}
