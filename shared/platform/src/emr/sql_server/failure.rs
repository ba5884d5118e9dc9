//! What went wrong, and whether it passes. Messages of a server are not repeated: they may quote a
//! value of a row.

use tiberius::error::{Error, IoErrorKind};

use crate::emr::database::Step;
use crate::error::StageError;

/// The login is not known, or its password is wrong or has run out.
const LOGIN_FAILURES: [u32; 3] = [18456, 18487, 18488];
/// The server asks for patience: limits of Azure SQL, or no memory for the statement.
const THROTTLING: [u32; 11] = [701, 802, 8645, 8651, 10928, 10929, 40501, 40544, 49918, 49919, 49920];
/// The connection, the replica or the transaction went away and comes back.
const PASSING: [u32; 27] = [
    20, 64, 121, 233, 615, 926, 976, 978, 979, 983, 1205, 3961, 4060, 4221, 6005, 10053, 10054, 10060, 17142, 40143,
    40166, 40197, 40540, 40613, 40648, 42108, 42109,
];
/// Somebody else holds a lock for too long.
const LOCK_TIMEOUT: u32 = 1222;
/// From this severity on an error ends the connection.
const FATAL_CLASS: u8 = 20;
/// The table or one of its columns is not there.
const MISSING: [u32; 3] = [207, 208, 4413];

/// Whether another password may help.
pub(super) fn is_login_failure(error: &Error) -> bool {
    error.code().is_some_and(|code| LOGIN_FAILURES.contains(&code))
}

/// The error of a stage that a source's error makes. `place` names the database and the table.
pub(super) fn explain(place: &str, step: Step, error: &Error) -> StageError {
    let message = |reason: &str| format!("{place}: {step}: {reason}");
    match error {
        Error::Io { kind: IoErrorKind::TimedOut, .. } if step.is_before_login() => {
            StageError::source_unavailable(message("no answer in time"))
        }
        Error::Io { kind: IoErrorKind::TimedOut, .. } => StageError::timeout(message("no answer in time")),
        Error::Io { kind, .. } => StageError::source_unavailable(message(&format!("the connection failed: {kind}"))),
        Error::Tls(reason) => StageError::bad_config(message(&untrusted(reason))),
        Error::Protocol(reason) if reason.contains("encryption level") => {
            StageError::bad_config(message("the server does not encrypt; `encrypt` says that it must"))
        }
        Error::Protocol(_) | Error::Routing { .. } => {
            StageError::source_unavailable(message("the server's answer cannot be understood"))
        }
        Error::Server(error) => explain_server_error(error.code(), error.class(), error.state(), message),
        _ => StageError::broken_contract(message("a value is not in the encoding that its column says")),
    }
}

fn explain_server_error(code: u32, class: u8, state: u8, message: impl Fn(&str) -> String) -> StageError {
    let with_number = |reason: &str| message(&format!("{reason} (SQL Server error {code}, state {state})"));
    match code {
        LOCK_TIMEOUT => StageError::timeout(with_number("others hold a lock on it")),
        1205 => StageError::source_unavailable(with_number("chosen as the victim of a deadlock")),
        _ if LOGIN_FAILURES.contains(&code) => StageError::bad_config(with_number("the login is refused")),
        _ if THROTTLING.contains(&code) => StageError::throttled(with_number("the server is busy")),
        _ if PASSING.contains(&code) || class >= FATAL_CLASS => {
            StageError::source_unavailable(with_number("the server gave the connection up"))
        }
        _ if MISSING.contains(&code) => StageError::broken_contract(with_number("it is not there")),
        229 | 230 | 262 | 297 | 300 | 916 => StageError::bad_config(with_number("the login may not read it")),
        18486 => StageError::bad_config(with_number("the login is locked out")),
        40615 => StageError::bad_config(with_number("the server's firewall does not let this address in")),
        _ => StageError::broken_contract(with_number("the statement failed")),
    }
}

/// The driver's reason goes on with advice for programmers.
fn untrusted(reason: &str) -> String {
    let cause = reason.split(" To connect anyway").next().unwrap_or_default().trim_end_matches('.');
    format!("TLS: {cause}; give the secret the authority's certificate as `ca`")
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    fn explained(code: u32, class: u8) -> StageError {
        explain_server_error(code, class, 1, str::to_owned)
    }

    #[rstest]
    #[case(1205, 13, "SourceUnavailable")]
    #[case(40613, 17, "SourceUnavailable")]
    #[case(4060, 11, "SourceUnavailable")]
    #[case(10054, 20, "SourceUnavailable")]
    #[case(823, 24, "SourceUnavailable")]
    #[case(40501, 20, "Throttled")]
    #[case(49918, 16, "Throttled")]
    #[case(10928, 16, "Throttled")]
    #[case(1222, 16, "Timeout")]
    #[case(18456, 14, "BadConfig")]
    #[case(229, 14, "BadConfig")]
    #[case(208, 16, "BrokenContract")]
    #[case(8115, 16, "BrokenContract")]
    fn a_number_of_sql_server_becomes_an_error_of_ours(#[case] code: u32, #[case] class: u8, #[case] expected: &str) {
        let error = explained(code, class);
        assert_eq!(error.name(), expected);
        assert!(error.to_string().contains(&code.to_string()));
    }

    #[test]
    fn the_certificates_fault_is_told_without_the_drivers_advice() {
        let reason = "the certificate was rejected: UnknownIssuer. To connect anyway you can: (1) trust_cert()";
        let error = explain("database `a`", Step::LoggingIn, &Error::Tls(reason.to_owned()));
        assert!(error.to_string().contains("UnknownIssuer; give"), "{error}");
    }
}
