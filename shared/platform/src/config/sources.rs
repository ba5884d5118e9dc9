//! `configs/sources.toml`: where the sources are and how they are read.

use std::collections::BTreeMap;

use chrono::NaiveDate;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::registries::{Icd, Npi};
use super::{Postgres, Release, SqlServer, release};
use crate::csv_stream::Dialect;

/// The whole of `configs/sources.toml`.
#[derive(Debug, Clone, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Sources {
    pub emr: Emr,
    /// Folders of `landing/` and what lands there.
    #[serde(default, rename = "landing")]
    pub feeds: Vec<Feed>,
    /// The NPI registry; not asked where there is none.
    pub npi: Option<Npi>,
    /// The ICD API; not asked where there is none.
    pub icd: Option<Icd>,
    #[serde(default)]
    pub silver: Silver,
    #[serde(default)]
    pub run: Run,
    #[serde(default)]
    pub maintenance: Maintenance,
}

/// How the hospitals' tables are read.
#[derive(Debug, Clone, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Emr {
    pub kind: EmrKind,
    /// Of datasources that are not read as the others are.
    #[serde(default)]
    pub kinds: BTreeMap<String, EmrKind>,
    /// For `files`: a folder `<datasource>/<table>.csv`; `RCM_EMR_DIR` and `rcm run --emr` go before it.
    #[serde(default)]
    pub folder: Option<String>,
    /// For `files`: how the files of single datasources are written.
    #[serde(default)]
    pub files: BTreeMap<String, FileOptions>,
    /// For `sql_server`: how its databases are read.
    #[serde(default)]
    pub sql_server: SqlServer,
    /// For `postgres`: how its databases are read.
    #[serde(default)]
    pub postgres: Postgres,
    /// Days that an incremental load reads again before its last watermark.
    #[serde(default = "default_overlap_days")]
    pub overlap_days: u32,
    /// Share of the keys that have come since the last full extract, its own too, that the next one may lack;
    /// more and it is refused.
    #[serde(default = "default_lost_share")]
    pub max_lost_share: f64,
    /// Other values for single streams, such as `"hosa/patients"`.
    #[serde(default)]
    pub streams: BTreeMap<String, StreamOptions>,
}

/// How a datasource writes its extract files.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct FileOptions {
    /// One character; a comma where nothing is said.
    pub delimiter: Option<String>,
    /// A label of the WHATWG, such as `windows-1252`; UTF-8 where nothing is said.
    pub encoding: Option<String>,
}

/// Values for one stream in place of the common ones.
#[derive(Debug, Clone, Default, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct StreamOptions {
    pub overlap_days: Option<u32>,
    pub max_lost_share: Option<f64>,
    /// For databases: connections that read the table at the same time, each its own range of keys.
    pub shards: Option<u32>,
    /// Source column that the ranges are cut by; that of the entity's own id where none is given.
    pub shard_column: Option<String>,
}

/// What the hospitals' tables are read from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum EmrKind {
    /// A folder per datasource, a CSV file per table.
    Files,
    /// SQL Server, Azure SQL or another database that speaks TDS.
    SqlServer,
    /// PostgreSQL, RDS for PostgreSQL, Aurora or another database that speaks its protocol.
    Postgres,
}

/// What lands in one folder.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Feed {
    /// Folder below `landing/`.
    pub folder: String,
    /// Entity whose rows land there; its bronze streams are `<entity>/<datasource>`.
    pub entity: String,
    pub load: LoadKind,
    #[serde(default)]
    pub format: Format,
    /// For `snapshot`: what a list says of its own date in its file's name. Lists are taken in the order of
    /// these dates; where there is none, of their files' times.
    #[serde(default)]
    pub release: Option<Release>,
    /// Of CSV files: one character; a comma where nothing is said.
    pub delimiter: Option<String>,
    /// Of CSV files: a label of the WHATWG, such as `windows-1252`; UTF-8 where nothing is said.
    pub encoding: Option<String>,
}

/// How a landed file is written.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Format {
    /// A header and comma-separated records.
    #[default]
    Csv,
    /// The order file of ICD-10-CM as CMS publishes it: no header, fixed columns.
    Icd10cmOrder,
}

/// What a load says about rows that it does not hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum LoadKind {
    /// Nothing: it brings new and changed rows.
    Upsert,
    /// That they are gone: it is the whole table.
    Snapshot,
}

/// How silver tables are laid out and made.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Silver {
    /// Rows of the loads that are taken in with one commit. A load is never cut.
    pub rows_at_once: u64,
    /// Rows of the largest load that is taken in. A larger one is left behind, and with it what comes after it in its
    /// stream.
    pub max_load_rows: u64,
    /// Incoming rows that are kept in memory, in MiB. More are put down in the lake until they are committed.
    pub memory_mb: u64,
    /// Bytes, in MiB, of a batch's rows and of the files that they concern, of which a silver step that may share its work
    /// out gives one call.
    pub shard_mb: u64,
    /// Buckets that an entity's keys are spread over; one where none are given. Fixed when the
    /// table is made.
    pub buckets: BTreeMap<String, u32>,
}

impl Default for Silver {
    fn default() -> Self {
        Self {
            rows_at_once: 20_000_000,
            max_load_rows: 1_000_000_000,
            memory_mb: 256,
            shard_mb: 4096,
            buckets: BTreeMap::new(),
        }
    }
}

/// How a run goes about its work.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Run {
    /// Extracts and landed files that are loaded at the same time.
    pub concurrency: usize,
}

impl Default for Run {
    fn default() -> Self {
        Self { concurrency: 4 }
    }
}

/// When what nothing refers to is removed.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Maintenance {
    /// Days after which data files of bronze that no load names, and stage reports that no run has
    /// folded, are removed.
    pub leftovers_after_days: u32,
}

impl Default for Maintenance {
    fn default() -> Self {
        Self { leftovers_after_days: 30 }
    }
}

fn default_overlap_days() -> u32 {
    1
}

fn default_lost_share() -> f64 {
    0.2
}

impl Feed {
    /// How its CSV files are written; what cannot be used was refused with the configuration.
    #[must_use]
    pub fn dialect(&self) -> Dialect {
        Dialect::of(self.delimiter.as_deref(), self.encoding.as_deref()).unwrap_or_default()
    }

    /// The date that a whole list says of itself in its file's name, if it says one.
    #[must_use]
    pub fn release_of(&self, file_name: &str) -> Option<NaiveDate> {
        release::date(self.release.as_ref(), self.format == Format::Icd10cmOrder, file_name)
    }
}

impl Emr {
    /// What a datasource is read from.
    #[must_use]
    pub fn kind_of(&self, datasource: &str) -> EmrKind {
        self.kinds.get(datasource).copied().unwrap_or(self.kind)
    }

    /// How a datasource's extract files are written; what cannot be used was refused with the configuration.
    #[must_use]
    pub fn dialect_of(&self, datasource: &str) -> Dialect {
        let Some(options) = self.files.get(datasource) else { return Dialect::default() };
        Dialect::of(options.delimiter.as_deref(), options.encoding.as_deref()).unwrap_or_default()
    }

    /// Days that the stream's incremental loads overlap.
    #[must_use]
    pub fn overlap_days(&self, stream: &str) -> u32 {
        self.streams.get(stream).and_then(|options| options.overlap_days).unwrap_or(self.overlap_days)
    }

    /// Share of keys that the stream's full extracts may lose. What is said of `claims` holds for every
    /// `claims/<datasource>` that nothing else is said of.
    #[must_use]
    pub fn max_lost_share(&self, stream: &str) -> f64 {
        let entity = stream.split_once('/').map_or(stream, |(entity, _)| entity);
        let mut options = [stream, entity].into_iter().filter_map(|name| self.streams.get(name));
        options.find_map(|options| options.max_lost_share).unwrap_or(self.max_lost_share)
    }

    /// Connections that read the stream's table at the same time.
    #[must_use]
    pub fn shards(&self, stream: &str) -> u32 {
        self.streams.get(stream).and_then(|options| options.shards).unwrap_or(1).max(1)
    }

    /// Source column that the ranges of the stream's table are cut by, where one is given.
    #[must_use]
    pub fn shard_column(&self, stream: &str) -> Option<&str> {
        self.streams.get(stream)?.shard_column.as_deref()
    }
}

impl Silver {
    /// Buckets of an entity's table.
    #[must_use]
    pub fn buckets(&self, entity: &str) -> u32 {
        self.buckets.get(entity).copied().unwrap_or(1).max(1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_incremental_load_reads_a_day_again_where_nothing_is_said() {
        let sources: Sources = toml::from_str("[emr]\nkind = \"files\"").unwrap();
        assert_eq!(sources.emr.overlap_days("hosa/patients"), 1);
    }

    #[test]
    fn what_is_said_of_a_feeds_entity_holds_for_the_streams_of_its_datasources() {
        let text = "emr.kind = \"files\"\nemr.streams.claims.max_lost_share = 0.5\n\
                    emr.streams.\"claims/hos-b\".max_lost_share = 0.7";
        let sources: Sources = toml::from_str(text).unwrap();
        let shares = ["claims/hos-a", "claims/hos-b", "cpt_codes/cpt"].map(|stream| sources.emr.max_lost_share(stream));
        assert_eq!(shares.map(|share| (share * 10.0).round() as i64), [5, 7, 2]);
    }
}
