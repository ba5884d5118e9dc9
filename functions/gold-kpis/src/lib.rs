//! The rows of transactions and claims that were valid at a date → the KPIs as of that date.
//!
//! [`handle`] says which are due; [`rcm_domain::kpi`] has the formulas.

mod closed_rows;
mod closing;
mod fact;
mod kept;
mod metrics;
mod restatements;
mod rows_at;
mod sums;
#[cfg(test)]
mod tests;

use std::collections::HashMap;

use chrono::{Days, NaiveDate};
use polars::prelude::*;
use rcm_domain::gold::control;
use rcm_domain::gold::held::EndOfDay;
use rcm_domain::kpi::parts::Sums;
use rcm_domain::kpi::{GoldTables, KPIS, Kpi, LeftOut};
use rcm_domain::money;
use rcm_model::cdm::{CLAIMS, TRANSACTIONS};
use rcm_model::event::{StageInput, StageReport, TableCommit};
use rcm_platform::stage::{self, Failure, Work};
use rcm_platform::{Context, StageError, lake};
use rcm_tables::frames::blocking;
use rcm_tables::gold::{Due, SUBJECT, Tables, Target, collect_results, record_of_zones, retry_on_conflict, zones};

use self::closing::Decision;
use self::sums::Day;

const AS_OF: &str = "as_of";

/// Computes the KPIs as of the input's date, or of today, where silver has changed or the date is another
/// one. A KPI whose fact is not there is not made. Then says what has changed the figures of closed months.
///
/// An input with a month to close or to reopen does that and nothing else.
///
/// # Errors
/// `ControlCheckFailed` if the sums of a KPI are not those of the rows it is over; the others are committed. `BadConfig` if
/// the month cannot be closed or reopened.
pub async fn handle(context: Context, input: StageInput) -> Result<StageReport, StageError> {
    if let Some(decision) = Decision::of(&input)? {
        return closing::handle(&context, &input.run_id, &decision).await;
    }
    let as_of = input.as_of.map_or_else(|| context.today(), Ok)?;
    let work = retry_on_conflict(|| rebuild(&context, &input.run_id, as_of));
    stage::report(&context, "gold-kpis", &input.run_id, SUBJECT, work).await
}

/// What each KPI of a date is made from, and what of that has changed since it was made. Writes nothing.
///
/// # Errors
/// A log cannot be read.
pub async fn due(context: &Context, as_of: NaiveDate) -> Result<Vec<Due>, StageError> {
    let (kpis, sources) = open(context).await?;
    let zones = zones(context);
    let mut due = Vec::new();
    for kpi in KPIS {
        let made_from = made_from(kpi, as_of, &sources, record_of_zones(&zones));
        let of_kpi = Target::new(context, "", &kpis, lake::gold(kpi.table), made_from).due().await?;
        let lacks = needed_by(kpi).filter(|path| sources.get(path).is_none()).collect();
        due.push(Due { lacks, ..of_kpi });
    }
    Ok(due)
}

/// Opens the tables of the KPIs, then what they are made from.
async fn open(context: &Context) -> Result<(Tables, Tables), StageError> {
    let kpis = Tables::open(&context.lake, KPIS.iter().map(|kpi| lake::gold(kpi.table))).await?;
    let inputs = ["fact_transactions", "fact_claims", "dim_provider", "dim_department"];
    let paths = inputs.iter().map(|input| lake::gold(input)).chain(inputs.iter().map(|input| source_of(input)));
    let sources = Tables::open(&context.lake, paths).await?;
    Ok((kpis, sources))
}

async fn rebuild(context: &Context, run_id: &str, as_of: NaiveDate) -> Result<Work, Failure> {
    let (kpis, sources) = open(context).await?;
    let zones = zones(context);
    let (mut due, mut notes) = (Vec::new(), Vec::new());
    for kpi in KPIS {
        if let Some(missing) = needed_by(kpi).find(|path| sources.get(path).is_none()) {
            notes.push(format!("{} is not made: there is no {missing}", kpi.table));
            continue;
        }
        let made_from = made_from(kpi, as_of, &sources, record_of_zones(&zones));
        let target = Target::new(context, run_id, &kpis, lake::gold(kpi.table), made_from);
        if target.is_due().await? {
            due.push((kpi, target));
        }
    }
    let mut done = vec![Ok(Work { notes, ..Work::default() })];
    if !due.is_empty() {
        done.extend(make(context, due, &sources, as_of, &zones).await?);
    }
    done.push(restatements::restate(context, run_id).await);
    collect_results(done)
}

/// Makes the KPIs that are due. One that fails does not stop the others.
async fn make(
    context: &Context,
    due: Vec<(&'static Kpi, Target<'_>)>,
    sources: &Tables,
    as_of: NaiveDate,
    zones: &[(String, TimeZone)],
) -> Result<Vec<Result<Work, StageError>>, StageError> {
    let end = EndOfDay::new(as_of, zones)?;
    let day = Day { lake: &context.lake, as_of, end: &end };
    let (of_claims, of_transactions): (Vec<_>, Vec<_>) =
        due.iter().map(|(kpi, _)| *kpi).partition(|kpi| kpi.inputs.contains(&"fact_claims"));
    let mut sums: HashMap<&str, Sums> = HashMap::new();
    let summed = sums::of_transactions(sources, &of_transactions, day).await?;
    sums.extend(of_transactions.iter().map(|kpi| kpi.table).zip(summed));
    let summed = sums::of_claims(sources, &of_claims, day).await?;
    sums.extend(of_claims.iter().map(|kpi| kpi.table).zip(summed));
    let dimensions = Dimensions {
        providers: scan(sources, "dim_provider").await?,
        departments: scan(sources, "dim_department").await?,
    };
    let mut done = Vec::new();
    // Metrics are of now; the figures of a past date are only in the tables.
    let is_of_now = as_of >= context.today()? - Days::new(1);
    for (kpi, target) in due {
        let sums = sums.remove(kpi.table).unwrap_or_default();
        let path = target.path().to_owned();
        let made = rebuild_kpi(kpi, target, sums, dimensions.clone(), as_of, is_of_now).await;
        done.push(made.map_err(|error| error.in_table(&path)));
    }
    Ok(done)
}

/// Dimensions that KPIs take names from.
#[derive(Clone)]
struct Dimensions {
    providers: LazyFrame,
    departments: LazyFrame,
}

/// Paths of the tables without which a KPI is not made.
fn needed_by(kpi: &Kpi) -> impl Iterator<Item = String> {
    kpi.inputs.iter().flat_map(|input| [lake::gold(input), source_of(input)])
}

/// Returns the table that an input is read from: a fact has only current rows, silver also those of the past.
fn source_of(input: &str) -> String {
    match input {
        "fact_transactions" => lake::silver(TRANSACTIONS.name),
        "fact_claims" => lake::silver(CLAIMS.name),
        dimension => lake::gold(dimension),
    }
}

/// Returns what a KPI's commit records: its inputs and its date. A table that keeps other dates records the last one
/// alone, so that the record does not grow with the dates: another date is computed whenever it is asked for.
fn made_from(kpi: &Kpi, as_of: NaiveDate, sources: &Tables, zones: (String, i64)) -> Vec<(String, i64)> {
    let versions = kpi.inputs.iter().map(|input| sources.made_from(&source_of(input)));
    versions.chain([zones, (AS_OF.to_owned(), as_of.to_epoch_days().into())]).collect()
}

async fn scan(sources: &Tables, table: &str) -> Result<LazyFrame, StageError> {
    let rows = sources.scan(&lake::gold(table)).await?;
    Ok(rows.unwrap_or_else(|| DataFrame::empty().lazy()))
}

async fn rebuild_kpi(
    kpi: &'static Kpi,
    target: Target<'_>,
    sums: Sums,
    dimensions: Dimensions,
    as_of: NaiveDate,
    is_of_now: bool,
) -> Result<Work, StageError> {
    let (path, left_out) = (target.path().to_owned(), sums.left_out);
    let (rows, checks) = blocking(move || {
        let none = DataFrame::empty;
        let Dimensions { providers, departments } = dimensions;
        let gold = GoldTables { transactions: none().lazy(), claims: none().lazy(), providers, departments };
        Ok(kpi.rows(&path, sums, &gold, as_of)?)
    })
    .await?;
    let mut work = Work { checks, ..Work::default() };
    work.notes.extend(notes_of(kpi, as_of, left_out));
    if control::failures(&work.checks).is_none() {
        if is_of_now {
            work.metrics = metrics::of(kpi, &rows)?;
        }
        work.commits.push(replace(kpi, target, rows, as_of).await?);
    }
    Ok(work)
}

/// Returns the notes of the rows that a KPI leaves out.
fn notes_of(kpi: &Kpi, as_of: NaiveDate, left_out: LeftOut) -> Vec<String> {
    let LeftOut { undated, after, amount_after } = left_out;
    let (fact, date) = kpi.dated_by;
    let mut notes = Vec::new();
    if undated > 0 {
        notes.push(format!("{} leaves out {undated} rows of {fact} without a {date}", kpi.table));
    }
    if after > 0 {
        let rows = if after == 1 { "row" } else { "rows" };
        let entity = fact.trim_start_matches("fact_");
        let amount = money::format_cents(amount_after);
        notes.push(format!("{} leaves out {after} {rows} of {entity} after {as_of}: {amount}", kpi.table));
    }
    notes
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
