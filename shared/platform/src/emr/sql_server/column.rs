//! A table's columns: what bronze makes of each, and how it is asked for.
//!
//! | SQL Server | bronze |
//! |---|---|
//! | bit | boolean |
//! | tinyint, smallint, int / bigint | 32-bit / 64-bit integer |
//! | real / float | 32-bit / 64-bit float |
//! | decimal, numeric | decimal of the same precision and scale |
//! | money / smallmoney | decimal(19,4) / decimal(10,4) |
//! | date | date |
//! | smalldatetime, datetime, datetime2 | timestamp without a zone, in microseconds |
//! | datetimeoffset | UTC timestamp, in microseconds |
//! | char, varchar, text, nchar, nvarchar, ntext, xml | text |
//! | time, uniqueidentifier, sql_variant | text as SQL Server prints it |
//! | binary, varbinary, image, rowversion, CLR types | text `0x…` in hexadecimal |

use arrow_schema::{DataType, Field, TimeUnit};
use tiberius::{FixedLenType, MetaDataColumn, TypeInfo, VarLenContext, VarLenType};

use super::identifier::Identifier;
use super::moment::MomentKind;

/// Bit of a collation's flags: its texts are UTF-8.
const UTF8_COLLATION: u32 = 1 << 26;

/// One column of a table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Column {
    pub(super) name: Identifier,
    pub(super) kind: SqlType,
    /// What a watermark of this column keeps; none if it keeps no moments.
    pub(super) moment: Option<MomentKind>,
    /// Type that the server has to cast it to, because its own loses something on the way.
    cast: Option<&'static str>,
    /// It is a `char` or a `varchar`, which sorts otherwise than an `nvarchar`.
    is_narrow_text: bool,
}

/// What bronze keeps of a column.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum SqlType {
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

impl Column {
    /// The column that a server describes.
    pub(super) fn of(described: &MetaDataColumn<'_>) -> Self {
        let kind = described.base().ty();
        Self {
            name: Identifier::known(described.col_name()),
            kind: SqlType::of(kind),
            moment: MomentKind::of(kind),
            cast: cast(kind),
            is_narrow_text: is_narrow_text(kind),
        }
    }

    /// The column in the list of a `SELECT`.
    pub(super) fn selected(&self) -> String {
        let name = self.name.quoted();
        self.cast.map_or_else(|| name.clone(), |kind| format!("CAST({name} AS {kind}) AS {name}"))
    }

    /// A parameter that is compared with the column in the column's own order.
    pub(super) fn compared_with(&self, parameter: String) -> String {
        if self.is_narrow_text { format!("CAST({parameter} AS varchar(8000))") } else { parameter }
    }

    pub(super) fn field(&self) -> Field {
        Field::new(self.name.name(), self.kind.data_type(), true)
    }
}

impl SqlType {
    fn of(kind: &TypeInfo) -> Self {
        match kind {
            TypeInfo::FixedLen(kind) => match kind {
                FixedLenType::Bit => Self::Boolean,
                FixedLenType::Int1 | FixedLenType::Int2 | FixedLenType::Int4 => Self::Int32,
                FixedLenType::Int8 => Self::Int64,
                FixedLenType::Float4 => Self::Float32,
                FixedLenType::Float8 => Self::Float64,
                FixedLenType::Money => Self::Decimal(19, 4),
                FixedLenType::Money4 => Self::Decimal(10, 4),
                FixedLenType::Datetime | FixedLenType::Datetime4 => Self::Timestamp,
                FixedLenType::Null => Self::Text,
            },
            TypeInfo::VarLenSized(context) => match (context.r#type(), context.len()) {
                (VarLenType::Bitn, _) => Self::Boolean,
                (VarLenType::Intn, 8) => Self::Int64,
                (VarLenType::Intn, _) => Self::Int32,
                (VarLenType::Floatn, 4) => Self::Float32,
                (VarLenType::Floatn, _) => Self::Float64,
                (VarLenType::Money, 4) => Self::Decimal(10, 4),
                (VarLenType::Money, _) => Self::Decimal(19, 4),
                (VarLenType::Daten, _) => Self::Date,
                (VarLenType::Datetimen | VarLenType::Datetime2, _) => Self::Timestamp,
                (VarLenType::DatetimeOffsetn, _) => Self::TimestampUtc,
                _ => Self::Text,
            },
            TypeInfo::VarLenSizedPrecision { precision, scale, .. } => Self::Decimal(*precision, *scale as i8),
            TypeInfo::Xml { .. } | TypeInfo::Udt(_) => Self::Text,
        }
    }

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

fn cast(kind: &TypeInfo) -> Option<&'static str> {
    match kind {
        // The driver reads money as a float.
        TypeInfo::FixedLen(FixedLenType::Money) => Some("decimal(19,4)"),
        TypeInfo::FixedLen(FixedLenType::Money4) => Some("decimal(10,4)"),
        TypeInfo::VarLenSized(context) => match (context.r#type(), context.len()) {
            (VarLenType::Money, 4) => Some("decimal(10,4)"),
            (VarLenType::Money, _) => Some("decimal(19,4)"),
            (VarLenType::SSVariant, _) => Some("nvarchar(4000)"),
            _ if !is_code_page_known(context) => Some("nvarchar(max)"),
            _ => None,
        },
        _ => None,
    }
}

fn is_narrow_text(kind: &TypeInfo) -> bool {
    let TypeInfo::VarLenSized(context) = kind else { return false };
    matches!(context.r#type(), VarLenType::BigChar | VarLenType::BigVarChar)
}

/// Whether the driver can read the texts of a column. It takes a UTF-8 collation for the code page
/// of its language.
fn is_code_page_known(context: &VarLenContext) -> bool {
    let is_narrow = matches!(context.r#type(), VarLenType::BigChar | VarLenType::BigVarChar | VarLenType::Text);
    let known = |collation: tiberius::Collation| collation.info() & UTF8_COLLATION == 0 && collation.encoding().is_ok();
    !is_narrow || context.collation().is_some_and(known)
}
