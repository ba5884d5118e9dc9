//! The common data model: one schema per entity, whatever the hospital calls its columns.

mod claims;
mod cpt_codes;
pub mod date_format;
mod departments;
mod encounters;
mod icd_codes;
mod mapping;
mod npi;
mod patients;
mod providers;
mod transactions;

pub use claims::CLAIMS;
pub use cpt_codes::CPT_CODES;
pub use departments::DEPARTMENTS;
pub use encounters::ENCOUNTERS;
pub use icd_codes::ICD_CODES;
pub use mapping::{Mapping, MappingError};
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

impl Entity {
    /// The column that a source's own id of a row is mapped to: that of a code is its key.
    #[must_use]
    pub fn id(&self) -> &'static str {
        self.source_id.unwrap_or(self.key)
    }

    /// Whether a new version is due when this column changes.
    #[must_use]
    pub fn tracks(&self, column: &str) -> bool {
        self.tracked.iter().any(|tracked| tracked.name == column)
    }
}
