//! Configuration: the process's environment and the lake's `configs/`. Nothing else in the product
//! reads either.

mod checks;
mod databases;
mod environment;
mod postgres;
mod registries;
mod release;
mod settings;
mod sources;
mod sql_server;
mod streams;

pub use databases::{Database, DatabaseLimits, Encrypt};
pub use environment::{Environment, StoreEnvironment};
pub use postgres::Postgres;
pub use registries::{Http, Icd, Npi, NpiSearch};
pub use release::{Release, order_file_year};
pub use settings::{Settings, toml_files};
pub use sources::{Emr, EmrKind, Feed, Format, LoadKind, Sources};
pub use sql_server::{ApplicationIntent, SqlServer};
pub use streams::{ICD_DATASOURCE, NPI_DATASOURCE, SourceKind, Stream, StreamRegistry};

/// Keys of the configuration files below the lake's root.
pub mod keys {
    /// The table of sources.
    pub const LOAD_CONFIG: &str = "configs/emr/load_config.csv";
    /// Where the sources are and how they are read.
    pub const SOURCES: &str = "configs/sources.toml";
    /// Folder of the mappings, one file per datasource.
    pub const CDM: &str = "configs/cdm";
    /// Folder of the quality rules, one file per entity.
    pub const QUALITY: &str = "configs/quality";
}
