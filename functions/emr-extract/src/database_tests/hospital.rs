//! A hospital's database and the lake that it is extracted into.

use std::fs::File;
use std::panic::AssertUnwindSafe;

use arrow_cast::display::{ArrayFormatter, FormatOptions};
use futures::FutureExt;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use postgres_server::PostgresServer;
use rcm_model::event::{ExtractInput, StageReport};
use rcm_model::load_config::{LoadRow, LoadType};
use rcm_platform::bronze::Manifest;
use rcm_platform::testing::TestLake;
use rcm_platform::{Context, StageError};
use serde_json::{Value as Json, json};
use tds_server::{Column, Fault, PASSWORD, Row, TdsServer, Type, USER, Value};

use super::postgres::PostgresDatabase;
use super::sql_server::NamedServer;

/// How a null looks among the values of bronze.
pub(super) const NULL: &str = "NULL";

/// The kinds of databases. What a test of all of them needs of each is below, in `Database`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    SqlServer,
    Postgres,
}

pub(super) struct Hospital {
    pub(super) lake: TestLake,
    database: Database,
}

enum Database {
    InProcess(TdsServer),
    Named(Box<NamedServer>),
    Postgres(Box<PostgresDatabase>),
}

/// Runs a test on a database of a kind: for SQL Server that of the environment, if it names one.
pub(super) async fn in_hospital(kind: Kind, test: impl AsyncFnOnce(&Hospital)) {
    let named = if kind == Kind::SqlServer { NamedServer::of_environment() } else { None };
    let hospital = match named {
        Some(server) => Hospital::of(Database::Named(Box::new(server))),
        None => Hospital::start(kind).await,
    };
    let outcome = AssertUnwindSafe(test(&hospital)).catch_unwind().await;
    if let Database::Named(server) = &hospital.database {
        server.drop_schema().await;
    }
    if let Err(panic) = outcome {
        std::panic::resume_unwind(panic);
    }
}

/// A hospital whose SQL Server is in this process.
pub(super) async fn hospital() -> Hospital {
    Hospital::start(Kind::SqlServer).await
}

impl Hospital {
    /// A hospital with a server of the test's own.
    pub(super) async fn start(kind: Kind) -> Self {
        Self::of(match kind {
            Kind::SqlServer => Database::InProcess(TdsServer::start().await),
            Kind::Postgres => Database::Postgres(Box::new(PostgresDatabase::of(PostgresServer::start().await).await)),
        })
    }

    /// A hospital with a server of the test's own that encrypts.
    pub(super) async fn start_encrypted(kind: Kind) -> Self {
        Self::of(match kind {
            Kind::SqlServer => Database::InProcess(TdsServer::start_with_tls().await),
            Kind::Postgres => {
                Database::Postgres(Box::new(PostgresDatabase::of(PostgresServer::start_with_tls().await).await))
            }
        })
    }

    fn of(database: Database) -> Self {
        let lake = TestLake::new();
        let hospital = Self { lake, database };
        let (secret, encrypt, trust) = match &hospital.database {
            Database::InProcess(server) => {
                let secret =
                    json!({"host": "localhost", "port": server.port(), "username": USER, "password": PASSWORD});
                (secret, hospital.encrypt(), false)
            }
            Database::Named(server) => (server.secret(), server.encrypt(), server.is_trusted()),
            Database::Postgres(database) => (database.secret(), hospital.encrypt(), false),
        };
        hospital.lake.write("secrets.json", json!({"db-a": secret}).to_string());
        let name = hospital.settings_name();
        hospital.set("kind = \"files\"", &format!("kind = \"{name}\""));
        let sources = hospital.lake.read("configs/sources.toml");
        let own = format!(
            "\n[emr.{name}]\nretry_pause_ms = 1\nstatement_timeout_seconds = 20\n\
             [emr.{name}.databases.db-a]\nencrypt = \"{encrypt}\"\ntrust_server_certificate = {trust}\n"
        );
        hospital.lake.write("configs/sources.toml", sources + &own);
        hospital
    }

    fn encrypt(&self) -> String {
        if self.certificate().is_some() { "required" } else { "off" }.to_owned()
    }

    /// Name of the kind in `configs/sources.toml`.
    pub(super) fn settings_name(&self) -> &'static str {
        match &self.database {
            Database::InProcess(_) | Database::Named(_) => "sql_server",
            Database::Postgres(_) => "postgres",
        }
    }

    /// The SQL Server of this process.
    pub(super) fn server(&self) -> &TdsServer {
        self.tds_server().expect("this test is of a server that does wrong on purpose")
    }

    pub(super) fn tds_server(&self) -> Option<&TdsServer> {
        match &self.database {
            Database::InProcess(server) => Some(server),
            Database::Named(_) | Database::Postgres(_) => None,
        }
    }

    pub(super) fn postgres(&self) -> &PostgresDatabase {
        match &self.database {
            Database::Postgres(database) => database,
            _ => panic!("this test is of a PostgreSQL"),
        }
    }

    /// Certificate of the server, if it encrypts.
    pub(super) fn certificate(&self) -> Option<&str> {
        match &self.database {
            Database::InProcess(server) => server.certificate(),
            Database::Named(_) => None,
            Database::Postgres(database) => database.server.certificate(),
        }
    }

    /// Connections that were opened to a server of the test's own.
    pub(super) fn connections(&self) -> usize {
        match &self.database {
            Database::Postgres(database) => database.proxy.connections(),
            _ => self.server().logins().len(),
        }
    }

    /// Loses the next connection that gets more than `bytes`, or `rows`.
    pub(super) fn lose_connection(&self, rows: u64, bytes: usize) {
        match &self.database {
            Database::Postgres(database) => database.proxy.lose_after(bytes),
            _ => self.server().inject(Fault::ConnectionBreaks(rows)),
        }
    }

    /// Changes the password of the login.
    pub(super) async fn set_password(&self, password: &str) {
        match &self.database {
            Database::Postgres(database) => database.server.set_password(password).await,
            _ => self.server().set_password(password),
        }
    }

    /// Changes fields of the secret.
    pub(super) fn set_secret(&self, changes: &[(&str, Json)]) {
        let mut secrets: Json = serde_json::from_str(&self.lake.read("secrets.json")).unwrap();
        for (field, value) in changes {
            secrets["db-a"][*field] = value.clone();
        }
        self.lake.write("secrets.json", secrets.to_string());
    }

    /// A name in the quotes of the database.
    pub(super) fn quoted(&self, name: &str) -> String {
        match &self.database {
            Database::Postgres(_) => format!("\"{name}\""),
            _ => format!("[{name}]"),
        }
    }

    /// Changes a setting of `configs/sources.toml`.
    pub(super) fn set(&self, from: &str, to: &str) {
        self.lake.edit("configs/sources.toml", from, to);
    }

    /// Adds to the settings of the database.
    pub(super) fn set_database(&self, settings: &str) {
        let table = format!("[emr.{}.databases.db-a]", self.settings_name());
        self.set(&table, &format!("{table}\n{settings}"));
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
            Database::Named(server) => server.create(&name, columns).await,
            Database::Postgres(database) => database.create(&name, columns).await,
        }
    }

    pub(super) async fn insert(&self, table: &str, rows: Vec<Row>) {
        let name = self.table(table);
        match &self.database {
            Database::InProcess(server) => server.insert(&name, rows),
            Database::Named(server) => server.insert(&name, rows).await,
            Database::Postgres(database) => database.insert(&name, rows).await,
        }
    }

    /// Removes all rows of a table.
    pub(super) async fn clear(&self, table: &str) {
        let name = self.table(table);
        match &self.database {
            Database::InProcess(server) => server.clear(&name),
            Database::Named(server) => server.execute(&format!("DELETE FROM {name}")).await,
            Database::Postgres(database) => database.server.execute(&format!("DELETE FROM {name}")).await,
        }
    }

    fn table(&self, table: &str) -> String {
        let schema = match &self.database {
            Database::InProcess(_) => "dbo",
            Database::Named(server) => &server.schema,
            Database::Postgres(_) => super::postgres::SCHEMA,
        };
        format!("{schema}.{table}")
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
