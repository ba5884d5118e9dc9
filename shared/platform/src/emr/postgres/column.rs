//! A table's columns: what bronze makes of each, and how it is asked for.
//!
//! | PostgreSQL | bronze |
//! |---|---|
//! | boolean | boolean |
//! | smallint, integer / bigint | 32-bit / 64-bit integer |
//! | real / double precision | 32-bit / 64-bit float |
//! | numeric(p,s), p up to 38 | decimal of the same precision and scale |
//! | other numeric, money | text with all digits |
//! | date | date |
//! | timestamp | timestamp without a zone, in microseconds |
//! | timestamptz | UTC timestamp, in microseconds |
//! | char, varchar, text, name | text |
//! | bytea | text `0x…` in hexadecimal |
//! | all others: time, interval, uuid, enums, json, xml, arrays, … | text as PostgreSQL prints it |

use chrono::NaiveDateTime;
use tokio_postgres::types::Type;

use super::value::{self, PostgresValue};
use crate::emr::database::{BronzeType, Clock, Column, Dialect, Identifier, Quotes, SourceType};

/// Most digits of a decimal in bronze.
const MAX_PRECISION: i32 = 38;
/// Bytes that the modifier of a type counts before what it says.
const MODIFIER_OFFSET: i32 = 4;

/// The type of a column, as far as statements and watermarks need it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::emr) struct PostgresType {
    form: Form,
    cast: Option<Cast>,
}

/// How the bytes of a value are read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Form {
    Boolean,
    Int16,
    Int32,
    Int64,
    Float32,
    Float64,
    /// Precision and scale.
    Numeric(u8, i8),
    Date,
    Timestamp,
    TimestampTz,
    Text,
    Bytes,
}

/// What the server makes of a value before it sends it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Cast {
    Text,
    /// Text without the currency of the server's locale.
    Money,
}

impl PostgresType {
    fn of(kind: &Type, modifier: i32) -> Self {
        let sent = |form| Self { form, cast: None };
        match *kind {
            Type::BOOL => sent(Form::Boolean),
            Type::INT2 => sent(Form::Int16),
            Type::INT4 => sent(Form::Int32),
            Type::INT8 => sent(Form::Int64),
            Type::FLOAT4 => sent(Form::Float32),
            Type::FLOAT8 => sent(Form::Float64),
            Type::DATE => sent(Form::Date),
            Type::TIMESTAMP => sent(Form::Timestamp),
            Type::TIMESTAMPTZ => sent(Form::TimestampTz),
            Type::TEXT | Type::VARCHAR | Type::BPCHAR | Type::NAME => sent(Form::Text),
            Type::BYTEA => sent(Form::Bytes),
            Type::NUMERIC => numeric(modifier).map_or(Self { form: Form::Text, cast: Some(Cast::Text) }, sent),
            Type::MONEY => Self { form: Form::Text, cast: Some(Cast::Money) },
            _ => Self { form: Form::Text, cast: Some(Cast::Text) },
        }
    }

    pub(super) fn form(&self) -> Form {
        self.form
    }
}

impl SourceType for PostgresType {
    type Value = PostgresValue;

    const DIALECT: &'static Dialect = &Dialect { quotes: Quotes::Double, parameter: "$", count: "count(*)" };

    fn selected(&self, name: &str) -> String {
        match self.cast {
            None => name.to_owned(),
            Some(Cast::Text) => format!("CAST({name} AS text) AS {name}"),
            Some(Cast::Money) => format!("CAST(CAST({name} AS numeric) AS text) AS {name}"),
        }
    }

    fn clock(&self) -> Option<Clock> {
        match self.form {
            Form::Date | Form::Timestamp => Some(Clock::Hospital),
            Form::TimestampTz => Some(Clock::Utc),
            _ => None,
        }
    }

    fn bind(&self, moment: NaiveDateTime) -> PostgresValue {
        value::bind(self.form, moment)
    }

    fn moment(&self, value: &PostgresValue) -> Option<NaiveDateTime> {
        value::moment(self.form, value.bytes())
    }
}

impl Form {
    fn bronze(self) -> BronzeType {
        match self {
            Self::Boolean => BronzeType::Boolean,
            Self::Int16 | Self::Int32 => BronzeType::Int32,
            Self::Int64 => BronzeType::Int64,
            Self::Float32 => BronzeType::Float32,
            Self::Float64 => BronzeType::Float64,
            Self::Numeric(precision, scale) => BronzeType::Decimal(precision, scale),
            Self::Date => BronzeType::Date,
            Self::Timestamp => BronzeType::Timestamp,
            Self::TimestampTz => BronzeType::TimestampUtc,
            Self::Text | Self::Bytes => BronzeType::Text,
        }
    }
}

/// The column that a server describes.
pub(super) fn described(column: &tokio_postgres::Column) -> Column<PostgresType> {
    let kind = PostgresType::of(column.type_(), column.type_modifier());
    Column { name: Identifier::known(column.name()), bronze: kind.form.bronze(), kind }
}

/// The decimal that a modifier of `numeric` says; none if it says nothing or more than bronze has place for.
fn numeric(modifier: i32) -> Option<Form> {
    let said = modifier.checked_sub(MODIFIER_OFFSET).filter(|said| *said >= 0)?;
    let (precision, scale) = (said >> 16, said & 0x7FF);
    let fits = (1..=MAX_PRECISION).contains(&precision) && (0..=precision).contains(&scale);
    fits.then_some(Form::Numeric(precision as u8, scale as i8))
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case::nothing(None, None)]
    #[case::money_like(Some((18, 2)), Some(Form::Numeric(18, 2)))]
    #[case::longest(Some((38, 38)), Some(Form::Numeric(38, 38)))]
    #[case::too_long(Some((39, 2)), None)]
    #[case::negative_scale(Some((5, 0x7FE)), None)]
    #[case::more_scale_than_precision(Some((2, 5)), None)]
    fn a_numeric_is_a_decimal_where_bronze_has_place_for_it(
        #[case] said: Option<(i32, i32)>,
        #[case] expected: Option<Form>,
    ) {
        let modifier = said.map_or(-1, |(precision, scale)| (precision * 0x1_0000 + scale) + MODIFIER_OFFSET);
        assert_eq!(numeric(modifier), expected);
    }
}
