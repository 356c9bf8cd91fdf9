//! Whether a token meets a route's rule (`require`).
//!
//! Never here: tokens that were not verified.

use crate::{
    route::{Claim, Requirement},
    token::{ClaimValue, Verified},
};

/// Whether each claim that is named holds one of its values.
pub(super) fn are_met(requirements: &[Requirement], user: &Verified) -> bool {
    requirements.iter().all(|requirement| is_met(requirement, user))
}

fn is_met(requirement: &Requirement, user: &Verified) -> bool {
    let is_one = |text: &str| requirement.values.iter().any(|value| value == text);
    let claim = match requirement.claim {
        Claim::User => return is_one(user.user.as_str()),
        Claim::Extra(index) => user.extra_claims.get(index).and_then(Option::as_ref),
    };
    match claim {
        None => false,
        Some(ClaimValue::Bool(value)) => is_one(if *value { "true" } else { "false" }),
        Some(ClaimValue::Integer(value)) => is_one(&value.to_string()),
        Some(ClaimValue::List(members)) => members.iter().any(|member| is_one(member)),
        Some(ClaimValue::Text(text)) => is_one(text),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{id::TokenId, token::TokenKind};

    fn met(claims: Vec<Option<ClaimValue>>, requirements: &[(Claim, &[&str])]) -> bool {
        let user = Verified {
            kind: TokenKind::Access,
            user: "7".parse().unwrap(),
            token: TokenId::from_bytes([0; 16]),
            session: None,
            issued_at: None,
            expires_at: 0,
            extra_claims: claims,
        };
        let requirements: Vec<_> = requirements
            .iter()
            .map(|(claim, values)| Requirement {
                claim: *claim,
                values: values.iter().map(|value| (*value).to_owned()).collect(),
            })
            .collect();
        are_met(&requirements, &user)
    }

    #[test]
    fn a_claim_holds_one_of_the_values() {
        use ClaimValue::{Bool, Integer, List, Text};
        let text = |text: &str| Text(text.to_owned());
        let list = |members: &[&str]| List(members.iter().map(|member| (*member).to_owned()).collect());
        for (claim, values, expected) in [
            (Some(text("admin")), &["admin"][..], true),
            (Some(text("admin")), &["staff", "admin"], true),
            (Some(text("Admin")), &["admin"], false),
            (Some(text("administrator")), &["admin"], false),
            (Some(text("admin,staff")), &["admin"], false),
            (Some(text("")), &["admin"], false),
            (Some(list(&["staff", "admin"])), &["admin"], true),
            (Some(list(&["staff"])), &["admin", "root"], false),
            (Some(list(&[])), &["admin"], false),
            (Some(Integer(3)), &["3"], true),
            (Some(Integer(-3)), &["-3"], true),
            (Some(Integer(3)), &["03", "+3", "3.0", "30"], false),
            (Some(Bool(true)), &["true"], true),
            (Some(Bool(true)), &["True", "1", "false"], false),
            (Some(Bool(false)), &["false"], true),
            (None, &["admin", "null", ""], false),
        ] {
            assert_eq!(
                met(vec![claim.clone()], &[(Claim::Extra(0), values)]),
                expected,
                "{claim:?} {values:?}"
            );
        }
    }

    #[test]
    fn every_claim_that_is_named_must() {
        let claims = || vec![Some(ClaimValue::Text("admin".to_owned())), None];
        assert!(met(claims(), &[]));
        assert!(met(claims(), &[(Claim::User, &["7"]), (Claim::Extra(0), &["admin"])]));
        assert!(!met(claims(), &[(Claim::User, &["8"]), (Claim::Extra(0), &["admin"])]));
        assert!(!met(claims(), &[(Claim::Extra(0), &["admin"]), (Claim::Extra(1), &["x"])]));
        assert!(!met(claims(), &[(Claim::Extra(2), &["admin"])]));
    }
}
