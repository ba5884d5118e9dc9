//! The one error of all stages. Its names are the error names that the state machines retry and
//! catch by.

use std::error::Error;
use std::fmt;
use std::sync::Arc;

use lambda_runtime::Diagnostic;
use rcm_model::cdm::MappingError;
pub use rcm_model::event::ErrorContext;
use rcm_model::event::StageFailure;
use rcm_model::load_config::LoadConfigError;

use crate::storage_error;

/// What a stage failed for, by the name that the state machines' `Retry` and `Catch` match.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ErrorKind {
    /// The source did not answer, or stopped in the middle. Worth another try.
    SourceUnavailable,
    /// The source or AWS asked for fewer requests. Worth another try, later.
    Throttled,
    /// Another run kept committing to the same table or stream. Worth another try.
    CommitConflict,
    /// Something took longer than it may. Worth another try.
    Timeout,
    /// The store failed. Worth another try.
    Storage,
    /// The configuration cannot be used; somebody has to change it.
    BadConfig,
    /// The source is not what the configuration says it is: a missing column, another encoding.
    BrokenContract,
    /// More rows failed or vanished than the configuration allows.
    ThresholdExceeded,
    /// Two figures that must agree did not; nothing was committed.
    ControlCheckFailed,
    /// A table in the lake is not as this version of the product wrote it.
    CorruptLake,
    /// A fault of this product: a panic, or a state that its code holds for impossible.
    Internal,
}

impl ErrorKind {
    /// Every kind.
    pub const ALL: [Self; 11] = [
        Self::SourceUnavailable,
        Self::Throttled,
        Self::CommitConflict,
        Self::Timeout,
        Self::Storage,
        Self::BadConfig,
        Self::BrokenContract,
        Self::ThresholdExceeded,
        Self::ControlCheckFailed,
        Self::CorruptLake,
        Self::Internal,
    ];

    /// The name that the state machines match.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::SourceUnavailable => "SourceUnavailable",
            Self::Throttled => "Throttled",
            Self::CommitConflict => "CommitConflict",
            Self::Timeout => "Timeout",
            Self::Storage => "Storage",
            Self::BadConfig => "BadConfig",
            Self::BrokenContract => "BrokenContract",
            Self::ThresholdExceeded => "ThresholdExceeded",
            Self::ControlCheckFailed => "ControlCheckFailed",
            Self::CorruptLake => "CorruptLake",
            Self::Internal => "Internal",
        }
    }

    /// The name in words, as messages begin.
    const fn words(self) -> &'static str {
        match self {
            Self::SourceUnavailable => "source unavailable",
            Self::Throttled => "throttled",
            Self::CommitConflict => "commit conflict",
            Self::Timeout => "timeout",
            Self::Storage => "storage",
            Self::BadConfig => "bad configuration",
            Self::BrokenContract => "broken contract",
            Self::ThresholdExceeded => "threshold exceeded",
            Self::ControlCheckFailed => "control check failed",
            Self::CorruptLake => "corrupt lake",
            Self::Internal => "internal error",
        }
    }

    /// Whether the same call may succeed if made again.
    #[must_use]
    pub const fn is_retryable(self) -> bool {
        matches!(self, Self::SourceUnavailable | Self::Throttled | Self::CommitConflict | Self::Timeout | Self::Storage)
    }
}

/// Why a stage ended without doing its work.
///
/// Messages name the table, the load, the rule or the row number, and never a value of a row. So do the errors
/// that one is caused by: those of crates that work on rows are not kept, since they may quote one.
///
/// ```
/// use rcm_platform::error::{ErrorKind, StageError};
///
/// let error = StageError::broken_contract("column `ClaimID` is missing").of_load("claims/hos-a", 3);
/// assert_eq!(error.kind(), ErrorKind::BrokenContract);
/// assert_eq!(error.to_string(), "broken contract: load `claims/hos-a 3`: column `ClaimID` is missing");
/// assert_eq!(error.context().load.as_deref(), Some("claims/hos-a 3"));
/// ```
#[derive(Debug, Clone)]
pub struct StageError {
    kind: ErrorKind,
    message: String,
    context: Box<ErrorContext>,
    source: Option<Arc<dyn Error + Send + Sync>>,
}

/// What every fallible call of the platform returns.
pub type Result<T> = std::result::Result<T, StageError>;

impl StageError {
    /// An error of which nothing is known but its message.
    pub fn new(kind: ErrorKind, message: impl Into<String>) -> Self {
        Self { kind, message: message.into(), context: Box::default(), source: None }
    }

    /// See [`ErrorKind::SourceUnavailable`].
    pub fn source_unavailable(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::SourceUnavailable, message)
    }

    /// See [`ErrorKind::Throttled`].
    pub fn throttled(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::Throttled, message)
    }

    /// See [`ErrorKind::CommitConflict`].
    pub fn commit_conflict(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::CommitConflict, message)
    }

    /// See [`ErrorKind::Timeout`].
    pub fn timeout(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::Timeout, message)
    }

    /// See [`ErrorKind::Storage`].
    pub fn storage(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::Storage, message)
    }

    /// See [`ErrorKind::BadConfig`].
    pub fn bad_config(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::BadConfig, message)
    }

    /// See [`ErrorKind::BrokenContract`].
    pub fn broken_contract(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::BrokenContract, message)
    }

    /// See [`ErrorKind::ThresholdExceeded`].
    pub fn threshold_exceeded(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::ThresholdExceeded, message)
    }

    /// See [`ErrorKind::ControlCheckFailed`].
    pub fn control_check_failed(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::ControlCheckFailed, message)
    }

    /// See [`ErrorKind::CorruptLake`].
    pub fn corrupt_lake(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::CorruptLake, message)
    }

    /// See [`ErrorKind::Internal`].
    pub fn internal(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::Internal, message)
    }

    /// Keeps the error that caused this one. It must not quote a value of a row.
    #[must_use]
    pub fn caused_by(self, source: impl Error + Send + Sync + 'static) -> Self {
        Self { source: Some(Arc::new(source)), ..self }
    }

    /// Says which table it is about, unless that is known.
    #[must_use]
    pub fn in_table(mut self, path: &str) -> Self {
        self.context.table.get_or_insert_with(|| path.to_owned());
        self
    }

    /// Says which load it is about, unless that is known.
    #[must_use]
    pub fn of_load(mut self, stream: &str, sequence: u64) -> Self {
        self.context.load.get_or_insert_with(|| format!("{stream} {sequence}"));
        self
    }

    /// Says which row it is about, unless that is known: its number, from 1.
    #[must_use]
    pub fn at_row(mut self, row: u64) -> Self {
        self.context.row.get_or_insert(row);
        self
    }

    /// Says which object it is about, unless that is known.
    #[must_use]
    pub fn of_object(mut self, key: &str) -> Self {
        self.context.object.get_or_insert_with(|| key.to_owned());
        self
    }

    /// The same error with more to its message.
    #[must_use]
    pub fn with_advice(mut self, advice: &str) -> Self {
        self.message.push_str(advice);
        self
    }

    #[must_use]
    pub const fn kind(&self) -> ErrorKind {
        self.kind
    }

    /// The message without the words of the kind.
    #[must_use]
    pub fn message(&self) -> &str {
        &self.message
    }

    #[must_use]
    pub const fn context(&self) -> &ErrorContext {
        &self.context
    }

    /// The errors that caused this one, from the nearest to the first, without what is already said; none if there
    /// is nothing to add. At most [`LONGEST_CAUSES`] bytes.
    #[must_use]
    pub fn causes(&self) -> Option<String> {
        let mut said = self.message.clone();
        let mut causes: Vec<String> = Vec::new();
        let mut next = self.source();
        while let Some(cause) = next {
            let text = cause.to_string();
            if !said.contains(&text) {
                said.push_str(&text);
                causes.push(text);
            }
            next = cause.source();
        }
        let mut causes = causes.join(": ");
        causes.truncate(causes.floor_char_boundary(LONGEST_CAUSES));
        Some(causes).filter(|causes| !causes.is_empty())
    }

    /// The name that the state machine's `Retry` and `Catch` match.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        self.kind.name()
    }

    /// Whether the same call may succeed if made again.
    #[must_use]
    pub const fn is_retryable(&self) -> bool {
        self.kind.is_retryable()
    }
}

impl StageError {
    /// Whether the message names something already: a load also as `load 3 of `claims/hos-a``, a row by its number.
    fn says(&self, what: &str, name: &str) -> bool {
        match (what, name.split_once(' ')) {
            ("row" | "record", _) => self.message.contains(&format!("{what} {name}")),
            ("load", Some((stream, sequence))) => {
                self.message.contains(name) || self.message.contains(&format!("load {sequence} of `{stream}`"))
            }
            _ => self.message.contains(name),
        }
    }
}

/// The words of the kind, what the message does not name of the context, and the message.
impl fmt::Display for StageError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: ", self.kind.words())?;
        let ErrorContext { table, load, row, object } = &*self.context;
        for (what, name) in [("table", table), ("load", load), ("object", object)] {
            if let Some(name) = name.as_ref().filter(|name| !self.says(what, name)) {
                write!(f, "{what} `{name}`: ")?;
            }
        }
        if let Some(row) = row.filter(|row| !["row", "record"].iter().any(|word| self.says(word, &row.to_string()))) {
            write!(f, "row {row}: ")?;
        }
        f.write_str(&self.message)
    }
}

impl Error for StageError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        self.source.as_deref().map(|source| source as &(dyn Error + 'static))
    }
}

/// Two errors are equal if they say the same, whatever caused them.
impl PartialEq for StageError {
    fn eq(&self, other: &Self) -> bool {
        (self.kind, &self.message, &self.context) == (other.kind, &other.message, &other.context)
    }
}

impl Eq for StageError {}

/// Bytes at most of the causes of an error in a log.
pub const LONGEST_CAUSES: usize = 2000;

impl From<&StageError> for StageFailure {
    fn from(error: &StageError) -> Self {
        Self { name: error.name().to_owned(), message: error.to_string(), context: error.context().clone() }
    }
}

/// Bytes at most of a message that a function returns, as a state machine holds it: the states of a run keep
/// a message for each file that failed, and may hold 256 KiB in all.
pub const LONGEST_MESSAGE: usize = 600;
/// What a message ends with that was cut.
const CUT: &str = " … (cut; whole in the log and in audit/load_logs)";

impl StageError {
    /// The error for one of the file system: `BadConfig` with what to do where no other try mends it (a right is
    /// missing, the disk is full or read-only, a file is where a folder has to be), else the one that is passed.
    #[must_use]
    pub fn of_io(message: String, error: &std::io::Error, passing: fn(String) -> Self) -> Self {
        storage_error::of_io(message, error, passing)
    }
}

impl From<StageError> for Diagnostic {
    fn from(error: StageError) -> Self {
        Self { error_type: error.name().to_owned(), error_message: bounded(&error.to_string()) }
    }
}

/// A message of at most [`LONGEST_MESSAGE`] bytes in a state, ending with `CUT` where it was longer.
#[must_use]
pub fn bounded(message: &str) -> String {
    if message.chars().map(bytes_in_state).sum::<usize>() <= LONGEST_MESSAGE {
        return message.to_owned();
    }
    let mut room = LONGEST_MESSAGE - CUT.len();
    let kept = message.chars().take_while(|letter| {
        let fits = bytes_in_state(*letter) <= room;
        room = room.saturating_sub(bytes_in_state(*letter));
        fits
    });
    kept.chain(CUT.chars()).collect()
}

/// Bytes of a letter in a state. The message is a text of the JSON that Lambda answers, which is a text of
/// the state's JSON: `"` is `\\\"` there.
fn bytes_in_state(letter: char) -> usize {
    match letter {
        '"' | '\\' => 4,
        '\n' | '\r' | '\t' => 3,
        letter if letter < ' ' => 7,
        letter => letter.len_utf8(),
    }
}

impl From<object_store::Error> for StageError {
    fn from(error: object_store::Error) -> Self {
        storage_error::of(error.to_string(), &error).caused_by(error)
    }
}

#[cfg(feature = "tables")]
impl From<deltalake::DeltaTableError> for StageError {
    fn from(error: deltalake::DeltaTableError) -> Self {
        storage_error::of(format!("delta log: {error}"), &error).caused_by(error)
    }
}

/// Polars works on rows, and its messages may quote a value of one: only the kind goes on.
#[cfg(feature = "tables")]
impl From<polars_error::PolarsError> for StageError {
    fn from(error: polars_error::PolarsError) -> Self {
        use polars_error::PolarsError as E;
        let kind = match error {
            E::ColumnNotFound(column) => format!("column not found: {column}"),
            // The words of `rcm-domain`, which name a column and a type.
            E::AssertionError(words) => words.to_string(),
            E::IO { error, .. } => {
                return Self::of_io(format!("reading a Parquet file: {}", error.kind()), &error, Self::storage);
            }
            E::SchemaMismatch(_) | E::SchemaFieldNotFound(_) => "schema mismatch".to_owned(),
            E::ShapeMismatch(_) => "shape mismatch".to_owned(),
            E::InvalidOperation(_) => "invalid operation".to_owned(),
            E::ComputeError(_) => "compute error".to_owned(),
            _ => "unexpected frame error".to_owned(),
        };
        Self::corrupt_lake(format!("frame: {kind}"))
    }
}

/// Of bytes that were read already. The messages may quote a value: only the kind goes on.
#[cfg(feature = "tables")]
impl From<parquet::errors::ParquetError> for StageError {
    fn from(error: parquet::errors::ParquetError) -> Self {
        use parquet::errors::ParquetError as E;
        let kind = match error {
            E::EOF(_) | E::NeedMoreData(_) => "it ends too early",
            E::NYI(_) => "it has a feature that is not known",
            _ => "it is no valid Parquet file",
        };
        Self::corrupt_lake(format!("reading a Parquet file: {kind}"))
    }
}

impl From<MappingError> for StageError {
    fn from(error: MappingError) -> Self {
        Self::bad_config(error.to_string()).caused_by(error)
    }
}

impl From<LoadConfigError> for StageError {
    fn from(error: LoadConfigError) -> Self {
        Self::bad_config(error.to_string()).caused_by(error)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lambda_sees_the_name_that_the_state_machine_matches() {
        let diagnostic = Diagnostic::from(StageError::throttled("slow down".to_owned()));
        assert_eq!(diagnostic.error_type, "Throttled");
        assert_eq!(diagnostic.error_message, "throttled: slow down");
    }

    /// Bytes of a message in the state of a state machine, with the quotes around it in the inner text.
    fn bytes_in_state(message: &str) -> usize {
        let answered = serde_json::to_string(message).unwrap();
        serde_json::to_string(&answered).unwrap().len() - 6
    }

    #[rstest::rstest]
    #[case::plain("column not found, ")]
    #[case::letters_of_several_bytes("fehlende Größe – 病院 ")]
    #[case::quotes("\"a\\b\"")]
    #[case::control_characters("\n\t\u{1}")]
    fn a_long_message_is_cut_to_what_a_state_may_hold_and_says_so(#[case] part: &str) {
        let error = StageError::broken_contract(part.repeat(500));
        let whole = error.to_string();
        let told = Diagnostic::from(error).error_message;
        assert!(told.ends_with(CUT) && whole.starts_with(told.strip_suffix(CUT).unwrap()), "{told}");
        let bytes = bytes_in_state(&told);
        assert!((LONGEST_MESSAGE - 20..=LONGEST_MESSAGE).contains(&bytes), "{bytes}");
    }

    #[rstest::rstest]
    #[case("load 3 of `claims/hos-a` has no rows", "broken contract: load 3 of `claims/hos-a` has no rows")]
    #[case("has no rows", "broken contract: load `claims/hos-a 3`: has no rows")]
    fn what_a_message_names_already_is_not_said_twice(#[case] message: &str, #[case] told: &str) {
        assert_eq!(StageError::broken_contract(message).of_load("claims/hos-a", 3).to_string(), told);
    }

    #[test]
    fn the_causes_of_an_error_are_said_once_each_and_cut() {
        let io = std::io::Error::other("the disk is gone");
        let error = StageError::storage("writing failed")
            .caused_by(object_store::Error::Generic { store: "S3", source: Box::new(io) });
        assert_eq!(error.causes().unwrap(), "Generic S3 error: the disk is gone");
        assert_eq!(StageError::storage("writing failed").causes(), None);
        let quoted = StageError::storage("the disk is gone").caused_by(std::io::Error::other("the disk is gone"));
        assert_eq!(quoted.causes(), None);
        let long = StageError::storage("").caused_by(std::io::Error::other("\u{17f}".repeat(LONGEST_CAUSES)));
        assert_eq!(long.causes().unwrap().len(), LONGEST_CAUSES);
    }

    #[test]
    fn a_message_that_a_state_has_room_for_is_answered_whole() {
        let longest = "x".repeat(LONGEST_MESSAGE);
        assert_eq!(bounded(&longest), longest);
        assert!(bounded(&format!("{longest}x")).ends_with(CUT));
    }
}
