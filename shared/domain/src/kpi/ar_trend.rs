//! `kpi_ar_trend`: the receivables at the ends of the last months, and what changed them from one to the next.
//!
//! All of it is as known at D: a correction that came later changes the months before it too.

use std::collections::BTreeMap;

use chrono::{Datelike, Days, NaiveDate};
use polars::prelude::*;

use super::days_in_ar::{OLD_AFTER_DAYS, PERIOD_DAYS};
use super::measure::{
    amount, balance_at, billed, date, days, days_since_service, is_paid_by, paid_by, rate, ratio, served_by, sum_where,
    sums_by, text,
};
use super::parts::Parts;
use super::reversals::PAIR;
use super::{GoldTables, Kpi, control_sums};
use crate::gold::conform;
use crate::money;

/// One row per month end, datasource and line of business.
pub const KPI: Kpi = Kpi {
    table: "kpi_ar_trend",
    grain: &["month_end", "datasource", "line_of_business"],
    inputs: &["fact_transactions"],
    keeps_history: false,
    dated_by: ("fact_transactions", "service_date"),
    schema,
    compute,
    adds_up: &[("change_of_balance", control_sums::change_of_balance)],
    metrics: &[],
    print: None,
};

/// Month ends that the table has: D itself, and the ends of the twelve months before it.
pub const POINTS: usize = 13;

/// Columns: `opening_balance` + `billed` − `paid_on_balance` = `balance`, between two month ends. `billed` are charges
/// above zero that were not taken back, `paid_on_balance` is what payments took off the balance: what goes beyond the
/// charge is a credit and not in it. `change_of_balance` = `billed` − `paid_on_balance`. `days_in_ar` = `balance` ÷
/// (`amount_in_period`, of age 0 to 89, ÷ `period_days`); `share_over_90_days` = `balance_over_90_days` ÷ `balance`;
/// `collected_within_90_days` = `paid_within_90_days` ÷ `amount_due`, over service dates up to 90 days before the month
/// end.
#[must_use]
pub fn schema() -> Schema {
    Schema::from_iter([
        date("as_of"),
        date("month_end"),
        text("datasource"),
        text("line_of_business"),
        amount("opening_balance"),
        amount("billed"),
        amount("paid_on_balance"),
        amount("change_of_balance"),
        amount("balance"),
        amount("amount_in_period"),
        days("period_days"),
        rate("days_in_ar"),
        amount("balance_over_90_days"),
        rate("share_over_90_days"),
        amount("amount_due"),
        amount("paid_within_90_days"),
        rate("collected_within_90_days"),
    ])
}

/// Columns by which rows behave alike at every month end.
const BY: [&str; 6] = ["datasource", "line_of_business", "_served", "_period", "_old", "_paid"];

/// How the table is computed of parts: rows by the month ends from which on they count, are aged and are paid.
pub(super) const PARTS: Parts = Parts { by: &BY, sums, rows };

/// The month end before the first one of the table, and those of the table up to `as_of`, the oldest first.
#[must_use]
pub fn month_ends(as_of: NaiveDate) -> Vec<NaiveDate> {
    let mut ends = vec![as_of];
    while ends.len() <= POINTS {
        let last = ends[ends.len() - 1];
        let first = last.with_day(1).unwrap_or(last);
        ends.push(first.checked_sub_days(Days::new(1)).unwrap_or(NaiveDate::MIN));
    }
    ends.reverse();
    ends
}

/// The table's rows for `as_of`.
///
/// # Errors
/// The fact lacks a column.
pub fn compute(gold: &GoldTables, as_of: NaiveDate) -> PolarsResult<DataFrame> {
    rows(sums(gold, as_of)?.lazy(), gold, as_of)
}

fn sums(gold: &GoldTables, as_of: NaiveDate) -> PolarsResult<DataFrame> {
    let ends = month_ends(as_of);
    let since = |days: i32| first_at(col("service_date") + lit(chrono::Duration::days(days.into())), ends.clone());
    let is_alone = || col(PAIR).is_null();
    let charge = when(is_alone().and(billed().gt(money::zero()))).then(billed()).otherwise(money::zero());
    let is_paid = is_paid_by(lit(as_of));
    let wait = days_since_service(col("paid_date"));
    let soon = is_paid.clone().and(wait.is_between(lit(0), lit(PERIOD_DAYS), ClosedInterval::Both));
    let rows = served_by(&gold.transactions, as_of).select([
        col("datasource"),
        col("line_of_business"),
        since(0).alias("_served"),
        since(PERIOD_DAYS).alias("_period"),
        since(OLD_AFTER_DAYS + 1).alias("_old"),
        when(is_paid).then(first_at(col("paid_date"), ends.clone())).otherwise(lit(POINTS as i32 + 1)).alias("_paid"),
        charge.alias("charge"),
        balance_at(lit(as_of)).alias("left"),
        billed().alias("amount"),
        when(soon).then(paid_by(lit(as_of))).otherwise(money::zero()).alias("paid_soon"),
    ]);
    let sums = ["charge", "left", "amount", "paid_soon"].map(|name| sum_where(lit(true), col(name)).alias(name));
    sums_by(rows, PARTS.by, sums)
}

/// Place of the first month end that is not before a date; one more than the last if there is none.
fn first_at(date: Expr, ends: Vec<NaiveDate>) -> Expr {
    date.map(
        move |dates| {
            let days: Vec<i32> = ends.iter().map(NaiveDate::to_epoch_days).collect();
            let place = |day: i32| days.partition_point(|end| *end < day) as i32;
            let dates = dates.date()?;
            let places: Int32Chunked =
                dates.physical().iter().map(|day| Some(day.map_or(days.len() as i32, place))).collect();
            Ok(places.with_name(dates.name().clone()).into_column())
        },
        |_, field| Ok(Field::new(field.name().clone(), DataType::Int32)),
    )
}

/// Sums of a datasource and line of business at a month end, in cents.
#[derive(Debug, Clone, Copy, Default)]
struct Point {
    billed: i128,
    paid_on_balance: i128,
    balance: i128,
    amount_in_period: i128,
    balance_over_90_days: i128,
    amount_due: i128,
    paid_within_90_days: i128,
}

/// The month ends of a datasource and line of business.
type Points = [Point; POINTS + 1];

fn rows(sums: LazyFrame, _: &GoldTables, as_of: NaiveDate) -> PolarsResult<DataFrame> {
    let sums = sums.collect()?;
    let mut found: BTreeMap<(Option<String>, Option<String>), Points> = BTreeMap::new();
    let texts = |name: &str| Ok::<_, PolarsError>(sums.column(name)?.str()?.clone());
    let places = |name: &str| Ok::<_, PolarsError>(sums.column(name)?.i32()?.clone());
    let cents = |name: &str| Ok::<_, PolarsError>(sums.column(name)?.decimal()?.physical().clone());
    let (datasources, lines) = (texts("datasource")?, texts("line_of_business")?);
    let [served, period, old, paid] = [places("_served")?, places("_period")?, places("_old")?, places("_paid")?];
    let [charge, left, amount, soon] = [cents("charge")?, cents("left")?, cents("amount")?, cents("paid_soon")?];
    for row in 0..sums.height() {
        let key = (datasources.get(row).map(str::to_owned), lines.get(row).map(str::to_owned));
        let points = found.entry(key).or_default();
        let place = |places: &Int32Chunked| places.get(row).and_then(|place| usize::try_from(place).ok()).unwrap_or(0);
        let sum = |cents: &Int128Chunked| cents.get(row).unwrap_or(0);
        let (served, period, old, paid) = (place(&served), place(&period), place(&old), place(&paid));
        // A payment before the service takes off what is owed when it becomes so.
        let paid = paid.max(served);
        for (at, point) in points.iter_mut().enumerate().skip(served) {
            let owed = if at >= paid { sum(&left) } else { sum(&charge) };
            point.balance += owed;
            point.billed += if at == served { sum(&charge) } else { 0 };
            point.paid_on_balance += if at == paid { sum(&charge) - sum(&left) } else { 0 };
            point.amount_in_period += if at < period { sum(&amount) } else { 0 };
            point.balance_over_90_days += if at >= old { owed } else { 0 };
            point.amount_due += if at >= period { sum(&amount) } else { 0 };
            point.paid_within_90_days += if at >= period { sum(&soon) } else { 0 };
        }
    }
    rates(found, as_of)
}

fn rates(found: BTreeMap<(Option<String>, Option<String>), Points>, as_of: NaiveDate) -> PolarsResult<DataFrame> {
    let ends = month_ends(as_of);
    let (mut months, mut datasources, mut lines, mut points) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    for ((datasource, line), of_line) in found {
        for at in 1..=POINTS {
            months.push(ends[at]);
            datasources.push(datasource.clone());
            lines.push(line.clone());
            points.push((of_line[at - 1].balance, of_line[at]));
        }
    }
    let cents = |name: &'static str, of: fn(&(i128, Point)) -> i128| {
        let cents: Int128Chunked = points.iter().map(|point| Some(of(point))).collect();
        cents.with_name(name.into()).into_decimal_unchecked(money::SUM_PRECISION, money::SCALE).into_column()
    };
    let rows = DataFrame::new_infer_height(vec![
        Column::new("month_end".into(), months),
        Column::new("datasource".into(), datasources),
        Column::new("line_of_business".into(), lines),
        cents("opening_balance", |(opening, _)| *opening),
        cents("billed", |(_, point)| point.billed),
        cents("paid_on_balance", |(_, point)| point.paid_on_balance),
        cents("change_of_balance", |(opening, point)| point.balance - opening),
        cents("balance", |(_, point)| point.balance),
        cents("amount_in_period", |(_, point)| point.amount_in_period),
        cents("balance_over_90_days", |(_, point)| point.balance_over_90_days),
        cents("amount_due", |(_, point)| point.amount_due),
        cents("paid_within_90_days", |(_, point)| point.paid_within_90_days),
    ])?;
    let days_in_ar = ratio("balance", "amount_in_period") * lit(f64::from(PERIOD_DAYS));
    let rows = rows
        .lazy()
        .with_columns([
            lit(as_of).alias("as_of"),
            lit(PERIOD_DAYS).alias("period_days"),
            days_in_ar.alias("days_in_ar"),
            ratio("balance_over_90_days", "balance").alias("share_over_90_days"),
            ratio("paid_within_90_days", "amount_due").alias("collected_within_90_days"),
        ])
        .sort(KPI.grain.to_vec(), SortMultipleOptions::default());
    conform(rows, &schema())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::samples::{Sample, as_of, day, shown, transactions};
    use super::super::{collection_rate, days_in_ar};
    use super::*;

    /// A column of the table, in cents, by month end.
    fn cents(table: &DataFrame, column: &str) -> Vec<i128> {
        table.column(column).unwrap().decimal().unwrap().physical().iter().flatten().collect()
    }

    #[test]
    fn month_ends_are_the_date_itself_and_the_ends_of_the_months_before_it() {
        let ends = month_ends(as_of());
        assert_eq!(ends.len(), POINTS + 1);
        assert_eq!(ends[POINTS - 1..], ["2024-10-31", "2024-11-07"].map(day));
        assert_eq!(ends[0], day("2023-10-31"));
        assert_eq!(month_ends(day("2024-02-29"))[POINTS - 1..], ["2024-01-31", "2024-02-29"].map(day));
    }

    #[test]
    fn what_was_billed_less_what_was_paid_on_it_is_the_change_of_the_balance() {
        let table = compute(
            &transactions(&[
                ("2024-09-10", 900, Some((400, "2024-10-05"))),
                ("2024-09-20", 100, Some((160, "2024-11-01"))), // 60 of it is a credit
                ("2024-10-02", 70, Some((70, "2024-09-30"))),   // paid before the service
                ("2024-10-03", -50, None),                      // takes back no charge
            ]),
            as_of(),
        )
        .unwrap();
        let last = table.tail(Some(3));
        assert_eq!(shown(&last, "month_end"), ["2024-09-30", "2024-10-31", "2024-11-07"]);
        assert_eq!(shown(&last, "opening_balance"), ["0.00", "1000.00", "600.00"]);
        assert_eq!(shown(&last, "billed"), ["1000.00", "70.00", "0.00"]);
        assert_eq!(shown(&last, "paid_on_balance"), ["0.00", "470.00", "100.00"]);
        assert_eq!(shown(&last, "balance"), ["1000.00", "600.00", "500.00"]);
        assert_eq!(shown(&last, "change_of_balance"), ["1000.00", "-400.00", "-100.00"]);
    }

    fn charge() -> impl Strategy<Value = (i64, i64, Option<(i64, i64)>)> {
        (0..460i64, prop_oneof![Just(100i64), Just(-100), Just(70), Just(0)], prop::option::of((0..3i64, -20..200i64)))
            .prop_map(|(ago, amount, paid)| (ago, amount, paid.map(|(half, wait)| (half * amount.abs() / 2, wait))))
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(40))]

        /// Every month end is what the other KPIs say as of it, and opening + billed − paid = closing.
        #[test]
        fn a_month_end_is_what_the_kpis_of_that_day_are(charges in prop::collection::vec(charge(), 1..30)) {
            let before = |ago: i64| (as_of() - chrono::Duration::days(ago)).to_string();
            let dates: Vec<(String, String)> = charges
                .iter()
                .map(|(ago, _, paid)| (before(*ago), before(ago - paid.map_or(0, |(_, wait)| wait))))
                .collect();
            let given: Vec<Sample<'_>> = charges
                .iter()
                .zip(&dates)
                .map(|((_, amount, paid), (served, on))| {
                    (served.as_str(), *amount, paid.map(|(paid, _)| (paid, on.as_str())))
                })
                .collect();
            let gold = transactions(&given);
            let table = compute(&gold, as_of()).unwrap();
            prop_assert_eq!(table.height(), POINTS);
            for (at, end) in month_ends(as_of()).into_iter().skip(1).enumerate() {
                let of_day = days_in_ar::compute(&gold, end).unwrap();
                let expected = |column: &str| cents(&of_day, column).first().copied().unwrap_or(0);
                for column in ["balance", "amount_in_period", "balance_over_90_days"] {
                    prop_assert_eq!(cents(&table, column)[at], expected(column), "{} at {}", column, end);
                }
                let rates = collection_rate::compute(&gold, end).unwrap();
                let horizons: Vec<i32> = rates.column("horizon_days").unwrap().i32().unwrap().iter().flatten().collect();
                let place = horizons.iter().position(|horizon| *horizon == PERIOD_DAYS);
                for (column, theirs) in [("amount_due", "amount"), ("paid_within_90_days", "paid_within_k")] {
                    let expected = place.map_or(0, |place| cents(&rates, theirs)[place]);
                    prop_assert_eq!(cents(&table, column)[at], expected, "{} at {}", column, end);
                }
            }
            let sums: Vec<Vec<i128>> =
                ["opening_balance", "billed", "paid_on_balance", "balance"].map(|name| cents(&table, name)).to_vec();
            for at in 0..POINTS {
                prop_assert_eq!(sums[0][at] + sums[1][at] - sums[2][at], sums[3][at]);
                if at > 0 {
                    prop_assert_eq!(sums[0][at], sums[3][at - 1]);
                }
            }
        }
    }
}
