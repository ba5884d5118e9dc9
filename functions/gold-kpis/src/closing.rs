//! Closes a month, and opens a closed one again.

use std::collections::HashSet;
use std::sync::Arc;

use chrono::NaiveDate;
use polars::prelude::*;
use rcm_domain::close::{
    self, CLOSED_MONTHS, ClosedFigures, MEASURES, Reopening, Totals, closed_schema, open_closings, rows_of,
};
use rcm_domain::gold::control;
use rcm_domain::kpi::parts::{Sums, sum_all};
use rcm_domain::kpi::{GoldTables, TRANSACTION_COLUMNS, days_in_ar};
use rcm_domain::money;
use rcm_model::cdm::TRANSACTIONS;
use rcm_model::event::{CloseMonth, ControlCheck, ReopenMonth, StageInput, StageReport};
use rcm_model::month::Month;
use rcm_platform::stage::{self, Failure, Work};
use rcm_platform::{Context, StageError, lake};
use rcm_tables::frames::blocking;
use rcm_tables::gold::{Bucket, SUBJECT, Tables, Target, retry_on_conflict, two_at_once};

use crate::closed_rows::{ClosedRows, Kept};
use crate::fact::{FACT, Known, columns, name_of};
use crate::sums::{added, gold_of};

/// What is decided about a month.
#[derive(Debug, Clone)]
pub(crate) enum Decision {
    Close(CloseMonth),
    Reopen(ReopenMonth),
}

impl Decision {
    /// The decision of an input, if it has one.
    ///
    /// # Errors
    /// `BadConfig` if it has two, or lacks a name or a reason.
    pub(crate) fn of(input: &StageInput) -> Result<Option<Self>, StageError> {
        let is_empty = |text: &str| text.trim().is_empty();
        match (input.close.clone(), input.reopen.clone()) {
            (None, None) => Ok(None),
            (Some(close), None) if is_empty(&close.by) => Err(StageError::bad_config("`close` has an empty `by`")),
            (Some(close), None) => Ok(Some(Self::Close(close))),
            (None, Some(reopen)) if is_empty(&reopen.by) => Err(StageError::bad_config("`reopen` has an empty `by`")),
            (None, Some(reopen)) if is_empty(&reopen.why) => {
                Err(StageError::bad_config("`reopen` has an empty `why`; hint: give a reason, it is recorded"))
            }
            (None, Some(reopen)) => Ok(Some(Self::Reopen(reopen))),
            (Some(_), Some(_)) => Err(StageError::bad_config("an input has `close` or `reopen`, not both")),
        }
    }
}

/// Carries a decision out.
///
/// # Errors
/// `BadConfig` if the month cannot be closed or reopened; nothing is reported of that.
pub(crate) async fn handle(context: &Context, run_id: &str, decision: &Decision) -> Result<StageReport, StageError> {
    let closed = ClosedMonths::open(context).await?;
    closed.check(context, decision)?;
    let now = context.now();
    // One for all tries, so that a later one replaces the rows of an earlier one.
    let id = stage::new_id(now);
    let id = id.as_str();
    let work = retry_on_conflict(|| async move {
        let closed = ClosedMonths::open(context).await?;
        closed.check(context, decision)?;
        match decision {
            Decision::Close(CloseMonth { month, by }) => {
                let published = ClosedFigures {
                    month_end: month.end(),
                    closing: format!("{month}-{id}"),
                    closed_at: now,
                    closed_by: by.trim().to_owned(),
                    published: close::ByDatasource::default(),
                };
                Ok::<_, Failure>(closed.close(context, run_id, published).await?)
            }
            Decision::Reopen(ReopenMonth { month, by, why }) => {
                let reopening = Reopening { at: now, by: by.trim().to_owned(), why: why.trim().to_owned() };
                Ok(closed.reopen(context, run_id, *month, &reopening).await?)
            }
        }
    });
    stage::report(context, "gold-kpis", run_id, SUBJECT, work).await
}

/// The table of closed months.
pub(crate) struct ClosedMonths {
    opened: Tables,
    rows: DataFrame,
    /// Closings that were not taken back.
    pub open: Vec<ClosedFigures>,
}

impl ClosedMonths {
    /// Opens the table; if it is not there, no month is closed.
    ///
    /// # Errors
    /// The table cannot be read.
    pub(crate) async fn open(context: &Context) -> Result<Self, StageError> {
        let path = lake::gold(CLOSED_MONTHS);
        let opened = Tables::open(&context.lake, [path.clone()]).await?;
        let rows = match opened.scan(&path).await? {
            Some(rows) => blocking(move || Ok(rows.collect()?)).await?,
            None => DataFrame::empty_with_schema(&closed_schema()),
        };
        let open = open_closings(&rows)?;
        Ok(Self { opened, rows, open })
    }

    /// Returns what a table that is made from this one records of it; none if there is no such table.
    pub(crate) fn made_from(&self) -> Option<(String, i64)> {
        let path = lake::gold(CLOSED_MONTHS);
        self.opened.get(&path).map(|_| self.opened.made_from(&path))
    }

    fn of(&self, month: Month) -> Option<&ClosedFigures> {
        self.open.iter().find(|closing| closing.month_end == month.end())
    }

    /// Refuses a decision that cannot be carried out.
    fn check(&self, context: &Context, decision: &Decision) -> Result<(), StageError> {
        match decision {
            Decision::Close(CloseMonth { month, .. }) => {
                if let Some(ClosedFigures { closed_by, closed_at, .. }) = self.of(*month) {
                    let at = closed_at.format("%Y-%m-%d %H:%M");
                    return Err(StageError::bad_config(format!(
                        "{month} was closed by {closed_by} on {at} UTC; hint: `rcm reopen {month} --why TEXT` opens it again"
                    )));
                }
                let end = month.end();
                if context.today()? <= end {
                    let message = format!("{month} has not ended; hint: it can be closed after {end}");
                    return Err(StageError::bad_config(message));
                }
                Ok(())
            }
            Decision::Reopen(ReopenMonth { month, .. }) if self.of(*month).is_none() => {
                Err(StageError::bad_config(format!("{month} is not closed")))
            }
            Decision::Reopen(_) => Ok(()),
        }
    }

    /// Keeps the rows of a month's end, and publishes its figures in one commit.
    async fn close(self, context: &Context, run_id: &str, closing: ClosedFigures) -> Result<Work, StageError> {
        let path = lake::gold(CLOSED_MONTHS);
        let target = Target::new(context, run_id, &self.opened, path.clone(), Vec::new());
        let sources = Tables::open(&context.lake, Known::paths()).await?;
        let month = Month::of(closing.month_end);
        let Some(known) = Known::of(&sources) else {
            let message = format!("{month} cannot be closed: the lake has no {FACT}; hint: `rcm run` makes it");
            return Err(StageError::bad_config(message));
        };
        let buckets = sources.buckets(&lake::gold(FACT));
        let rows = ClosedRows { lake: &context.lake, closing: &closing.closing };
        let kept = keep(known, buckets, rows, closing.month_end).await?;
        let published = ClosedFigures { published: kept.totals.figures(), ..closing };
        if published.published.total() == close::Figures::default() {
            let end = published.month_end;
            return Err(StageError::bad_config(format!("{month} cannot be closed: no charge was served up to {end}")));
        }
        let checks = check(&path, kept, &published).await?;
        if let Some(failed) = control::failures(&checks) {
            return Err(StageError::control_check_failed(failed).in_table(&path));
        }
        let rows = published.rows(known.fact.version(), known.silver.version())?;
        let add = target.write(&rows, &[]).await?.into_iter().collect();
        let commit = target.replace(&closed_schema(), &[], Vec::new(), add).await?;
        Ok(Work { commits: vec![commit], checks, notes: notes_of(month, &published), ..Work::default() })
    }

    /// Takes a closing back. What it published stays in the table, with the reason.
    async fn reopen(
        self,
        context: &Context,
        run_id: &str,
        month: Month,
        reopening: &Reopening,
    ) -> Result<Work, StageError> {
        let Some(closing) = self.of(month) else { return Ok(Work::nothing_new()) };
        let rows = close::reopened(&self.rows, &closing.closing, reopening)?;
        let target = Target::new(context, run_id, &self.opened, lake::gold(CLOSED_MONTHS), Vec::new());
        let new = target.write(&rows, &[]).await?;
        let commit = target.overwrite(&closed_schema(), new.into_iter().collect()).await?;
        let notes = vec![format!("{month} is open again: {}", reopening.why)];
        Ok(Work { commits: vec![commit], notes, ..Work::default() })
    }
}

fn notes_of(month: Month, closing: &ClosedFigures) -> Vec<String> {
    let figures = MEASURES.into_iter().zip(closing.published.total().values());
    let figures = figures.map(|(measure, cents)| format!("{measure} {}", money::format_cents(cents)));
    vec![format!("{month} is closed: {}", figures.collect::<Vec<_>>().join(", "))]
}

/// What rows of a month's end are kept, and what they come to.
struct KeptRows {
    kept: Kept,
    totals: Totals,
    /// Sums of `kpi_days_in_ar` of charges that no other takes back.
    sums: Vec<Sums>,
    /// The other ones.
    apart: DataFrame,
}

/// Keeps what the fact says of a month's end, bucket by bucket.
async fn keep(
    known: Known<'_>,
    buckets: Vec<Bucket>,
    closed: ClosedRows<'_>,
    month_end: NaiveDate,
) -> Result<KeptRows, StageError> {
    let reversals = Arc::new(known.reversals(&buckets).await?);
    let of_bucket = |bucket: Bucket| {
        let reversals = Arc::clone(&reversals);
        async move {
            let Some(fact) = known.rows(&bucket).await? else {
                let message =
                    format!("no month can be closed: {FACT} is older than silver; hint: `rcm run` makes it anew");
                return Err(StageError::bad_config(message));
            };
            let (rows, mut kept) = blocking(move || kept_of(&fact, &reversals, month_end)).await?;
            closed.write(name_of(&bucket), rows).await?;
            kept.kept.buckets.insert(name_of(&bucket).to_owned());
            Ok(kept)
        }
    };
    let nothing = KeptRows {
        kept: Kept { bucket_count: known.bucket_count()?, reversals: (*reversals).clone(), ..Kept::default() },
        totals: Totals::none(month_end),
        sums: Vec::new(),
        apart: DataFrame::empty_with_schema(&columns(TRANSACTION_COLUMNS)),
    };
    let add = |all: KeptRows, more: KeptRows| async move { all.and(more) };
    let kept = two_at_once(buckets.into_iter().map(of_bucket), nothing, add).await?;
    closed.record(&kept.kept).await?;
    Ok(kept)
}

fn kept_of(
    fact: &DataFrame,
    reversals: &HashSet<i64>,
    month_end: NaiveDate,
) -> Result<(DataFrame, KeptRows), StageError> {
    let rows = rows_of(fact, month_end)?;
    let loads = rows.column("load_id")?.str()?.iter().flatten().map(str::to_owned).collect();
    let groups = rows.column("pair_group")?.i64()?;
    let is_apart: BooleanChunked = groups.iter().map(|group| group.map(|group| reversals.contains(&group))).collect();
    let fact = fact.select(TRANSACTION_COLUMNS)?;
    let alone = gold_of(&TRANSACTIONS, fact.filter(&!&is_apart)?)?;
    let kept = KeptRows {
        kept: Kept { loads, ..Kept::default() },
        totals: Totals::of(&rows, reversals, month_end)?,
        sums: sum_all(&[&days_in_ar::KPI], &alone, month_end)?,
        apart: fact.filter(&is_apart)?,
    };
    Ok((rows, kept))
}

impl KeptRows {
    fn and(mut self, more: Self) -> Result<Self, StageError> {
        self.kept.buckets.extend(more.kept.buckets);
        self.kept.loads.extend(more.kept.loads);
        let apart = self.apart.vstack(&more.apart)?;
        let sums = added(&[&days_in_ar::KPI], self.sums, more.sums)?;
        Ok(Self { kept: self.kept, totals: self.totals.and(more.totals), sums, apart })
    }
}

/// Holds figures against those of `kpi_days_in_ar` of the same rows, which is computed by itself.
async fn check(path: &str, kept: KeptRows, closing: &ClosedFigures) -> Result<Vec<ControlCheck>, StageError> {
    let (month_end, total, path) = (closing.month_end, closing.published.total(), path.to_owned());
    blocking(move || {
        let apart = gold_of(&TRANSACTIONS, kept.apart)?;
        let mut sums = added(&[&days_in_ar::KPI], kept.sums, sum_all(&[&days_in_ar::KPI], &apart, month_end)?)?;
        let none = || DataFrame::empty().lazy();
        let gold = GoldTables { transactions: none(), claims: none(), providers: none(), departments: none() };
        let (rows, mut checks) = days_in_ar::KPI.rows(&path, sums.pop().unwrap_or_default(), &gold, month_end)?;
        for (measure, published) in [
            ("balance", total.balance),
            ("amount_in_period", total.amount_in_period),
            ("balance_over_90_days", total.balance_over_90_days),
        ] {
            let of_kpi = money::sum_cents(&rows, measure)?;
            checks.push(control::same_cents(&path, &format!("{measure} of the KPI"), of_kpi, published));
        }
        Ok(checks)
    })
    .await
}
