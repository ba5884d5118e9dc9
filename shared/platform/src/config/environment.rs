//! The process's environment, read once.

use std::path::PathBuf;

use crate::error::{Result, StageError};

/// What the process is told by its environment.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Environment {
    /// `LAKE_URL`: root of the lake, `file:///…` or `s3://…`.
    pub lake_url: String,
    /// `RCM_EMR_DIR`: a folder `<datasource>/<table>.csv` to extract from, in place of what
    /// `configs/sources.toml` names.
    pub emr_dir: Option<PathBuf>,
    /// `AWS_LAMBDA_FUNCTION_NAME` is set: logs are JSON.
    pub in_lambda: bool,
    /// `RUST_LOG`: what is logged; `info` where it is not set.
    pub log_filter: String,
}

impl Environment {
    /// Reads the environment.
    ///
    /// # Errors
    /// `LAKE_URL` is missing.
    #[expect(clippy::disallowed_methods, reason = "the one place that reads the environment")]
    pub fn read() -> Result<Self> {
        let read = |name: &str| std::env::var(name).ok().filter(|value| !value.is_empty());
        Ok(Self {
            lake_url: read("LAKE_URL").ok_or_else(|| StageError::BadConfig("LAKE_URL is not set".to_owned()))?,
            emr_dir: read("RCM_EMR_DIR").map(PathBuf::from),
            in_lambda: read("AWS_LAMBDA_FUNCTION_NAME").is_some(),
            log_filter: read("RUST_LOG").unwrap_or_else(|| "info".to_owned()),
        })
    }

    /// `RUST_LOG`, if it is set.
    #[must_use]
    #[expect(clippy::disallowed_methods, reason = "the one place that reads the environment")]
    pub fn read_log_filter() -> Option<String> {
        std::env::var("RUST_LOG").ok().filter(|value| !value.is_empty())
    }
}
