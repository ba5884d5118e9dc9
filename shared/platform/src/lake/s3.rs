//! The store of a lake in S3.

use std::sync::Arc;
use std::time::Duration;

use object_store::aws::{AmazonS3, AmazonS3Builder, AmazonS3ConfigKey};
use object_store::client::{HttpClient, HttpConnector, ReqwestConnector};
use object_store::path::Path;
use object_store::prefix::PrefixStore;
use object_store::{BackoffConfig, ClientOptions, DynObjectStore, RetryConfig};
use url::Url;

use super::layers::LayeredStore;
use crate::config::StoreEnvironment;
use crate::error::{Result, StageError};

const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// How long one request may take, the body included: some hundred megabytes.
const REQUEST_TIMEOUT: Duration = Duration::from_mins(2);

/// Opens the store below `s3://bucket/prefix`; the prefix may be empty.
///
/// Requests that may be repeated are, after what may pass (5xx, SlowDown, 429, a connection that
/// broke), with growing pauses. A put that must not replace anything says so to S3 itself.
///
/// # Errors
/// The URL has no bucket, or the environment's values cannot be used.
pub(super) fn open(root: &Url, environment: &StoreEnvironment) -> Result<Arc<DynObjectStore>> {
    open_with_retry(root, environment, patience())
}

/// As [`open`], with requests retried as it is given.
///
/// # Errors
/// As [`open`].
pub(super) fn open_with_retry(
    root: &Url,
    environment: &StoreEnvironment,
    retry: RetryConfig,
) -> Result<Arc<DynObjectStore>> {
    let no_bucket = || StageError::bad_config(format!("lake `{root}` has no bucket"));
    let prefix = Path::from_url_path(root.path()).map_err(|error| StageError::bad_config(format!("lake: {error}")))?;
    let client = client_options(environment);
    let builder = builder(environment)
        .with_bucket_name(root.host_str().ok_or_else(no_bucket)?)
        .with_client_options(client.clone())
        .with_retry(retry);
    let common = builder.clone().build()?;
    if environment.kms_keys.is_empty() {
        return Ok(below(common, &prefix));
    }
    let shared = SharedClient(ReqwestConnector::default().connect(&client)?);
    let mut layers = Vec::with_capacity(environment.kms_keys.len());
    for (layer, key) in &environment.kms_keys {
        let store = builder
            .clone()
            .with_credentials(Arc::clone(common.credentials()))
            .with_http_connector(shared.clone())
            .with_sse_kms_encryption(key)
            .with_bucket_key(true)
            .build()?;
        layers.push((layer.clone(), below(store, &prefix)));
    }
    Ok(Arc::new(LayeredStore { common: below(common, &prefix), layers }))
}

/// Region, endpoint and credentials as the environment has them. Paths, not host names, carry the
/// bucket: every server that speaks S3 knows them.
fn builder(environment: &StoreEnvironment) -> AmazonS3Builder {
    let known = environment.aws.iter().filter_map(|(name, value)| {
        let key: AmazonS3ConfigKey = name.to_ascii_lowercase().parse().ok()?;
        Some((key, value))
    });
    known.fold(AmazonS3Builder::new(), |builder, (key, value)| builder.with_config(key, value))
}

/// Without TLS only where the endpoint itself is named so.
fn client_options(environment: &StoreEnvironment) -> ClientOptions {
    let endpoint = |name: &str| environment.aws.iter().find(|(known, _)| known == name).map(|(_, value)| value);
    let endpoint = endpoint("AWS_ENDPOINT_URL_S3").or_else(|| endpoint("AWS_ENDPOINT_URL"));
    ClientOptions::new()
        .with_connect_timeout(CONNECT_TIMEOUT)
        .with_timeout(REQUEST_TIMEOUT)
        .with_allow_http(endpoint.is_some_and(|url| url.starts_with("http://")))
}

fn patience() -> RetryConfig {
    let backoff =
        BackoffConfig { init_backoff: Duration::from_millis(100), max_backoff: Duration::from_secs(15), base: 2. };
    RetryConfig { backoff, max_retries: 8, retry_timeout: Duration::from_secs(150) }
}

fn below(store: AmazonS3, prefix: &Path) -> Arc<DynObjectStore> {
    if prefix.as_ref().is_empty() {
        return Arc::new(store);
    }
    Arc::new(PrefixStore::new(store, prefix.clone()))
}

/// One pool of connections for the stores of all layers.
#[derive(Debug, Clone)]
struct SharedClient(HttpClient);

impl HttpConnector for SharedClient {
    fn connect(&self, _: &ClientOptions) -> object_store::Result<HttpClient> {
        Ok(self.0.clone())
    }
}

#[cfg(test)]
mod tests {
    use wiremock::matchers::{header, header_exists, method, path, query_param};
    use wiremock::{Mock, MockServer, ResponseTemplate};

    use crate::config::StoreEnvironment;
    use crate::lake::{Lake, PutOutcome};

    fn environment(endpoint: &str, kms_keys: &[(&str, &str)]) -> StoreEnvironment {
        let pairs = |pairs: &[(&str, &str)]| pairs.iter().map(|(a, b)| ((*a).to_owned(), (*b).to_owned())).collect();
        StoreEnvironment {
            aws: pairs(&[
                ("AWS_ENDPOINT_URL", endpoint),
                ("AWS_ACCESS_KEY_ID", "id"),
                ("AWS_SECRET_ACCESS_KEY", "secret"),
                ("AWS_REGION", "us-east-1"),
                ("AWS_EXECUTION_ENV", "of no interest"),
            ]),
            kms_keys: pairs(kms_keys),
        }
    }

    fn stored() -> ResponseTemplate {
        ResponseTemplate::new(200).insert_header("ETag", "\"e\"")
    }

    #[tokio::test]
    async fn a_write_names_the_key_of_its_layer_and_another_write_none() {
        let server = MockServer::start().await;
        let key = "x-amz-server-side-encryption-aws-kms-key-id";
        let of_silver = Mock::given(method("PUT")).and(path("/bucket/silver/a")).and(header(key, "arn:silver"));
        of_silver.and(header("x-amz-server-side-encryption", "aws:kms")).respond_with(stored()).mount(&server).await;
        let of_gold = Mock::given(method("PUT")).and(path("/bucket/gold/a")).and(header(key, "arn:gold"));
        of_gold.respond_with(stored()).mount(&server).await;
        let keyed = Mock::given(method("PUT")).and(path("/bucket/configs/a")).and(header_exists(key));
        keyed.respond_with(ResponseTemplate::new(400)).mount(&server).await;
        Mock::given(method("PUT")).and(path("/bucket/configs/a")).respond_with(stored()).mount(&server).await;

        let keys = [("silver", "arn:silver"), ("gold", "arn:gold")];
        let lake = Lake::open_with("s3://bucket", &environment(&server.uri(), &keys)).unwrap();
        for key in ["silver/a", "gold/a", "configs/a"] {
            lake.put(key, "x").await.unwrap_or_else(|error| panic!("{key}: {error}"));
        }
    }

    #[tokio::test]
    async fn a_lake_may_be_a_whole_bucket_or_a_part_of_one() {
        for (root, object) in
            [("s3://bucket", "/bucket/silver/a"), ("s3://bucket/some/part/", "/bucket/some/part/silver/a")]
        {
            let server = MockServer::start().await;
            Mock::given(method("GET"))
                .and(path(object))
                .respond_with(stored().set_body_string("x"))
                .mount(&server)
                .await;
            let lake = Lake::open_with(root, &environment(&server.uri(), &[])).unwrap();
            assert_eq!(lake.get("silver/a").await.unwrap().as_ref(), b"x", "{root}");
        }
    }

    #[tokio::test]
    async fn a_conditional_put_leaves_the_choice_of_the_winner_to_the_store() {
        let server = MockServer::start().await;
        let put = Mock::given(method("PUT")).and(header("If-None-Match", "*"));
        put.respond_with(ResponseTemplate::new(412)).expect(1).mount(&server).await;
        let lake = Lake::open_with("s3://bucket", &environment(&server.uri(), &[])).unwrap();
        assert_eq!(lake.put_if_absent("bronze/a", "x").await.unwrap(), PutOutcome::AlreadyThere);
    }

    #[tokio::test]
    async fn many_objects_are_removed_with_one_request() {
        let server = MockServer::start().await;
        let removed = "<DeleteResult><Deleted><Key>silver/a</Key></Deleted></DeleteResult>";
        let bulk = Mock::given(method("POST")).and(path("/bucket")).and(query_param("delete", ""));
        bulk.respond_with(ResponseTemplate::new(200).set_body_string(removed)).expect(1).mount(&server).await;
        let lake = Lake::open_with("s3://bucket", &environment(&server.uri(), &[])).unwrap();
        lake.delete_all((0..900).map(|file| format!("silver/{file}.parquet")).collect()).await.unwrap();
        lake.delete_all(Vec::new()).await.unwrap();
    }

    #[tokio::test]
    async fn a_store_that_asks_for_patience_is_asked_again() {
        let server = MockServer::start().await;
        let slow_down = ResponseTemplate::new(503).set_body_string("<Error><Code>SlowDown</Code></Error>");
        Mock::given(method("GET")).respond_with(slow_down).up_to_n_times(2).mount(&server).await;
        Mock::given(method("GET")).respond_with(stored().set_body_string("x")).mount(&server).await;
        let lake = Lake::open_with("s3://bucket", &environment(&server.uri(), &[])).unwrap();
        assert_eq!(lake.get("configs/a").await.unwrap().as_ref(), b"x");
    }

    #[tokio::test]
    async fn a_store_that_says_no_is_not_asked_again() {
        let server = MockServer::start().await;
        Mock::given(method("GET")).respond_with(ResponseTemplate::new(403)).expect(1).mount(&server).await;
        let lake = Lake::open_with("s3://bucket", &environment(&server.uri(), &[])).unwrap();
        assert_eq!(lake.get("silver/a").await.unwrap_err().name(), "BadConfig");
    }
}
