//! What went wrong, and whether it passes. Messages and details of a server are not repeated: they may quote a
//! value of a row.

use std::error::Error as _;
use std::io;

use tokio_postgres::Error;
use tokio_postgres::error::SqlState;

use crate::emr::database::Step;
use crate::error::StageError;

/// The login is not known, or its password is wrong.
const LOGIN_FAILURES: [SqlState; 2] = [SqlState::INVALID_PASSWORD, SqlState::INVALID_AUTHORIZATION_SPECIFICATION];
/// The table or one of its columns is not there.
const MISSING: [SqlState; 3] = [SqlState::UNDEFINED_TABLE, SqlState::UNDEFINED_COLUMN, SqlState::INVALID_SCHEMA_NAME];
/// The server ended a session that had done nothing, or done so for too long.
const IDLE: [&str; 2] = ["25P03", "57P05"];
/// The transaction took longer than the server lets one take.
const TRANSACTION_TIMEOUT: &str = "25P04";

/// Whether another password may help.
pub(super) fn is_login_failure(error: &Error) -> bool {
    error.code().is_some_and(|code| LOGIN_FAILURES.contains(code))
}

/// The error of a stage that a source's error makes. `place` names the database and the table.
pub(super) fn explain(place: &str, step: Step, error: &Error) -> StageError {
    let message = |reason: &str| format!("{place}: {step}: {reason}");
    if let Some(code) = error.code() {
        return explain_state(code, message);
    }
    let lost = |reason: &str| StageError::source_unavailable(message(reason));
    match cause(error) {
        Some(Cause::Tls(error)) if step.is_before_login() => StageError::bad_config(message(&untrusted(error))),
        Some(Cause::Tls(_)) => lost("the encrypted connection failed"),
        Some(Cause::Connection(kind)) => lost(&format!("the connection failed: {kind}")),
        None if error.is_closed() => lost("the server closed the connection"),
        None if step == Step::LoggingIn => {
            StageError::bad_config(message("the server asks for a way of logging in that is not supported"))
        }
        None => lost("the server's answer cannot be understood"),
    }
}

/// The error of a server that has not answered in time.
pub(super) fn late(place: &str, step: Step) -> StageError {
    let message = format!("{place}: {step}: no answer in time");
    if step.is_before_login() { StageError::source_unavailable(message) } else { StageError::timeout(message) }
}

/// The error of a server that does not encrypt.
pub(super) fn plain(place: &str) -> StageError {
    let reason = "the server does not encrypt; `encrypt` says that it must";
    StageError::bad_config(format!("{place}: {}: {reason}", Step::LoggingIn))
}

/// What lies beneath an error of the driver.
pub(super) enum Cause<'a> {
    Tls(&'a rustls::Error),
    Connection(io::ErrorKind),
}

pub(super) fn cause(error: &Error) -> Option<Cause<'_>> {
    let below: &io::Error = error.source()?.downcast_ref()?;
    let tls = below.get_ref().and_then(|inner| inner.downcast_ref());
    Some(tls.map_or_else(|| Cause::Connection(below.kind()), Cause::Tls))
}

fn explain_state(code: &SqlState, message: impl Fn(&str) -> String) -> StageError {
    let with_code = |reason: &str| message(&format!("{reason} (PostgreSQL error {})", code.code()));
    match *code {
        SqlState::LOCK_NOT_AVAILABLE => StageError::timeout(with_code("others hold a lock on it")),
        SqlState::QUERY_CANCELED => StageError::timeout(with_code("the server cancelled the statement")),
        SqlState::T_R_DEADLOCK_DETECTED => {
            StageError::source_unavailable(with_code("chosen as the victim of a deadlock"))
        }
        SqlState::INVALID_CATALOG_NAME => StageError::bad_config(with_code("there is no such database")),
        SqlState::INSUFFICIENT_PRIVILEGE => StageError::bad_config(with_code("the login may not read it")),
        _ if LOGIN_FAILURES.contains(code) => StageError::bad_config(with_code("the login is refused")),
        _ if MISSING.contains(code) => {
            StageError::broken_contract(with_code("it is not there; capitals in its name count"))
        }
        _ if code.code() == TRANSACTION_TIMEOUT => StageError::timeout(with_code("the server ended the transaction")),
        _ if IDLE.contains(&code.code()) => StageError::source_unavailable(with_code("the server ended the session")),
        _ => explain_class(code, with_code),
    }
}

/// The first two letters of a state are its class.
fn explain_class(code: &SqlState, with_code: impl Fn(&str) -> String) -> StageError {
    match code.code().get(..2) {
        // Connection exceptions, rollbacks, operators' interventions, system errors.
        Some("08" | "40" | "57" | "58") => {
            StageError::source_unavailable(with_code("the server gave the connection up"))
        }
        // Insufficient resources.
        Some("53") => StageError::throttled(with_code("the server is busy")),
        _ => StageError::broken_contract(with_code("the statement failed")),
    }
}

fn untrusted(error: &rustls::Error) -> String {
    format!("TLS: {error}; give the secret the authority's certificate as `ca`")
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case("28P01", "BadConfig")]
    #[case("28000", "BadConfig")]
    #[case("3D000", "BadConfig")]
    #[case("42501", "BadConfig")]
    #[case("42P01", "BrokenContract")]
    #[case("42703", "BrokenContract")]
    #[case("3F000", "BrokenContract")]
    #[case("22012", "BrokenContract")]
    #[case("XX001", "BrokenContract")]
    #[case("57014", "Timeout")]
    #[case("55P03", "Timeout")]
    #[case("25P04", "Timeout")]
    #[case("25P03", "SourceUnavailable")]
    #[case("40P01", "SourceUnavailable")]
    #[case("40001", "SourceUnavailable")]
    #[case("57P01", "SourceUnavailable")]
    #[case("57P03", "SourceUnavailable")]
    #[case("08006", "SourceUnavailable")]
    #[case("58030", "SourceUnavailable")]
    #[case("53300", "Throttled")]
    #[case("53200", "Throttled")]
    fn a_state_of_postgresql_becomes_an_error_of_ours(#[case] code: &str, #[case] expected: &str) {
        let error = explain_state(&SqlState::from_code(code), str::to_owned);
        assert_eq!(error.name(), expected);
        assert!(error.to_string().contains(code));
    }
}
