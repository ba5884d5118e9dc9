//! What full extracts say about keys that they do not hold.

use chrono::{DateTime, Utc};
use polars::prelude::*;

use crate::cdm::{presence_dtype, timestamp};

/// A load that holds a whole table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FullExtract {
    pub datasource: String,
    pub sequence: i64,
    /// When the table was read: keys that are not in it were gone by then.
    pub extracted_at: DateTime<Utc>,
}

/// Keys of the full extracts that a run takes in.
#[derive(Debug, Clone)]
pub struct KeysSeen {
    /// The extracts that are new to the table, in the order of their sequence.
    pub extracts: Vec<FullExtract>,
    /// Columns `key`, `datasource`, `sequence`: every key of those extracts, also of rows in
    /// quarantine, since those are not gone. Each once.
    pub keys: DataFrame,
}

impl KeysSeen {
    /// No full extract.
    #[must_use]
    pub fn none() -> Self {
        let schema = Schema::from_iter([
            Field::new("key".into(), DataType::String),
            Field::new("datasource".into(), DataType::String),
            Field::new("sequence".into(), DataType::Int64),
        ]);
        Self { extracts: Vec::new(), keys: DataFrame::empty_with_schema(&schema) }
    }
}

/// Per key and full extract, whether the key was in it: columns `key`, `sequence`, `extracted_at`,
/// `present`.
///
/// An extract says nothing of a key that bronze first saw later. Modified times are often dates: a row
/// that is entered after the day's extract has a time before it, and was never missing.
///
/// `known` has one row per key: `key`, `datasource`, `since` (the first sequence that brought it)
/// and `presence` (what the table keeps, null for a key that was never missed). `extracts` are all
/// of the stream, the new ones too.
pub(super) fn resolve(known: &DataFrame, extracts: &[FullExtract], seen: &KeysSeen) -> PolarsResult<DataFrame> {
    let seen_now = seen.keys.clone().lazy().select([col("key"), col("sequence"), lit(true).alias("seen")]);
    let kept = known
        .clone()
        .lazy()
        .select([col("key"), col("presence")])
        .drop_nulls(None)
        .explode(by_name(["presence"], true, false), ExplodeOptions { empty_as_null: false, keep_nulls: false })
        .unnest(by_name(["presence"], true, false), None)
        .rename(["present"], ["kept"], true)
        .sort(["sequence"], SortMultipleOptions::default());
    known
        .clone()
        .lazy()
        .select([col("key"), col("datasource"), col("since")])
        .join(
            extracts_frame(extracts, &seen.extracts)?.lazy(),
            [col("datasource")],
            [col("datasource")],
            JoinArgs::new(JoinType::Inner),
        )
        .filter(col("sequence").gt_eq(col("since")))
        .join(seen_now, [col("key"), col("sequence")], [col("key"), col("sequence")], JoinArgs::new(JoinType::Left))
        .sort(["sequence"], SortMultipleOptions::default())
        .join_builder()
        .with(kept)
        .on([col("sequence")])
        .how(JoinType::AsOf(Box::new(last_toggle_of_the_key())))
        .finish()
        .with_column(
            when(col("is_new"))
                .then(col("seen").fill_null(lit(false)))
                .otherwise(col("kept").fill_null(lit(true)))
                .alias("present"),
        )
        .select([col("key"), col("sequence"), col("extracted_at"), col("present")])
        .collect()
}

fn last_toggle_of_the_key() -> AsOfOptions {
    AsOfOptions {
        strategy: AsofStrategy::Backward,
        left_by: Some(vec!["key".into()]),
        right_by: Some(vec!["key".into()]),
        allow_eq: true,
        check_sortedness: false,
        ..AsOfOptions::default()
    }
}

/// The toggles of every key after this run: columns `key`, `presence`; null for keys that are
/// present from their first sequence on.
///
/// `dead` has the keys without a current version. Extracts to come that lack one of them will not
/// touch it, so it counts as absent from now on until one has it.
pub(super) fn toggles(resolved: &DataFrame, dead: LazyFrame) -> PolarsResult<DataFrame> {
    let key = [col("key")];
    let recorded = resolved.clone().lazy().select([col("key"), col("sequence"), col("present")]);
    let after_all = recorded
        .clone()
        .group_by(key.clone())
        .agg([col("sequence").max() + lit(1)])
        .join(dead, key.clone(), key.clone(), JoinArgs::new(JoinType::Semi))
        .with_column(lit(false).alias("present"));
    concat([recorded, after_all], UnionArgs::default())?
        .sort(["key", "sequence"], SortMultipleOptions::default())
        .with_column(col("present").shift(lit(1)).over(key.clone())?.fill_null(lit(true)).alias("before"))
        .filter(col("present").neq(col("before")))
        .group_by_stable(key)
        .agg([as_struct(vec![col("sequence"), col("present")]).alias("presence")])
        .with_column(col("presence").cast(presence_dtype()))
        .collect()
}

/// Columns `datasource`, `sequence`, `extracted_at`, `is_new`. Every source counts its own extracts, so
/// that a number alone does not tell which are new.
fn extracts_frame(extracts: &[FullExtract], new: &[FullExtract]) -> PolarsResult<DataFrame> {
    let datasource: Vec<&str> = extracts.iter().map(|extract| extract.datasource.as_str()).collect();
    let sequence: Vec<i64> = extracts.iter().map(|extract| extract.sequence).collect();
    let extracted_at: Vec<i64> = extracts.iter().map(|extract| extract.extracted_at.timestamp_micros()).collect();
    let is_new: Vec<bool> = extracts.iter().map(|extract| new.contains(extract)).collect();
    df!("datasource" => datasource, "sequence" => sequence, "extracted_at" => extracted_at, "is_new" => is_new)?
        .lazy()
        .with_column(col("extracted_at").cast(timestamp()))
        .collect()
}
