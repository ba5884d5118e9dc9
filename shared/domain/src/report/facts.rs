//! What gold says, as plain rows.

use std::ops::AddAssign;

use chrono::NaiveDate;
use polars::prelude::*;

use crate::kpi::days_in_ar::PERIOD_DAYS;
use crate::money::ratio;

/// Receivables at a month end, and what changed them since the one before. Amounts are cents.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Receivables {
    pub opening: i128,
    pub billed: i128,
    pub paid: i128,
    pub balance: i128,
    /// Amount of age 0 to 89 days.
    pub amount_in_period: i128,
    pub over_90: i128,
    /// Amount of service dates up to 90 days before, and what of it was paid within 90 days.
    pub due: i128,
    pub paid_within_90: i128,
}

impl AddAssign for Receivables {
    fn add_assign(&mut self, other: Self) {
        self.opening += other.opening;
        self.billed += other.billed;
        self.paid += other.paid;
        self.balance += other.balance;
        self.amount_in_period += other.amount_in_period;
        self.over_90 += other.over_90;
        self.due += other.due;
        self.paid_within_90 += other.paid_within_90;
    }
}

impl Receivables {
    /// Days of billing that the balance is.
    #[must_use]
    pub fn days(&self) -> Option<f64> {
        ratio(self.balance, self.amount_in_period).map(|share| share * f64::from(PERIOD_DAYS))
    }

    /// Share of the balance that is older than 90 days.
    #[must_use]
    pub fn share_over_90(&self) -> Option<f64> {
        ratio(self.over_90, self.balance)
    }

    /// Share of what is due that was paid within 90 days.
    #[must_use]
    pub fn collected(&self) -> Option<f64> {
        ratio(self.paid_within_90, self.due)
    }
}

/// Receivables of a datasource and payer at a month end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TrendRow {
    pub month_end: NaiveDate,
    pub datasource: String,
    pub payer: String,
    pub sums: Receivables,
}

/// The balance of a datasource and payer in an age bucket.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AgeRow {
    pub datasource: String,
    pub payer: String,
    /// Place of the bucket, the youngest first.
    pub bucket: usize,
    pub open: u64,
    pub balance: i128,
}

/// What stands beside the balance of a datasource.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BesideRow {
    pub datasource: String,
    pub credit: i128,
    pub credits: u64,
    pub future: u64,
    pub future_amount: i128,
}

/// What a datasource collected by a horizon.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CollectionRow {
    pub datasource: String,
    pub horizon: i32,
    pub amount: i128,
    pub paid_within: i128,
    pub balance_at: i128,
    pub paid_after: i128,
    pub paid_before_service: u64,
    pub overpaid: i128,
}

/// Claims of a month, datasource and payer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClaimRow {
    pub month: NaiveDate,
    pub datasource: String,
    pub payer: String,
    pub claims: u64,
    pub amount: i128,
    pub denied: u64,
    pub rejected: u64,
}

/// How long the payments of a month of service took.
#[derive(Debug, Clone, PartialEq)]
pub struct WaitRow {
    pub month: NaiveDate,
    pub datasource: String,
    pub payer: String,
    pub payments: u64,
    pub median: Option<f64>,
    pub p90: Option<f64>,
}

/// Transactions of a month of service.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VolumeRow {
    pub month: NaiveDate,
    pub datasource: String,
    pub payer: String,
    pub transactions: u64,
    pub amount: i128,
}

/// How far the rows of a datasource's table reach.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FeedRow {
    pub datasource: String,
    /// Entity, such as `claims`.
    pub entity: String,
    /// Newest date up to D.
    pub newest: Option<NaiveDate>,
    pub rows: u64,
    /// Rows without a date.
    pub undated: u64,
}

/// A figure of a closed month, and a part of what has changed it since.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RestatementRow {
    pub month_end: NaiveDate,
    pub datasource: String,
    pub measure: String,
    /// The whole figure, as it was published and as it is known today: the same on the rows of all its parts.
    pub published: i128,
    pub now: i128,
    /// What it is due to, such as `late_rows`.
    pub part: String,
    pub difference: i128,
}

/// What the KPI tables and facts say of a date.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Facts {
    pub trend: Vec<TrendRow>,
    pub ages: Vec<AgeRow>,
    pub beside: Vec<BesideRow>,
    pub collection: Vec<CollectionRow>,
    pub claims: Vec<ClaimRow>,
    pub waits: Vec<WaitRow>,
    pub volumes: Vec<VolumeRow>,
    pub feeds: Vec<FeedRow>,
    pub restatements: Vec<RestatementRow>,
}

/// Frames that [`Facts`] are read from, each with the rows of the date alone.
#[derive(Debug, Clone, Default)]
pub struct Frames {
    /// `kpi_ar_trend`.
    pub trend: DataFrame,
    /// `kpi_ar_aging`.
    pub ages: DataFrame,
    /// `kpi_days_in_ar`.
    pub beside: DataFrame,
    /// `kpi_collection_rate`.
    pub collection: DataFrame,
    /// `kpi_claims`.
    pub claims: DataFrame,
    /// `kpi_days_to_payment`.
    pub waits: DataFrame,
    /// `kpi_payer_mix`.
    pub volumes: DataFrame,
    /// `datasource`, `entity`, `newest`, `rows`, `undated`.
    pub feeds: DataFrame,
    /// `kpi_restatements`.
    pub restatements: DataFrame,
}

impl Facts {
    /// Reads the rows of frames. `payer` gives a payer's name from a word for it. A table without columns has no rows.
    ///
    /// # Errors
    /// A table lacks a column.
    pub fn read(frames: &Frames, payer: impl Fn(&str) -> String) -> PolarsResult<Self> {
        let payer_of = |rows: &Rows<'_>, column: &str, row: usize| {
            Ok::<_, PolarsError>(rows.text(column, row)?.map_or_else(|| UNKNOWN.to_owned(), |word| payer(&word)))
        };
        Ok(Self {
            trend: each(&frames.trend, |rows, row| {
                Ok(TrendRow {
                    month_end: rows.date("month_end", row)?,
                    datasource: rows.name("datasource", row)?,
                    payer: payer_of(rows, "line_of_business", row)?,
                    sums: Receivables {
                        opening: rows.cents("opening_balance", row)?,
                        billed: rows.cents("billed", row)?,
                        paid: rows.cents("paid_on_balance", row)?,
                        balance: rows.cents("balance", row)?,
                        amount_in_period: rows.cents("amount_in_period", row)?,
                        over_90: rows.cents("balance_over_90_days", row)?,
                        due: rows.cents("amount_due", row)?,
                        paid_within_90: rows.cents("paid_within_90_days", row)?,
                    },
                })
            })?,
            ages: each(&frames.ages, |rows, row| {
                let from = rows.number("age_from", row)?;
                let buckets = crate::kpi::ar_aging::BUCKETS;
                Ok(AgeRow {
                    datasource: rows.name("datasource", row)?,
                    payer: payer_of(rows, "line_of_business", row)?,
                    bucket: buckets.iter().position(|(_, least)| i64::from(*least) == from).unwrap_or(0),
                    open: rows.count("open_transactions", row)?,
                    balance: rows.cents("balance", row)?,
                })
            })?,
            beside: each(&frames.beside, |rows, row| {
                Ok(BesideRow {
                    datasource: rows.name("datasource", row)?,
                    credit: rows.cents("credit_balance", row)?,
                    credits: rows.count("credit_transactions", row)?,
                    future: rows.count("future_transactions", row)?,
                    future_amount: rows.cents("future_amount", row)?,
                })
            })?,
            collection: each(&frames.collection, |rows, row| {
                Ok(CollectionRow {
                    datasource: rows.name("datasource", row)?,
                    horizon: rows.number("horizon_days", row)? as i32,
                    amount: rows.cents("amount", row)?,
                    paid_within: rows.cents("paid_within_k", row)?,
                    balance_at: rows.cents("balance_at_k", row)?,
                    paid_after: rows.cents("paid_after_k", row)?,
                    paid_before_service: rows.count("excluded_paid_before_service", row)?,
                    overpaid: rows.cents("overpaid_amount", row)?,
                })
            })?,
            claims: each(&frames.claims, |rows, row| {
                Ok(ClaimRow {
                    month: rows.date("claim_month", row)?,
                    datasource: rows.name("datasource", row)?,
                    payer: payer_of(rows, "payor_type", row)?,
                    claims: rows.count("claims", row)?,
                    amount: rows.cents("claim_amount", row)?,
                    denied: rows.count("denied", row)?,
                    rejected: rows.count("rejected", row)?,
                })
            })?,
            waits: each(&frames.waits, |rows, row| {
                Ok(WaitRow {
                    month: rows.date("service_month", row)?,
                    datasource: rows.name("datasource", row)?,
                    payer: payer_of(rows, "line_of_business", row)?,
                    payments: rows.count("payments", row)?,
                    median: rows.rate("median_days", row)?,
                    p90: rows.rate("p90_days", row)?,
                })
            })?,
            volumes: each(&frames.volumes, |rows, row| {
                Ok(VolumeRow {
                    month: rows.date("service_month", row)?,
                    datasource: rows.name("datasource", row)?,
                    payer: payer_of(rows, "line_of_business", row)?,
                    transactions: rows.count("transactions", row)?,
                    amount: rows.cents("amount", row)?,
                })
            })?,
            feeds: each(&frames.feeds, |rows, row| {
                Ok(FeedRow {
                    datasource: rows.name("datasource", row)?,
                    entity: rows.name("entity", row)?,
                    newest: rows.maybe_date("newest", row)?,
                    rows: rows.count("rows", row)?,
                    undated: rows.count("undated", row)?,
                })
            })?,
            restatements: each(&frames.restatements, restatement)?,
        })
    }
}

/// What a row without a payer or a datasource is called.
pub const UNKNOWN: &str = "not given";

/// The rows of a frame, value by value.
struct Rows<'a>(&'a DataFrame);

impl Rows<'_> {
    fn value(&self, column: &str, row: usize) -> PolarsResult<AnyValue<'_>> {
        self.0.column(column)?.get(row)
    }

    fn text(&self, column: &str, row: usize) -> PolarsResult<Option<String>> {
        Ok(self.0.column(column)?.str()?.get(row).map(str::to_owned))
    }

    fn name(&self, column: &str, row: usize) -> PolarsResult<String> {
        Ok(self.text(column, row)?.unwrap_or_else(|| UNKNOWN.to_owned()))
    }

    fn maybe_date(&self, column: &str, row: usize) -> PolarsResult<Option<NaiveDate>> {
        let days = self.0.column(column)?.date()?.physical().get(row);
        Ok(days.and_then(NaiveDate::from_epoch_days))
    }

    fn date(&self, column: &str, row: usize) -> PolarsResult<NaiveDate> {
        self.maybe_date(column, row)?.ok_or_else(|| polars_err!(ComputeError: "`{column}` has no date"))
    }

    fn cents(&self, column: &str, row: usize) -> PolarsResult<i128> {
        Ok(self.0.column(column)?.decimal()?.physical().get(row).unwrap_or(0))
    }

    fn number(&self, column: &str, row: usize) -> PolarsResult<i64> {
        Ok(self.value(column, row)?.extract().unwrap_or(0))
    }

    fn count(&self, column: &str, row: usize) -> PolarsResult<u64> {
        Ok(self.value(column, row)?.extract().unwrap_or(0))
    }

    fn rate(&self, column: &str, row: usize) -> PolarsResult<Option<f64>> {
        Ok(self.0.column(column)?.f64()?.get(row))
    }
}

fn restatement(rows: &Rows<'_>, row: usize) -> PolarsResult<RestatementRow> {
    Ok(RestatementRow {
        month_end: rows.date("month_end", row)?,
        datasource: rows.name("datasource", row)?,
        measure: rows.name("measure", row)?,
        published: rows.cents("published", row)?,
        now: rows.cents("now", row)?,
        part: rows.name("part", row)?,
        difference: rows.cents("difference", row)?,
    })
}

fn each<T>(frame: &DataFrame, read: impl Fn(&Rows<'_>, usize) -> PolarsResult<T>) -> PolarsResult<Vec<T>> {
    let rows = Rows(frame);
    (0..frame.height()).map(|row| read(&rows, row)).collect()
}
