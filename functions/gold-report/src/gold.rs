//! Reads from gold what the report shows of a date.

use chrono::NaiveDate;
use polars::prelude::*;
use rcm_domain::report::facts::Frames;
use rcm_platform::{Context, StageError, lake};
use rcm_tables::frames::blocking;
use rcm_tables::gold::Tables;
use sha2::{Digest, Sha256};

/// KPI tables that are shown.
const KPIS: [&str; 7] = [
    "kpi_ar_trend",
    "kpi_ar_aging",
    "kpi_days_in_ar",
    "kpi_collection_rate",
    "kpi_claims",
    "kpi_days_to_payment",
    "kpi_payer_mix",
];
/// What has changed the figures of closed months.
const RESTATEMENTS: &str = rcm_domain::close::RESTATEMENTS;
/// Facts, the entity that each is of, and the date that says how far it reaches.
const FEEDS: [(&str, &str, &str); 2] =
    [("fact_transactions", "transactions", "service_date"), ("fact_claims", "claims", "claim_date")];

/// Names of the tables that the report is made from.
fn names() -> impl Iterator<Item = &'static str> {
    KPIS.into_iter().chain(FEEDS.map(|(fact, ..)| fact)).chain([RESTATEMENTS])
}

/// The tables of gold that the report is made from.
pub(crate) struct Gold(Tables);

impl Gold {
    /// Opens the tables; one that is not there has no rows.
    ///
    /// # Errors
    /// A log cannot be read.
    pub(crate) async fn open(context: &Context) -> Result<Self, StageError> {
        Ok(Self(Tables::open(&context.lake, names().map(lake::gold)).await?))
    }

    /// A hash of what the tables hold, and of whatever else the report depends on.
    pub(crate) fn fingerprint(&self, also: &str) -> String {
        let mut hash = Sha256::new();
        for name in names() {
            hash.update(format!("{:?}", self.0.made_from(&lake::gold(name))));
        }
        hash.update(also);
        format!("{:x}", hash.finalize())
    }

    /// The rows of a date.
    ///
    /// # Errors
    /// A file cannot be read.
    pub(crate) async fn frames(&self, as_of: NaiveDate) -> Result<Frames, StageError> {
        let [trend, ages, beside, collection, claims, waits, volumes] = KPIS;
        Ok(Frames {
            trend: self.of_date(trend, as_of).await?,
            ages: self.of_date(ages, as_of).await?,
            beside: self.of_date(beside, as_of).await?,
            collection: self.of_date(collection, as_of).await?,
            claims: self.of_date(claims, as_of).await?,
            waits: self.of_date(waits, as_of).await?,
            volumes: self.of_date(volumes, as_of).await?,
            feeds: self.feeds(as_of).await?,
            restatements: self.restatements(as_of).await?,
        })
    }

    /// The date of the KPIs.
    ///
    /// # Errors
    /// A file cannot be read.
    pub(crate) async fn last_date(&self) -> Result<Option<NaiveDate>, StageError> {
        // It keeps one date alone.
        let Some(rows) = self.0.scan(&lake::gold("kpi_ar_trend")).await? else { return Ok(None) };
        let last = blocking(move || Ok(rows.select([col("as_of").max()]).collect()?)).await?;
        Ok(last.column("as_of")?.date()?.physical().get(0).and_then(NaiveDate::from_epoch_days))
    }

    async fn of_date(&self, name: &str, as_of: NaiveDate) -> Result<DataFrame, StageError> {
        let Some(rows) = self.0.scan(&lake::gold(name)).await? else { return Ok(DataFrame::empty()) };
        blocking(move || Ok(rows.filter(col("as_of").eq(lit(as_of))).collect()?)).await
    }

    /// What has changed the figures of months that had ended by a date.
    async fn restatements(&self, as_of: NaiveDate) -> Result<DataFrame, StageError> {
        let Some(rows) = self.0.scan(&lake::gold(RESTATEMENTS)).await? else { return Ok(DataFrame::empty()) };
        blocking(move || Ok(rows.filter(col("month_end").lt_eq(lit(as_of))).collect()?)).await
    }

    /// How far the facts of each datasource reach, up to the date.
    async fn feeds(&self, as_of: NaiveDate) -> Result<DataFrame, StageError> {
        let mut feeds = Vec::new();
        for (fact, entity, date) in FEEDS {
            let Some(rows) = self.0.scan(&lake::gold(fact)).await? else { continue };
            let newest = col(date).filter(col(date).lt_eq(lit(as_of))).max();
            let of_fact = rows
                .select([col("datasource"), col(date)])
                .group_by([col("datasource")])
                .agg([
                    newest.alias("newest"),
                    len().cast(DataType::Int64).alias("rows"),
                    col(date).null_count().cast(DataType::Int64).alias("undated"),
                ])
                .with_columns([lit(entity).alias("entity")])
                .sort(["datasource"], SortMultipleOptions::default());
            feeds.push(of_fact);
        }
        if feeds.is_empty() {
            return Ok(DataFrame::empty());
        }
        blocking(move || {
            let all = concat(feeds, UnionArgs::default())?;
            Ok(all.sort(["datasource", "entity"], SortMultipleOptions::default()).collect()?)
        })
        .await
    }
}
