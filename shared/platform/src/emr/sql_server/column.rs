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

use tiberius::{ColumnData, FixedLenType, MetaDataColumn, TypeInfo, VarLenContext, VarLenType};

use chrono::NaiveDateTime;

use super::moment::{self, MomentKind};
use crate::emr::database::{BronzeType, Clock, Column, Dialect, Identifier, Quotes, SourceType};

/// Bit of a collation's flags: its texts are UTF-8.
const UTF8_COLLATION: u32 = 1 << 26;

/// The type of a column, as far as statements and watermarks need it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::emr) struct SqlServerType {
    /// What a watermark of this column keeps; none if it keeps no moments.
    moment: Option<MomentKind>,
    /// Type that the server has to cast it to, because its own loses something on the way.
    cast: Option<&'static str>,
    /// It is a `char` or a `varchar`, which sorts otherwise than an `nvarchar`.
    is_narrow_text: bool,
}

impl SourceType for SqlServerType {
    type Value = ColumnData<'static>;

    const DIALECT: &'static Dialect = &Dialect { quotes: Quotes::Brackets, parameter: "@P", count: "COUNT_BIG(*)" };

    fn selected(&self, name: &str) -> String {
        self.cast.map_or_else(|| name.to_owned(), |kind| format!("CAST({name} AS {kind}) AS {name}"))
    }

    fn compared(&self, parameter: String) -> String {
        if self.is_narrow_text { format!("CAST({parameter} AS varchar(8000))") } else { parameter }
    }

    fn clock(&self) -> Option<Clock> {
        self.moment.map(MomentKind::clock)
    }

    fn bind(&self, moment: NaiveDateTime) -> ColumnData<'static> {
        self.moment.unwrap_or(MomentKind::DateTime2).bind(moment)
    }

    fn moment(&self, value: &ColumnData<'static>) -> Option<NaiveDateTime> {
        moment::read(value)
    }
}

/// The column that a server describes.
pub(super) fn described(column: &MetaDataColumn<'_>) -> Column<SqlServerType> {
    let kind = column.base().ty();
    Column {
        name: Identifier::known(column.col_name()),
        bronze: bronze(kind),
        kind: SqlServerType { moment: MomentKind::of(kind), cast: cast(kind), is_narrow_text: is_narrow_text(kind) },
    }
}

/// What bronze keeps of a type.
fn bronze(kind: &TypeInfo) -> BronzeType {
    match kind {
        TypeInfo::FixedLen(kind) => match kind {
            FixedLenType::Bit => BronzeType::Boolean,
            FixedLenType::Int1 | FixedLenType::Int2 | FixedLenType::Int4 => BronzeType::Int32,
            FixedLenType::Int8 => BronzeType::Int64,
            FixedLenType::Float4 => BronzeType::Float32,
            FixedLenType::Float8 => BronzeType::Float64,
            FixedLenType::Money => BronzeType::Decimal(19, 4),
            FixedLenType::Money4 => BronzeType::Decimal(10, 4),
            FixedLenType::Datetime | FixedLenType::Datetime4 => BronzeType::Timestamp,
            FixedLenType::Null => BronzeType::Text,
        },
        TypeInfo::VarLenSized(context) => match (context.r#type(), context.len()) {
            (VarLenType::Bitn, _) => BronzeType::Boolean,
            (VarLenType::Intn, 8) => BronzeType::Int64,
            (VarLenType::Intn, _) => BronzeType::Int32,
            (VarLenType::Floatn, 4) => BronzeType::Float32,
            (VarLenType::Floatn, _) => BronzeType::Float64,
            (VarLenType::Money, 4) => BronzeType::Decimal(10, 4),
            (VarLenType::Money, _) => BronzeType::Decimal(19, 4),
            (VarLenType::Daten, _) => BronzeType::Date,
            (VarLenType::Datetimen | VarLenType::Datetime2, _) => BronzeType::Timestamp,
            (VarLenType::DatetimeOffsetn, _) => BronzeType::TimestampUtc,
            _ => BronzeType::Text,
        },
        TypeInfo::VarLenSizedPrecision { precision, scale, .. } => BronzeType::Decimal(*precision, *scale as i8),
        TypeInfo::Xml { .. } | TypeInfo::Udt(_) => BronzeType::Text,
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
