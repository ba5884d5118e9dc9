//! Connections: the secret of a database, TLS, the login, and how its statements see others' work.

use tiberius::error::Error;
use tiberius::{AuthMethod, Config, EncryptionLevel, SqlBrowser};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_util::compat::{Compat, TokioAsyncWriteCompatExt};

use super::failure::{explain, is_login_failure};
use crate::config::{ApplicationIntent, Database, Encrypt, SqlServer};
use crate::context::Context;
use crate::emr::database::{self, Address, LoginOutcome, SecretFields, Step};
use crate::error::{Result, StageError};

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

/// Connects to a database and logs in.
///
/// # Errors
/// As `Connection::connect`.
pub(super) async fn connect(context: &Context, address: Address<'_>) -> Result<Client> {
    let settings = &context.settings.sources.emr.sql_server;
    let database = &settings.database(address.database);
    let login = Login { settings, database, address };
    let mut client = database::log_in(context, address, database, &login).await?;
    isolate(&mut client, address.place).await?;
    Ok(client)
}

/// What a login needs to know beside the secret.
struct Login<'a> {
    settings: &'a SqlServer,
    database: &'a Database,
    address: Address<'a>,
}

impl database::Login for Login<'_> {
    type Connection = Client;

    async fn log_in(&self, fields: SecretFields<'_>) -> Result<LoginOutcome<Client>> {
        let mut config = self.config(fields)?;
        let place = self.address.place;
        for _ in 0..MAX_ROUTES {
            let tcp = self.reach(&config).await?;
            match Box::pin(tiberius::Client::connect(config.clone(), tcp.compat_write())).await {
                Ok(client) => return Ok(LoginOutcome::LoggedIn(client)),
                Err(Error::Routing { host, port }) => {
                    config.host(host);
                    config.port(port);
                }
                Err(error) => {
                    let explained = explain(place, Step::LoggingIn, &error);
                    return if is_login_failure(&error) {
                        Ok(LoginOutcome::Refused(explained))
                    } else {
                        Err(explained)
                    };
                }
            }
        }
        Err(StageError::source_unavailable(format!("{place}: {}: sent on {MAX_ROUTES} times", Step::LoggingIn)))
    }
}

impl Login<'_> {
    async fn reach(&self, config: &Config) -> Result<TcpStream> {
        let failed = |error: &Error| explain(self.address.place, Step::Connecting, error);
        let reached = timeout(self.settings.limits().connect_timeout, TcpStream::connect_named(config)).await;
        let timed_out = |_| Error::Io { kind: std::io::ErrorKind::TimedOut, message: String::new() };
        let tcp = reached.map_err(timed_out).and_then(|reached| reached).map_err(|error| failed(&error))?;
        tcp.set_nodelay(true).map_err(|error| failed(&error.into()))?;
        Ok(tcp)
    }

    fn config(&self, fields: SecretFields<'_>) -> Result<Config> {
        let mut config = Config::new();
        config.host(fields.required(&["host", "server"])?);
        let instance = fields.text(&["instance"])?;
        match (fields.port()?, &instance) {
            (Some(port), _) => config.port(port),
            (None, Some(instance)) => config.instance_name(instance),
            (None, None) => config.port(DEFAULT_PORT),
        }
        config.database(fields.text(&["dbname", "database"])?.unwrap_or(self.address.database));
        config.application_name(APPLICATION);
        config.authentication(authentication(fields)?);
        config.packet_size(PACKET_SIZE);
        config.readonly(self.settings.application_intent == ApplicationIntent::ReadOnly);
        config.handshake_timeout(Some(self.settings.limits().connect_timeout));
        config.command_timeout(Some(self.settings.limits().statement_timeout));
        // Half of a character that is written in two halves is no reason to lose a table.
        config.lossy_utf16_decoding(true);
        config.encryption(match self.database.encrypt {
            Encrypt::Required => EncryptionLevel::Required,
            Encrypt::Strict => EncryptionLevel::Strict,
            Encrypt::Off => EncryptionLevel::NotSupported,
        });
        if self.database.trust_server_certificate {
            config.trust_cert();
        } else if let Some(ca) = fields.authorities()? {
            config.trust_cert_ca_bundle(ca);
        }
        if let Some(host) = fields.text(&["host_in_certificate"])? {
            config.hostname_in_certificate(host);
        }
        Ok(config)
    }
}

fn authentication(fields: SecretFields<'_>) -> Result<AuthMethod> {
    if let Some(token) = fields.text(&["access_token"])? {
        return Ok(AuthMethod::aad_token(token));
    }
    let user = fields.required(&["username", "user"])?;
    Ok(AuthMethod::sql_server(user, fields.required(&["password"])?))
}

/// Lets the statements of a connection read without waiting for writers, where the database keeps
/// versions of its rows.
async fn isolate(client: &mut Client, place: &str) -> Result<()> {
    let failed = |error: &Error| explain(place, Step::LoggingIn, error);
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
