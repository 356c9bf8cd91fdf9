//! Connections: how the server is found, and what each session is told before it is used.

use std::{future::poll_fn, pin::Pin, sync::Arc, time::Duration};

use deadpool_postgres::{ClientWrapper, Connect};
use tokio::{sync::Notify, task::JoinHandle};
use tokio_postgres::{
    AsyncMessage, Client, Config, Error,
    config::{SslMode, TargetSessionAttrs},
};
use tokio_postgres_rustls::MakeRustlsConnect;

use super::tls;
use crate::{
    secret::ExposeSecret,
    store::{DatabaseServer, DatabaseTls, PostgresSettings},
};

/// Opens connections. A cheap handle.
#[derive(Clone)]
pub(super) struct Connector {
    config: Arc<Config>,
    tls: MakeRustlsConnect,
    /// Told of each notification on any of the connections.
    hints: Arc<Notify>,
}

impl Connector {
    pub(super) fn new(settings: &PostgresSettings) -> Result<Self, rustls::Error> {
        let tls = MakeRustlsConnect::new(tls::client(&settings.tls)?);
        Ok(Self { config: Arc::new(config(settings)), tls, hints: Arc::new(Notify::new()) })
    }

    pub(super) fn hints(&self) -> &Notify {
        &self.hints
    }

    /// One more connection, in a session of ours. Bounded by whoever calls.
    pub(super) async fn open(&self) -> Result<ClientWrapper, Error> {
        let (client, driver) = self.connect().await?;
        let client = ClientWrapper::new(client, driver);
        client.batch_execute(SESSION).await?;
        Ok(client)
    }

    /// Asks the server to cancel what it does on that connection, by a connection that ends with the asking
    /// (PostgreSQL's protocol, section 54.2.8). Bounded by whoever calls.
    pub(super) async fn cancel(&self, client: &Client) -> Result<(), Error> {
        client.cancel_token().cancel_query(self.tls.clone()).await
    }

    async fn connect(&self) -> Result<(Client, JoinHandle<()>), Error> {
        let (client, mut connection) = self.config.connect(self.tls.clone()).await?;
        let hints = Arc::clone(&self.hints);
        // It ends with the client, or when the connection does; whoever uses that learns of it.
        let driver = tokio::spawn(async move {
            while let Some(Ok(message)) = poll_fn(|context| connection.poll_message(context)).await {
                if matches!(message, AsyncMessage::Notification(_)) {
                    hints.notify_one();
                }
            }
        });
        Ok((client, driver))
    }
}

/// For the pool.
impl Connect for Connector {
    fn connect(
        &self,
        _: &Config,
    ) -> Pin<Box<dyn Future<Output = Result<(Client, JoinHandle<()>), Error>> + Send + '_>> {
        Box::pin(async {
            let (client, driver) = self.connect().await?;
            match client.batch_execute(SESSION).await {
                Ok(()) => Ok((client, driver)),
                Err(error) => {
                    driver.abort();
                    Err(error)
                }
            }
        })
    }
}

fn config(settings: &PostgresSettings) -> Config {
    let mut config = Config::new();
    for server in &settings.servers {
        match server {
            DatabaseServer::Socket(folder, port) => config.host_path(folder).port(*port),
            DatabaseServer::Tcp(host, port) => config.host(host.as_str()).port(*port),
        };
    }
    if let Some(password) = &settings.password {
        config.password(password.expose_secret());
    }
    config
        .user(settings.user.as_str())
        .dbname(settings.database.as_str())
        .application_name("portcullis")
        .ssl_mode(match settings.tls {
            DatabaseTls::Disable => SslMode::Disable,
            DatabaseTls::Prefer => SslMode::Prefer,
            DatabaseTls::Require | DatabaseTls::VerifyFull(_) => SslMode::Require,
        })
        .target_session_attrs(TargetSessionAttrs::ReadWrite)
        .connect_timeout(ADDRESS)
        .keepalives_idle(SILENCE)
        .keepalives_interval(SILENCE)
        .keepalives_retries(2)
        .tcp_user_timeout(UNHEARD);
    config
}

/// What a session is told, whatever the server's or the role's defaults are. Only names of PostgreSQL's own are looked
/// up without their schema. A commit waits for the disk, and for standbys where the server has synchronous ones. What
/// waits, ends before [`super::OPERATION`] does, so that the server does not go on with what nobody waits for.
const SESSION: &str = "
    SET search_path = pg_catalog, pg_temp;
    SET default_transaction_isolation = 'read committed';
    SET default_transaction_read_only = off;
    SET client_min_messages = warning;
    SET lock_timeout = 3000;
    SET statement_timeout = 4000;
    SET idle_in_transaction_session_timeout = 2000;
    SELECT set_config('synchronous_commit', 'on', false)
    WHERE current_setting('synchronous_commit') NOT IN ('on', 'remote_apply')";

/// What one address gets to accept: the next one must have its turn within what a connection gets in all.
const ADDRESS: Duration = Duration::from_millis(1500);

/// How long what was sent may stay unacknowledged.
const UNHEARD: Duration = Duration::from_secs(3);

/// After so much silence the other side is asked whether it is still there.
const SILENCE: Duration = Duration::from_secs(5);
