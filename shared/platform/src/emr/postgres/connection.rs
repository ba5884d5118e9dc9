//! Sessions: TLS, the login, the transaction, and what is asked in it.

use std::future::Future;
use std::pin::Pin;
use std::sync::atomic::Ordering;
use std::time::Duration;

use futures::TryStreamExt;
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_postgres::config::{SslMode, SslNegotiation};
use tokio_postgres::{Client, Config, Error, Row, RowStream};
use tokio_util::task::AbortOnDropHandle;

use super::column::PostgresType;
use super::failure::{self, explain, is_login_failure, late};
use super::tls::Tls;
use crate::config::{Database, DatabaseLimits, Encrypt};
use crate::context::Context;
use crate::emr::database::{self, Address, LoginOutcome, SecretFields, Statement, Step};
use crate::error::{Result, StageError};

const APPLICATION: &str = "rcm emr-extract";
const DEFAULT_PORT: u16 = 5432;
const BEGIN: &str = "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY";
/// What is read as text is printed the same whatever the settings of the login.
const FORMATS: &str = "SET LOCAL DateStyle = 'ISO, YMD'; SET LOCAL IntervalStyle = 'postgres'; \
                       SET LOCAL extra_float_digits = 3; SET LOCAL bytea_output = 'hex'";

/// A connection that is logged in.
pub(super) struct Session {
    client: Client,
    server: Server,
    limits: DatabaseLimits,
    /// The database and the table, for messages.
    place: String,
    /// Ends an answer that nobody reads to its end.
    connection: Option<AbortOnDropHandle<()>>,
    is_reading: bool,
}

/// Where a server is.
#[derive(Clone)]
struct Server {
    host: String,
    port: u16,
    tls: Tls,
}

/// Rows of an answer, as they come.
pub(super) type Answer = Pin<Box<RowStream>>;

/// Connects to a database and logs in.
///
/// # Errors
/// As `Connection::connect`.
pub(super) async fn connect(context: &Context, address: Address<'_>) -> Result<Session> {
    let settings = &context.settings.sources.emr.postgres;
    let database = &settings.database(address.database);
    let login = Login { limits: settings.limits(), database, address };
    database::log_in(context, address, database, &login).await
}

/// What a login needs to know beside the secret.
struct Login<'a> {
    limits: DatabaseLimits,
    database: &'a Database,
    address: Address<'a>,
}

impl database::Login for Login<'_> {
    type Connection = Session;

    async fn log_in(&self, fields: SecretFields<'_>) -> Result<LoginOutcome<Session>> {
        let (config, server) = (self.config(fields)?, self.server(fields)?);
        let place = self.address.place;
        let tcp = timeout(self.limits.connect_timeout, server.reach()).await;
        let unreachable = |error: std::io::Error| {
            let reason = format!("{place}: {}: the connection failed: {}", Step::Connecting, error.kind());
            StageError::source_unavailable(reason)
        };
        let tcp = tcp.map_err(|_| late(place, Step::Connecting))?.map_err(unreachable)?;
        let (tls, has_begun) = server.tls.handshake();
        let connected = timeout(self.limits.connect_timeout, Box::pin(config.connect_raw(tcp, tls))).await;
        let error = match connected.map_err(|_| late(place, Step::LoggingIn))? {
            Ok((client, connection)) => {
                // Its errors are those of what was asked for.
                let driver = tokio::spawn(async { drop(connection.await) });
                return Ok(LoginOutcome::LoggedIn(Session {
                    client,
                    server,
                    limits: self.limits.clone(),
                    place: place.to_owned(),
                    connection: Some(AbortOnDropHandle::new(driver)),
                    is_reading: false,
                }));
            }
            Err(error) => error,
        };
        let is_of_server = error.code().is_some() || error.is_closed() || failure::cause(&error).is_some();
        if self.database.encrypt != Encrypt::Off && !has_begun.load(Ordering::Relaxed) && !is_of_server {
            return Err(failure::plain(place));
        }
        let explained = explain(place, Step::LoggingIn, &error);
        if is_login_failure(&error) { Ok(LoginOutcome::Refused(explained)) } else { Err(explained) }
    }
}

impl Login<'_> {
    fn config(&self, fields: SecretFields<'_>) -> Result<Config> {
        let mut config = Config::new();
        config.user(fields.required(&["username", "user"])?);
        config.password(fields.required(&["password"])?);
        config.dbname(fields.text(&["dbname", "database"])?.unwrap_or(self.address.database));
        config.application_name(APPLICATION);
        config.ssl_mode(if self.database.encrypt == Encrypt::Off { SslMode::Disable } else { SslMode::Require });
        if self.database.encrypt == Encrypt::Strict {
            config.ssl_negotiation(SslNegotiation::Direct);
        }
        Ok(config)
    }

    fn server(&self, fields: SecretFields<'_>) -> Result<Server> {
        let host = fields.required(&["host", "server"])?;
        let name = fields.text(&["host_in_certificate"])?.unwrap_or(host);
        let tls = Tls::new(self.database, fields.authorities()?, name).map_err(|reason| fields.bad(&reason))?;
        Ok(Server { host: host.to_owned(), port: fields.port()?.unwrap_or(DEFAULT_PORT), tls })
    }
}

impl Server {
    async fn reach(&self) -> std::io::Result<TcpStream> {
        let tcp = TcpStream::connect((self.host.as_str(), self.port)).await?;
        tcp.set_nodelay(true)?;
        Ok(tcp)
    }
}

impl Session {
    /// Begins the transaction of an extract: all its statements read one snapshot, or the one that another session
    /// exported.
    pub(super) async fn begin(&self, snapshot: Option<&str>) -> Result<()> {
        let import = snapshot.map(|snapshot| format!("; SET TRANSACTION SNAPSHOT '{snapshot}'")).unwrap_or_default();
        let text = format!("{BEGIN}{import}; {FORMATS}");
        self.in_time(Step::LoggingIn, self.client.batch_execute(&text)).await
    }

    /// Lets other sessions read what this one reads, while its transaction lasts.
    pub(super) async fn export_snapshot(&self) -> Result<String> {
        let step = Step::FindingShards;
        let row = self.in_time(step, self.client.query_one("SELECT pg_export_snapshot()", &[])).await?;
        let snapshot: String = row.try_get(0).map_err(|error| explain(&self.place, step, &error))?;
        let is_clean = snapshot.chars().all(|c| c.is_ascii_alphanumeric() || c == '-');
        let unknown = || format!("{}: {step}: the name of the snapshot cannot be understood", self.place);
        is_clean.then_some(snapshot).ok_or_else(|| StageError::source_unavailable(unknown()))
    }

    pub(super) async fn prepare(&self, step: Step, text: &str) -> Result<tokio_postgres::Statement> {
        self.in_time(step, self.client.prepare(text)).await
    }

    /// The first row of an answer.
    pub(super) async fn first_row(&self, step: Step, statement: Statement<PostgresType>) -> Result<Option<Row>> {
        let Statement { text, parameters } = statement;
        let prepared = self.prepare(step, &text).await?;
        self.in_time(step, async {
            let answer = self.client.query_raw(&prepared, parameters).await?;
            let mut answer = Box::pin(answer);
            answer.try_next().await
        })
        .await
    }

    /// Sends the statement of an extract. The server sends rows while somebody takes them, and waits otherwise.
    pub(super) async fn send(&mut self, statement: Statement<PostgresType>) -> Result<Answer> {
        let Statement { text, parameters } = statement;
        let prepared = self.prepare(Step::ReadingRows, &text).await?;
        self.is_reading = true;
        let answer = self.in_time(Step::ReadingRows, self.client.query_raw(&prepared, parameters)).await?;
        Ok(Box::pin(answer))
    }

    /// The next row of an answer; none after the last.
    pub(super) async fn next_row(&mut self, answer: &mut Answer) -> Result<Option<Row>> {
        let row = self.in_time(Step::ReadingRows, answer.try_next()).await?;
        self.is_reading = row.is_some();
        Ok(row)
    }

    /// Waits for an answer, and takes a statement back whose answer does not come in time.
    async fn in_time<T>(&self, step: Step, answer: impl Future<Output = std::result::Result<T, Error>>) -> Result<T> {
        let Ok(answer) = timeout(self.limits.statement_timeout, answer).await else {
            self.cancel(self.limits.connect_timeout).await;
            return Err(late(&self.place, step));
        };
        answer.map_err(|error| explain(&self.place, step, &error))
    }

    /// Asks the server to stop what it does for this session: it would go on for nobody. It may not hear it.
    async fn cancel(&self, patience: Duration) {
        let token = self.client.cancel_token();
        let (tls, _) = self.server.tls.handshake();
        let cancelled = timeout(patience, async {
            let tcp = self.server.reach().await.ok()?;
            token.cancel_query_raw(tcp, tls).await.ok()
        });
        if cancelled.await.ok().flatten().is_none() {
            tracing::debug!(place = self.place, "the server was not reached to cancel a statement");
        }
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        // With nothing on its way it takes its leave by itself.
        if let Some(connection) = self.connection.take().filter(|_| !self.is_reading) {
            drop(connection.detach());
        }
    }
}
