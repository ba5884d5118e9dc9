//! The common data model in frames: types of columns, schemas of tables, and the rows of a source as
//! rows of the model.

mod dates;
#[cfg(test)]
mod dates_tests;
mod texts;
mod to_model;
#[cfg(test)]
mod typed_tests;

use polars::prelude::*;
use rcm_model::cdm::{ColumnType, Entity};

pub use to_model::{UNPARSEABLE, UNREADABLE, check_conditions, looks_at_other_rows, to_model, wanted_rows, zone_of};

use crate::money;

/// Type of a column in silver.
#[must_use]
pub fn dtype(kind: ColumnType) -> DataType {
    match kind {
        ColumnType::Text | ColumnType::KeyOf(_) => DataType::String,
        ColumnType::Money => money::dtype(),
        ColumnType::Date => DataType::Date,
        ColumnType::Boolean => DataType::Boolean,
    }
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

/// Schema of an entity's silver table: one row per version of a key, its partition column last.
#[must_use]
pub fn silver_schema(entity: &Entity) -> Schema {
    let mut schema = Schema::with_capacity(24);
    schema.with_column(entity.surrogate.into(), DataType::Int64);
    schema.with_column(entity.key.into(), DataType::String);
    if let Some(source_id) = entity.source_id {
        schema.with_column(source_id.into(), DataType::String);
    }
    schema.with_column("datasource".into(), DataType::String);
    for column in entity.tracked {
        schema.with_column(column.name.into(), dtype(column.kind));
    }
    for moment in ["src_inserted_at", "effective_from"] {
        schema.with_column(moment.into(), timestamp());
    }
    schema.with_column("row_hash".into(), DataType::Int64);
    schema.with_column("load_id".into(), DataType::String);
    schema.with_column("inserted_at".into(), timestamp());
    // What changes of a stored version comes last, so that the columns before it are copied in one piece.
    schema.with_column("effective_to".into(), timestamp());
    schema.with_column("is_current".into(), DataType::Boolean);
    schema.with_column("is_deleted".into(), DataType::Boolean);
    schema.with_column("updated_at".into(), timestamp());
    schema.with_column("src_modified_at".into(), timestamp());
    schema.with_column("observations".into(), observation_dtype());
    schema.with_column("presence".into(), presence_dtype());
    schema.with_column("bucket".into(), DataType::Int32);
    schema
}
