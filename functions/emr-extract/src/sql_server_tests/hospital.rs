//! A hospital's database and the lake that it is extracted into.

use std::fs::File;
use std::panic::AssertUnwindSafe;

use arrow_cast::display::{ArrayFormatter, FormatOptions};
use futures::FutureExt;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use rcm_model::event::{ExtractInput, StageReport};
use rcm_model::load_config::{LoadRow, LoadType};
use rcm_platform::bronze::Manifest;
use rcm_platform::testing::TestLake;
use rcm_platform::{Context, StageError};
use serde_json::json;
use tds_server::{Column, PASSWORD, Row, TdsServer, Type, USER, Value};
use tiberius::{AuthMethod, Config, EncryptionLevel};
use tokio::net::TcpStream;
use tokio_util::compat::TokioAsyncWriteCompatExt;
use url::Url;
use uuid::Uuid;

/// How a null looks among the values of bronze.
pub(super) const NULL: &str = "NULL";

pub(super) struct Hospital {
    pub(super) lake: TestLake,
    database: Database,
    /// Schema of the tables.
    schema: String,
}

enum Database {
    InProcess(TdsServer),
    Named(Box<Url>),
}

/// Runs a test on the server that the environment names, or on one in this process.
pub(super) async fn in_any_hospital(test: impl AsyncFnOnce(&Hospital)) {
    #[expect(clippy::disallowed_methods, reason = "names the server of the tests, not of the product")]
    let named = std::env::var("RCM_TEST_SQLSERVER").ok();
    let database = match named {
        Some(url) => Database::Named(Box::new(Url::parse(&url).expect("RCM_TEST_SQLSERVER is a URL"))),
        None => Database::InProcess(TdsServer::start().await),
    };
    let hospital = Hospital::of(database);
    let outcome = AssertUnwindSafe(test(&hospital)).catch_unwind().await;
    hospital.drop_schema().await;
    if let Err(panic) = outcome {
        std::panic::resume_unwind(panic);
    }
}

/// A hospital whose server is in this process.
pub(super) async fn hospital() -> Hospital {
    Hospital::of(Database::InProcess(TdsServer::start().await))
}

/// A hospital whose server is in this process and encrypts.
pub(super) async fn encrypted_hospital() -> Hospital {
    Hospital::of(Database::InProcess(TdsServer::start_with_tls().await))
}

impl Hospital {
    fn of(database: Database) -> Self {
        let lake = TestLake::new();
        let (secret, encrypt, trust, schema) = match &database {
            Database::InProcess(server) => {
                let encrypt = if server.certificate().is_some() { "required" } else { "off" };
                let secret =
                    json!({"host": "localhost", "port": server.port(), "username": USER, "password": PASSWORD});
                (secret, encrypt.to_owned(), false, "dbo".to_owned())
            }
            Database::Named(url) => {
                let secret = json!({
                    "host": url.host_str(), "port": url.port(), "username": url.username(),
                    "password": url.password(), "dbname": url.path().trim_matches('/'),
                });
                let schema = format!("rcm_test_{}", Uuid::new_v4().simple());
                (secret, query(url, "encrypt").unwrap_or("required".to_owned()), query(url, "trust").is_some(), schema)
            }
        };
        lake.write("secrets.json", json!({"db-a": secret}).to_string());
        lake.edit("configs/sources.toml", "kind = \"files\"", "kind = \"sql_server\"");
        let sources = lake.read("configs/sources.toml");
        let own = format!(
            "\n[emr.sql_server]\nretry_pause_ms = 1\nstatement_timeout_seconds = 20\n\
             [emr.sql_server.databases.db-a]\nencrypt = \"{encrypt}\"\ntrust_server_certificate = {trust}\n"
        );
        lake.write("configs/sources.toml", sources + &own);
        Self { lake, database, schema }
    }

    /// The server of this process.
    pub(super) fn server(&self) -> &TdsServer {
        match &self.database {
            Database::InProcess(server) => server,
            Database::Named(_) => panic!("this test is of a server that does wrong on purpose"),
        }
    }

    /// Changes a setting of `configs/sources.toml`.
    pub(super) fn set(&self, from: &str, to: &str) {
        self.lake.edit("configs/sources.toml", from, to);
    }

    /// Adds to the settings of one stream.
    pub(super) fn set_stream(&self, stream: &str, settings: &str) {
        let sources = self.lake.read("configs/sources.toml");
        self.lake.write("configs/sources.toml", format!("{sources}\n[emr.streams.\"{stream}\"]\n{settings}\n"));
    }

    pub(super) fn without_overlap(&self) {
        self.set("overlap_days = 1", "overlap_days = 0");
    }

    /// Makes a table, in place of one that may be there.
    pub(super) async fn create(&self, table: &str, columns: &[Column]) {
        let name = self.table(table);
        match &self.database {
            Database::InProcess(server) => server.create(&name, columns.to_vec()),
            Database::Named(_) => {
                let columns: Vec<String> = columns.iter().map(Column::definition).collect();
                self.execute(&format!(
                    "IF SCHEMA_ID('{schema}') IS NULL EXEC('CREATE SCHEMA [{schema}]');\
                     DROP TABLE IF EXISTS {name}; CREATE TABLE {name} ({})",
                    columns.join(", "),
                    schema = self.schema
                ))
                .await;
            }
        }
    }

    pub(super) async fn insert(&self, table: &str, rows: Vec<Row>) {
        let name = self.table(table);
        match &self.database {
            Database::InProcess(server) => server.insert(&name, rows),
            Database::Named(_) => {
                for row in rows {
                    let values: Vec<String> = row.iter().map(Value::literal).collect();
                    self.execute(&format!("INSERT INTO {name} VALUES ({})", values.join(", "))).await;
                }
            }
        }
    }

    /// Removes all rows of a table.
    pub(super) async fn clear(&self, table: &str) {
        let name = self.table(table);
        match &self.database {
            Database::InProcess(server) => server.clear(&name),
            Database::Named(_) => self.execute(&format!("DELETE FROM {name}")).await,
        }
    }

    fn table(&self, table: &str) -> String {
        format!("{}.{table}", self.schema)
    }

    pub(super) fn row(&self, table: &str, loadtype: LoadType) -> LoadRow {
        LoadRow {
            database: "db-a".to_owned(),
            datasource: "hos-a".to_owned(),
            tablename: self.table(table),
            loadtype,
            watermark: if loadtype == LoadType::Incremental { "ModifiedDate".to_owned() } else { String::new() },
            is_active: true,
            targetpath: "hosa".to_owned(),
        }
    }

    pub(super) async fn context(&self) -> Context {
        let mut context = self.lake.context().await;
        context.environment.emr_dir = None;
        context.environment.secrets_file = Some(self.lake.path("secrets.json"));
        context
    }

    pub(super) async fn extract(&self, row: LoadRow) -> Result<StageReport, StageError> {
        crate::handle(self.context().await, ExtractInput { run_id: "run-1".to_owned(), row, force: false }).await
    }

    pub(super) async fn full(&self, table: &str) -> Result<StageReport, StageError> {
        self.extract(self.row(table, LoadType::Full)).await
    }

    pub(super) async fn incremental(&self, table: &str) -> Result<StageReport, StageError> {
        self.extract(self.row(table, LoadType::Incremental)).await
    }

    /// The last load of a stream.
    pub(super) async fn last_load(&self, stream: &str) -> Manifest {
        self.lake.loads(stream).await.pop().expect("the stream has a load")
    }

    /// Values of some columns of a load, in the order of the first of them.
    pub(super) fn values(&self, load: &Manifest, columns: &[&str]) -> Vec<Vec<String>> {
        let mut rows = Vec::new();
        for file in &load.data_files {
            let reader = ParquetRecordBatchReaderBuilder::try_new(File::open(self.lake.path(file)).unwrap()).unwrap();
            for batch in reader.build().unwrap() {
                let batch = batch.unwrap();
                let options = FormatOptions::default().with_null(NULL);
                let formatters: Vec<ArrayFormatter> = columns
                    .iter()
                    .map(|name| ArrayFormatter::try_new(batch.column_by_name(name).unwrap(), &options).unwrap())
                    .collect();
                rows.extend(
                    (0..batch.num_rows()).map(|row| formatters.iter().map(|f| f.value(row).to_string()).collect()),
                );
            }
        }
        rows.sort();
        rows
    }

    /// Values of one column of a load, in their order.
    pub(super) fn column(&self, load: &Manifest, column: &str) -> Vec<String> {
        self.values(load, &[column]).concat()
    }

    /// Keys of the Parquet files below a stream.
    pub(super) fn data_files(&self, stream: &str) -> Vec<String> {
        self.lake.files(&format!("bronze/{stream}/data"))
    }

    async fn execute(&self, statement: &str) {
        let Database::Named(url) = &self.database else { return };
        let mut config = Config::new();
        config.host(url.host_str().unwrap());
        config.port(url.port().unwrap_or(1433));
        config.database(url.path().trim_matches('/'));
        config.authentication(AuthMethod::sql_server(url.username(), url.password().unwrap_or_default()));
        if query(url, "encrypt").as_deref() == Some("off") {
            config.encryption(EncryptionLevel::NotSupported);
        }
        if query(url, "trust").is_some() {
            config.trust_cert();
        }
        let tcp = TcpStream::connect(config.get_addr()).await.unwrap();
        let mut client = tiberius::Client::connect(config, tcp.compat_write()).await.unwrap();
        client.simple_query(statement).await.unwrap().into_results().await.unwrap();
    }

    async fn drop_schema(&self) {
        let Database::Named(_) = &self.database else { return };
        let schema = &self.schema;
        self.execute(&format!(
            "DECLARE @drop nvarchar(max) = N''; \
             SELECT @drop += N'DROP TABLE [{schema}].' + QUOTENAME(name) + N';' FROM sys.tables \
             WHERE schema_id = SCHEMA_ID('{schema}'); EXEC(@drop); DROP SCHEMA IF EXISTS [{schema}]"
        ))
        .await;
    }
}

fn query(url: &Url, name: &str) -> Option<String> {
    url.query_pairs().find(|(key, _)| key == name).map(|(_, value)| value.into_owned())
}

/// The table of patients as the mapping of `hos-a` has it.
pub(super) fn patient_columns() -> Vec<Column> {
    vec![
        Column::required("PatientID", Type::NVarChar(50)),
        Column::new("FirstName", Type::NVarChar(50)),
        Column::new("LastName", Type::NVarChar(50)),
        Column::new("MiddleName", Type::NVarChar(50)),
        Column::new("SSN", Type::NVarChar(50)),
        Column::new("PhoneNumber", Type::NVarChar(50)),
        Column::new("Gender", Type::NVarChar(50)),
        Column::new("DOB", Type::Date),
        Column::new("Address", Type::NVarChar(255)),
        Column::new("ModifiedDate", Type::DateTime),
    ]
}

/// A made-up patient and when the hospital changed it; never where that is none.
pub(super) fn patient(id: &str, modified: Option<&str>) -> Row {
    vec![
        id.into(),
        "Test".into(),
        "Person".into(),
        Value::Null,
        "000-00-0000".into(),
        "555-0100-000".into(),
        "F".into(),
        Value::date("1990-01-01"),
        "1 Road, Town".into(),
        modified.map_or(Value::Null, Value::moment),
    ]
}

pub(super) fn department_columns() -> Vec<Column> {
    vec![Column::required("DeptID", Type::Int), Column::new("Name", Type::VarChar(50))]
}

/// Made-up departments, numbered from 1.
pub(super) fn departments(count: i64) -> Vec<Row> {
    (1..=count).map(|id| vec![id.into(), format!("Name {id}").into()]).collect()
}
