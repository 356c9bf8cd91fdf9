//! Asks servers whether they are well, away from the workers.
//!
//! A server counts as healthy until its checks have said otherwise, so that a gateway serves from its first moment.
//! Never here: what requests learn of a server by themselves (`standing`).

use std::{sync::Arc, time::Duration};

use http::{
    HeaderValue, Request,
    header::{CONNECTION, HOST, USER_AGENT},
};
use tokio::{
    task::JoinSet,
    time::{sleep, timeout},
};

use super::{HealthSettings, RequestBody, UpstreamSettings, connection::Connection, server::Server};

/// The checks of every server that is to be watched.
pub struct HealthChecks(Vec<Check>);

impl HealthChecks {
    pub(super) fn new<'a>(servers: impl Iterator<Item = (&'a UpstreamSettings, &'a Arc<Server>)>) -> Self {
        let checks = servers.filter_map(|(upstream, server)| {
            let settings = upstream.health.clone()?;
            let answering = upstream.connect_timeout.saturating_add(upstream.response_timeout);
            let limit = settings.interval.min(answering);
            Some(Check { server: Arc::clone(server), settings, limit })
        });
        Self(checks.collect())
    }

    /// Whether nothing is to be watched.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Checks each server at once and then at its interval, until `stop`. Must be called within a local runtime of
    /// its own.
    pub async fn run(self, stop: impl Future<Output = ()>) {
        let mut checks = JoinSet::new();
        for check in self.0 {
            checks.spawn_local(check.run());
        }
        stop.await;
    }
}

/// The checks of one server.
struct Check {
    server: Arc<Server>,
    settings: HealthSettings,
    /// For one check.
    limit: Duration,
}

impl Check {
    async fn run(self) {
        let mut health = Health { healthy: true, against: 0 };
        loop {
            let found = timeout(self.limit, self.ask())
                .await
                .unwrap_or_else(|_| Err(format!("no answer within {} ms", self.limit.as_millis())));
            if health.learn(found.is_ok(), &self.settings) {
                self.tell(found);
            }
            sleep(self.settings.interval).await;
        }
    }

    /// One check, on a connection of its own: what does not accept any more is not well.
    async fn ask(&self) -> Result<(), String> {
        let opening = Connection::open(&self.server.way, self.limit, None);
        let mut connection = opening.await.map_err(|error| error.to_string())?;
        let mut request = Request::new(RequestBody::empty());
        *request.uri_mut() = self.settings.path.clone().into();
        let headers = request.headers_mut();
        headers.insert(HOST, self.server.authority.clone());
        headers.insert(USER_AGENT, HeaderValue::from_static("portcullis"));
        headers.insert(CONNECTION, HeaderValue::from_static("close"));
        let answer = connection.send(request).await.map_err(|error| error.into_error().to_string())?;
        let status = answer.status();
        if status.is_success() || status.is_redirection() { Ok(()) } else { Err(format!("answer {status}")) }
    }

    fn tell(&self, found: Result<(), String>) {
        self.server.standing.set_healthy(found.is_ok());
        let (upstream, server) = (&*self.server.upstream, &self.server.numbers.server);
        match found {
            Ok(()) => tracing::info!(
                upstream.name = upstream,
                upstream.server = server,
                "Server `{server}` of upstream `{upstream}` is healthy again"
            ),
            Err(error) => tracing::warn!(
                upstream.name = upstream,
                upstream.server = server,
                error,
                "Server `{server}` of upstream `{upstream}` is unhealthy"
            ),
        }
    }
}

/// What the checks of one server have come to.
struct Health {
    healthy: bool,
    /// Checks in a row that said the opposite.
    against: u32,
}

impl Health {
    /// Takes in one check; whether it has changed something.
    const fn learn(&mut self, well: bool, settings: &HealthSettings) -> bool {
        if well == self.healthy {
            self.against = 0;
            return false;
        }
        self.against = self.against.saturating_add(1);
        let needed = if self.healthy { settings.unhealthy_after } else { settings.healthy_after };
        if self.against < needed {
            return false;
        }
        *self = Self { healthy: well, against: 0 };
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_takes_so_many_checks_in_a_row() {
        let settings = HealthSettings {
            path: "/".parse().unwrap(),
            interval: Duration::from_secs(1),
            unhealthy_after: 2,
            healthy_after: 3,
        };
        let mut health = Health { healthy: true, against: 0 };
        let changes: String = "+-+--+-++-+++-"
            .chars()
            .map(|check| if health.learn(check == '+', &settings) { '!' } else { '.' })
            .collect();
        assert_eq!(changes, "....!.......!.");
    }
}
