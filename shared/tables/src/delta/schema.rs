//! Types of frames and types of Delta tables.

use deltalake::arrow::datatypes::Schema as ArrowSchema;
use deltalake::kernel::engine::arrow_conversion::TryIntoArrow;
use deltalake::kernel::{ArrayType, DataType as DeltaType, DecimalType, PrimitiveType, StructField, StructType};
use polars::prelude::*;

use rcm_platform::error::{Result, StageError};

/// The Delta columns of a frame's schema. All are nullable: the rules are checked on frames.
pub(super) fn to_delta(schema: &Schema) -> Result<Vec<StructField>> {
    schema.iter().map(|(name, dtype)| Ok(StructField::new(name.as_str(), delta_type(dtype)?, true))).collect()
}

/// The Arrow schema of a frame, with the types that readers of the table's schema expect.
pub(crate) fn to_arrow(schema: &Schema) -> Result<ArrowSchema> {
    let columns = StructType::try_new(to_delta(schema)?).map_err(|error| corrupt(&error))?;
    (&columns).try_into_arrow().map_err(|error| corrupt(&error))
}

fn corrupt(error: &impl std::fmt::Display) -> StageError {
    StageError::corrupt_lake(format!("schema: {error}"))
}

/// The frame's schema of a Delta table.
pub(super) fn from_delta<'a>(fields: impl Iterator<Item = &'a StructField>) -> Result<Schema> {
    fields
        .map(|field| Ok(Field::new(PlSmallStr::from_str(field.name()), polars_type(field.data_type())?)))
        .collect::<Result<Schema>>()
}

fn delta_type(dtype: &DataType) -> Result<DeltaType> {
    Ok(match dtype {
        DataType::Boolean => DeltaType::BOOLEAN,
        DataType::Int32 => DeltaType::INTEGER,
        DataType::Int64 => DeltaType::LONG,
        DataType::Float64 => DeltaType::DOUBLE,
        DataType::String => DeltaType::STRING,
        DataType::Date => DeltaType::DATE,
        DataType::Datetime(TimeUnit::Microseconds, Some(zone)) if *zone == TimeZone::UTC => DeltaType::TIMESTAMP,
        DataType::Decimal(precision, scale) => {
            let decimal = DecimalType::try_new(*precision as u8, *scale as u8);
            DeltaType::Primitive(PrimitiveType::Decimal(decimal.map_err(|_| unsupported(dtype))?))
        }
        DataType::List(element) => DeltaType::from(ArrayType::new(delta_type(element)?, true)),
        DataType::Struct(fields) => {
            let fields = fields.iter().map(|f| Ok(StructField::new(f.name().as_str(), delta_type(f.dtype())?, true)));
            let fields = fields.collect::<Result<Vec<_>>>()?;
            DeltaType::from(StructType::try_new(fields).map_err(|_| unsupported(dtype))?)
        }
        other => return Err(unsupported(other)),
    })
}

fn polars_type(data_type: &DeltaType) -> Result<DataType> {
    Ok(match data_type {
        DeltaType::Primitive(PrimitiveType::Boolean) => DataType::Boolean,
        DeltaType::Primitive(PrimitiveType::Integer) => DataType::Int32,
        DeltaType::Primitive(PrimitiveType::Long) => DataType::Int64,
        DeltaType::Primitive(PrimitiveType::Double) => DataType::Float64,
        DeltaType::Primitive(PrimitiveType::String) => DataType::String,
        DeltaType::Primitive(PrimitiveType::Date) => DataType::Date,
        DeltaType::Primitive(PrimitiveType::Timestamp) => {
            DataType::Datetime(TimeUnit::Microseconds, Some(TimeZone::UTC))
        }
        DeltaType::Primitive(PrimitiveType::Decimal(decimal)) => {
            DataType::Decimal(decimal.precision().into(), decimal.scale().into())
        }
        DeltaType::Array(array) => DataType::List(Box::new(polars_type(array.element_type())?)),
        DeltaType::Struct(fields) => {
            let fields = from_delta(fields.fields())?;
            DataType::Struct(fields.iter_fields().collect())
        }
        other => return Err(unsupported(other)),
    })
}

fn unsupported(dtype: impl std::fmt::Debug) -> StageError {
    StageError::corrupt_lake(format!("no table of the lake has columns of type {dtype:?}"))
}
