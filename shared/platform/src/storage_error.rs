//! By which name an error of the store goes: whether another try may help, and when.

use std::error::Error;
use std::io;

use object_store::client::{HttpError, HttpErrorKind};

use crate::error::StageError;

/// What a store that asks for patience answers, in the words of the errors that quote it.
const THROTTLED: [&str; 5] =
    ["SlowDown", "status code: 503", "status code: 429", "TooManyRequests", "RequestLimitExceeded"];

/// What S3 says of a bucket that there is not.
const NO_BUCKET: &str = "NoSuchBucket";
/// What S3 says of an object that was sent in parts and is put together already, or given up.
const NO_UPLOAD: &str = "NoSuchUpload";

/// The stage's error for one that came from the store, directly or through those who use it. The
/// store has tried again by itself before it answers one that may pass.
pub(crate) fn of(message: String, error: &(dyn Error + 'static)) -> StageError {
    if causes(error).any(is_refusal) {
        return StageError::BadConfig(message);
    }
    if message.contains(NO_BUCKET) {
        return StageError::BadConfig(message);
    }
    if causes(error).any(is_missing) && !message.contains(NO_UPLOAD) {
        return StageError::CorruptLake(message);
    }
    if causes(error).any(is_timeout) {
        return StageError::Timeout(message);
    }
    if THROTTLED.iter().any(|answer| message.contains(answer)) {
        return StageError::Throttled(message);
    }
    StageError::Storage(message)
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

/// Whether the store knows us and says no, does not know us, cannot do such a thing at all, or holds an
/// object under a key that is no path: somebody has to change that.
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

/// Whether an object that the lake names is not there. Who can do without one asks for it with
/// `get_if_exists` or `head`.
fn is_missing(error: &(dyn Error + 'static)) -> bool {
    matches!(error.downcast_ref::<object_store::Error>(), Some(object_store::Error::NotFound { .. }))
}

fn is_timeout(error: &(dyn Error + 'static)) -> bool {
    let in_http = error.downcast_ref::<HttpError>().is_some_and(|error| error.kind() == HttpErrorKind::Timeout);
    in_http || error.downcast_ref::<io::Error>().is_some_and(|error| error.kind() == io::ErrorKind::TimedOut)
}

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

    #[test]
    fn the_name_is_found_through_a_writer_of_the_store() {
        let parquet = ParquetError::External(Box::new(timeout()));
        assert_eq!(of("writing".to_owned(), &parquet).name(), "Timeout");
    }
}
