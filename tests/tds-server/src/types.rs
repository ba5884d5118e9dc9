//! Types of columns.

use std::fmt;

/// Type of a column, as `CREATE TABLE` says it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Type {
    Bit,
    TinyInt,
    SmallInt,
    Int,
    BigInt,
    Real,
    Float,
    /// Precision and scale.
    Decimal(u8, u8),
    Numeric(u8, u8),
    Money,
    SmallMoney,
    Char(u16),
    VarChar(u16),
    VarCharMax,
    /// `varchar` with a UTF-8 collation, whose values go over the wire in UTF-8.
    VarCharUtf8(u16),
    Text,
    NChar(u16),
    NVarChar(u16),
    NVarCharMax,
    NText,
    Date,
    /// Digits of the second's fraction.
    Time(u8),
    SmallDateTime,
    DateTime,
    DateTime2(u8),
    DateTimeOffset(u8),
    UniqueIdentifier,
    Binary(u16),
    VarBinary(u16),
    VarBinaryMax,
    Image,
    Xml,
    SqlVariant,
}

impl fmt::Display for Type {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Bit => formatter.write_str("bit"),
            Self::TinyInt => formatter.write_str("tinyint"),
            Self::SmallInt => formatter.write_str("smallint"),
            Self::Int => formatter.write_str("int"),
            Self::BigInt => formatter.write_str("bigint"),
            Self::Real => formatter.write_str("real"),
            Self::Float => formatter.write_str("float"),
            Self::Decimal(precision, scale) => write!(formatter, "decimal({precision},{scale})"),
            Self::Numeric(precision, scale) => write!(formatter, "numeric({precision},{scale})"),
            Self::Money => formatter.write_str("money"),
            Self::SmallMoney => formatter.write_str("smallmoney"),
            Self::Char(length) => write!(formatter, "char({length})"),
            Self::VarChar(length) => write!(formatter, "varchar({length})"),
            Self::VarCharMax => formatter.write_str("varchar(max)"),
            Self::VarCharUtf8(length) => {
                write!(formatter, "varchar({length}) COLLATE Latin1_General_100_CI_AS_SC_UTF8")
            }
            Self::Text => formatter.write_str("text"),
            Self::NChar(length) => write!(formatter, "nchar({length})"),
            Self::NVarChar(length) => write!(formatter, "nvarchar({length})"),
            Self::NVarCharMax => formatter.write_str("nvarchar(max)"),
            Self::NText => formatter.write_str("ntext"),
            Self::Date => formatter.write_str("date"),
            Self::Time(scale) => write!(formatter, "time({scale})"),
            Self::SmallDateTime => formatter.write_str("smalldatetime"),
            Self::DateTime => formatter.write_str("datetime"),
            Self::DateTime2(scale) => write!(formatter, "datetime2({scale})"),
            Self::DateTimeOffset(scale) => write!(formatter, "datetimeoffset({scale})"),
            Self::UniqueIdentifier => formatter.write_str("uniqueidentifier"),
            Self::Binary(length) => write!(formatter, "binary({length})"),
            Self::VarBinary(length) => write!(formatter, "varbinary({length})"),
            Self::VarBinaryMax => formatter.write_str("varbinary(max)"),
            Self::Image => formatter.write_str("image"),
            Self::Xml => formatter.write_str("xml"),
            Self::SqlVariant => formatter.write_str("sql_variant"),
        }
    }
}

/// One column of a table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Column {
    pub name: String,
    pub kind: Type,
    /// A column that takes no null has a type of its own on the wire.
    pub is_nullable: bool,
}

impl Column {
    /// A column that may be null.
    #[must_use]
    pub fn new(name: &str, kind: Type) -> Self {
        Self { name: name.to_owned(), kind, is_nullable: true }
    }

    /// A column that is never null.
    #[must_use]
    pub fn required(name: &str, kind: Type) -> Self {
        Self { is_nullable: false, ..Self::new(name, kind) }
    }

    /// The column as `CREATE TABLE` says it.
    #[must_use]
    pub fn definition(&self) -> String {
        let null = if self.is_nullable { "NULL" } else { "NOT NULL" };
        format!("[{}] {} {null}", self.name.replace(']', "]]"), self.kind)
    }
}
