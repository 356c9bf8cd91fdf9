//! What may be asked for, and with which token.

use super::*;

impl World {
    pub(super) fn login_of(&self, user: usize) -> Operation {
        let password = self.passwords[user].clone().into();
        Operation::Login(Credentials { name: format!("user{user}"), password })
    }

    pub(super) fn logout_of(&self, token: usize) -> Operation {
        let text = Some(self.text(token));
        match self.model.tokens[token].refresh {
            true => Operation::Logout { bearer: None, refresh: text },
            false => Operation::Logout { bearer: text, refresh: None },
        }
    }

    pub(super) fn change_of(&self, token: usize, new: &str) -> Operation {
        let current = self.passwords[self.model.tokens[token].user].clone().into();
        Operation::ChangePassword { bearer: self.text(token), current, new: new.to_owned().into() }
    }

    pub(super) fn next_password(&self) -> String {
        format!("{PASSWORD} {}", self.model.tokens.len())
    }

    pub(super) fn text(&self, token: usize) -> SecretText {
        self.model.tokens[token].text.clone().into()
    }

    pub(super) fn pick_any(&self, index: Index) -> Option<usize> {
        let tokens = self.model.tokens.len();
        (tokens > 0).then(|| index.index(tokens))
    }

    pub(super) fn pick(&self, index: Index, refresh: bool) -> Option<usize> {
        let fitting: Vec<_> = (0..self.model.tokens.len())
            .filter(|token| self.model.tokens[*token].refresh == refresh)
            .collect();
        // Mostly young ones: old ones are dead for all sorts of reasons.
        let young = fitting.len().saturating_sub(8);
        (!fitting.is_empty()).then(|| *index.get(&fitting[young..]))
    }
}
