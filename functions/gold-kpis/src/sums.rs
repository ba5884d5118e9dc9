//! Sums of the KPIs over the rows of a day, bucket by bucket: each is read once for all KPIs.

use std::sync::Arc;

use chrono::NaiveDate;
use polars::prelude::*;
use rcm_domain::cdm::silver_schema;
use rcm_domain::gold::held::EndOfDay;
use rcm_domain::kpi::parts::{Sums, sum_all};
use rcm_domain::kpi::reversals::Reversals;
use rcm_domain::kpi::{CLAIM_COLUMNS, GoldTables, Kpi, TRANSACTION_COLUMNS};
use rcm_model::cdm::{CLAIMS, Entity, TRANSACTIONS};
use rcm_platform::lake::Lake;
use rcm_platform::{StageError, lake};
use rcm_tables::frames::blocking;
use rcm_tables::gold::{Bucket, GOLD_REVISION, Tables, two_at_once};

use crate::kept::{Kept, OfBucket};
use crate::rows_at::RowsAt;

/// A date D, its end, and the lake in which sums are kept.
#[derive(Clone, Copy)]
pub(crate) struct Day<'a> {
    pub lake: &'a Lake,
    pub as_of: NaiveDate,
    pub end: &'a EndOfDay,
}

/// Returns the sums of KPIs over all transactions of a day, in the order of the KPIs.
///
/// # Errors
/// A file cannot be read.
pub(crate) async fn of_transactions(
    sources: &Tables,
    kpis: &[&'static Kpi],
    day: Day<'_>,
) -> Result<Vec<Sums>, StageError> {
    let path = lake::silver(TRANSACTIONS.name);
    let (Some(silver), false) = (sources.get(&path), kpis.is_empty()) else { return Ok(Vec::new()) };
    let rows = RowsAt { silver, entity: &TRANSACTIONS, columns: &TRANSACTION_COLUMNS, end: day.end };
    let buckets = sources.buckets(&path);
    let read = buckets.iter().cloned().map(|bucket| async move { rows.reversals(&bucket).await });
    let together = |reversals: Reversals, more| async move { Ok(reversals.and(more)) };
    let reversals = Arc::new(two_at_once(read, Reversals::default(), together).await?);
    sum_up(rows, buckets, &Arc::from(kpis), day, &reversals).await
}

/// Returns the sums of KPIs over all claims of a day, in the order of the KPIs.
///
/// # Errors
/// A file cannot be read.
pub(crate) async fn of_claims(sources: &Tables, kpis: &[&'static Kpi], day: Day<'_>) -> Result<Vec<Sums>, StageError> {
    let path = lake::silver(CLAIMS.name);
    let (Some(silver), false) = (sources.get(&path), kpis.is_empty()) else { return Ok(Vec::new()) };
    let rows = RowsAt { silver, entity: &CLAIMS, columns: &CLAIM_COLUMNS, end: day.end };
    sum_up(rows, sources.buckets(&path), &Arc::from(kpis), day, &Arc::default()).await
}

async fn sum_up(
    rows: RowsAt<'_>,
    buckets: Vec<Bucket>,
    kpis: &Arc<[&'static Kpi]>,
    day: Day<'_>,
    reversals: &Arc<Reversals>,
) -> Result<Vec<Sums>, StageError> {
    let (entity, as_of) = (rows.entity, day.as_of);
    let product = env!("CARGO_PKG_VERSION");
    let (table, reversals_of) = (rows.silver.id(), reversals.fingerprint());
    let made_by = format!("{product} {GOLD_REVISION} {as_of} {:?} {reversals_of} {table}", day.end);
    let made_by = made_by.as_str();
    let of_bucket = |bucket: Bucket| async move {
        let kept = Kept::new(day.lake, entity, &bucket, bucket.fingerprint(made_by));
        if let Some(of_bucket) = kept.read(kpis).await? {
            return Ok(of_bucket);
        }
        let rows = rows.of_bucket(&bucket).await?;
        let (of_kpis, reversals) = (Arc::clone(kpis), Arc::clone(reversals));
        let of_bucket = blocking(move || {
            let (rows, apart) =
                if entity.name == TRANSACTIONS.name { reversals.split(&rows)? } else { (rows.clone(), rows.clear()) };
            Ok(OfBucket { sums: sum_all(&of_kpis, &gold_of(entity, rows)?, as_of)?, apart })
        })
        .await?;
        kept.write(kpis, &of_bucket).await?;
        Ok(of_bucket)
    };
    let nothing = OfBucket { sums: Vec::new(), apart: rows.none() };
    let add = |all: OfBucket, of_bucket: OfBucket| async move {
        let kpis = Arc::clone(kpis);
        blocking(move || {
            let apart = all.apart.vstack(&of_bucket.apart)?;
            Ok(OfBucket { sums: added(&kpis, all.sums, of_bucket.sums)?, apart })
        })
        .await
    };
    let OfBucket { sums, apart } = two_at_once(buckets.into_iter().map(of_bucket), nothing, add).await?;
    let kpis = Arc::clone(kpis);
    blocking(move || {
        let of_apart = sum_all(&kpis, &gold_of(entity, apart)?, as_of)?;
        added(&kpis, sums, of_apart)
    })
    .await
}

/// Adds sums of the same KPIs, in their order.
pub(crate) fn added(kpis: &[&'static Kpi], sums: Vec<Sums>, more: Vec<Sums>) -> Result<Vec<Sums>, StageError> {
    if sums.is_empty() {
        return Ok(more);
    }
    let pairs = kpis.iter().zip(sums.into_iter().zip(more));
    pairs.map(|(kpi, (sums, more))| Ok(kpi.add(sums, more)?)).collect()
}

/// Gold tables with rows of one entity and nothing else.
pub(crate) fn gold_of(entity: &'static Entity, rows: DataFrame) -> Result<GoldTables, StageError> {
    let none = |entity, columns: &[&str]| {
        let schema = silver_schema(entity);
        let fields: Schema = columns.iter().filter_map(|name| schema.get_field(name)).collect();
        DataFrame::empty_with_schema(&fields).lazy()
    };
    let (transactions, claims) = if entity.name == TRANSACTIONS.name {
        (rows.lazy(), none(&CLAIMS, &CLAIM_COLUMNS))
    } else {
        (none(&TRANSACTIONS, &TRANSACTION_COLUMNS), rows.lazy())
    };
    Ok(GoldTables::new(transactions, claims, DataFrame::empty().lazy(), DataFrame::empty().lazy())?)
}
