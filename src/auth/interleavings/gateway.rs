//! A gateway without its listeners: the operations, the check of a token, the feed, a clock.

use std::{
    num::{NonZeroU32, NonZeroUsize},
    sync::Arc,
    time::Duration,
};

use argon2::{Algorithm, Argon2, Params, Version};
use aws_lc_rs::hmac;
use base64::{
    Engine as _,
    engine::general_purpose::{STANDARD_NO_PAD, URL_SAFE_NO_PAD},
};
use http::{HeaderMap, HeaderValue, header::AUTHORIZATION};

use super::{model::Token, place::Place};
use crate::{
    auth::{AuthService, Authenticator, Caller, Operation, Outcome, Quota, Rejection, Settings},
    clock::{Clock, Timestamp},
    metrics::Metrics,
    password::{self, Passwords},
    revocation::{Feed, RevocationList},
    store::Store,
    token::{self, KeyRing, KeySettings, Profile},
};

/// One process with what it knows.
pub(super) struct Gateway {
    pub(super) store: Store,
    pub(super) feed: Feed,
    pub(super) service: AuthService,
    pub(super) authenticator: Authenticator,
    pub(super) metrics: Metrics,
    pub(super) clock: Clock,
    pub(super) lifetimes: Lifetimes,
    /// Whether the log holds what this gateway has not looked at.
    pub(super) behind: bool,
    /// What it must refuse, looked at or not.
    pub(super) knows_dead: Vec<usize>,
}

#[derive(Clone, Copy)]
pub(super) struct Lifetimes {
    access: Duration,
    refresh: Duration,
    pub(super) session: Duration,
    pub(super) leeway: Duration,
}

impl Gateway {
    pub(super) fn start(place: &Place, clock: Clock, settings: usize) -> Self {
        let lifetimes = LIFETIMES[settings];
        let tokens = token_settings(&lifetimes);
        let store = Store::open(&place.settings()).unwrap();
        let metrics = Metrics::new(Vec::new());
        let list = RevocationList::new(metrics.clone());
        let feed = Feed::catch_up(store.clone(), list.clone(), metrics.clone(), clock.clone());
        let feed = std::thread::scope(|scope| {
            let caught_up = scope.spawn(|| {
                tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(feed).unwrap()
            });
            caught_up.join().unwrap()
        });
        let passwords =
            Passwords::start(password::Settings::default(), NonZeroUsize::MIN, metrics.clone()).unwrap();
        let profile = Arc::new(profile(&tokens));
        let authenticator = Authenticator::new(Arc::new(keys()), profile, list);
        let service = AuthService::new(
            auth_settings(),
            tokens,
            store.clone(),
            passwords,
            authenticator.clone(),
            clock.clone(),
            metrics.clone(),
        );
        Self {
            store,
            feed,
            service,
            authenticator,
            metrics,
            clock,
            lifetimes,
            behind: false,
            knows_dead: Vec::new(),
        }
    }

    pub(super) async fn run(&self, operation: Operation) -> Result<Outcome, Rejection> {
        let caller = Caller { address: [192, 0, 2, 1].into(), agent: String::new() };
        self.service.run(operation, caller).await
    }

    pub(super) async fn accepts(&self, token: &Token) -> bool {
        if token.refresh {
            return self.run(Operation::Verify { token: token.text.clone().into() }).await.is_ok();
        }
        let mut headers = HeaderMap::new();
        headers.insert(AUTHORIZATION, HeaderValue::from_str(&format!("Bearer {}", token.text)).unwrap());
        self.authenticator.authenticate(&headers, self.clock.now()).is_ok()
    }

    pub(super) fn profile(&self) -> Profile {
        profile(&token_settings(&self.lifetimes))
    }

    pub(super) fn refresh_events(&self) -> (u64, u64) {
        (self.metrics.refresh_thefts.value(), self.metrics.refresh_replacements.value())
    }
}

pub(super) fn sign(payload: &str) -> String {
    let encode = |text: &str| URL_SAFE_NO_PAD.encode(text);
    let input = format!("{}.{}", encode(r#"{"alg":"HS256","typ":"JWT"}"#), encode(payload));
    let tag = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, SECRET), input.as_bytes());
    format!("{input}.{}", URL_SAFE_NO_PAD.encode(tag))
}

pub(super) fn keys() -> KeyRing {
    KeyRing::new(&[KeySettings { id: "now".to_owned(), secret: SECRET.to_vec().into() }])
}

fn token_settings(lifetimes: &Lifetimes) -> token::Settings {
    token::Settings {
        issuer: None,
        audience: Vec::new(),
        access_lifetime: lifetimes.access,
        refresh_lifetime: lifetimes.refresh,
        session_lifetime: lifetimes.session,
        refresh_grace: Duration::from_secs(10),
        leeway: lifetimes.leeway,
        user_claim: "user_id".to_owned(),
        claims: Vec::new(),
        keys: Vec::new(),
    }
}

fn profile(settings: &token::Settings) -> Profile {
    Profile {
        scheme: "Bearer",
        kind_claim: "token_type",
        access_kind: "access",
        refresh_kind: "refresh",
        user_claim: settings.user_claim.clone(),
        extra_claims: Vec::new(),
        issuer: None,
        audience: Vec::new(),
        leeway: settings.leeway,
        access_lifetime: settings.access_lifetime,
        refresh_lifetime: settings.refresh_lifetime,
    }
}

fn auth_settings() -> Settings {
    let plenty = Quota { attempts: NonZeroU32::MAX, window: Duration::from_secs(3600) };
    Settings {
        registration: false,
        reserved_names: Vec::new(),
        login_by_username: true,
        login_by_email: false,
        sessions_per_user: PER_USER,
        per_account: plenty,
        per_address: plenty,
        registrations: plenty,
    }
}

/// Of [`PASSWORD`], with the least work that argon2 knows.
pub(super) fn cheap_hash() -> String {
    let params = Params::new(8, 1, 1, Some(32)).unwrap();
    let (salt, mut output) = (b"sixteen bytes of", [0; 32]);
    Argon2::new(Algorithm::Argon2id, Version::V0x13, params)
        .hash_password_into(PASSWORD.as_bytes(), salt, &mut output)
        .unwrap();
    format!("$argon2id$v=19$m=8,t=1,p=1${}${}", STANDARD_NO_PAD.encode(salt), STANDARD_NO_PAD.encode(output))
}

/// Kinds of settings that a gateway may be restarted with.
pub(super) const SETTINGS: usize = 3;

pub(super) const START: Timestamp = Timestamp::from_seconds(1_800_000_000);
const SECRET: &[u8] = b"0123456789abcdef0123456789abcdef";
pub(super) const PASSWORD: &str = "correct horse";
pub(super) const PER_USER: u32 = 3;

const LIFETIMES: [Lifetimes; SETTINGS] =
    [lifetimes(60, 300, 400, 0), lifetimes(30, 400, 300, 60), lifetimes(300, 300, 300, 0)];
pub(super) const SHORTEST_ACCESS: Duration = Duration::from_secs(30);
pub(super) const SHORTEST_REFRESH: Duration = Duration::from_secs(300);
pub(super) const LONGEST: Duration = Duration::from_secs(400);

const fn lifetimes(access: u64, refresh: u64, session: u64, leeway: u64) -> Lifetimes {
    Lifetimes {
        access: Duration::from_secs(access),
        refresh: Duration::from_secs(refresh),
        session: Duration::from_secs(session),
        leeway: Duration::from_secs(leeway),
    }
}
