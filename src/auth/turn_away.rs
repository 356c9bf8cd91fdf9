//! Operations that find no place: refused at once. What they would only have ended is dead here all the same.
//!
//! Never here: how many places there are (`gateway`), the store.

use super::{
    logout::one_session,
    operation::{Operation, Rejection},
    service::{AuthService, Inner},
};
use crate::{id::SessionId, secret::SecretText};

impl AuthService {
    /// Refuses an operation that there is no place for.
    ///
    /// What it would only have ended is refused by this process from now on and written when it can be, as where the
    /// store fails: whoever keeps the places taken while the store hangs keeps nobody from logging out. All memory
    /// and no wait: for workers.
    pub fn turn_away(&self, operation: &Operation) -> Rejection {
        let inner = self.inner();
        let ended = match operation {
            Operation::EndSession { bearer, session } => inner.end_session_here(bearer, *session),
            Operation::Logout { bearer, refresh } => inner.logout_here(bearer.as_ref(), refresh.as_ref()),
            Operation::LogoutAll { bearer } => inner.logout_all_here(bearer),
            Operation::ChangePassword { .. }
            | Operation::Identify { .. }
            | Operation::ListSessions { .. }
            | Operation::Login(_)
            | Operation::Refresh { .. }
            | Operation::Register(_)
            | Operation::Verify { .. } => return Rejection::Overloaded,
        };
        ended.err().unwrap_or(Rejection::StoreUnavailable)
    }
}

impl Inner {
    fn logout_here(
        &self,
        bearer: Option<&SecretText>,
        refresh: Option<&SecretText>,
    ) -> Result<(), Rejection> {
        let now = self.clock.now();
        let (bearer, refresh) = self.verified(bearer, refresh, now);
        for token in one_session(bearer, refresh)? {
            self.end_here(&self.ending(&token, now));
        }
        Ok(())
    }

    fn logout_all_here(&self, bearer: &SecretText) -> Result<(), Rejection> {
        let bearer = self.bearer_who_leaves(bearer)?;
        self.end_here(&self.ending_of_all(&bearer.user, self.clock.now()));
        Ok(())
    }

    fn end_session_here(&self, bearer: &SecretText, session: Option<SessionId>) -> Result<(), Rejection> {
        let bearer = self.bearer_who_leaves(bearer)?;
        let session = session.ok_or(Rejection::SessionUnknown)?;
        // Whose another one is, only the store can tell.
        if bearer.session == Some(session) {
            self.end_here(&self.ending(&bearer, self.clock.now()));
        }
        Ok(())
    }
}
