//! Secrets of databases: their fields, and the login that is tried again with a rotated password.

use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use serde_json::Value;

use super::Address;
use crate::config::Database;
use crate::context::Context;
use crate::error::{Result, StageError};
use crate::secrets::{self, Secret};

/// One way to log in to a database.
pub(in crate::emr) trait Login: Sync {
    type Connection;

    /// Connects, and logs in with a secret.
    ///
    /// # Errors
    /// Those that another secret does not help.
    fn log_in(&self, fields: SecretFields<'_>) -> impl Future<Output = Result<LoginOutcome<Self::Connection>>> + Send;
}

/// What came of a login.
pub(in crate::emr) enum LoginOutcome<C> {
    LoggedIn(C),
    /// The server refuses the secret.
    Refused(StageError),
}

/// Logs in with the secret of a database. If the login is refused the secret is read once more, and if it has
/// changed the login is tried once more: the password of a rotation, not a guess that locks the
/// login out.
///
/// # Errors
/// The login's own; `BadConfig` if it is refused or the secret cannot be read.
pub(in crate::emr) async fn log_in<L: Login>(
    context: &Context,
    address: Address<'_>,
    database: &Database,
    login: &L,
) -> Result<L::Connection> {
    let prefix = context.environment.emr_secrets.as_deref().unwrap_or_default();
    let name = &database.secret.clone().unwrap_or_else(|| format!("{prefix}{}", address.database));
    let secret = secrets::read(context, name).await?;
    let refusal = match login.log_in(SecretFields { secret: &secret, name }).await? {
        LoginOutcome::LoggedIn(connection) => return Ok(connection),
        LoginOutcome::Refused(refusal) => refusal,
    };
    let renewed = secrets::renew(context, name, &secret).await?;
    if renewed == secret {
        return Err(refusal);
    }
    match login.log_in(SecretFields { secret: &renewed, name }).await? {
        LoginOutcome::LoggedIn(connection) => Ok(connection),
        LoginOutcome::Refused(refusal) => Err(refusal),
    }
}

/// The fields of a database's secret. RDS names some of them otherwise than people do.
#[derive(Clone, Copy)]
pub(in crate::emr) struct SecretFields<'a> {
    secret: &'a Secret,
    name: &'a str,
}

impl<'a> SecretFields<'a> {
    /// The text of the first of some fields that is there; none where it is null or missing.
    pub(in crate::emr) fn text(&self, names: &[&str]) -> Result<Option<&'a str>> {
        let found = names.iter().find_map(|name| self.secret.get(*name).map(|value| (*name, value)));
        match found {
            None | Some((_, Value::Null)) => Ok(None),
            Some((_, Value::String(text))) => Ok(Some(text)),
            Some((name, _)) => Err(self.bad(&format!("`{name}` is no text"))),
        }
    }

    /// As [`SecretFields::text`].
    ///
    /// # Errors
    /// `BadConfig` if none is there.
    pub(in crate::emr) fn required(&self, names: &[&str]) -> Result<&'a str> {
        let missing = || self.bad(&format!("there is no `{}`", names.first().unwrap_or(&"")));
        self.text(names)?.ok_or_else(missing)
    }

    pub(in crate::emr) fn port(&self) -> Result<Option<u16>> {
        let port = match self.secret.get("port") {
            None | Some(Value::Null) => return Ok(None),
            Some(Value::Number(port)) => port.as_u64().and_then(|port| port.try_into().ok()),
            Some(Value::String(port)) => port.parse().ok(),
            Some(_) => None,
        };
        port.map(Some).ok_or_else(|| self.bad("`port` is no port"))
    }

    /// Certificates of authorities that are trusted beside those of this machine, in PEM.
    ///
    /// # Errors
    /// `BadConfig` if there is no certificate in it.
    pub(in crate::emr) fn authorities(&self) -> Result<Option<&'a str>> {
        let Some(pem) = self.text(&["ca"])? else { return Ok(None) };
        let mut certificates = CertificateDer::pem_slice_iter(pem.as_bytes()).peekable();
        let is_usable = certificates.peek().is_some() && certificates.all(|certificate| certificate.is_ok());
        if is_usable { Ok(Some(pem)) } else { Err(self.bad("`ca` is no certificate in PEM")) }
    }

    /// The error of a secret that cannot be used.
    pub(in crate::emr) fn bad(&self, reason: &str) -> StageError {
        StageError::bad_config(format!("secret `{}`: {reason}", self.name))
    }
}
