//! Connections: the secret of a database, TLS, the login, and how its statements see others' work.

use serde_json::Value;
use tiberius::error::Error;
use tiberius::{AuthMethod, Config, EncryptionLevel, SqlBrowser};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_util::compat::{Compat, TokioAsyncWriteCompatExt};

use super::failure::{Step, explain, is_login_failure};
use crate::config::{ApplicationIntent, Database, Encrypt, SqlServer};
use crate::context::Context;
use crate::error::{Result, StageError};
use crate::secrets::{self, Secret};

const APPLICATION: &str = "rcm emr-extract";
const DEFAULT_PORT: u16 = 1433;
/// Bytes of a packet: the most that an encrypted connection can have is 16,383.
const PACKET_SIZE: u32 = 16_000;
/// Servers that a gateway may send us on to, one after the other.
const MAX_ROUTES: usize = 3;
const SNAPSHOTS_ALLOWED: &str =
    "SELECT [snapshot_isolation_state] FROM [sys].[databases] WHERE [database_id] = DB_ID()";

/// A connection that is logged in.
pub(super) type Client = tiberius::Client<Compat<TcpStream>>;

/// A database that is to be connected to.
#[derive(Debug, Clone, Copy)]
pub(super) struct DatabaseAddress<'a> {
    /// Name in `load_config.csv`.
    pub(super) name: &'a str,
    /// The database and the table, for messages.
    pub(super) place: &'a str,
}

/// Connects to a database. If the login is refused the secret is read once more, and if it has
/// changed the login is tried once more: the password of a rotation, not a guess that locks the
/// login out.
///
/// # Errors
/// `SourceUnavailable`, `Throttled` or `Timeout` if the server does not answer; `BadConfig` if the
/// secret cannot be used, the login is refused or the certificate is not trusted.
pub(super) async fn connect(context: &Context, source: DatabaseAddress<'_>) -> Result<Client> {
    let settings = &context.settings.sources.emr.sql_server;
    let database = settings.database(source.name);
    let prefix = context.environment.emr_secrets.as_deref().unwrap_or_default();
    let secret_name = &database.secret.clone().unwrap_or_else(|| format!("{prefix}{}", source.name));
    let secret = secrets::read(context, secret_name).await?;
    let login = Login { settings, database: &database, source, secret_name };
    let mut client = match login.log_in(&secret).await? {
        Ok(client) => client,
        Err(refusal) => {
            let renewed = secrets::renew(context, secret_name, &secret).await?;
            let again = if renewed == secret { Err(refusal) } else { login.log_in(&renewed).await? };
            again.map_err(|refusal| explain(source.place, Step::LoggingIn, &refusal))?
        }
    };
    isolate(&mut client, source).await?;
    Ok(client)
}

/// What a login needs to know beside the secret.
struct Login<'a> {
    settings: &'a SqlServer,
    database: &'a Database,
    source: DatabaseAddress<'a>,
    secret_name: &'a str,
}

impl Login<'_> {
    /// Connects and logs in; the inner error is that of a login that another secret may help.
    async fn log_in(&self, secret: &Secret) -> Result<std::result::Result<Client, Error>> {
        let mut config = self.config(secret)?;
        for _ in 0..MAX_ROUTES {
            let tcp = self.reach(&config).await?;
            match Box::pin(tiberius::Client::connect(config.clone(), tcp.compat_write())).await {
                Ok(client) => return Ok(Ok(client)),
                Err(Error::Routing { host, port }) => {
                    config.host(host);
                    config.port(port);
                }
                Err(error) if is_login_failure(&error) => return Ok(Err(error)),
                Err(error) => return Err(explain(self.source.place, Step::LoggingIn, &error)),
            }
        }
        let message = format!("{}: {}: sent on {MAX_ROUTES} times", self.source.place, Step::LoggingIn);
        Err(StageError::source_unavailable(message))
    }

    async fn reach(&self, config: &Config) -> Result<TcpStream> {
        let failed = |error: &Error| explain(self.source.place, Step::Connecting, error);
        let reached = timeout(self.settings.connect_timeout(), TcpStream::connect_named(config)).await;
        let timed_out = |_| Error::Io { kind: std::io::ErrorKind::TimedOut, message: String::new() };
        let tcp = reached.map_err(timed_out).and_then(|reached| reached).map_err(|error| failed(&error))?;
        tcp.set_nodelay(true).map_err(|error| failed(&error.into()))?;
        Ok(tcp)
    }

    fn config(&self, secret: &Secret) -> Result<Config> {
        let fields = Fields { secret, name: self.secret_name };
        let mut config = Config::new();
        config.host(fields.text(&["host", "server"])?.ok_or_else(|| fields.lacks("host"))?);
        let instance = fields.text(&["instance"])?;
        match (fields.port()?, &instance) {
            (Some(port), _) => config.port(port),
            (None, Some(instance)) => config.instance_name(instance),
            (None, None) => config.port(DEFAULT_PORT),
        }
        config.database(fields.text(&["dbname", "database"])?.unwrap_or(self.source.name));
        config.application_name(APPLICATION);
        config.authentication(fields.authentication()?);
        config.packet_size(PACKET_SIZE);
        config.readonly(self.settings.application_intent == ApplicationIntent::ReadOnly);
        config.handshake_timeout(Some(self.settings.connect_timeout()));
        config.command_timeout(Some(self.settings.statement_timeout()));
        // Half of a character that is written in two halves is no reason to lose a table.
        config.lossy_utf16_decoding(true);
        config.encryption(match self.database.encrypt {
            Encrypt::Required => EncryptionLevel::Required,
            Encrypt::Strict => EncryptionLevel::Strict,
            Encrypt::Off => EncryptionLevel::NotSupported,
        });
        if self.database.trust_server_certificate {
            config.trust_cert();
        } else if let Some(ca) = fields.text(&["ca"])? {
            config.trust_cert_ca_bundle(ca);
        }
        if let Some(host) = fields.text(&["host_in_certificate"])? {
            config.hostname_in_certificate(host);
        }
        Ok(config)
    }
}

/// The fields of a database's secret. RDS names some of them otherwise than people do.
struct Fields<'a> {
    secret: &'a Secret,
    name: &'a str,
}

impl<'a> Fields<'a> {
    fn text(&self, names: &[&str]) -> Result<Option<&'a str>> {
        let found = names.iter().find_map(|name| self.secret.get(*name).map(|value| (*name, value)));
        match found {
            None | Some((_, Value::Null)) => Ok(None),
            Some((_, Value::String(text))) => Ok(Some(text)),
            Some((name, _)) => Err(self.bad(&format!("`{name}` is no text"))),
        }
    }

    fn port(&self) -> Result<Option<u16>> {
        let port = match self.secret.get("port") {
            None | Some(Value::Null) => return Ok(None),
            Some(Value::Number(port)) => port.as_u64().and_then(|port| port.try_into().ok()),
            Some(Value::String(port)) => port.parse().ok(),
            Some(_) => None,
        };
        port.map(Some).ok_or_else(|| self.bad("`port` is no port"))
    }

    fn authentication(&self) -> Result<AuthMethod> {
        if let Some(token) = self.text(&["access_token"])? {
            return Ok(AuthMethod::aad_token(token));
        }
        let user = self.text(&["username", "user"])?.ok_or_else(|| self.lacks("username"))?;
        let password = self.text(&["password"])?.ok_or_else(|| self.lacks("password"))?;
        Ok(AuthMethod::sql_server(user, password))
    }

    fn lacks(&self, field: &str) -> StageError {
        self.bad(&format!("there is no `{field}`"))
    }

    fn bad(&self, reason: &str) -> StageError {
        StageError::bad_config(format!("secret `{}`: {reason}", self.name))
    }
}

/// Lets the statements of a connection read without waiting for writers, where the database keeps
/// versions of its rows.
async fn isolate(client: &mut Client, source: DatabaseAddress<'_>) -> Result<()> {
    let failed = |error: &Error| explain(source.place, Step::LoggingIn, error);
    let state = match client.simple_query(SNAPSHOTS_ALLOWED).await {
        Ok(answer) => answer.into_row().await,
        Err(error) => Err(error),
    };
    let allowed = match state {
        Ok(row) => row.and_then(|row| row.try_get::<u8, _>(0).ok().flatten()) == Some(1),
        // Not every database that speaks TDS can tell.
        Err(Error::Server(_)) => false,
        Err(error) => return Err(failed(&error)),
    };
    let level = if allowed { "SNAPSHOT" } else { "READ COMMITTED" };
    let set = client.simple_query(format!("SET TRANSACTION ISOLATION LEVEL {level}")).await;
    set.map_err(|error| failed(&error))?.into_results().await.map_err(|error| failed(&error))?;
    Ok(())
}
