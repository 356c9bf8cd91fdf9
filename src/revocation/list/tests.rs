use std::time::Duration;

use super::*;
use crate::{
    id::{SessionId, TokenId, UserId},
    token::TokenKind,
};

const T0: Timestamp = Timestamp::from_seconds(1_800_000_000);
const LATER: Timestamp = Timestamp::from_seconds(1_800_600_000);

fn list() -> RevocationList {
    RevocationList::new(Metrics::new(Vec::new()))
}

fn ada() -> UserId {
    "ada".parse().unwrap()
}

/// A token of ada's, issued so many seconds after [`T0`].
fn token(session: Option<SessionId>, issued: Option<i64>) -> Verified {
    let seconds = |after: i64| T0.seconds().saturating_add_signed(after);
    Verified {
        kind: TokenKind::Access,
        user: ada(),
        token: TokenId::random(),
        session,
        issued_at: issued.map(seconds),
        expires_at: seconds(3600),
        extra_claims: Vec::new(),
    }
}

/// A token of a session opened when the log stood at `sequence`.
fn opened_at(sequence: u64) -> Verified {
    token(Some(SessionId::opened_at(sequence)), Some(0))
}

fn entry(sequence: u64, what: Revoked) -> Revocation {
    Revocation { sequence, what, until: LATER }
}

fn instant(at: Timestamp) -> Revoked {
    Revoked::UserInstant { user: ada(), at }
}

#[test]
fn nothing_is_refused_by_an_empty_list() {
    let list = list();
    assert!(list.is_empty());
    assert_eq!(list.refuses(&opened_at(0), T0), None);
}

#[test]
fn a_token_is_refused_alone() {
    let list = list();
    let (revoked, other) = (opened_at(0), opened_at(0));
    list.apply(&entry(1, Revoked::Token(revoked.token)));
    assert_eq!(list.refuses(&revoked, T0), Some(Cause::Token));
    assert_eq!(list.refuses(&other, T0), None);
}

#[test]
fn the_generation_grows_when_more_is_refused() {
    let list = list();
    let mut known = list.generation();
    let mut grows =
        |list: &RevocationList| std::mem::replace(&mut known, list.generation()) != list.generation();
    let all = [
        Revoked::Session(SessionId::opened_at(0)),
        Revoked::Token(TokenId::random()),
        Revoked::UserBlocked(ada()),
        instant(T0),
    ];
    for what in all {
        list.apply(&entry(1, what.clone()));
        assert!(grows(&list), "{what:?}");
        list.apply_local(&what, LATER);
        assert!(grows(&list), "{what:?}");
    }
    list.apply(&entry(2, Revoked::UserUnblocked(ada())));
    list.apply_local(&Revoked::UserUnblocked(ada()), LATER);
    list.sweep(LATER);
    assert!(!grows(&list), "nothing more is refused");
}

#[test]
fn a_session_is_refused_with_all_its_tokens() {
    let list = list();
    let session = SessionId::opened_at(3);
    list.apply(&entry(4, Revoked::Session(session)));
    assert_eq!(list.refuses(&token(Some(session), None), T0), Some(Cause::Session));
    assert_eq!(list.refuses(&opened_at(3), T0), None);
    // The same sixteen bytes name a token as well; those are two things.
    let mut namesake = token(None, None);
    namesake.token = TokenId::from_bytes(*session.as_bytes());
    assert_eq!(list.refuses(&namesake, T0), None);
}

#[test]
fn an_entry_is_never_shortened_and_does_not_outlive_its_time() {
    let list = list();
    let token = opened_at(0);
    let until = |until| Revocation { sequence: 1, what: Revoked::Token(token.token), until };
    list.apply(&until(LATER));
    list.apply(&until(T0));
    assert_eq!(list.refuses(&token, LATER), Some(Cause::Token));
    list.sweep(LATER);
    assert_eq!(list.refuses(&token, LATER), Some(Cause::Token));
    // Whether the list has been swept makes no difference.
    let past = LATER.plus(Duration::from_secs(1));
    assert_eq!(list.refuses(&token, past), None);
    assert_eq!(list.len(), 1);
    list.sweep(past);
    assert!(list.is_empty());
}

#[test]
fn within_one_second_older_sessions_die_and_younger_ones_live() {
    let list = list();
    list.apply(&entry(5, instant(T0)));
    assert_eq!(list.refuses(&opened_at(4), T0), Some(Cause::UserInstant));
    assert_eq!(list.refuses(&opened_at(5), T0), None);
    assert_eq!(list.refuses(&opened_at(6), T0), None);
}

#[test]
fn clocks_of_replicas_do_not_matter_to_sessions() {
    let list = list();
    list.apply(&entry(5, instant(T0)));
    let younger = SessionId::opened_at(5);
    let older = SessionId::opened_at(4);
    assert_eq!(list.refuses(&token(Some(younger), Some(-30)), T0), None);
    assert_eq!(list.refuses(&token(Some(younger), None), T0), None);
    assert_eq!(list.refuses(&token(Some(older), Some(30)), T0), Some(Cause::UserInstant));
}

/// The log had run ahead of the clock when the session was opened, and a backup that knows nothing of that took its place.
#[test]
fn a_session_of_a_number_that_nobody_has_reached_goes_by_time_too() {
    let list = list();
    list.apply(&entry(5, instant(T0)));
    let lost = SessionId::opened_at(9000);
    assert_eq!(list.refuses(&token(Some(lost), Some(-11)), T0), Some(Cause::UserInstant));
    // Opened elsewhere since, as far as clocks tell: this process has not read so far yet.
    for issued in [-10, 0, 30] {
        assert_eq!(list.refuses(&token(Some(lost), Some(issued)), T0), None, "{issued}");
    }
    list.apply(&entry(9000, Revoked::Token(TokenId::random())));
    assert_eq!(list.refuses(&token(Some(lost), Some(-11)), T0), None);
}

#[test]
fn tokens_without_session_go_by_time_and_ten_seconds() {
    let list = list();
    list.apply(&entry(5, instant(T0)));
    assert_eq!(list.refuses(&token(None, None), T0), Some(Cause::UserInstant));
    assert_eq!(list.refuses(&token(None, Some(0)), T0), Some(Cause::UserInstant));
    assert_eq!(list.refuses(&token(None, Some(10)), T0), Some(Cause::UserInstant));
    assert_eq!(list.refuses(&token(None, Some(11)), T0), None);
}

#[test]
fn a_session_that_a_backend_made_up_goes_by_time_too() {
    let list = list();
    list.apply(&entry(5, instant(T0)));
    let made_up = SessionId::from_bytes([0xab; 16]);
    assert_eq!(list.refuses(&token(Some(made_up), Some(-60)), T0), Some(Cause::UserInstant));
    assert_eq!(list.refuses(&token(Some(made_up), Some(60)), T0), None);
}

#[test]
fn an_instant_concerns_its_user_alone() {
    let list = list();
    list.apply(&entry(5, Revoked::UserInstant { user: "eve".parse().unwrap(), at: T0 }));
    list.apply(&entry(6, Revoked::UserBlocked("eve".parse().unwrap())));
    assert_eq!(list.refuses(&opened_at(0), T0), None);
}

#[test]
fn an_earlier_instant_that_comes_late_takes_nothing_back() {
    let list = list();
    list.apply(&entry(9, instant(T0)));
    list.apply(&Revocation { sequence: 5, what: instant(T0.minus(Duration::from_hours(1))), until: T0 });
    assert_eq!(list.refuses(&opened_at(8), LATER), Some(Cause::UserInstant));
    assert_eq!(list.refuses(&token(None, Some(0)), T0), Some(Cause::UserInstant));
}

#[test]
fn a_blocked_user_is_refused_whoever_minted_the_token_and_whenever() {
    let list = list();
    list.apply(&Revocation { sequence: 5, what: Revoked::UserBlocked(ada()), until: Timestamp::FOREVER });
    assert_eq!(list.refuses(&opened_at(9), T0), Some(Cause::UserBlocked));
    assert_eq!(list.refuses(&token(None, Some(3000)), T0), Some(Cause::UserBlocked));
    list.sweep(Timestamp::FOREVER);
    assert_eq!(list.refuses(&opened_at(9), Timestamp::FOREVER), Some(Cause::UserBlocked));
    list.apply(&entry(6, Revoked::UserUnblocked(ada())));
    assert_eq!(list.refuses(&opened_at(9), T0), None);
    list.sweep(T0);
    assert!(list.is_empty());
}

#[test]
fn the_last_word_on_a_user_counts_in_whatever_order_words_come() {
    let list = list();
    // An operator's own unblocking is applied at once; the feed brings it once more, behind the blocking.
    list.apply(&entry(6, Revoked::UserUnblocked(ada())));
    list.apply(&entry(5, Revoked::UserBlocked(ada())));
    list.apply(&entry(6, Revoked::UserUnblocked(ada())));
    assert_eq!(list.refuses(&opened_at(0), T0), None);
    list.apply(&entry(7, Revoked::UserBlocked(ada())));
    assert_eq!(list.refuses(&opened_at(0), T0), Some(Cause::UserBlocked));
}

#[test]
fn a_local_word_on_a_user_holds_until_the_log_has_a_later_one() {
    let list = list();
    list.apply(&entry(6, Revoked::UserUnblocked(ada())));
    list.apply_local(&Revoked::UserBlocked(ada()), Timestamp::FOREVER);
    list.apply(&entry(6, Revoked::UserUnblocked(ada())));
    assert_eq!(list.refuses(&opened_at(0), T0), Some(Cause::UserBlocked));
    list.apply(&entry(7, Revoked::UserUnblocked(ada())));
    assert_eq!(list.refuses(&opened_at(0), T0), None);
    list.apply_local(&Revoked::UserUnblocked(ada()), T0);
    assert_eq!(list.refuses(&opened_at(0), T0), None);
}

#[test]
fn without_the_store_tokens_and_sessions_are_refused_here() {
    let list = list();
    let (revoked, session) = (opened_at(0), SessionId::opened_at(0));
    list.apply_local(&Revoked::Token(revoked.token), LATER);
    list.apply_local(&Revoked::Session(session), LATER);
    assert_eq!(list.refuses(&revoked, T0), Some(Cause::Token));
    assert_eq!(list.refuses(&token(Some(session), None), T0), Some(Cause::Session));
}

#[test]
fn without_the_store_an_instant_kills_what_is_older_and_lets_a_later_login_live() {
    let list = list();
    list.apply(&entry(5, Revoked::Token(TokenId::random())));
    list.apply_local(&instant(T0), LATER);
    let opened = |sequence, issued| token(Some(SessionId::opened_at(sequence)), Some(issued));
    assert_eq!(list.refuses(&opened(4, 3000), T0), Some(Cause::UserInstant));
    assert_eq!(list.refuses(&opened(5, -1), T0), Some(Cause::UserInstant));
    assert_eq!(list.refuses(&opened(7, -1), T0), Some(Cause::UserInstant));
    // The store is back, and the log has not moved: a login may bear the same number.
    assert_eq!(list.refuses(&opened(5, 11), T0), None);
    assert_eq!(list.refuses(&token(None, Some(10)), T0), Some(Cause::UserInstant));
}

#[test]
fn once_the_log_has_the_instant_the_local_one_gives_way() {
    let list = list();
    list.apply(&entry(5, Revoked::Token(TokenId::random())));
    list.apply_local(&instant(T0), LATER);
    let retried = T0.plus(Duration::from_secs(2));
    list.apply(&entry(6, instant(retried)));
    let fresh = token(Some(SessionId::opened_at(6)), Some(2));
    assert_eq!(list.refuses(&fresh, T0), None);
    assert_eq!(list.refuses(&opened_at(5), T0), Some(Cause::UserInstant));
}

#[test]
fn its_size_is_told_by_kind() {
    let list = list();
    assert_eq!(list.size(), Size { tokens: 0, sessions: 0, users: 0, bytes: 0 });
    list.apply(&entry(1, Revoked::Token(TokenId::random())));
    list.apply(&entry(2, Revoked::Session(SessionId::opened_at(1))));
    list.apply(&entry(3, instant(T0)));
    list.apply(&entry(4, instant(T0)));
    let size = list.size();
    assert_eq!((list.len(), size.tokens, size.sessions, size.users), (3, 1, 1, 1));
    assert!(size.bytes > 0);
    list.sweep(LATER.plus(Duration::from_secs(1)));
    assert_eq!((list.len(), list.next_expiry()), (0, None));
}

#[test]
fn a_token_or_a_session_takes_fifty_bytes_at_most() {
    let list = list();
    for sequence in 0..100_000 {
        list.apply(&entry(sequence, Revoked::Token(TokenId::random())));
    }
    let each = list.size().bytes / list.len();
    assert!((21..=50).contains(&each), "{each}");
}

#[test]
fn the_next_expiry_is_known_after_a_sweep() {
    let list = list();
    for (sequence, after) in [(1, 30), (2, 10), (3, 20)] {
        let until = T0.plus(Duration::from_secs(after));
        let what = Revoked::Token(TokenId::random());
        list.apply(&Revocation { sequence, what, until });
    }
    let blocked = Revoked::UserBlocked("eve".parse().unwrap());
    list.apply(&Revocation { sequence: 4, what: blocked, until: Timestamp::FOREVER });
    list.sweep(T0);
    assert_eq!(list.next_expiry(), Some(T0.seconds() + 10));
    list.sweep(T0.plus(Duration::from_secs(15)));
    assert_eq!(list.next_expiry(), Some(T0.seconds() + 20));
    list.sweep(T0.plus(Duration::from_secs(60)));
    assert_eq!((list.len(), list.next_expiry()), (1, None));
}
