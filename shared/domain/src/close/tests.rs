//! Restatements of random changes, compared with bookkeeping that computes all figures anew after each of them.

use std::collections::{BTreeMap, HashSet};

use chrono::{DateTime, Days, NaiveDate};
use polars::prelude::*;
use proptest::prelude::*;

use super::*;
use crate::cdm::timestamp;
use crate::gold::control;
use crate::kpi::{GoldTables, TRANSACTION_COLUMNS, days_in_ar};
use crate::money;

const HOSPITALS: [&str; 2] = ["hos-a", "hos-b"];

fn month_end() -> NaiveDate {
    "2024-09-30".parse().unwrap()
}

/// A transaction. Amounts are cents.
#[derive(Debug, Clone, PartialEq)]
struct Row {
    hospital: usize,
    patient: u8,
    /// Days from the service to the month's end.
    age: i64,
    amount: i64,
    paid: i64,
    /// Days from the payment to the month's end.
    paid_ago: i64,
    load: String,
    /// Days before the month's end since which the version holds.
    since: u64,
}

/// Rows by their keys.
type World = BTreeMap<String, Row>;

/// What happens to a row after the closing. Each happens in a load of its own.
#[derive(Debug, Clone)]
enum Change {
    Late(Row),
    /// Another amount, patient and day of service; and what is paid.
    Correct(i64, u8, i64, i64),
    Pay(i64),
    Delete,
    /// A rule keeps it out.
    Exclude,
    /// A rule lets in a row of an old load.
    Include(Row),
    /// A mapping reads another amount in the old load.
    Reread(i64),
}

fn frame(world: &World) -> DataFrame {
    let each = || world.values();
    let day = |ago: i64| month_end() - chrono::Duration::days(ago);
    let since = |row: &Row| (month_end() - Days::new(row.since)).and_hms_opt(0, 0, 0).unwrap();
    let none = || vec![None::<&str>; world.len()];
    let rows = df!(
        "transaction_key" => world.keys().cloned().collect::<Vec<_>>(),
        "datasource" => each().map(|row| HOSPITALS[row.hospital]).collect::<Vec<_>>(),
        "patient_key" => each().map(|row| format!("P{}", row.patient)).collect::<Vec<_>>(),
        "provider_key" => none(),
        "dept_key" => none(),
        "service_date" => each().map(|row| day(row.age)).collect::<Vec<_>>(),
        "paid_date" => each().map(|row| (row.paid != 0).then(|| day(row.paid_ago))).collect::<Vec<_>>(),
        "amount" => each().map(|row| money::format_cents(row.amount.into())).collect::<Vec<_>>(),
        "paid_amount" => each().map(|row| money::format_cents(row.paid.into())).collect::<Vec<_>>(),
        "procedure_code" => none(),
        "line_of_business" => none(),
        "effective_from" => each().map(since).collect::<Vec<_>>(),
        "load_id" => each().map(|row| row.load.clone()).collect::<Vec<_>>(),
    );
    let amounts = ["amount", "paid_amount"].map(|name| col(name).cast(money::dtype()));
    let rows = rows.unwrap().lazy().with_columns(amounts);
    rows.with_columns([col("effective_from").cast(timestamp())]).collect().unwrap()
}

/// The figures of each hospital, row by row and without anything that the product computes.
fn figures(world: &World) -> [Figures; 2] {
    let mut sums = [Figures::default(); 2];
    let mut oldest: Vec<(&String, &Row)> = world.iter().collect();
    oldest.sort_by_key(|(key, row)| (std::cmp::Reverse(row.since), (*key).clone()));
    let mut taken: HashSet<&String> = HashSet::new();
    for (key, row) in oldest.iter().filter(|(_, row)| row.amount < 0) {
        let is_its_charge = |other: &Row| {
            (other.hospital, other.patient, other.age, other.amount)
                == (row.hospital, row.patient, row.age, -row.amount)
        };
        if let Some((charge, _)) = oldest.iter().find(|(key, other)| is_its_charge(other) && !taken.contains(key)) {
            taken.extend([*key, *charge]);
        }
    }
    for (key, row) in world.iter().filter(|(_, row)| row.age >= 0) {
        let paid = i128::from(if row.paid_ago >= 0 { row.paid } else { 0 });
        let amount = i128::from(row.amount);
        let balance = if taken.contains(key) { 0 } else { (amount - paid).max(0) };
        let sum = &mut sums[row.hospital];
        sum.billed_to_date += amount;
        sum.paid_to_date += paid;
        sum.balance += balance;
        sum.amount_in_period += if row.age <= 89 { amount } else { 0 };
        sum.balance_over_90_days += if row.age > 90 { balance } else { 0 };
    }
    sums
}

fn paid_by_then(row: &Row) -> i64 {
    if row.paid_ago >= 0 { row.paid } else { 0 }
}

/// What is to come of some changes: the world after them, the keys that were deleted, and what each part and load changed.
struct Expected {
    after: World,
    deleted: HashSet<String>,
    parts: BTreeMap<(usize, Part, String), Figures>,
}

/// Applies changes, each of another row, in the order of the parts.
fn expected(before: &World, changes: &[Change]) -> Expected {
    let keys: Vec<&String> = before.keys().collect();
    let mut steps: Vec<(Part, String, String, Option<Row>)> = Vec::new();
    let mut deleted = HashSet::new();
    for (number, change) in changes.iter().enumerate() {
        let load = format!("new-{number}");
        let of_before = keys.get(number).map(|key| ((*key).clone(), before[*key].clone()));
        if let Change::Late(row) = change {
            steps.push((Part::LateRows, load.clone(), format!("late-{number}"), Some(Row { load, ..row.clone() })));
            continue;
        }
        if let Change::Include(row) = change {
            let row = Row { load: "old-0".to_owned(), ..row.clone() };
            steps.push((Part::ChangedRules, row.load.clone(), format!("included-{number}"), Some(row)));
            continue;
        }
        let Some((key, row)) = of_before else { continue };
        let own = row.load.clone();
        match change {
            Change::Correct(amount, patient, age, paid) => {
                let corrected =
                    Row { amount: *amount, patient: *patient, age: *age, load: load.clone(), since: 0, ..row.clone() };
                steps.push((Part::Corrections, load.clone(), key.clone(), Some(corrected.clone())));
                let paid = Row { paid: *paid, ..corrected };
                let part =
                    if paid_by_then(&paid) > paid_by_then(&row) { Part::LatePayments } else { Part::Corrections };
                steps.push((part, load, key, Some(paid)));
            }
            Change::Pay(more) => {
                let paid = Row { paid: row.paid + more, load: load.clone(), ..row };
                steps.push((Part::LatePayments, load, key, Some(paid)));
            }
            Change::Delete => {
                deleted.insert(key.clone());
                steps.push((Part::Deletions, own, key, None));
            }
            Change::Exclude => steps.push((Part::ChangedRules, own, key, None)),
            Change::Reread(amount) => {
                steps.push((Part::ChangedRules, own, key, Some(Row { amount: *amount, ..row })));
            }
            Change::Late(_) | Change::Include(_) => {}
        }
    }
    steps.sort_by(|one, other| (one.0, &one.1, &one.2).cmp(&(other.0, &other.1, &other.2)));
    let (mut after, mut parts) = (before.clone(), BTreeMap::new());
    for (part, load, key, row) in steps {
        let was = figures(&after);
        match row {
            Some(row) => after.insert(key, row),
            None => after.remove(&key),
        };
        for (hospital, (is, was)) in figures(&after).into_iter().zip(was).enumerate() {
            if is != was {
                let sum: &mut Figures = parts.entry((hospital, part, load.clone())).or_default();
                *sum += is - was;
            }
        }
    }
    parts.retain(|_, change| *change != Figures::default());
    Expected { after, deleted, parts }
}

/// Compares two worlds, each in two buckets.
fn compared(before: &World, after: &World, deleted: &HashSet<String>) -> Compared {
    let (before, after) = (frame(before), frame(after));
    let reversals = |rows: &DataFrame| reversal_groups(rows).unwrap();
    let texts = before.column("load_id").unwrap().str().unwrap().clone();
    let closing = Closing {
        month_end: month_end(),
        loads: texts.iter().flatten().map(str::to_owned).chain(["old-0".to_owned()]).collect(),
        reversals: reversals(&before).union(&reversals(&after)).copied().collect(),
    };
    let bucket = |rows: &DataFrame, number: i32| {
        let buckets = crate::scd2::bucket_of(rows.column("transaction_key").unwrap(), 2).unwrap();
        let is_in_it: BooleanChunked = buckets.iter().map(|bucket| Some(bucket == Some(number))).collect();
        rows_of(&rows.filter(&is_in_it).unwrap(), month_end()).unwrap()
    };
    let mut all = Comparison::none(month_end());
    for number in 0..2 {
        let (then, now) = (bucket(&before, number), bucket(&after, number));
        let rows = Matched::of(&then, &now).unwrap();
        let of_source = rows.gone().into_iter().filter(|key| deleted.contains(key)).collect();
        all = all.and(Comparison::of(&closing, &rows, &of_source));
    }
    all.finish()
}

fn row() -> impl Strategy<Value = Row> {
    let amount =
        prop_oneof![4 => Just(10_000_i64), 3 => Just(-10_000), 2 => Just(7_050), 1 => Just(-7_050), 1 => Just(0)];
    let age = prop_oneof![6 => Just(12_i64), 2 => Just(95), 1 => Just(90), 1 => Just(89), 1 => Just(-3)];
    let paid = prop_oneof![3 => Just(0_i64), 1 => Just(4_000), 1 => Just(10_000), 1 => Just(12_345)];
    ((0..2_usize, 0..2_u8, age, amount), (paid, -5..20_i64, 0..3_usize, 0..4_u64)).prop_map(
        |((hospital, patient, age, amount), (paid, paid_ago, load, since))| Row {
            hospital,
            patient,
            age,
            amount,
            paid,
            paid_ago,
            load: format!("old-{load}"),
            since,
        },
    )
}

fn change() -> impl Strategy<Value = Change> {
    let amounts = || prop_oneof![Just(10_000_i64), Just(-10_000), Just(3_333)];
    let ages = prop_oneof![Just(12_i64), Just(95), Just(-3)];
    prop_oneof![
        3 => row().prop_map(Change::Late),
        2 => (amounts(), 0..2_u8, ages, prop_oneof![Just(0_i64), Just(4_000), Just(9_999)])
            .prop_map(|(amount, patient, age, paid)| Change::Correct(amount, patient, age, paid)),
        2 => (1..9_000_i64).prop_map(Change::Pay),
        2 => Just(Change::Delete),
        1 => Just(Change::Exclude),
        1 => row().prop_map(Change::Include),
        1 => amounts().prop_map(Change::Reread),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(500))]

    /// The parts add up to the difference to the cent, and each of them is what was done.
    #[test]
    fn the_parts_of_a_restatement_add_up_and_each_is_what_was_done(
        rows in prop::collection::vec(row(), 1..9),
        changes in prop::collection::vec(change(), 0..9),
    ) {
        let before: World = rows.into_iter().enumerate().map(|(number, row)| (format!("T{number}"), row)).collect();
        let expected = expected(&before, &changes);
        let compared = compared(&before, &expected.after, &expected.deleted);
        for (hospital, name) in HOSPITALS.into_iter().enumerate() {
            prop_assert_eq!(compared.then.of(name), figures(&before)[hospital]);
            prop_assert_eq!(compared.now.of(name), figures(&expected.after)[hospital]);
        }
        let parts: BTreeMap<(usize, Part, String), Figures> = compared
            .changes
            .iter()
            .filter(|(_, change)| **change != Figures::default())
            .map(|((hospital, part, load), change)| {
                ((HOSPITALS.iter().position(|name| name == hospital).unwrap(), *part, load.clone()), *change)
            })
            .collect();
        prop_assert_eq!(&parts, &expected.parts);

        let restated = [Restated { month_end: month_end(), published: compared.then.clone(), compared }];
        let table = restatement_rows(&restated, month_end()).unwrap();
        prop_assert_eq!(control::failures(&check("gold/kpi_restatements", &table, &restated).unwrap()), None);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(40))]

    /// What is published is what the KPIs of the day are.
    #[test]
    fn published_figures_are_those_of_the_kpis(rows in prop::collection::vec(row(), 1..15)) {
        let world: World = rows.into_iter().enumerate().map(|(number, row)| (format!("T{number}"), row)).collect();
        let fact = frame(&world);
        let rows = rows_of(&fact, month_end()).unwrap();
        let totals = Totals::of(&rows, &reversal_groups(&fact).unwrap(), month_end()).unwrap().figures();
        let none = || DataFrame::empty().lazy();
        let gold = GoldTables::new(fact.select(TRANSACTION_COLUMNS).unwrap().lazy(), none(), none(), none()).unwrap();
        let kpi = days_in_ar::compute(&gold, month_end()).unwrap();
        for (row, hospital) in kpi.column("datasource").unwrap().str().unwrap().iter().enumerate() {
            let cents = |name: &str| kpi.column(name).unwrap().decimal().unwrap().physical().get(row).unwrap();
            let of_kpi = ["balance", "amount_in_period", "balance_over_90_days"].map(cents);
            let Figures { balance, amount_in_period, balance_over_90_days, .. } = totals.of(hospital.unwrap());
            prop_assert_eq!([balance, amount_in_period, balance_over_90_days], of_kpi);
        }
    }
}

fn charge(amount: i64, patient: u8, load: &str) -> Row {
    Row { hospital: 0, patient, age: 10, amount, paid: 0, paid_ago: 0, load: load.to_owned(), since: 3 }
}

fn world(rows: &[(&str, Row)]) -> World {
    rows.iter().map(|(key, row)| ((*key).to_owned(), row.clone())).collect()
}

/// Part, load and change of the balance.
fn balances(compared: &Compared) -> Vec<(&'static str, String, i128)> {
    let changes = compared.changes.iter().filter(|(_, change)| change.balance != 0);
    changes.map(|((_, part, load), change)| (part.as_str(), load.clone(), change.balance)).collect()
}

#[test]
fn a_charge_that_a_late_row_takes_back_is_a_change_by_the_load_of_that_row() {
    let before = world(&[("A", charge(10_000, 1, "old"))]);
    let mut after = before.clone();
    after.insert("B".to_owned(), charge(-10_000, 1, "new"));
    let late = compared(&before, &after, &HashSet::new());
    assert_eq!(balances(&late), [("late_rows", "new".to_owned(), -10_000)]);
    let back = compared(&after, &before, &HashSet::from(["B".to_owned()]));
    assert_eq!(balances(&back), [("deletions", "new".to_owned(), 10_000)]);
}

#[test]
fn a_row_that_is_gone_without_a_deletion_is_due_to_changed_rules() {
    let before = world(&[("A", charge(10_000, 1, "old")), ("B", charge(500, 2, "old"))]);
    let compared = compared(&before, &world(&[("A", charge(9_000, 1, "old"))]), &HashSet::new());
    assert_eq!(balances(&compared), [("changed_rules", "old".to_owned(), -1_500)]);
}

#[test]
fn figures_that_the_product_computes_otherwise_than_it_published_are_due_to_changed_rules() {
    let before = world(&[("A", charge(10_000, 1, "old"))]);
    let compared = compared(&before, &before, &HashSet::new());
    let mut published = ByDatasource::default();
    published.add("hos-a", Figures { balance: 9_000, ..compared.then.of("hos-a") });
    let restated = [Restated { month_end: month_end(), published, compared }];
    let table = restatement_rows(&restated, month_end()).unwrap();
    assert_eq!(control::failures(&check("gold/kpi_restatements", &table, &restated).unwrap()), None);
    let shown = |name: &str| {
        let values = table.column(name).unwrap().cast(&DataType::String).unwrap();
        values.str().unwrap().iter().flatten().map(str::to_owned).collect::<Vec<_>>()
    };
    assert_eq!(
        shown("measure"),
        ["amount_in_period", "balance", "balance_over_90_days", "billed_to_date", "paid_to_date"]
    );
    assert_eq!(shown("part"), ["unchanged", "changed_rules", "unchanged", "unchanged", "unchanged"]);
    assert_eq!(shown("difference"), ["0.00", "10.00", "0.00", "0.00", "0.00"]);
}

#[test]
fn a_difference_that_is_lost_fails_the_check() {
    let before = world(&[("A", charge(10_000, 1, "old"))]);
    let compared = compared(&before, &World::new(), &HashSet::new());
    let restated = [Restated { month_end: month_end(), published: compared.then.clone(), compared }];
    let table = restatement_rows(&restated, month_end()).unwrap();
    let lost = table.lazy().filter(col("measure").neq(lit("balance"))).collect().unwrap();
    let failures = control::failures(&check("gold/kpi_restatements", &lost, &restated).unwrap()).unwrap();
    assert_eq!(failures, "`gold/kpi_restatements`: published and differences of balance: expected 0.00, got 100.00");
}

#[test]
fn a_closing_is_read_as_it_was_written_and_one_that_was_taken_back_no_more() {
    let mut published = ByDatasource::default();
    published.add("hos-a", Figures { balance: 417_348_391, paid_to_date: -5, ..Figures::default() });
    published.add("hos-b", Figures { billed_to_date: 7, ..Figures::default() });
    let closing = |month_end: &str, closing: &str| ClosedFigures {
        month_end: month_end.parse().unwrap(),
        closing: closing.to_owned(),
        closed_at: DateTime::UNIX_EPOCH,
        closed_by: "finance".to_owned(),
        published: published.clone(),
    };
    let (september, august) = (closing("2024-09-30", "second"), closing("2024-08-31", "first"));
    let rows = september.rows(3, 4).unwrap().vstack(&august.rows(1, 2).unwrap()).unwrap();
    assert_eq!(**rows.schema(), closed_schema());
    assert_eq!(open_closings(&rows).unwrap(), [august.clone(), september]);
    let reopening = Reopening { at: DateTime::UNIX_EPOCH, by: "audit".to_owned(), why: "late file".to_owned() };
    let rows = reopened(&rows, "second", &reopening).unwrap();
    assert_eq!(open_closings(&rows).unwrap(), [august]);
    let why: Vec<_> = rows.column("reopened_why").unwrap().str().unwrap().iter().flatten().collect();
    assert_eq!(why, ["late file"; 10]);
}

#[test]
fn the_data_model_describes_the_tables_of_closed_months() {
    let text = std::fs::read_to_string(format!("{}/../../docs/data-model.md", env!("CARGO_MANIFEST_DIR"))).unwrap();
    let words: HashSet<&str> = text.split(|c: char| !c.is_ascii_alphanumeric() && c != '_').collect();
    let columns = [closed_schema(), restatement_schema()];
    let columns = columns.iter().flat_map(|schema| schema.iter_names().map(PlSmallStr::as_str));
    let names = MEASURES.into_iter().chain(Part::ALL.map(Part::as_str)).chain([CLOSED_MONTHS, RESTATEMENTS]);
    let missing: Vec<&str> = columns.chain(names).filter(|name| !words.contains(name)).collect();
    assert!(missing.is_empty(), "docs/data-model.md lacks {missing:?}");
}
