//! Connections: how the server is found, and what each session is told before it is used.

use std::{future::poll_fn, pin::Pin, sync::Arc, time::Duration};

use deadpool_postgres::{ClientWrapper, Connect};
use tokio::{sync::Notify, task::JoinHandle};
use tokio_postgres::{
    AsyncMessage, Client, Config, Error,
    config::{SslMode, TargetSessionAttrs},
};
use tokio_postgres_rustls::MakeRustlsConnect;
use tokio_util::task::AbortOnDropHandle;

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
        let client = ClientWrapper::new(client, driver.detach());
        client.batch_execute(SESSION).await?;
        Ok(client)
    }

    /// Asks the server to cancel what it does on that connection, by one more that ends with the asking and counts to
    /// no limit of the server's (PostgreSQL's protocol, `CancelRequest`). Bounded by whoever calls.
    pub(super) async fn cancel(&self, client: &Client) -> Result<(), Error> {
        client.cancel_token().cancel_query(self.tls.clone()).await
    }

    /// The connection is kept up by the task, which lives no longer than whoever waits for the session: by itself it
    /// would wait for the server's last answer.
    async fn connect(&self) -> Result<(Client, AbortOnDropHandle<()>), Error> {
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
        Ok((client, AbortOnDropHandle::new(driver)))
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
            client.batch_execute(SESSION).await?;
            Ok((client, driver.detach()))
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

#[cfg(test)]
mod tests {
    use tokio::{
        io::{AsyncReadExt as _, AsyncWriteExt as _},
        net::{TcpListener, TcpStream},
        time::timeout,
    };

    use super::*;
    use crate::store::Judge;

    /// A pooler without a server to spare lets a client in, and then says nothing.
    #[tokio::test]
    async fn a_connection_that_is_never_ready_ends_with_whoever_waited_for_it() {
        let pooler = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let settings = PostgresSettings {
            servers: vec![DatabaseServer::Tcp("127.0.0.1".to_owned(), pooler.local_addr().unwrap().port())],
            user: "gateway".to_owned(),
            password: None,
            database: "auth".to_owned(),
            tls: DatabaseTls::Disable,
            judge: Judge::Database,
        };
        let connector = Connector::new(&settings).unwrap();
        let opening =
            tokio::spawn(async move { Connect::connect(&connector, &Config::new()).await.map(drop) });
        let (mut stream, _) = pooler.accept().await.unwrap();
        message(&mut stream).await;
        // AuthenticationOk, ReadyForQuery.
        stream.write_all(b"R\0\0\0\x08\0\0\0\0Z\0\0\0\x05I").await.unwrap();
        assert_eq!(stream.read_u8().await.unwrap(), b'Q');
        assert!(message(&mut stream).await.starts_with(b"SHOW transaction_read_only"));
        let column = b"T\0\0\0\x1a\0\x01x\0\0\0\0\0\0\0\0\0\0\x19\xff\xff\xff\xff\xff\xff\0\0";
        let row = b"D\0\0\0\x0d\0\x01\0\0\0\x03off";
        let end = b"C\0\0\0\x09SHOW\0Z\0\0\0\x05I";
        stream.write_all(&[column.as_slice(), row, end].concat()).await.unwrap();
        assert_eq!(stream.read_u8().await.unwrap(), b'Q');
        assert_eq!(message(&mut stream).await, format!("{SESSION}\0").as_bytes());

        opening.abort();
        assert!(opening.await.unwrap_err().is_cancelled());
        let ended = timeout(Duration::from_secs(20), stream.read_to_end(&mut Vec::new())).await;
        ended.expect("it is still open").unwrap();
    }

    /// What follows a message's type: its length, which counts itself, and its body.
    async fn message(stream: &mut TcpStream) -> Vec<u8> {
        let length = stream.read_u32().await.unwrap();
        let mut body = vec![0; length as usize - 4];
        stream.read_exact(&mut body).await.unwrap();
        body
    }
}
