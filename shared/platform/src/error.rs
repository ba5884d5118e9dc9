//! The one error of all stages. Its names are the error names that the state machines retry and
//! catch by.

use lambda_runtime::Diagnostic;
use rcm_model::cdm::MappingError;
use rcm_model::load_config::LoadConfigError;

use crate::storage_error;

/// Why a stage ended without doing its work.
///
/// Messages name the table, the load, the rule or the row number, and never a value of a row.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum StageError {
    /// The source did not answer, or stopped in the middle. Worth another try.
    #[error("source unavailable: {0}")]
    SourceUnavailable(String),
    /// The source or AWS asked for patience. Worth another try, later.
    #[error("throttled: {0}")]
    Throttled(String),
    /// Another run kept committing to the same table or stream. Worth another try.
    #[error("commit conflict: {0}")]
    CommitConflict(String),
    /// Something took longer than it may. Worth another try.
    #[error("timeout: {0}")]
    Timeout(String),
    /// The store failed. Worth another try.
    #[error("storage: {0}")]
    Storage(String),
    /// The configuration cannot be used; somebody has to change it.
    #[error("bad configuration: {0}")]
    BadConfig(String),
    /// The source is not what the configuration says it is: a missing column, another encoding.
    #[error("broken contract: {0}")]
    BrokenContract(String),
    /// More rows failed or vanished than the configuration allows.
    #[error("threshold exceeded: {0}")]
    ThresholdExceeded(String),
    /// Two figures that must agree did not; nothing was committed.
    #[error("control check failed: {0}")]
    ControlCheckFailed(String),
    /// A table in the lake is not as this version of the product wrote it.
    #[error("corrupt lake: {0}")]
    CorruptLake(String),
}

/// What every fallible call of the platform answers.
pub type Result<T> = std::result::Result<T, StageError>;

impl StageError {
    /// The name that the state machine's `Retry` and `Catch` match.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self {
            Self::SourceUnavailable(_) => "SourceUnavailable",
            Self::Throttled(_) => "Throttled",
            Self::CommitConflict(_) => "CommitConflict",
            Self::Timeout(_) => "Timeout",
            Self::Storage(_) => "Storage",
            Self::BadConfig(_) => "BadConfig",
            Self::BrokenContract(_) => "BrokenContract",
            Self::ThresholdExceeded(_) => "ThresholdExceeded",
            Self::ControlCheckFailed(_) => "ControlCheckFailed",
            Self::CorruptLake(_) => "CorruptLake",
        }
    }

    /// Whether the same call may succeed if made again.
    #[must_use]
    pub fn is_retryable(&self) -> bool {
        matches!(
            self,
            Self::SourceUnavailable(_)
                | Self::Throttled(_)
                | Self::CommitConflict(_)
                | Self::Timeout(_)
                | Self::Storage(_)
        )
    }
}

impl From<StageError> for Diagnostic {
    fn from(error: StageError) -> Self {
        Self { error_type: error.name().to_owned(), error_message: error.to_string() }
    }
}

impl From<object_store::Error> for StageError {
    fn from(error: object_store::Error) -> Self {
        storage_error::of(error.to_string(), &error)
    }
}

#[cfg(feature = "tables")]
impl From<deltalake::DeltaTableError> for StageError {
    fn from(error: deltalake::DeltaTableError) -> Self {
        storage_error::of(format!("delta log: {error}"), &error)
    }
}

/// Polars works on rows, and its messages may quote a value of one: only the kind goes on.
#[cfg(feature = "tables")]
impl From<polars_error::PolarsError> for StageError {
    fn from(error: polars_error::PolarsError) -> Self {
        use polars_error::PolarsError as E;
        let kind = match error {
            E::ColumnNotFound(column) => format!("column not found: {column}"),
            E::IO { error, .. } => return Self::Storage(format!("reading a Parquet file: {}", error.kind())),
            E::SchemaMismatch(_) | E::SchemaFieldNotFound(_) => "schema mismatch".to_owned(),
            E::ShapeMismatch(_) => "shape mismatch".to_owned(),
            E::InvalidOperation(_) => "invalid operation".to_owned(),
            E::ComputeError(_) => "compute error".to_owned(),
            _ => "unexpected frame error".to_owned(),
        };
        Self::CorruptLake(format!("frame: {kind}"))
    }
}

impl From<MappingError> for StageError {
    fn from(error: MappingError) -> Self {
        Self::BadConfig(error.to_string())
    }
}

impl From<LoadConfigError> for StageError {
    fn from(error: LoadConfigError) -> Self {
        Self::BadConfig(error.to_string())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lambda_sees_the_name_that_the_state_machine_matches() {
        let diagnostic = Diagnostic::from(StageError::Throttled("slow down".to_owned()));
        assert_eq!(diagnostic.error_type, "Throttled");
        assert_eq!(diagnostic.error_message, "throttled: slow down");
    }
}
