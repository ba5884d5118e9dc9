//! The common data model: one schema per entity, whatever the hospital calls its columns.

mod claims;
mod cpt_codes;
mod departments;
mod encounters;
mod icd_codes;
mod mapping;
mod model;
mod npi;
mod patients;
mod providers;
mod transactions;
#[cfg(test)]
mod typed_tests;

pub use claims::CLAIMS;
pub use cpt_codes::CPT_CODES;
pub use departments::DEPARTMENTS;
pub use encounters::ENCOUNTERS;
pub use icd_codes::ICD_CODES;
pub use mapping::{Mapping, MappingError};
pub use model::{UNPARSEABLE, to_model};
pub use npi::NPI;
pub use patients::PATIENTS;
use polars::prelude::*;
pub use providers::PROVIDERS;
pub use transactions::TRANSACTIONS;

use crate::money;

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
    /// Columns whose change makes a new version, in table order.
    pub tracked: &'static [Column],
}

/// A tracked column.
#[derive(Debug, Clone, Copy)]
pub struct Column {
    pub name: &'static str,
    pub kind: Kind,
}

/// What a column holds, and so how the source's value is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
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

impl Kind {
    /// Type of the column in silver.
    #[must_use]
    pub fn dtype(self) -> DataType {
        match self {
            Self::Text | Self::KeyOf(_) => DataType::String,
            Self::Money => money::dtype(),
            Self::Date => DataType::Date,
            Self::Boolean => DataType::Boolean,
        }
    }
}

/// A text column.
const fn text(name: &'static str) -> Column {
    Column { name, kind: Kind::Text }
}

/// An amount column.
const fn amount(name: &'static str) -> Column {
    Column { name, kind: Kind::Money }
}

/// A date column.
const fn date(name: &'static str) -> Column {
    Column { name, kind: Kind::Date }
}

/// A column with the durable key of another entity.
const fn key_of(name: &'static str, entity: &'static str) -> Column {
    Column { name, kind: Kind::KeyOf(entity) }
}

/// The type of every moment in the lake: UTC, microseconds.
#[must_use]
pub fn timestamp() -> DataType {
    DataType::Datetime(TimeUnit::Microseconds, Some(TimeZone::UTC))
}

/// Type of `observations`: when the source said what the version says, and where bronze has it.
#[must_use]
pub fn observation_dtype() -> DataType {
    DataType::List(Box::new(DataType::Struct(vec![
        Field::new("modified_at".into(), timestamp()),
        Field::new("inserted_at".into(), timestamp()),
        Field::new("sequence".into(), DataType::Int64),
        Field::new("position".into(), DataType::Int64),
    ])))
}

/// Type of `presence`: from which bronze sequence on the key was in the source's full extracts,
/// or was not.
#[must_use]
pub fn presence_dtype() -> DataType {
    DataType::List(Box::new(DataType::Struct(vec![
        Field::new("sequence".into(), DataType::Int64),
        Field::new("present".into(), DataType::Boolean),
    ])))
}

impl Entity {
    /// Schema of the silver table: one row per version of a key, its partition columns last.
    #[must_use]
    pub fn silver_schema(&self) -> Schema {
        let mut schema = Schema::with_capacity(24);
        schema.with_column(self.surrogate.into(), DataType::Int64);
        schema.with_column(self.key.into(), DataType::String);
        if let Some(source_id) = self.source_id {
            schema.with_column(source_id.into(), DataType::String);
        }
        schema.with_column("datasource".into(), DataType::String);
        for column in self.tracked {
            schema.with_column(column.name.into(), column.kind.dtype());
        }
        for moment in ["src_inserted_at", "src_modified_at", "effective_from", "effective_to"] {
            schema.with_column(moment.into(), timestamp());
        }
        schema.with_column("is_deleted".into(), DataType::Boolean);
        schema.with_column("row_hash".into(), DataType::Int64);
        schema.with_column("load_id".into(), DataType::String);
        schema.with_column("inserted_at".into(), timestamp());
        schema.with_column("updated_at".into(), timestamp());
        schema.with_column("observations".into(), observation_dtype());
        schema.with_column("presence".into(), presence_dtype());
        schema.with_column("is_current".into(), DataType::Boolean);
        schema.with_column("bucket".into(), DataType::Int32);
        schema
    }

    /// Whether a new version is due when this column changes.
    #[must_use]
    pub fn tracks(&self, column: &str) -> bool {
        self.tracked.iter().any(|tracked| tracked.name == column)
    }
}
