//! Reads the audit tables.

use polars::prelude::*;
use rcm_model::event::ControlCheck;
use rcm_platform::error::Result;
use rcm_platform::lake::{self, Lake};

use crate::delta::Table;
use crate::frames::blocking;

/// Returns a scan of an audit table, or `None` if there is no such table.
///
/// # Errors
/// The table cannot be read.
pub async fn scan(lake: &Lake, name: &str) -> Result<Option<LazyFrame>> {
    let Some(table) = Table::open(lake, &lake::audit(name)).await? else { return Ok(None) };
    Ok(Some(table.scan(table.files()).await?))
}

/// Returns the control checks of the last run that wrote any.
///
/// # Errors
/// The table cannot be read.
pub async fn last_checks(lake: &Lake) -> Result<Vec<ControlCheck>> {
    let Some(checks) = scan(lake, "control_checks").await? else { return Ok(Vec::new()) };
    let rows = blocking(move || {
        let last_run = col("checked_at").eq(col("checked_at").max());
        Ok(checks.filter(col("run_id").eq(col("run_id").filter(last_run).first())).collect()?)
    })
    .await?;
    let text = |name: &str| -> Result<StringChunked> { Ok(rows.column(name)?.str()?.clone()) };
    let (table, check, expected, actual) = (text("table")?, text("check")?, text("expected")?, text("actual")?);
    let passed = rows.column("passed")?.bool()?;
    let of = |column: &StringChunked, row: usize| column.get(row).unwrap_or_default().to_owned();
    let checks = (0..rows.height()).map(|row| ControlCheck {
        table: of(&table, row),
        check: of(&check, row),
        expected: of(&expected, row),
        actual: of(&actual, row),
        passed: passed.get(row).unwrap_or(false),
    });
    Ok(checks.collect())
}
