//! A SQL Server that the environment names.

use serde_json::{Value as Json, json};
use tds_server::{Column, Row, Value};
use tiberius::{AuthMethod, Config, EncryptionLevel};
use tokio::net::TcpStream;
use tokio_util::compat::TokioAsyncWriteCompatExt;
use url::Url;
use uuid::Uuid;

pub(in crate::database_tests) struct NamedServer {
    url: Url,
    /// Schema of the tables, which is dropped afterwards.
    pub(in crate::database_tests) schema: String,
}

impl NamedServer {
    /// The server that `RCM_TEST_SQLSERVER` names.
    pub(in crate::database_tests) fn of_environment() -> Option<Self> {
        #[expect(clippy::disallowed_methods, reason = "names the server of the tests, not of the product")]
        let url = std::env::var("RCM_TEST_SQLSERVER").ok()?;
        let url = Url::parse(&url).expect("RCM_TEST_SQLSERVER is a URL");
        Some(Self { url, schema: format!("rcm_test_{}", Uuid::new_v4().simple()) })
    }

    pub(in crate::database_tests) fn secret(&self) -> Json {
        json!({
            "host": self.url.host_str(), "port": self.url.port(), "username": self.url.username(),
            "password": self.url.password(), "dbname": self.url.path().trim_matches('/'),
        })
    }

    pub(in crate::database_tests) fn encrypt(&self) -> String {
        self.query("encrypt").unwrap_or("required".to_owned())
    }

    pub(in crate::database_tests) fn is_trusted(&self) -> bool {
        self.query("trust").is_some()
    }

    pub(in crate::database_tests) async fn create(&self, name: &str, columns: &[Column]) {
        let columns: Vec<String> = columns.iter().map(Column::definition).collect();
        self.execute(&format!(
            "IF SCHEMA_ID('{schema}') IS NULL EXEC('CREATE SCHEMA [{schema}]');\
             DROP TABLE IF EXISTS {name}; CREATE TABLE {name} ({})",
            columns.join(", "),
            schema = self.schema
        ))
        .await;
    }

    pub(in crate::database_tests) async fn insert(&self, name: &str, rows: Vec<Row>) {
        for row in rows {
            let values: Vec<String> = row.iter().map(Value::literal).collect();
            self.execute(&format!("INSERT INTO {name} VALUES ({})", values.join(", "))).await;
        }
    }

    pub(in crate::database_tests) async fn execute(&self, statement: &str) {
        let mut config = Config::new();
        config.host(self.url.host_str().unwrap());
        config.port(self.url.port().unwrap_or(1433));
        config.database(self.url.path().trim_matches('/'));
        config.authentication(AuthMethod::sql_server(self.url.username(), self.url.password().unwrap_or_default()));
        if self.query("encrypt").as_deref() == Some("off") {
            config.encryption(EncryptionLevel::NotSupported);
        }
        if self.is_trusted() {
            config.trust_cert();
        }
        let tcp = TcpStream::connect(config.get_addr()).await.unwrap();
        let mut client = tiberius::Client::connect(config, tcp.compat_write()).await.unwrap();
        client.simple_query(statement).await.unwrap().into_results().await.unwrap();
    }

    pub(in crate::database_tests) async fn drop_schema(&self) {
        let schema = &self.schema;
        self.execute(&format!(
            "DECLARE @drop nvarchar(max) = N''; \
             SELECT @drop += N'DROP TABLE [{schema}].' + QUOTENAME(name) + N';' FROM sys.tables \
             WHERE schema_id = SCHEMA_ID('{schema}'); EXEC(@drop); DROP SCHEMA IF EXISTS [{schema}]"
        ))
        .await;
    }

    fn query(&self, name: &str) -> Option<String> {
        self.url.query_pairs().find(|(key, _)| key == name).map(|(_, value)| value.into_owned())
    }
}
