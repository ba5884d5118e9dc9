//! Rows as files and documents.

use std::fs::OpenOptions;
use std::io::Write;
use std::path::Path;

use polars::prelude::*;
use rcm_platform::StageError;
use serde_json::{Map, Value, json};

use crate::print;

/// Rows as CSV: a header, an empty field for a null.
///
/// # Errors
/// A value cannot be read.
pub fn csv(rows: &DataFrame) -> Result<Vec<u8>, StageError> {
    let failed = |error: csv::Error| StageError::internal(format!("writing CSV: {:?}", error.kind()));
    let mut writer = csv::Writer::from_writer(Vec::new());
    writer.write_record(rows.get_column_names().iter().map(|name| name.as_str())).map_err(failed)?;
    for row in 0..rows.height() {
        let fields = rows.columns().iter().map(|column| Ok(text_of(&column.get(row)?).unwrap_or_default()));
        writer.write_record(fields.collect::<Result<Vec<_>, StageError>>()?).map_err(failed)?;
    }
    writer.into_inner().map_err(|_| StageError::internal("writing CSV"))
}

/// Rows as one JSON document: `columns`, `rows` and `is_cut`. Amounts are texts, so that no cent is lost.
///
/// # Errors
/// A value cannot be read.
pub fn json(rows: &DataFrame, is_cut: bool) -> Result<String, StageError> {
    let mut objects = Vec::with_capacity(rows.height());
    for row in 0..rows.height() {
        let mut object = Map::new();
        for column in rows.columns() {
            object.insert(column.name().to_string(), json_of(&column.get(row)?));
        }
        objects.push(Value::Object(object));
    }
    let columns: Vec<&str> = rows.get_column_names().iter().map(|name| name.as_str()).collect();
    Ok(print::json(&json!({ "columns": columns, "rows": objects, "is_cut": is_cut })))
}

/// Rows as a Parquet file.
///
/// # Errors
/// A column has a type that Parquet has not.
pub fn parquet(rows: &mut DataFrame) -> Result<Vec<u8>, StageError> {
    let mut bytes = Vec::new();
    ParquetWriter::new(&mut bytes).finish(rows)?;
    Ok(bytes)
}

/// A value as text; none for a null.
#[must_use]
pub fn text_of(value: &AnyValue<'_>) -> Option<String> {
    match value {
        AnyValue::Null => None,
        AnyValue::Datetime(..) | AnyValue::DatetimeOwned(..) => {
            // Without the name of the zone: all times are UTC.
            Some(value.to_string().trim_end_matches(" UTC").to_owned())
        }
        value => Some(value.str_value().into_owned()),
    }
}

fn json_of(value: &AnyValue<'_>) -> Value {
    match value {
        AnyValue::Boolean(value) => json!(value),
        AnyValue::Float32(_) | AnyValue::Float64(_) => json!(value.extract::<f64>()),
        AnyValue::Decimal(..) => json!(text_of(value)),
        value if value.is_integer() => json!(value.extract::<i64>()),
        value => json!(text_of(value)),
    }
}

/// How a file is opened to be written that only its owner may read, from the moment on that it is there.
#[must_use]
pub fn private_options() -> OpenOptions {
    let mut options = OpenOptions::new();
    options.write(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options
}

/// Writes a file that only its owner may read: it may have what no terminal shows.
///
/// # Errors
/// `BadConfig` if the file cannot be written.
pub fn write_private(path: &Path, bytes: &[u8]) -> Result<(), StageError> {
    let written = private_options().create(true).truncate(true).open(path).and_then(|mut file| {
        // One that was there has the rights that it had.
        #[cfg(unix)]
        file.set_permissions(std::os::unix::fs::PermissionsExt::from_mode(0o600))?;
        file.write_all(bytes)
    });
    written.map_err(|error| StageError::bad_config(format!("{}: {error}", path.display())))
}

#[cfg(test)]
mod tests {
    use rcm_domain::cdm::timestamp;
    use rcm_domain::money;

    use super::*;

    fn rows() -> DataFrame {
        let rows = df!(
            "payor" => [Some("A, \"B\""), None],
            "amount" => ["12.50", "-3.00"],
            "claims" => [2_i64, 1],
            "rate" => [Some(0.25), None],
            "at" => [1_725_926_400_000_000_i64, 1_725_926_461_500_000],
        );
        let typed = [col("amount").cast(money::dtype()), col("at").cast(timestamp())];
        rows.unwrap().lazy().with_columns(typed).collect().unwrap()
    }

    #[test]
    fn rows_as_csv_have_a_header_and_empty_fields_for_nulls() {
        let text = String::from_utf8(csv(&rows()).unwrap()).unwrap();
        assert_eq!(
            text,
            "payor,amount,claims,rate,at\n\"A, \"\"B\"\"\",12.50,2,0.25,2024-09-10 00:00:00\n\
             ,-3.00,1,,2024-09-10 00:01:01.500\n"
        );
    }

    #[test]
    fn rows_as_json_have_numbers_and_amounts_to_the_cent() {
        let document: Value = serde_json::from_str(&json(&rows(), true).unwrap()).unwrap();
        let first =
            json!({ "payor": "A, \"B\"", "amount": "12.50", "claims": 2, "rate": 0.25, "at": "2024-09-10 00:00:00" });
        assert_eq!((&document["rows"][0], &document["rows"][1]["payor"]), (&first, &Value::Null));
        assert_eq!(document["is_cut"], true);
    }
}
