//! What the settings of all kinds of databases have in common.

use std::time::Duration;

use schemars::JsonSchema;
use serde::Deserialize;

/// How one database is reached.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Database {
    /// Name or ARN of its secret. Where none is given it is the database's own name, after what
    /// `RCM_EMR_SECRETS` says.
    pub secret: Option<String>,
    pub encrypt: Encrypt,
    /// Take any certificate. Passwords and patients' data then go to whoever answers.
    pub trust_server_certificate: bool,
}

/// What goes encrypted.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Encrypt {
    /// Everything, after a first message that says so.
    #[default]
    Required,
    /// Everything from the first byte on, as SQL Server 2022 and PostgreSQL 17 can.
    Strict,
    /// Nothing, not even the password.
    Off,
}

/// Timeouts and retries of an extract from a database.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DatabaseLimits {
    /// Time that a connection may take until it is logged in.
    pub connect_timeout: Duration,
    /// Time that a statement may keep us waiting for its first rows, or for more of them.
    pub statement_timeout: Duration,
    pub retries: u32,
    /// The pause before the first retry.
    pub retry_pause: Duration,
}

impl DatabaseLimits {
    pub(super) fn of(connect_seconds: u64, statement_seconds: u64, retries: u32, retry_pause_ms: u64) -> Self {
        Self {
            connect_timeout: Duration::from_secs(connect_seconds),
            statement_timeout: Duration::from_secs(statement_seconds),
            retries,
            retry_pause: Duration::from_millis(retry_pause_ms),
        }
    }
}
