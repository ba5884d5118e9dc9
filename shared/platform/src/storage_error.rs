//! Which kind of error one of the store is: whether a retry may help, and when.

use std::error::Error;
use std::io;

use object_store::client::{HttpError, HttpErrorKind};

use crate::error::StageError;

/// What precedes the status of a reply that is no success, in errors of the store's client. The client keeps the type
/// that holds status and body to itself.
const STATUS: &str = "Server returned non-2xx status code: ";
const UNAUTHORIZED: u16 = 401;
const FORBIDDEN: u16 = 403;
const TOO_MANY_REQUESTS: u16 = 429;
const SERVICE_UNAVAILABLE: u16 = 503;
/// Codes of S3 that ask for fewer requests. They may also come with a status of success.
const THROTTLED: [&str; 3] = ["SlowDown", "TooManyRequests", "RequestLimitExceeded"];
/// Codes of S3 for a bucket that does not exist and for a right that is missing. Of many objects that are removed with
/// one request each has a code of its own, in a reply of success.
const REFUSED: [&str; 2] = ["NoSuchBucket", "AccessDenied"];
/// Code of S3 for an upload in parts that was completed or aborted already.
const NO_UPLOAD: &str = "NoSuchUpload";

/// Returns the stage's error for one that came from the store, directly or through a crate that uses the store. The
/// store's client has retried by itself what may pass.
pub(crate) fn of(message: String, error: &(dyn Error + 'static)) -> StageError {
    if let Some(hint) = causes(error).find_map(in_file_system).or_else(|| in_words(&message)) {
        return StageError::bad_config(format!("{message}; hint: {hint}"));
    }
    let has_code = |known: &[&str]| codes(&message).any(|code| known.contains(&code));
    let is_denied = matches!(status(&message), Some(UNAUTHORIZED | FORBIDDEN));
    if causes(error).any(is_refusal) || is_denied || has_code(&REFUSED) {
        return StageError::bad_config(message);
    }
    if causes(error).any(is_missing) && !has_code(&[NO_UPLOAD]) {
        return StageError::corrupt_lake(message);
    }
    if causes(error).any(is_timeout) {
        return StageError::timeout(message);
    }
    if matches!(status(&message), Some(TOO_MANY_REQUESTS | SERVICE_UNAVAILABLE)) || has_code(&THROTTLED) {
        return StageError::throttled(message);
    }
    StageError::storage(message)
}

/// The status of a reply that an error of the store's client quotes.
fn status(message: &str) -> Option<u16> {
    let (_, rest) = message.split_once(STATUS)?;
    rest.get(..3)?.parse().ok()
}

/// The codes of S3 that an error quotes: of a body, and of an object that was not removed.
fn codes(message: &str) -> impl Iterator<Item = &str> {
    let between = |before: &'static str, after: &'static str| {
        message.split(before).skip(1).filter_map(move |rest| Some(rest.split_once(after)?.0))
    };
    between("<Code>", "</Code>").chain(between("(code: ", ")"))
}

/// Returns the stage's error for one of the file system: `BadConfig` with what to do where no retry helps, else the
/// one that is passed.
pub(crate) fn of_io(message: String, error: &io::Error, passing: fn(String) -> StageError) -> StageError {
    match lasting(error.kind()) {
        Some(hint) => StageError::bad_config(format!("{message}; hint: {hint}")),
        None => passing(message),
    }
}

/// What to do about an error of the file system that stays until somebody acts.
fn lasting(kind: io::ErrorKind) -> Option<&'static str> {
    use io::ErrorKind as K;
    match kind {
        K::PermissionDenied => Some("give the user that runs this the right to read and write there"),
        K::ReadOnlyFilesystem => Some("the file system is read-only: mount it writable, or name another folder"),
        K::StorageFull | K::QuotaExceeded | K::FileTooLarge => {
            Some("make room on the disk or in its quota, and run again: what was committed is whole")
        }
        K::NotADirectory | K::IsADirectory => {
            Some("a file is where a folder has to be, or a folder where a file has to")
        }
        _ => None,
    }
}

/// The same of an error that is one of the file system.
fn in_file_system(error: &(dyn Error + 'static)) -> Option<&'static str> {
    lasting(error.downcast_ref::<io::Error>()?.kind())
}

/// The same of an error that only quotes one: the number of the operating system stands at its end.
fn in_words(message: &str) -> Option<&'static str> {
    let (_, number) = message.rsplit_once("(os error ")?;
    let number: i32 = number.split_once(')')?.0.parse().ok()?;
    lasting(io::Error::from_raw_os_error(number).kind())
}

/// An error and what caused it, down to the first cause.
fn causes<'a>(error: &'a (dyn Error + 'static)) -> impl Iterator<Item = &'a (dyn Error + 'static)> {
    let mut next = Some(error);
    std::iter::from_fn(move || {
        let error = next?;
        next = error.source();
        Some(error)
    })
}

/// Whether the store denied access, did not accept the credentials, does not support the operation, or holds an object
/// under a key that is no path: somebody has to change that.
fn is_refusal(error: &(dyn Error + 'static)) -> bool {
    use object_store::Error as E;
    matches!(
        error.downcast_ref::<E>(),
        Some(
            E::PermissionDenied { .. }
                | E::Unauthenticated { .. }
                | E::NotSupported { .. }
                | E::NotImplemented { .. }
                | E::UnknownConfigurationKey { .. }
                | E::InvalidPath { .. }
        )
    )
}

/// Whether an object that the lake names does not exist. An object that may be missing is read with `get_if_exists`
/// or `head`.
fn is_missing(error: &(dyn Error + 'static)) -> bool {
    matches!(error.downcast_ref::<object_store::Error>(), Some(object_store::Error::NotFound { .. }))
}

fn is_timeout(error: &(dyn Error + 'static)) -> bool {
    let in_http = error.downcast_ref::<HttpError>().is_some_and(|error| error.kind() == HttpErrorKind::Timeout);
    in_http || error.downcast_ref::<io::Error>().is_some_and(|error| error.kind() == io::ErrorKind::TimedOut)
}

#[cfg(test)]
mod store_tests;

#[cfg(test)]
mod tests {
    use parquet::errors::ParquetError;
    use rstest::rstest;

    use super::*;

    fn generic(source: impl Into<Box<dyn Error + Send + Sync>>) -> object_store::Error {
        object_store::Error::Generic { store: "S3", source: source.into() }
    }

    fn not_found(answer: &str) -> object_store::Error {
        object_store::Error::NotFound { path: "k".into(), source: answer.into() }
    }

    fn timeout() -> object_store::Error {
        generic(HttpError::new(HttpErrorKind::Timeout, io::Error::other("no answer")))
    }

    #[rstest]
    #[case::slow_down(generic("Server returned non-2xx status code: 503 Service Unavailable: SlowDown"), "Throttled")]
    #[case::too_many(generic("Server returned non-2xx status code: 429 Too Many Requests: "), "Throttled")]
    #[case::no_answer(timeout(), "Timeout")]
    #[case::socket(generic(io::Error::new(io::ErrorKind::TimedOut, "read")), "Timeout")]
    #[case::broken(generic("Server returned non-2xx status code: 500 Internal Server Error: "), "Storage")]
    #[case::forbidden(object_store::Error::PermissionDenied { path: "k".into(), source: "403".into() }, "BadConfig")]
    #[case::unknown(object_store::Error::Unauthenticated { path: "k".into(), source: "401".into() }, "BadConfig")]
    #[case::missing(not_found("404 Not Found: <Code>NoSuchKey</Code>"), "CorruptLake")]
    #[case::put_together(not_found("404 Not Found: <Code>NoSuchUpload</Code>"), "Storage")]
    #[case::nameless(object_store::path::Path::parse("a//b").unwrap_err().into(), "BadConfig")]
    #[case::not_supported(object_store::Error::NotSupported { source: "no condition".into() }, "BadConfig")]
    fn an_answer_of_the_store_has_the_name_that_retries_match(#[case] error: object_store::Error, #[case] name: &str) {
        assert_eq!(StageError::from(error).name(), name);
    }

    #[rstest]
    #[case::no_right(io::ErrorKind::PermissionDenied)]
    #[case::read_only(io::ErrorKind::ReadOnlyFilesystem)]
    #[case::full(io::ErrorKind::StorageFull)]
    #[case::quota(io::ErrorKind::QuotaExceeded)]
    #[case::no_folder(io::ErrorKind::NotADirectory)]
    fn what_no_other_try_mends_is_told_at_once_with_what_to_do(#[case] kind: io::ErrorKind) {
        let through_the_store = StageError::from(generic(io::Error::from(kind)));
        let parquet = ParquetError::External(Box::new(io::Error::from(kind)));
        let beside_the_store = of_io("listing".to_owned(), &io::Error::from(kind), StageError::storage);
        for error in [through_the_store, of("writing".to_owned(), &parquet), beside_the_store] {
            assert!(!error.is_retryable() && error.name() == "BadConfig", "{error}");
            assert!(error.to_string().contains("; hint: "), "{error}");
        }
    }

    #[rstest]
    #[case::full("delta log: Generic error: No space left on device (os error 28)", "BadConfig")]
    #[case::read_only("delta log: Read-only file system (os error 30)", "BadConfig")]
    #[case::interrupted("delta log: Interrupted system call (os error 4)", "Storage")]
    #[case::denied("delta log: Access to x: <Code>AccessDenied</Code>", "BadConfig")]
    fn an_error_that_only_quotes_its_cause_has_the_name_too(#[case] message: &str, #[case] name: &str) {
        assert_eq!(of(message.to_owned(), &io::Error::other("quoted")).name(), name);
    }

    #[test]
    fn an_error_of_the_file_system_that_may_pass_is_tried_again() {
        let error = io::Error::from(io::ErrorKind::Interrupted);
        assert_eq!(of_io("listing".to_owned(), &error, StageError::storage).name(), "Storage");
        assert_eq!(of_io("reading".to_owned(), &error, StageError::source_unavailable).name(), "SourceUnavailable");
    }

    #[test]
    fn the_name_is_found_through_a_writer_of_the_store() {
        let parquet = ParquetError::External(Box::new(timeout()));
        assert_eq!(of("writing".to_owned(), &parquet).name(), "Timeout");
    }
}
