//! The process's environment, read once.

use std::path::PathBuf;

use crate::error::{Result, StageError};

/// What is logged where `RUST_LOG` does not say.
const DEFAULT_LOG_FILTER: &str = "info";

/// What the process is told by its environment.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Environment {
    /// `LAKE_URL`: root of the lake, `file:///…` or `s3://…`.
    pub lake_url: String,
    /// `RCM_EMR_DIR`: a folder `<datasource>/<table>.csv` to extract from, in place of what
    /// `configs/sources.toml` names.
    pub emr_dir: Option<PathBuf>,
    /// `RCM_SECRETS_FILE`: a JSON file with an object per secret, by name, in place of AWS Secrets
    /// Manager.
    pub secrets_file: Option<PathBuf>,
    /// `RCM_EMR_SECRETS`: what stands before a database's name in the name of its secret, for
    /// databases whose secret `configs/sources.toml` does not name.
    pub emr_secrets: Option<String>,
    /// `RCM_ICD_SECRET`: name or ARN of the ICD API's secret where `configs/sources.toml` names none.
    pub icd_secret: Option<String>,
    /// `AWS_LAMBDA_FUNCTION_NAME` is set: logs are JSON, and metrics are told.
    pub in_lambda: bool,
    /// `RCM_ENVIRONMENT`: tells the metrics of several lakehouses apart.
    pub name: String,
    /// `RCM_TIME_ZONE`: the zone whose day a run is of, such as `America/New_York`; UTC where it is not set.
    pub time_zone: Option<String>,
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
        let lake_url = std::env::var("LAKE_URL").ok().filter(|value| !value.is_empty());
        Ok(Self::read_for(lake_url.ok_or_else(|| StageError::bad_config("LAKE_URL is not set".to_owned()))?))
    }

    /// Reads the environment, but for the lake, which is given.
    #[must_use]
    #[expect(clippy::disallowed_methods, reason = "the one place that reads the environment")]
    pub fn read_for(lake_url: String) -> Self {
        let read = |name: &str| std::env::var(name).ok().filter(|value| !value.is_empty());
        Self {
            lake_url,
            emr_dir: read("RCM_EMR_DIR").map(PathBuf::from),
            secrets_file: read("RCM_SECRETS_FILE").map(PathBuf::from),
            emr_secrets: read("RCM_EMR_SECRETS"),
            icd_secret: read("RCM_ICD_SECRET"),
            in_lambda: read("AWS_LAMBDA_FUNCTION_NAME").is_some(),
            name: read("RCM_ENVIRONMENT").unwrap_or_else(|| "local".to_owned()),
            time_zone: read("RCM_TIME_ZONE"),
            log_filter: read("RUST_LOG").unwrap_or_else(|| DEFAULT_LOG_FILTER.to_owned()),
        }
    }

    /// `RUST_LOG`, if it is set.
    #[must_use]
    #[expect(clippy::disallowed_methods, reason = "the one place that reads the environment")]
    pub fn read_log_filter() -> Option<String> {
        std::env::var("RUST_LOG").ok().filter(|value| !value.is_empty())
    }
}

/// What the environment says of the store behind an `s3://` lake. It holds credentials, and so does
/// not show itself.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct StoreEnvironment {
    /// The variables `AWS_…`: region, endpoint, credentials.
    pub aws: Vec<(String, String)>,
    /// `LAKE_KMS_KEYS`: the KMS key of what is written below each layer, as in
    /// `bronze=<arn>,silver=<arn>`; the bucket's default where a layer has none.
    pub kms_keys: Vec<(String, String)>,
}

impl StoreEnvironment {
    /// Reads the environment.
    ///
    /// # Errors
    /// `LAKE_KMS_KEYS` is no list of layers and keys.
    #[expect(clippy::disallowed_methods, reason = "the one place that reads the environment")]
    pub fn read() -> Result<Self> {
        let aws =
            std::env::vars_os().filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)));
        let aws = aws.filter(|(name, value)| name.starts_with("AWS_") && !value.is_empty()).collect();
        Ok(Self { aws, kms_keys: kms_keys(&std::env::var("LAKE_KMS_KEYS").unwrap_or_default())? })
    }
}

fn kms_keys(list: &str) -> Result<Vec<(String, String)>> {
    let pairs = list.split(',').map(str::trim).filter(|pair| !pair.is_empty());
    let pairs = pairs.map(|pair| match pair.split_once('=') {
        Some((layer, key)) if !layer.is_empty() && !key.is_empty() => Ok((layer.to_owned(), key.to_owned())),
        _ => Err(StageError::bad_config(format!("LAKE_KMS_KEYS: `{pair}` is not <layer>=<key>"))),
    });
    pairs.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_layer_of_the_list_has_its_key() {
        let pair = |layer: &str, key: &str| (layer.to_owned(), key.to_owned());
        let expected = vec![pair("bronze", "arn:aws:kms:eu:1:key/a"), pair("gold", "arn:aws:kms:eu:1:key/b")];
        assert_eq!(kms_keys("bronze=arn:aws:kms:eu:1:key/a, gold=arn:aws:kms:eu:1:key/b,").unwrap(), expected);
        assert_eq!(kms_keys("").unwrap(), []);
    }

    #[test]
    fn a_layer_without_a_key_is_a_mistake() {
        assert_eq!(kms_keys("bronze").unwrap_err().name(), "BadConfig");
        assert_eq!(kms_keys("bronze=").unwrap_err().name(), "BadConfig");
    }
}
