//! Facts → the KPIs as of a date.

mod figures;
#[cfg(test)]
mod tests;

use chrono::{Days, NaiveDate};
use polars::prelude::*;
use rcm_domain::gold::control;
use rcm_domain::kpi::{GoldTables, KPIS, Kpi};
use rcm_model::event::{StageInput, StageReport, TableCommit};
use rcm_platform::stage::{self, Failure, Work};
use rcm_platform::{Context, StageError, lake};
use rcm_tables::frames::blocking;
use rcm_tables::gold::{SUBJECT, Tables, Target, settle, until_settled};

const AS_OF: &str = "as_of";

/// Computes the KPIs as of the input's date, or of today, where the facts have changed or the date
/// is another one. A KPI whose fact is not there is not made.
///
/// # Errors
/// `ControlCheckFailed` if the sums of a KPI are not those of its fact; the others are committed.
pub async fn handle(context: Context, input: StageInput) -> Result<StageReport, StageError> {
    let as_of = input.as_of.unwrap_or_else(|| context.now().date_naive());
    let work = until_settled(|| rebuild(&context, &input.run_id, as_of));
    stage::report(&context, "gold-kpis", &input.run_id, SUBJECT, work).await
}

async fn rebuild(context: &Context, run_id: &str, as_of: NaiveDate) -> Result<Work, Failure> {
    let kpis = Tables::open(&context.lake, KPIS.iter().map(|kpi| lake::gold(kpi.table))).await?;
    let inputs = ["fact_transactions", "fact_claims", "dim_provider", "dim_department"];
    let sources = Tables::open(&context.lake, inputs.map(lake::gold)).await?;
    let (mut due, mut notes) = (Vec::new(), Vec::new());
    for kpi in KPIS {
        if let Some(missing) = kpi.inputs.iter().find(|input| sources.get(&lake::gold(input)).is_none()) {
            notes.push(format!("{} is not made: there is no {}", kpi.table, lake::gold(missing)));
            continue;
        }
        let target = Target::new(context, run_id, &kpis, lake::gold(kpi.table), made_from(kpi, as_of, &sources));
        if target.is_due().await? {
            due.push((kpi, target));
        }
    }
    if due.is_empty() {
        return Ok(Work { notes, ..Work::default() });
    }
    let gold = GoldTables {
        transactions: scan(&sources, "fact_transactions").await?,
        claims: scan(&sources, "fact_claims").await?,
        providers: scan(&sources, "dim_provider").await?,
        departments: scan(&sources, "dim_department").await?,
    };
    let mut done = vec![Ok(Work { notes, ..Work::default() })];
    // Metrics are told as of now: what a date of the past shows is in the tables alone.
    let is_of_now = as_of >= context.now().date_naive() - Days::new(1);
    for (kpi, target) in due {
        let mut made = rebuild_kpi(kpi, target, gold.clone(), as_of).await;
        if let Ok(work) = &mut made
            && !is_of_now
        {
            work.figures.clear();
        }
        done.push(made);
    }
    settle(done)
}

/// What a KPI's commit records. A table that keeps other dates has a record per date; in one that
/// holds a single date, the date is part of the record.
fn made_from(kpi: &Kpi, as_of: NaiveDate, sources: &Tables) -> Vec<(String, i64)> {
    let versions = kpi.inputs.iter().map(|input| sources.made_from(&lake::gold(input)));
    if kpi.keeps_history {
        return versions.map(|(path, version)| (format!("{AS_OF}={as_of}/{path}"), version)).collect();
    }
    versions.chain([(AS_OF.to_owned(), as_of.to_epoch_days().into())]).collect()
}

async fn scan(sources: &Tables, table: &str) -> Result<LazyFrame, StageError> {
    let rows = sources.scan(&lake::gold(table)).await?;
    Ok(rows.unwrap_or_else(|| DataFrame::empty().lazy()))
}

async fn rebuild_kpi(
    kpi: &'static Kpi,
    target: Target<'_>,
    gold: GoldTables,
    as_of: NaiveDate,
) -> Result<Work, StageError> {
    let path = target.path().to_owned();
    let (rows, checks, undated) = blocking(move || {
        let rows = (kpi.compute)(&gold, as_of)?;
        let checks = kpi.check(&path, &rows, &gold, as_of)?;
        Ok((rows, checks, kpi.undated(&gold)?))
    })
    .await?;
    let mut work = Work { checks, ..Work::default() };
    if undated > 0 {
        let (fact, date) = kpi.dated_by;
        work.notes.push(format!("{} leaves out {undated} rows of {fact} without a {date}", kpi.table));
    }
    if control::failures(&work.checks).is_none() {
        work.figures = figures::of(kpi, &rows)?;
        work.commits.push(replace(kpi, target, rows, as_of).await?);
    }
    Ok(work)
}

async fn replace(kpi: &Kpi, target: Target<'_>, rows: DataFrame, as_of: NaiveDate) -> Result<TableCommit, StageError> {
    let schema = (kpi.schema)();
    if !kpi.keeps_history {
        let new = target.write(&rows, &[]).await?;
        return target.overwrite(&schema, new.into_iter().collect()).await;
    }
    let date = as_of.to_string();
    let of_date = target.files().iter().filter(|file| file.partition_value(AS_OF) == Some(date.as_str()));
    let old = of_date.cloned().collect();
    let new = target.write(&rows.drop(AS_OF)?, &[(AS_OF, Some(date))]).await?;
    target.replace(&schema, &[AS_OF], old, new.into_iter().collect()).await
}
