//! Secrets of sources: JSON objects in AWS Secrets Manager, or in a file on a machine without AWS.
//!
//! A secret that was read stays in the process, so that a function that is used again, or a run of
//! many tables, asks once. Whoever is refused with it asks for it anew.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::{LazyLock, Mutex, PoisonError};

use aws_config::BehaviorVersion;
use aws_sdk_secretsmanager::Client;
use aws_sdk_secretsmanager::error::{ProvideErrorMetadata, SdkError};
use serde_json::{Map, Value};

use crate::config::Environment;
use crate::context::Context;
use crate::error::{Result, StageError};

/// The fields of a secret. Their values go into no log and no error.
pub type Secret = Map<String, Value>;

/// Secrets that were read, by the place they are from and their name.
static READ: LazyLock<Mutex<BTreeMap<(String, String), Secret>>> = LazyLock::new(Mutex::default);

/// Reads a secret by its name or ARN, once in the life of the process.
///
/// # Errors
/// `BadConfig` if there is none, if it may not be read or is no JSON object, or if Secrets Manager cannot
/// even be asked; `Throttled` or `SourceUnavailable` if it does not answer.
pub async fn read(context: &Context, name: &str) -> Result<Secret> {
    if let Some(known) = known(&context.environment, name) {
        return Ok(known);
    }
    read_anew(&context.environment, name).await
}

/// Reads a secret again that a source refused. What others read anew meanwhile will do.
///
/// # Errors
/// As [`read`].
pub async fn renew(context: &Context, name: &str, refused: &Secret) -> Result<Secret> {
    match known(&context.environment, name) {
        Some(known) if known != *refused => Ok(known),
        _ => read_anew(&context.environment, name).await,
    }
}

fn known(environment: &Environment, name: &str) -> Option<Secret> {
    READ.lock().unwrap_or_else(PoisonError::into_inner).get(&(place(environment), name.to_owned())).cloned()
}

fn place(environment: &Environment) -> String {
    environment.secrets_file.as_deref().map(|file| file.to_string_lossy().into_owned()).unwrap_or_default()
}

async fn read_anew(environment: &Environment, name: &str) -> Result<Secret> {
    let secret = if let Some(file) = &environment.secrets_file {
        from_file(file, name).await?
    } else {
        let config = aws_config::load_defaults(BehaviorVersion::latest()).await;
        from_aws(&Client::new(&config), name).await?
    };
    let key = (place(environment), name.to_owned());
    READ.lock().unwrap_or_else(PoisonError::into_inner).insert(key, secret.clone());
    Ok(secret)
}

async fn from_file(file: &Path, name: &str) -> Result<Secret> {
    let unusable = |reason: &str| StageError::bad_config(format!("secrets file `{}` {reason}", file.display()));
    let text = tokio::fs::read_to_string(file).await.map_err(|error| unusable(&error.kind().to_string()))?;
    let mut secrets: Secret = serde_json::from_str(&text).map_err(|_| unusable("is no JSON object"))?;
    match secrets.remove(name) {
        Some(Value::Object(secret)) => Ok(secret),
        Some(_) => Err(unusable(&format!("has a secret `{name}` that is no JSON object"))),
        None => Err(unusable(&format!("has no secret `{name}`"))),
    }
}

async fn from_aws(client: &Client, name: &str) -> Result<Secret> {
    let answer = client.get_secret_value().secret_id(name).send().await;
    let answer = answer.map_err(|error| explain(name, &error))?;
    let bad = |reason: &str| StageError::bad_config(format!("secret `{name}` {reason}"));
    let text = answer.secret_string().ok_or_else(|| bad("is binary, not a JSON object"))?;
    serde_json::from_str(text).map_err(|_| bad("is no JSON object"))
}

fn explain<E: ProvideErrorMetadata>(name: &str, error: &SdkError<E>) -> StageError {
    if cannot_be_asked(error) {
        return StageError::bad_config(format!(
            "secret `{name}`: there are no AWS credentials, or no region, to ask Secrets Manager with; on a machine \
             without AWS, RCM_SECRETS_FILE names a file of secrets"
        ));
    }
    match error.code() {
        Some("ThrottlingException") => StageError::throttled(format!("secret `{name}`: Secrets Manager is busy")),
        Some("InternalServiceError" | "InternalServiceErrorException") | None => {
            StageError::source_unavailable(format!("secret `{name}`: Secrets Manager does not answer"))
        }
        Some(code) => StageError::bad_config(format!("secret `{name}` cannot be read: {code}")),
    }
}

/// Whether no request was sent: credentials and region are looked for before that. What a connection came
/// to has a kind.
fn cannot_be_asked<E>(error: &SdkError<E>) -> bool {
    match error {
        SdkError::ConstructionFailure(_) => true,
        SdkError::DispatchFailure(failure) => failure.is_other() && failure.as_other().is_none(),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use aws_sdk_secretsmanager::config::retry::RetryConfig;
    use aws_sdk_secretsmanager::config::{Builder, Credentials, Region};
    use rstest::rstest;
    use serde_json::json;
    use tokio::net::TcpSocket;
    use wiremock::matchers::{body_partial_json, header, method};
    use wiremock::{Mock, MockServer, ResponseTemplate};

    use super::*;
    use crate::testing::TestLake;

    async fn context(lake: &TestLake) -> Context {
        let mut context = lake.context().await;
        context.environment.secrets_file = Some(lake.path("secrets.json"));
        context
    }

    #[tokio::test]
    async fn a_secret_is_read_once_until_it_is_renewed() {
        let lake = TestLake::new();
        let context = context(&lake).await;
        lake.write("secrets.json", r#"{"db-a": {"password": "one"}}"#);
        let old = read(&context, "db-a").await.unwrap();
        lake.write("secrets.json", r#"{"db-a": {"password": "two"}}"#);
        assert_eq!(read(&context, "db-a").await.unwrap(), old);
        let new = renew(&context, "db-a", &old).await.unwrap();
        assert_eq!(new["password"], "two");
        lake.write("secrets.json", r#"{"db-a": {"password": "three"}}"#);
        assert_eq!(renew(&context, "db-a", &old).await.unwrap(), new, "somebody else has renewed it already");
    }

    #[rstest]
    #[case::no_such_secret(r#"{"db-b": {}}"#, "has no secret `db-a`")]
    #[case::no_object(r#"{"db-a": "hunter2"}"#, "no JSON object")]
    #[case::no_json("hunter2", "no JSON object")]
    #[tokio::test]
    async fn a_file_that_cannot_be_used_is_named_without_its_words(#[case] text: &str, #[case] expected: &str) {
        let lake = TestLake::new();
        lake.write("secrets.json", text);
        let error = read(&context(&lake).await, "db-a").await.unwrap_err();
        assert_eq!(error.name(), "BadConfig");
        assert!(error.to_string().contains(expected) && !error.to_string().contains("hunter2"), "{error}");
    }

    async fn aws(answer: ResponseTemplate) -> (MockServer, Client) {
        let server = MockServer::start().await;
        Mock::given(method("POST"))
            .and(header("x-amz-target", "secretsmanager.GetSecretValue"))
            .and(body_partial_json(json!({"SecretId": "db-a"})))
            .respond_with(answer)
            .mount(&server)
            .await;
        let config = config(&server.uri()).credentials_provider(credentials());
        (server, Client::from_conf(config.build()))
    }

    fn config(url: &str) -> Builder {
        aws_sdk_secretsmanager::Config::builder()
            .behavior_version(BehaviorVersion::latest())
            .region(Region::new("eu-central-1"))
            .retry_config(RetryConfig::disabled())
            .endpoint_url(url)
    }

    fn credentials() -> Credentials {
        Credentials::new("test", "test", None, None, "test")
    }

    #[tokio::test]
    async fn secrets_manager_answers_with_a_json_object() {
        let answer = json!({"Name": "db-a", "SecretString": r#"{"username": "reader", "port": 1433}"#});
        let (_server, client) = aws(ResponseTemplate::new(200).set_body_json(answer)).await;
        assert_eq!(from_aws(&client, "db-a").await.unwrap()["username"], "reader");
    }

    #[rstest]
    #[case::missing(400, "ResourceNotFoundException", "BadConfig")]
    #[case::forbidden(400, "AccessDeniedException", "BadConfig")]
    #[case::busy(400, "ThrottlingException", "Throttled")]
    #[case::broken(500, "InternalServiceError", "SourceUnavailable")]
    #[tokio::test]
    async fn secrets_manager_refuses(#[case] status: u16, #[case] code: &str, #[case] expected: &str) {
        let answer = ResponseTemplate::new(status).set_body_json(json!({"__type": code, "message": "no"}));
        let (_server, client) = aws(answer).await;
        let error = from_aws(&client, "db-a").await.unwrap_err();
        assert_eq!(error.name(), expected);
        assert!(error.to_string().contains("`db-a`"), "{error}");
    }

    #[tokio::test]
    async fn without_credentials_there_is_something_to_configure() {
        let client = Client::from_conf(config("http://127.0.0.1:9").build());
        let error = from_aws(&client, "db-a").await.unwrap_err();
        assert_eq!(error.name(), "BadConfig");
        assert!(error.to_string().contains("RCM_SECRETS_FILE"), "{error}");
    }

    #[tokio::test]
    async fn a_secrets_manager_that_is_not_there_does_not_answer() {
        // A port that is taken and never listens: nobody else can answer there.
        let socket = TcpSocket::new_v4().unwrap();
        socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
        let config = config(&format!("http://{}", socket.local_addr().unwrap())).credentials_provider(credentials());
        let error = from_aws(&Client::from_conf(config.build()), "db-a").await.unwrap_err();
        assert_eq!(error.name(), "SourceUnavailable");
    }
}
