//! The common data model: one schema per entity, whatever the hospital calls its columns.

mod claims;
mod cpt_codes;
pub mod date_format;
mod date_reader;
mod departments;
mod encounters;
mod icd_codes;
mod identifying;
pub mod iso;
mod mapping;
mod npi;
mod patients;
mod providers;
pub mod reading;
mod transactions;

pub use claims::CLAIMS;
pub use cpt_codes::CPT_CODES;
pub use date_reader::DateReader;
pub use departments::DEPARTMENTS;
pub use encounters::ENCOUNTERS;
pub use icd_codes::ICD_CODES;
pub use identifying::{Identifying, identifying_by_name, shape};
pub use mapping::{ColumnSource, EntityMapping, Filter, KEY_SEPARATOR, Mapping, MappingError, SourceColumn};
pub use npi::NPI;
pub use patients::PATIENTS;
pub use providers::PROVIDERS;
pub use transactions::TRANSACTIONS;

/// Every entity, parents before children.
pub const ENTITIES: [&Entity; 9] =
    [&DEPARTMENTS, &PROVIDERS, &PATIENTS, &ENCOUNTERS, &TRANSACTIONS, &CLAIMS, &CPT_CODES, &ICD_CODES, &NPI];

/// The entity of a name, such as `patients`.
#[must_use]
pub fn entity(name: &str) -> Option<&'static Entity> {
    ENTITIES.into_iter().find(|entity| entity.name == name)
}

/// One entity of the model: one silver table, one row per version of a key.
#[derive(Debug)]
pub struct Entity {
    /// Name of the silver table: `patients`.
    pub name: &'static str,
    /// Durable key column: `patient_key`.
    pub key: &'static str,
    /// The source's own id; codes are their own key and have none.
    pub source_id: Option<&'static str>,
    /// Surrogate key column of a version: `patient_sk`.
    pub surrogate: &'static str,
    /// What its loads are read from.
    pub origin: Origin,
    /// Its columns, in table order; the change of one makes a new version, unless it is carried.
    pub tracked: &'static [Column],
}

/// What the loads of an entity are read from: it decides which functions may write its bronze streams.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Origin {
    /// Tables of the hospitals: streams `<targetpath>/<entity>`.
    Tables,
    /// Files in a folder of `landing/`, some also a registry: streams `<entity>/<datasource>`.
    LandedFiles,
    /// A registry alone: the stream `<entity>`.
    Registry,
}

/// A column of an entity.
#[derive(Debug, Clone, Copy)]
pub struct Column {
    pub name: &'static str,
    pub kind: ColumnType,
    /// Whether a change of it alone makes a new version; else the current version keeps its latest value.
    pub is_tracked: bool,
    /// How it identifies a patient, if it does; durable keys do so by the entity that they are of.
    pub identifying: Option<Identifying>,
}

/// What a column holds, and so how the source's value is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ColumnType {
    /// Text without blanks around it; an empty text is null.
    Text,
    /// Amount, rounded to the cent.
    Money,
    /// Calendar date.
    Date,
    /// True or false.
    Boolean,
    /// Durable key of another entity, made from the source's id of it.
    KeyOf(&'static str),
}

/// A text column.
const fn text(name: &'static str) -> Column {
    Column { name, kind: ColumnType::Text, is_tracked: true, identifying: None }
}

/// A text column that is carried: its change alone makes no new version.
const fn carried_text(name: &'static str) -> Column {
    Column { name, kind: ColumnType::Text, is_tracked: false, identifying: None }
}

/// An amount column.
const fn amount(name: &'static str) -> Column {
    Column { name, kind: ColumnType::Money, is_tracked: true, identifying: None }
}

/// A date column.
const fn date(name: &'static str) -> Column {
    Column { name, kind: ColumnType::Date, is_tracked: true, identifying: None }
}

/// A column with the durable key of another entity.
const fn key_of(name: &'static str, entity: &'static str) -> Column {
    Column { name, kind: ColumnType::KeyOf(entity), is_tracked: true, identifying: None }
}

impl Entity {
    /// The column that a source's own id of a row is mapped to: that of a code is its key.
    #[must_use]
    pub fn id(&self) -> &'static str {
        self.source_id.unwrap_or(self.key)
    }

    /// Name of the function that makes its silver table, such as `silver-cpt-codes`.
    #[must_use]
    pub fn silver_function(&self) -> String {
        format!("silver-{}", self.name.replace('_', "-"))
    }
}
