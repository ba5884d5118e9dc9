//! A table's columns: what bronze keeps of each.

use arrow_schema::{DataType, Field, TimeUnit};

use super::{Identifier, SourceType};

/// One column of a table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::emr) struct Column<T> {
    pub(in crate::emr) name: Identifier,
    pub(in crate::emr) bronze: BronzeType,
    /// Its type in the database.
    pub(in crate::emr) kind: T,
}

/// What bronze keeps of a column.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::emr) enum BronzeType {
    Boolean,
    Int32,
    Int64,
    Float32,
    Float64,
    /// Precision and scale.
    Decimal(u8, i8),
    Date,
    /// On the hospital's clock.
    Timestamp,
    TimestampUtc,
    Text,
}

impl<T: SourceType> Column<T> {
    /// The quoted name.
    pub(super) fn quoted(&self) -> String {
        self.name.quoted(T::DIALECT.quotes)
    }

    /// The column in the list of a `SELECT`.
    pub(super) fn selected(&self) -> String {
        self.kind.selected(&self.quoted())
    }
}

impl<T> Column<T> {
    pub(super) fn field(&self) -> Field {
        Field::new(self.name.name(), self.bronze.data_type(), true)
    }
}

impl BronzeType {
    fn data_type(self) -> DataType {
        match self {
            Self::Boolean => DataType::Boolean,
            Self::Int32 => DataType::Int32,
            Self::Int64 => DataType::Int64,
            Self::Float32 => DataType::Float32,
            Self::Float64 => DataType::Float64,
            Self::Decimal(precision, scale) => DataType::Decimal128(precision, scale),
            Self::Date => DataType::Date32,
            Self::Timestamp => DataType::Timestamp(TimeUnit::Microsecond, None),
            Self::TimestampUtc => DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into())),
            Self::Text => DataType::Utf8,
        }
    }
}
