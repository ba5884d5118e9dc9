//! What each row of a silver table said at the end of a day.
//!
//! A key that had begun by then says what the version says that held, and nothing if it was deleted. A
//! key that the lake first knows from later on says what it said first, of what it said under a stamp
//! that can be true: one that lay in the future when the lake wrote the version is a slip of the source.
//! If it never had such a stamp, it says what it says now.

use chrono::{Days, NaiveDate, NaiveTime, TimeDelta, TimeZone as _};
use polars::prelude::*;
use rcm_model::cdm::Entity;

use crate::cdm::timestamp;

/// Columns of silver that decide which version held.
const DECIDING: [&str; 6] =
    ["src_modified_at", "effective_from", "effective_to", "is_current", "is_deleted", "updated_at"];

/// The last microsecond of a day, per datasource.
#[derive(Debug, Clone)]
pub struct EndOfDay {
    utc: i64,
    /// Of the datasources whose days are not those of UTC.
    zoned: Vec<(String, i64)>,
}

impl EndOfDay {
    /// The end of `day`; `zones` names the datasources whose days are not those of UTC.
    ///
    /// # Errors
    /// A zone is none.
    pub fn new(day: NaiveDate, zones: &[(String, TimeZone)]) -> PolarsResult<Self> {
        let next = day.checked_add_days(Days::new(1)).unwrap_or(NaiveDate::MAX).and_time(NaiveTime::MIN);
        let ends = zones.iter().map(|(datasource, zone)| {
            let zone = zone.to_chrono()?;
            // Where a clock change skips midnight, the day begins an hour later.
            let begins = [0, 1].map(|hours| zone.from_local_datetime(&(next + TimeDelta::hours(hours))).earliest());
            let begins = begins.into_iter().flatten().next().map_or(next.and_utc(), |moment| moment.to_utc());
            Ok((datasource.clone(), begins.timestamp_micros() - 1))
        });
        Ok(Self { utc: next.and_utc().timestamp_micros() - 1, zoned: ends.collect::<PolarsResult<_>>()? })
    }

    /// The earliest of the ends, in microseconds: what ended up to then held at none of them.
    #[must_use]
    pub fn earliest(&self) -> i64 {
        self.zoned.iter().map(|(_, end)| *end).fold(self.utc, i64::min)
    }

    /// The end of the day of a datasource, in microseconds.
    #[must_use]
    pub fn of(&self, datasource: &str) -> i64 {
        self.zoned.iter().find(|(name, _)| name == datasource).map_or(self.utc, |(_, end)| *end)
    }

    /// Whether a version held then, as a condition on rows of silver.
    pub fn held(&self) -> Expr {
        self.lasts().and(self.has_begun())
    }

    /// Whether a version had not ended by then, nor will ever have held nothing.
    fn lasts(&self) -> Expr {
        let to = || col("effective_to");
        let is_gone = col("is_current").and(col("is_deleted"));
        to().is_null().or(to().gt(self.of_row())).and(is_lasting()).and(is_gone.not()).fill_null(lit(false))
    }

    fn has_begun(&self) -> Expr {
        col("effective_from").lt_eq(self.of_row()).fill_null(lit(false))
    }

    fn of_row(&self) -> Expr {
        self.zoned.iter().fold(moment(self.utc), |otherwise, (datasource, end)| {
            when(col("datasource").eq(lit(datasource.clone()))).then(moment(*end)).otherwise(otherwise)
        })
    }
}

fn moment(micros: i64) -> Expr {
    lit(micros).cast(timestamp())
}

/// Versions that may be what a key said at the end of a day.
#[derive(Debug, Clone)]
pub struct Candidates {
    /// The versions that held then, with the columns that were asked for.
    pub held: DataFrame,
    /// Versions that began later, also of keys in `held`.
    pub later: DataFrame,
}

/// The candidates among silver rows. Versions that had ended by then need not be among them.
///
/// # Errors
/// The rows lack a column.
pub fn candidates(versions: LazyFrame, entity: &Entity, columns: &[&str], end: &EndOfDay) -> PolarsResult<Candidates> {
    // A condition that the statistics of a file can answer.
    let is_near = col("effective_to").is_null().or(col("effective_to").gt(moment(end.earliest())));
    let needed = needed(entity, columns).into_iter().map(col).collect::<Vec<_>>();
    candidates_of(&versions.filter(is_near).select(needed).collect()?, columns, end)
}

/// Columns of silver that [`candidates_of`] needs beside those that are asked for, and these.
#[must_use]
pub fn needed<'a>(entity: &Entity, columns: &[&'a str]) -> PlIndexSet<&'a str> {
    columns.iter().chain(&DECIDING).copied().chain([entity.key, "datasource"]).collect()
}

/// The candidates among silver rows in memory, which have the columns of [`needed`].
///
/// # Errors
/// The rows lack a column.
pub fn candidates_of(rows: &DataFrame, columns: &[&str], end: &EndOfDay) -> PolarsResult<Candidates> {
    let (may_hold, begun) = (end.lasts(), end.has_begun());
    let found = rows
        .clone()
        .lazy()
        .select([may_hold.clone().and(begun.clone()).alias("held"), may_hold.and(begun.not()).alias("later")])
        .collect()?;
    let held = rows.select(columns.iter().copied())?;
    let is_held = found.column("held")?.bool()?;
    let held = if is_held.all() { held } else { held.filter(is_held)? };
    Ok(Candidates { held, later: rows.filter(found.column("later")?.bool()?)? })
}

/// Keys of silver rows that have a version which had ended by the end of the day.
pub fn ended(versions: LazyFrame, entity: &Entity, end: &EndOfDay) -> LazyFrame {
    versions
        .filter(col("effective_to").lt_eq(end.of_row()).fill_null(lit(false)).and(is_lasting()))
        .select([col(entity.key)])
}

/// The rows of the day: those that held, and of keys that are neither among them nor among `ended` what
/// they said first, or say now.
///
/// # Errors
/// The rows lack a column.
pub fn settled(candidates: Candidates, ended: LazyFrame, entity: &Entity, columns: &[&str]) -> PolarsResult<DataFrame> {
    let Candidates { held, later } = candidates;
    if later.height() == 0 {
        return Ok(held);
    }
    let without = |rows: LazyFrame, known: LazyFrame| {
        rows.join(known, [col(entity.key)], [col(entity.key)], JoinArgs::new(JoinType::Anti))
    };
    let is_believable = col("src_modified_at").lt_eq(col("updated_at")).fill_null(lit(false));
    let order = when(is_believable).then(lit(0)).when(col("is_current")).then(lit(1)).otherwise(lit(NULL));
    let new = without(without(later.lazy(), held.clone().lazy().select([col(entity.key)])), ended)
        .with_columns([order.cast(DataType::Int32).alias("_order")])
        .filter(col("_order").is_not_null())
        .sort(["_order", "effective_from"], SortMultipleOptions::default().with_maintain_order(true))
        .filter(col(entity.key).is_first_distinct())
        .select(columns.iter().map(|name| col(*name)).collect::<Vec<_>>())
        .collect()?;
    held.vstack(&new)
}

/// What each key said at the end of the day, from all versions of a silver table. `columns` must have the
/// entity's key.
///
/// # Errors
/// The rows lack a column.
pub fn held_at(versions: &LazyFrame, entity: &Entity, columns: &[&str], end: &EndOfDay) -> PolarsResult<DataFrame> {
    let found = candidates(versions.clone(), entity, columns, end)?;
    settled(found, ended(versions.clone(), entity, end), entity, columns)
}

/// Whether a version ever held.
fn is_lasting() -> Expr {
    col("effective_from").eq(col("effective_to")).fill_null(lit(false)).not()
}

#[cfg(test)]
#[path = "held_tests.rs"]
mod tests;
