//! The profile of a table of the lake.

use polars::prelude::*;
use rcm_model::cdm::{DateReader, Mapping, entity};
use rcm_platform::load::printable;
use rcm_platform::{Context, StageError};
use rcm_tables::delta::Table;
use rcm_tables::rulebooks::Rulebooks;

use super::tally::Tally;
use super::{Known, Profile, rules};
use crate::masking::masks_of;
use crate::output::text_of;

/// Columns that say nothing of what a table holds.
const INTERNAL: [&str; 4] = ["row_hash", "observations", "presence", "bucket"];
const LAYERS: [&str; 4] = ["silver", "gold", "quarantine", "audit"];

/// Profiles a table, such as `silver/patients`, file by file.
///
/// # Errors
/// `BadConfig` if the lake has no such table; a file cannot be read.
pub async fn of_table(context: &Context, path: &str, top: usize, with_rules: bool) -> Result<Profile, StageError> {
    let path = path.replacen('.', "/", 1);
    let (layer, name) = path.split_once('/').unwrap_or_default();
    let is_name = LAYERS.contains(&layer) && !name.contains(['/', '.']);
    let opened = if is_name { Table::open(&context.lake, &path).await? } else { None };
    let Some(table) = opened else {
        let message = format!(
            "`{}` is no file and no table of this lake; hint: tables are such as silver/patients or gold/fact_claims",
            printable(&path)
        );
        return Err(StageError::bad_config(message));
    };
    let masks = masks_of(layer, name, table.schema());
    let of_silver = entity(name).filter(|_| layer == "silver");
    let schema: Schema = table
        .schema()
        .iter_fields()
        .filter(|field| !INTERNAL.contains(&field.name().as_str()) && !field.dtype().is_nested())
        .collect();
    let mut columns: Vec<(Known, Tally)> = schema
        .iter_names()
        .map(|column| {
            let may_be_shown = !masks.iter().any(|(masked, _)| masked == column);
            let known = Known {
                name: column.to_string(),
                identifying: of_silver.and_then(|entity| entity.identifying(column)),
                may_be_shown,
                is_id: of_silver.is_some_and(|entity| entity.surrogate == column.as_str()),
                of_model: of_silver.and_then(|entity| {
                    entity.tracked.iter().map(|tracked| tracked.name).find(|tracked| *tracked == column.as_str())
                }),
            };
            (known, Tally::new(may_be_shown))
        })
        .collect();
    let dates = Mapping::parse("none.toml", "datasource = \"none\"")?;
    let dates = DateReader::of(&dates).map_err(StageError::bad_config)?;
    for file in table.files() {
        for rows in table.read(std::slice::from_ref(file), &schema, Ok).await? {
            for ((_, tally), column) in columns.iter_mut().zip(rows.columns()) {
                count(tally, column, &dates)?;
            }
        }
    }
    let rules = match of_silver {
        Some(entity) if with_rules => {
            let known = Rulebooks::read(&context.lake).await?.of(entity);
            // Silver has the words of the model already.
            rules(entity, &columns, |_| false, &known)
        }
        _ => Vec::new(),
    };
    Ok(Profile {
        rows: table.rows(),
        malformed: 0,
        delimiter: None,
        entity: of_silver.map(|entity| entity.name.to_owned()),
        columns: columns.iter().map(|(known, tally)| known.profile(tally, top)).collect(),
        rules,
        name: path,
    })
}

fn count(tally: &mut Tally, column: &Column, dates: &DateReader) -> Result<(), StageError> {
    if let Ok(texts) = column.str() {
        for text in texts.iter() {
            tally.add(text, dates);
        }
        return Ok(());
    }
    for row in 0..column.len() {
        tally.add(text_of(&column.get(row)?).as_deref(), dates);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use rcm_domain::cdm::silver_schema;

    use super::*;

    #[test]
    fn internal_columns_are_columns_of_silver() {
        let schema = silver_schema(entity("patients").unwrap());
        assert!(INTERNAL.iter().all(|name| schema.contains(name)));
    }
}
