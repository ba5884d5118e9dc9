//! What the figures of closed months would be as known today, and what has changed them.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::sync::Arc;

use polars::prelude::*;
use rcm_domain::cdm::silver_schema;
use rcm_domain::close::{
    ClosedFigures, Closing, Comparison, Matched, RESTATEMENTS, Restated, check, restatement_rows, restatement_schema,
    rows_of,
};
use rcm_domain::gold::control;
use rcm_model::cdm::TRANSACTIONS;
use rcm_platform::lake::Lake;
use rcm_platform::stage::Work;
use rcm_platform::{Context, StageError, lake};
use rcm_tables::delta::DataFile;
use rcm_tables::frames::blocking;
use rcm_tables::gold::{Bucket, Tables, Target, two_at_once};

use crate::closed_rows::{ClosedRows, Kept};
use crate::closing::ClosedMonths;
use crate::fact::{FACT, Known, name_of};

/// Writes `kpi_restatements` if a month is or was closed, and the fact or the closings have changed since it was written.
///
/// # Errors
/// `ControlCheckFailed` if the parts are not the difference. A table or what a closing has kept cannot be read.
pub(crate) async fn restate(context: &Context, run_id: &str) -> Result<Work, StageError> {
    let path = lake::gold(RESTATEMENTS);
    restate_table(context, run_id, &path).await.map_err(|error| error.in_table(&path))
}

async fn restate_table(context: &Context, run_id: &str, path: &str) -> Result<Work, StageError> {
    if ClosedMonths::open(context).await?.made_from().is_none() {
        return Ok(Work::default());
    }
    let opened = Tables::open(&context.lake, [path.to_owned()]).await?;
    let closed = ClosedMonths::open(context).await?;
    let Some(closings) = closed.made_from() else { return Ok(Work::default()) };
    let sources = Tables::open(&context.lake, Known::paths()).await?;
    let Some(known) = Known::of(&sources) else { return Ok(Work::default()) };
    let made_from = vec![closings, sources.made_from(&lake::gold(FACT))];
    let target = Target::new(context, run_id, &opened, path.to_owned(), made_from);
    if !target.is_due().await? {
        return Ok(Work::default());
    }
    let buckets = sources.buckets(&lake::gold(FACT));
    let Some(restated) = compare(&context.lake, known, buckets, &closed.open).await? else {
        let note = format!("{RESTATEMENTS} is not made: {FACT} is older than silver; the next run makes it");
        return Ok(Work { notes: vec![note], ..Work::default() });
    };
    let (today, name) = (context.today()?, path.to_owned());
    let (rows, checks) = blocking(move || {
        let rows = restatement_rows(&restated, today)?;
        let checks = check(&name, &rows, &restated)?;
        Ok((rows, checks))
    })
    .await?;
    let mut work = Work { checks, ..Work::default() };
    if control::failures(&work.checks).is_none() {
        let new = target.write(&rows, &[]).await?;
        work.commits.push(target.overwrite(&restatement_schema(), new.into_iter().collect()).await?);
    }
    Ok(work)
}

/// A closing, and what it is compared by.
struct Open<'a> {
    rows: ClosedRows<'a>,
    kept: Kept,
    closing: Arc<Closing>,
}

/// Holds what each closing has kept against the fact, reading each bucket of it once. None if the fact has not been made
/// anew since silver was divided into another number of buckets.
async fn compare(
    lake: &Lake,
    known: Known<'_>,
    buckets: Vec<Bucket>,
    closings: &[ClosedFigures],
) -> Result<Option<Vec<Restated>>, StageError> {
    let reversals = known.reversals(&buckets).await?;
    let mut open = Vec::new();
    for ClosedFigures { month_end, closing, .. } in closings {
        let rows = ClosedRows { lake, closing };
        let kept = rows.kept().await?;
        let reversals = kept.reversals.union(&reversals).copied().collect();
        let closing = Arc::new(Closing { month_end: *month_end, loads: kept.loads.clone(), reversals });
        open.push(Open { rows, kept, closing });
    }
    let count = known.bucket_count()?;
    let open = open.as_slice();
    let buckets = with_those_of(buckets, open, count).into_iter();
    let compared = buckets.map(|bucket| async move { of_bucket(known, &bucket, count, open).await });
    let none = open.iter().map(|open| Comparison::none(open.closing.month_end)).collect();
    let add = |all: Option<Vec<Comparison>>, more: Option<Vec<Comparison>>| async move {
        Ok(all.zip(more).map(|(all, more)| all.into_iter().zip(more).map(|(all, more)| all.and(more)).collect()))
    };
    let Some(compared) = two_at_once(compared, Some(none), add).await? else { return Ok(None) };
    let restated = closings.iter().zip(compared).map(|(closing, compared)| Restated {
        month_end: closing.month_end,
        published: closing.published.clone(),
        compared: compared.finish(),
    });
    Ok(Some(restated.collect()))
}

/// The buckets of the fact, and those of closings that have no row in the fact any more.
fn with_those_of(buckets: Vec<Bucket>, open: &[Open<'_>], count: Option<u32>) -> Vec<Bucket> {
    let mut names: BTreeSet<String> = open.iter().flat_map(|open| open.kept.buckets.clone()).collect();
    names.extend((0..count.unwrap_or(0)).map(|bucket| bucket.to_string()));
    let mut all: BTreeMap<String, Bucket> =
        names.into_iter().map(|name| (name.clone(), Bucket { name: Some(name), files: Vec::new() })).collect();
    all.extend(buckets.into_iter().map(|bucket| (name_of(&bucket).to_owned(), bucket)));
    // Beyond the number of buckets there are only those of a closing with more of them, whose rows are in others now.
    all.retain(|name, bucket| {
        let number = name.parse::<u32>().ok();
        !bucket.files.is_empty() || number.zip(count).is_none_or(|(number, count)| number < count)
    });
    all.into_values().collect()
}

/// Compares a bucket for each closing. None if the rows of the fact do not belong to the bucket.
async fn of_bucket(
    known: Known<'_>,
    bucket: &Bucket,
    count: Option<u32>,
    open: &[Open<'_>],
) -> Result<Option<Vec<Comparison>>, StageError> {
    let Some(fact) = known.rows(bucket).await?.map(Arc::new) else { return Ok(None) };
    let mut compared = Vec::new();
    for Open { rows, kept, closing } in open {
        let then = rows.read(kept, name_of(bucket), count).await?;
        let (fact, month_end) = (Arc::clone(&fact), closing.month_end);
        let matched = blocking(move || Ok(Matched::of(&then, &rows_of(&fact, month_end)?)?)).await?;
        let deleted = deleted(known, bucket, matched.gone()).await?;
        let closing = Arc::clone(closing);
        compared.push(blocking(move || Ok(Comparison::of(&closing, &matched, &deleted))).await?);
    }
    Ok(Some(compared))
}

/// Those of some keys without a row today that the source deleted: silver has a deleted version of them.
async fn deleted(known: Known<'_>, bucket: &Bucket, keys: Vec<String>) -> Result<HashSet<String>, StageError> {
    if keys.is_empty() {
        return Ok(HashSet::new());
    }
    let files = known.silver.files().iter();
    let files: Vec<DataFile> =
        files.filter(|file| file.partition_value("bucket") == bucket.name.as_deref()).cloned().collect();
    let schema = silver_schema(&TRANSACTIONS);
    let schema: Schema = [TRANSACTIONS.key, "is_deleted"].iter().filter_map(|name| schema.get_field(name)).collect();
    let keys: Arc<HashSet<String>> = Arc::new(keys.into_iter().collect());
    let of_group = move |rows: DataFrame| {
        let (names, are_deleted) = (rows.column(TRANSACTIONS.key)?.str()?, rows.column("is_deleted")?.bool()?);
        let deleted = names.iter().zip(are_deleted.iter()).filter(|(_, is_deleted)| *is_deleted == Some(true));
        let deleted = deleted.filter_map(|(key, _)| key.filter(|key| keys.contains(*key)));
        Ok(deleted.map(str::to_owned).collect::<Vec<String>>())
    };
    Ok(known.silver.read(&files, &schema, of_group).await?.into_iter().flatten().collect())
}
