//! A hospital's PostgreSQL, with the tables of the tests that all databases share.

use postgres_server::{DATABASE, PASSWORD, PostgresServer, Proxy, USER};
use serde_json::{Value as Json, json};
use tds_server::{Column, Row, Type, Value};

/// Schema of the tables.
pub(in crate::database_tests) const SCHEMA: &str = "rcm";
const ROWS_OF_AN_INSERT: usize = 1000;

pub(in crate::database_tests) struct PostgresDatabase {
    pub(in crate::database_tests) server: PostgresServer,
    /// What the product connects to.
    pub(in crate::database_tests) proxy: Proxy,
}

impl PostgresDatabase {
    pub(in crate::database_tests) async fn of(server: PostgresServer) -> Self {
        let proxy = Proxy::start(server.port()).await;
        server.execute(&format!("CREATE SCHEMA {SCHEMA}; GRANT USAGE ON SCHEMA {SCHEMA} TO {USER}")).await;
        Self { server, proxy }
    }

    pub(in crate::database_tests) fn secret(&self) -> Json {
        let port = self.proxy.port();
        json!({"host": "localhost", "port": port, "username": USER, "password": PASSWORD, "dbname": DATABASE})
    }

    pub(in crate::database_tests) async fn create(&self, name: &str, columns: &[Column]) {
        let columns: Vec<String> = columns.iter().map(definition).collect();
        let columns = columns.join(", ");
        self.server
            .execute(&format!(
                "DROP TABLE IF EXISTS {name}; CREATE TABLE {name} ({columns}); GRANT SELECT ON {name} TO {USER}"
            ))
            .await;
    }

    pub(in crate::database_tests) async fn insert(&self, name: &str, rows: Vec<Row>) {
        for rows in rows.chunks(ROWS_OF_AN_INSERT) {
            let rows: Vec<String> = rows.iter().map(tuple).collect();
            self.server.execute(&format!("INSERT INTO {name} VALUES {}", rows.join(", "))).await;
        }
    }
}

fn tuple(row: &Row) -> String {
    let values: Vec<String> = row.iter().map(literal).collect();
    format!("({})", values.join(", "))
}

/// The column as PostgreSQL's `CREATE TABLE` says it.
fn definition(column: &Column) -> String {
    let null = if column.is_nullable { "NULL" } else { "NOT NULL" };
    format!("\"{}\" {} {null}", column.name, kind(column.kind))
}

/// The type that a PostgreSQL has in place of one of SQL Server.
fn kind(kind: Type) -> String {
    let plain = match kind {
        Type::Bit => "boolean",
        Type::TinyInt | Type::SmallInt => "smallint",
        Type::Int => "integer",
        Type::BigInt => "bigint",
        Type::Real => "real",
        Type::Float => "double precision",
        Type::Money => "numeric(19,4)",
        Type::SmallMoney => "numeric(10,4)",
        Type::Date => "date",
        Type::SmallDateTime => "timestamp(0)",
        Type::DateTime => "timestamp(3)",
        Type::UniqueIdentifier => "uuid",
        Type::Binary(_) | Type::VarBinary(_) | Type::VarBinaryMax | Type::Image => "bytea",
        Type::Xml => "xml",
        Type::Decimal(precision, scale) | Type::Numeric(precision, scale) => {
            return format!("numeric({precision},{scale})");
        }
        Type::Char(length) | Type::NChar(length) => return format!("char({length})"),
        Type::VarChar(length) | Type::VarCharUtf8(length) | Type::NVarChar(length) => {
            return format!("varchar({length})");
        }
        Type::Time(scale) => return format!("time({})", scale.min(6)),
        Type::DateTime2(scale) => return format!("timestamp({})", scale.min(6)),
        Type::DateTimeOffset(scale) => return format!("timestamptz({})", scale.min(6)),
        Type::VarCharMax | Type::Text | Type::NVarCharMax | Type::NText | Type::SqlVariant => "text",
    };
    plain.to_owned()
}

fn literal(value: &Value) -> String {
    match value {
        Value::Null => "NULL".to_owned(),
        Value::Bool(value) => value.to_string(),
        Value::Bytes(_) => format!("'{}'", value.literal().replacen("0x", "\\x", 1)),
        Value::Int(_) | Value::Float(_) | Value::Decimal(..) => value.to_text(),
        _ => format!("'{}'", value.to_text().replace('\'', "''")),
    }
}
