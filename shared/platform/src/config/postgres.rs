//! `[emr.postgres]` of `configs/sources.toml`: how PostgreSQL databases are read.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::Deserialize;

use super::databases::{Database, DatabaseLimits};

/// How PostgreSQL databases are read.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Postgres {
    /// Seconds that a connection may take until it is logged in.
    pub connect_timeout_seconds: u64,
    /// Seconds that a statement may keep us waiting for its first rows, or for more of them.
    pub statement_timeout_seconds: u64,
    /// Times that an extract is tried again after a lost connection, a deadlock or a database that
    /// asks for patience.
    pub retries: u32,
    /// Milliseconds before the first of these tries; each later one waits twice as long.
    pub retry_pause_ms: u64,
    /// What is particular to a database, by its name in `load_config.csv`.
    pub databases: BTreeMap<String, Database>,
}

impl Default for Postgres {
    fn default() -> Self {
        Self {
            connect_timeout_seconds: 15,
            statement_timeout_seconds: 300,
            retries: 4,
            retry_pause_ms: 1000,
            databases: BTreeMap::new(),
        }
    }
}

impl Postgres {
    /// How a database is reached.
    #[must_use]
    pub fn database(&self, name: &str) -> Database {
        self.databases.get(name).cloned().unwrap_or_default()
    }

    /// Timeouts and retries of an extract.
    #[must_use]
    pub fn limits(&self) -> DatabaseLimits {
        DatabaseLimits::of(
            self.connect_timeout_seconds,
            self.statement_timeout_seconds,
            self.retries,
            self.retry_pause_ms,
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_values_that_the_default_file_tells_are_those_where_nothing_is_said() {
        let file = include_str!("../../../../infra/config/sources.toml");
        let told = file.lines().skip_while(|line| *line != "# [emr.postgres]").skip(1);
        let told: Vec<&str> = told.take_while(|line| *line != "#").filter_map(|line| line.strip_prefix("# ")).collect();
        assert_eq!(toml::from_str::<Postgres>(&told.join("\n")).unwrap(), Postgres::default());
        assert_eq!(told.iter().filter(|line| line.contains(" = ")).count(), 4);
    }

    #[test]
    fn a_setting_that_only_sql_server_has_is_refused() {
        toml::from_str::<Postgres>("application_intent = \"read_only\"").unwrap_err();
    }
}
