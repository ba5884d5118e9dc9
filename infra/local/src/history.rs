//! One key's timeline, read from silver.

use chrono::{DateTime, Utc};
use polars::prelude::*;
use rcm_domain::cdm::{self, Entity};
use rcm_platform::delta::Table;
use rcm_platform::frames::blocking;
use rcm_platform::{Lake, StageError, lake};

use crate::print::{History, Version};

/// Every version of a key; none where silver does not know it.
///
/// # Errors
/// There is no such entity, or its table cannot be read.
pub async fn read(lake: &Lake, entity: &str, key: &str) -> Result<Option<History>, StageError> {
    let names = || cdm::ENTITIES.map(|entity| entity.name).join(", ");
    let entity: &'static Entity = cdm::entity(entity)
        .ok_or_else(|| StageError::BadConfig(format!("there is no entity `{entity}`; there are {}", names())))?;
    let Some(table) = Table::open(lake, &lake::silver(entity.name)).await? else { return Ok(None) };
    let rows = table.scan(table.files()).await?.filter(col(entity.key).eq(lit(key)));
    let rows = rows.sort(["effective_from", "effective_to"], SortMultipleOptions::default().with_nulls_last(true));
    let rows = blocking(move || Ok(rows.collect()?)).await?;
    if rows.height() == 0 {
        return Ok(None);
    }
    Ok(Some(History {
        entity: entity.name.to_owned(),
        key: key.to_owned(),
        columns: entity.tracked.iter().map(|column| column.name.to_owned()).collect(),
        versions: versions(entity, &rows)?,
    }))
}

fn versions(entity: &Entity, rows: &DataFrame) -> Result<Vec<Version>, StageError> {
    let mut tracked = Vec::with_capacity(entity.tracked.len());
    for column in entity.tracked {
        tracked.push(rows.column(column.name)?.cast(&DataType::String)?.str()?.clone());
    }
    let (from, to) = (moments(rows, "effective_from")?, moments(rows, "effective_to")?);
    let (current, deleted) = (rows.column("is_current")?.bool()?, rows.column("is_deleted")?.bool()?);
    let load = rows.column("load_id")?.str()?;
    let version = |row: usize| Version {
        from: from[row].unwrap_or_default(),
        to: to[row],
        is_current: current.get(row).unwrap_or(false),
        is_deleted: deleted.get(row).unwrap_or(false),
        load_id: load.get(row).unwrap_or_default().to_owned(),
        values: tracked.iter().map(|column| column.get(row).map(str::to_owned)).collect(),
    };
    Ok((0..rows.height()).map(version).collect())
}

fn moments(rows: &DataFrame, column: &str) -> Result<Vec<Option<DateTime<Utc>>>, StageError> {
    let micros = rows.column(column)?.datetime()?.physical().clone();
    Ok(micros.iter().map(|micros| micros.and_then(DateTime::from_timestamp_micros)).collect())
}
