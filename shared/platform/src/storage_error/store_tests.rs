//! Stores that really fail: a server that speaks as S3 does, and folders that cannot be written to.

use rstest::rstest;
use wiremock::matchers::{any, method, query_param, query_param_is_missing};
use wiremock::{Mock, MockServer, ResponseTemplate};

use crate::config::StoreEnvironment;
use crate::error::Result;
use crate::lake::Lake;
use crate::testing::TestLake;

const KEY: &str = "bronze/hosa/patients/data/1.parquet";
/// More bytes than are put with one request.
const LARGE: usize = 33 * 1024 * 1024;

/// A lake in a bucket of the server at this address, which is asked once.
fn lake(address: &str) -> Lake {
    let set = |name: &str, value: &str| (name.to_owned(), value.to_owned());
    let aws = vec![
        set("AWS_ENDPOINT_URL", address),
        set("AWS_ACCESS_KEY_ID", "id"),
        set("AWS_SECRET_ACCESS_KEY", "secret"),
        set("AWS_REGION", "us-east-1"),
    ];
    Lake::open_impatient("s3://bucket/", &StoreEnvironment { aws, kms_keys: Vec::new() }).unwrap()
}

/// A reply of S3 that is an error.
fn failed(status: u16, code: &str) -> ResponseTemplate {
    let body = format!("<?xml version=\"1.0\"?><Error><Code>{code}</Code><Message>made up</Message></Error>");
    ResponseTemplate::new(status).set_body_string(body)
}

#[rstest]
#[case::slow_down(503, "SlowDown", "Throttled")]
#[case::too_many_requests(429, "TooManyRequests", "Throttled")]
#[case::internal(500, "InternalError", "Storage")]
#[case::access_denied(403, "AccessDenied", "BadConfig")]
#[case::unknown_key(403, "InvalidAccessKeyId", "BadConfig")]
#[case::expired(401, "ExpiredToken", "BadConfig")]
#[case::no_bucket(404, "NoSuchBucket", "BadConfig")]
#[tokio::test]
async fn a_reply_of_s3_has_the_name_that_retries_match(#[case] status: u16, #[case] code: &str, #[case] name: &str) {
    let server = MockServer::start().await;
    Mock::given(any()).respond_with(failed(status, code)).mount(&server).await;
    let lake = lake(&server.uri());
    for outcome in [lake.get(KEY).await.map(|_| ()), lake.put(KEY, "x").await, lake.list(KEY).await.map(|_| ())] {
        let error = outcome.unwrap_err();
        assert_eq!(error.name(), name, "{error}");
        assert_eq!(error.context().object.as_deref(), Some(KEY), "{error}");
        assert!(error.causes().is_some() || error.to_string().contains(code), "{error}");
    }
}

#[tokio::test]
async fn an_object_that_the_lake_names_and_s3_does_not_have_is_a_corrupt_lake() {
    let server = MockServer::start().await;
    Mock::given(any()).respond_with(failed(404, "NoSuchKey")).mount(&server).await;
    let lake = lake(&server.uri());
    assert_eq!(lake.get(KEY).await.unwrap_err().name(), "CorruptLake");
    assert_eq!((lake.get_if_exists(KEY).await.unwrap(), lake.head(KEY).await.unwrap()), (None, None));
}

/// Puts an object in parts whose completion has this reply.
async fn completed_with(reply: ResponseTemplate) -> Result<()> {
    let server = MockServer::start().await;
    let upload = "<InitiateMultipartUploadResult><UploadId>u</UploadId></InitiateMultipartUploadResult>";
    let begun = ResponseTemplate::new(200).set_body_string(upload);
    let creation = Mock::given(method("POST")).and(query_param_is_missing("uploadId"));
    creation.respond_with(begun).mount(&server).await;
    let stored = ResponseTemplate::new(200).insert_header("ETag", "\"e\"");
    Mock::given(method("PUT")).respond_with(stored).mount(&server).await;
    Mock::given(method("DELETE")).respond_with(ResponseTemplate::new(204)).mount(&server).await;
    Mock::given(method("POST")).and(query_param("uploadId", "u")).respond_with(reply).mount(&server).await;
    lake(&server.uri()).put(KEY, vec![0; LARGE]).await
}

#[rstest]
#[case::put_together_already(failed(404, "NoSuchUpload"), "Storage")]
#[case::slow_down(failed(200, "SlowDown"), "Throttled")]
#[case::internal(failed(200, "InternalError"), "Storage")]
#[tokio::test]
async fn an_upload_that_is_not_completed_may_be_tried_again(#[case] reply: ResponseTemplate, #[case] name: &str) {
    let error = completed_with(reply).await.unwrap_err();
    assert_eq!(error.name(), name, "{error}");
    assert_eq!(error.context().object.as_deref(), Some(KEY));
}

#[tokio::test]
async fn one_of_many_objects_that_may_not_be_removed_is_bad_configuration() {
    let server = MockServer::start().await;
    let reply = format!(
        "<DeleteResult><Error><Key>{KEY}</Key><Code>AccessDenied</Code><Message>made up</Message></Error></DeleteResult>"
    );
    Mock::given(any()).respond_with(ResponseTemplate::new(200).set_body_string(reply)).mount(&server).await;
    let error = lake(&server.uri()).delete_all(vec![KEY.to_owned()]).await.unwrap_err();
    assert_eq!(error.name(), "BadConfig", "{error}");
}

#[tokio::test]
async fn a_server_that_is_not_there_may_be_there_later() {
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let lake = lake(&format!("http://{}", port.local_addr().unwrap()));
    drop(port);
    let error = lake.put(KEY, "x").await.unwrap_err();
    assert_eq!(error.name(), "Storage", "{error}");
}

#[tokio::test]
async fn a_layer_that_is_a_file_is_bad_configuration_with_what_to_do() {
    let folder = TestLake::new();
    folder.write("bronze", "a file where the folder has to be");
    let lake = folder.context().await.lake;
    for outcome in [lake.put(KEY, "x").await, lake.put(KEY, vec![0; LARGE]).await, lake.get(KEY).await.map(|_| ())] {
        let error = outcome.unwrap_err();
        assert_eq!(error.name(), "BadConfig", "{error}");
        assert!(error.to_string().contains("hint: a file is where a folder has to be"), "{error}");
        assert_eq!(error.context().object.as_deref(), Some(KEY));
    }
}
