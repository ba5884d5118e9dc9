//! What the report finds on made-up lakes: a rise, a fall, a steady one, a spread one, and an empty one.

use chrono::{DateTime, NaiveDate, Utc};
use rcm_model::report_config::ReportConfig;

use super::facts::{
    AgeRow, BesideRow, ClaimRow, CollectionRow, Facts, FeedRow, Receivables, RestatementRow, TrendRow, VolumeRow,
    WaitRow,
};
use super::{About, Line, MOST_HOSPITALS, QuarantineLine, Report, RunFacts, Scope, Table, Tone};
use crate::kpi::ar_trend::month_ends;

const CONFIG: &str = r#"
title = "Made-up group"
[hospitals]
hos-a = "Alder"
hos-b = "Brook"
[targets]
days_in_ar = 45
"#;

fn as_of() -> NaiveDate {
    "2024-10-31".parse().unwrap()
}

fn month(ago: u32) -> NaiveDate {
    let first: NaiveDate = "2024-10-01".parse().unwrap();
    first.checked_sub_months(chrono::Months::new(ago)).unwrap()
}

/// Balances in whole units of money, of the months from a year ago on: the last four are given, the others are as the
/// first of these.
fn trend(hospital: &str, payer: &str, last: [i128; 4]) -> Vec<TrendRow> {
    let ends = month_ends(as_of());
    let balance = |at: usize| last[(at + 3).saturating_sub(13).min(3)] * 100;
    (1..ends.len())
        .map(|at| {
            let (opening, closing) = (if at == 1 { balance(1) } else { balance(at - 1) }, balance(at));
            TrendRow {
                month_end: ends[at],
                datasource: hospital.to_owned(),
                payer: payer.to_owned(),
                sums: Receivables {
                    opening,
                    billed: 5_000_000,
                    paid: 5_000_000 - (closing - opening),
                    balance: closing,
                    amount_in_period: 15_000_000,
                    over_90: closing / 5,
                    due: 100_000_000,
                    paid_within_90: 95_000_000,
                },
            }
        })
        .collect()
}

fn facts(given: &[(&str, &str, [i128; 4])]) -> Facts {
    let mut facts = Facts::default();
    for (hospital, payer, last) in given {
        facts.trend.extend(trend(hospital, payer, *last));
        for (bucket, part) in [60, 10, 10, 5, 15].into_iter().enumerate() {
            facts.ages.push(AgeRow {
                datasource: (*hospital).to_owned(),
                payer: (*payer).to_owned(),
                bucket,
                open: 20,
                balance: last[3] * part,
            });
        }
    }
    for hospital in ["hos-a", "hos-b"] {
        facts.beside.push(BesideRow {
            datasource: hospital.to_owned(),
            credit: 123_456,
            credits: 12,
            future: 3,
            future_amount: 1_000,
        });
        for entity in ["claims", "transactions"] {
            facts.feeds.push(FeedRow {
                datasource: hospital.to_owned(),
                entity: entity.to_owned(),
                newest: Some("2024-10-30".parse().unwrap()),
                rows: 1_000,
                undated: 0,
            });
        }
        for (horizon, paid) in [(30, 60), (60, 80), (90, 95)] {
            facts.collection.push(CollectionRow {
                datasource: hospital.to_owned(),
                horizon,
                amount: 10_000,
                paid_within: paid * 100,
                balance_at: 10_000 - paid * 100,
                paid_after: 100,
                paid_before_service: 0,
                overpaid: 0,
            });
        }
    }
    facts
}

fn claims(facts: &mut Facts, payer: &str, denied: [u64; 4]) {
    for (ago, denied) in denied.into_iter().rev().enumerate() {
        facts.claims.push(ClaimRow {
            month: month(ago as u32),
            datasource: "hos-b".to_owned(),
            payer: payer.to_owned(),
            claims: 1_000,
            amount: 100_000,
            denied,
            rejected: 0,
        });
    }
}

fn report(facts: &Facts) -> Report {
    let config = ReportConfig::parse(CONFIG).unwrap();
    let run = RunFacts {
        checks: 52,
        quarantine: vec![QuarantineLine { entity: "patients".to_owned(), rule: "dob_missing".to_owned(), rows: 4 }],
        ..RunFacts::default()
    };
    let made_at: DateTime<Utc> = "2024-11-01T02:14:00Z".parse().unwrap();
    Report::of(facts, About { config: &config, as_of: as_of(), made_at, run: &run })
}

fn all(report: &Report) -> &Scope {
    &report.scopes[0]
}

fn lede(scope: &Scope) -> String {
    scope.hero.lede.iter().map(|span| span.text.as_str()).collect()
}

const STEADY: [i128; 4] = [100_000; 4];

#[test]
fn a_rise_names_whom_most_of_it_is_due_to() {
    let facts = facts(&[
        ("hos-a", "Medicare", STEADY),
        ("hos-b", "Medicaid", [100_000, 120_000, 140_000, 161_000]),
        ("hos-b", "Commercial", [100_000, 100_000, 120_000, 139_000]),
    ]);
    let report = report(&facts);
    let scope = all(&report);
    assert_eq!(scope.hero.finding, "Receivables grew $100\u{a0}thousand since the end of July to $400\u{a0}thousand.");
    assert_eq!(scope.hero.culprit.as_deref(), Some("Medicaid at Brook is 61% of the rise."));
    assert_eq!(scope.change.finding, "Medicaid at Brook added $61\u{a0}K of the $100\u{a0}K");
    assert_eq!(scope.days.finding, "Brook went from 60 to 90 days since the end of July");
    assert!(lede(scope).contains("Brook went from 60 to 90 days."), "{}", lede(scope));
    let equation: Vec<&str> =
        scope.change.equation.iter().filter_map(|(_, figure, _)| figure.value.as_deref()).collect();
    assert_eq!(equation, ["300000.00", "450000.00", "350000.00", "400000.00"]);
    let names: Vec<&str> = report.scopes.iter().map(|scope| scope.name.as_str()).collect();
    assert_eq!(names, ["All hospitals", "Brook", "Alder"]);
    assert_eq!(report.scopes[1].hero.culprit.as_deref(), Some("Medicaid is 61% of the rise."));
    let tile = &scope.tiles[0];
    assert_eq!((tile.delta.as_str(), tile.tone), ("▲ $40\u{a0}K vs Sep", Tone::Worse));
    assert_eq!(tile.of, "300 open accounts; credit balances of $2.5\u{a0}K stand apart");
    assert_eq!(scope.tiles[1].of, "Target 45. $400\u{a0}K ÷ $450\u{a0}K billed in 90 days");
}

#[test]
fn one_part_that_rises_by_more_than_all_is_said_to_do_so() {
    let facts = facts(&[
        ("hos-a", "Medicare", [200_000, 200_000, 190_000, 180_000]),
        ("hos-b", "Medicaid", [100_000, 120_000, 140_000, 170_000]),
    ]);
    let report = report(&facts);
    assert_eq!(
        all(&report).hero.culprit.as_deref(),
        Some("Medicaid at Brook alone rose by $70\u{a0}thousand; the others together fell.")
    );
    assert_eq!(all(&report).change.finding, "Medicaid at Brook added $70\u{a0}K, and the balance rose by $50\u{a0}K");
}

#[test]
fn a_fall_and_a_change_that_is_spread_are_said_as_such() {
    let fall =
        report(&facts(&[("hos-a", "Medicare", [200_000, 180_000, 150_000, 100_000]), ("hos-b", "Medicaid", STEADY)]));
    let hero = &all(&fall).hero;
    assert!(hero.finding.starts_with("Receivables fell $100\u{a0}thousand"), "{}", hero.finding);
    assert_eq!(hero.culprit.as_deref(), Some("Medicare at Alder is 100% of the fall."));

    let payers = ["A", "B", "C", "D"];
    let spread: Vec<(&str, &str, [i128; 4])> =
        payers.iter().map(|payer| ("hos-a", *payer, [100_000, 105_000, 108_000, 110_000])).collect();
    let spread = report(&facts(&spread));
    let scope = all(&spread);
    assert_eq!(scope.hero.culprit.as_deref(), Some("No payer is as much as 40% of the rise."));
    assert_eq!(scope.change.finding, "The balance rose by $40\u{a0}K, spread over many payers");
}

#[test]
fn of_many_hospitals_the_largest_have_a_part_of_their_own_and_all_are_in_the_tables() {
    let names: Vec<String> = (1..=MOST_HOSPITALS + 3).map(|number| format!("hos-{number:02}")).collect();
    let balances = (1..).map(|number: i128| [number * 1_000; 4]);
    let given: Vec<_> = names.iter().zip(balances).map(|(name, last)| (name.as_str(), "Medicare", last)).collect();
    let mut given = facts(&given);
    given.waits.extend(names.iter().map(|name| WaitRow {
        month: month(3),
        datasource: name.clone(),
        payer: "Medicare".to_owned(),
        payments: 500,
        median: Some(18.0),
        p90: Some(41.5),
    }));
    let report = report(&given);
    let shown: Vec<&str> = report.scopes.iter().map(|scope| scope.name.as_str()).collect();
    let mut largest: Vec<&str> = names.iter().rev().take(MOST_HOSPITALS).map(String::as_str).collect();
    largest.insert(0, "All hospitals");
    assert_eq!(shown, largest);
    let scope = all(&report);
    assert_eq!((scope.days.tables[0].lines.len(), scope.age.stacks.len()), (names.len() + 1, names.len() + 1));
    let waits: Vec<&str> = scope.speed.ranges.iter().map(|range| range.name.as_str()).collect();
    assert_eq!(
        waits,
        ["Medicare, hos-11", "Medicare, hos-12", "Medicare, hos-13", "Medicare, hos-14", "Medicare, hos-15"]
    );
    assert!(scope.speed.source.ends_with("The 5 largest hospitals are shown; the others are in the table of gold."));
}

#[test]
fn a_balance_that_hardly_moves_is_steady() {
    let steady = report(&facts(&[("hos-a", "Medicare", [100_000, 100_500, 101_000, 102_000])]));
    let hero = &all(&steady).hero;
    assert_eq!(hero.finding, "Receivables are steady at $102\u{a0}thousand since the end of July.");
    assert_eq!(hero.culprit, None);
    assert_eq!(all(&steady).tiles[0].tone, Tone::Steady);
}

#[test]
fn without_rows_the_report_says_that_there_are_none() {
    let empty = report(&Facts::default());
    let scope = all(&empty);
    assert_eq!(scope.hero.finding, "No receivables are open on 31 October 2024.");
    assert_eq!((empty.notice.is_late, empty.notice.finding.as_str()), (true, "There is no data yet."));
    assert_eq!((empty.scopes.len(), scope.tiles.len()), (1, 5));
}

#[test]
fn a_rate_that_rises_by_chance_is_no_finding_and_one_that_doubles_is() {
    let mut given = facts(&[("hos-b", "Medicaid", STEADY), ("hos-b", "Commercial", STEADY)]);
    claims(&mut given, "Medicaid", [80, 82, 81, 170]);
    claims(&mut given, "Commercial", [50, 50, 50, 55]);
    let found = report(&given);
    let scope = all(&found);
    assert_eq!(scope.denials.finding, "Medicaid denied 17% of its October claims, after 8% before");
    assert!(lede(scope).ends_with("Medicaid denied 17% of its October claims, after 8% in the three months before."));
    assert_eq!(scope.tiles[4].figure.whole(), "11.2%");
    assert_eq!(scope.tiles[4].of, "225 of 2,000 claims of October");
    let hot: Vec<&str> = scope.denials.multiples.iter().filter(|one| one.is_hot).map(|one| one.name.as_str()).collect();
    assert_eq!(hot, ["Medicaid"]);

    let mut calm = facts(&[("hos-b", "Commercial", STEADY)]);
    claims(&mut calm, "Commercial", [50, 50, 50, 55]);
    let calm = report(&calm);
    assert!(all(&calm).denials.finding.contains("no payer’s rate rose by more than chance"));
    assert_eq!(all(&calm).tiles[4].delta, "little changed vs Sep");
}

#[test]
fn few_claims_have_no_rate_and_few_rows_are_not_counted_out() {
    let mut given = facts(&[("hos-b", "Commercial", STEADY)]);
    given.claims.push(ClaimRow {
        month: month(0),
        datasource: "hos-b".to_owned(),
        payer: "Commercial".to_owned(),
        claims: 50,
        amount: 1,
        denied: 4,
        rejected: 0,
    });
    let found = report(&given);
    let tile = &all(&found).tiles[4];
    assert_eq!((tile.figure.value.as_deref(), tile.of.as_str()), (None, "50 claims of October"));
    assert_eq!(all(&found).denials.table.lines[0].cells[1].text, "<11");
    assert_eq!(found.behind.quarantine[0].2.text, "<11");
}

#[test]
fn a_feed_that_is_late_is_said_first() {
    let mut given = facts(&[("hos-a", "Medicare", STEADY)]);
    given.feeds[0].newest = Some("2024-08-23".parse().unwrap());
    let late = report(&given);
    assert_eq!(late.notice.finding, "One feed is late.");
    assert_eq!(
        late.notice.rest,
        "Alder’s claims end on 23 August 2024: the months after that are too low. All 52 control checks agree."
    );
    assert_eq!(all(&late).tiles[4].of, "No claims of October; the newest claims of Alder are late");
    assert!(all(&late).denials.source.ends_with("The newest claims of Alder are late."));
    assert_eq!(all(&late).tiles[0].of, "100 open accounts; credit balances of $2.5\u{a0}K stand apart");
    assert_eq!(late.behind.finding, "3 of 4 feeds are on time, and all 52 control checks agree");
    let whole = report(&facts(&[("hos-a", "Medicare", STEADY)]));
    assert_eq!((whole.notice.is_late, whole.notice.finding.as_str()), (false, "Nothing is late."));
}

#[test]
fn waits_of_few_payments_are_not_shown() {
    let mut given = facts(&[("hos-a", "Medicare", STEADY), ("hos-a", "Self-pay", STEADY)]);
    for (payer, payments) in [("Medicare", 500), ("Self-pay", 20)] {
        given.waits.push(WaitRow {
            month: month(3),
            datasource: "hos-a".to_owned(),
            payer: payer.to_owned(),
            payments,
            median: Some(18.0),
            p90: Some(41.5),
        });
    }
    given.volumes.push(VolumeRow {
        month: month(0),
        datasource: "hos-a".to_owned(),
        payer: "Medicare".to_owned(),
        transactions: 1_234,
        amount: 5_678_900,
    });
    let found = report(&given);
    let speed = &all(&found).speed;
    let shown: Vec<&str> = speed.ranges.iter().map(|range| range.figure.text.as_str()).collect();
    assert_eq!(shown, ["18 · 42", "–"]);
    assert_eq!(speed.finding, "Medicare pays half within 18 days");
    let last = speed.table.lines.last().unwrap();
    assert_eq!(
        (last.name.as_str(), last.cells[0].text.as_str(), last.cells[1].text.as_str()),
        ("Oct 24", "1,234", "$57")
    );
}

/// What has changed September since it was closed, per hospital: part and amount in whole units of money.
fn restated(facts: &mut Facts, published: i128, changes: &[(&str, &str, i128)]) {
    for hospital in ["hos-a", "hos-b"] {
        let own = || changes.iter().filter(|(of, ..)| *of == hospital);
        let difference: i128 = own().map(|(.., change)| change * 100).sum();
        let row = |measure: &str, change: i128, part: &str, difference: i128| RestatementRow {
            month_end: "2024-09-30".parse().unwrap(),
            datasource: hospital.to_owned(),
            measure: measure.to_owned(),
            published: published * 100,
            now: published * 100 + change,
            part: part.to_owned(),
            difference,
        };
        facts.restatements.push(row("amount_in_period", 0, "unchanged", 0));
        facts.restatements.extend(own().map(|(_, part, change)| row("balance", difference, part, change * 100)));
        if own().count() == 0 {
            facts.restatements.push(row("balance", 0, "unchanged", 0));
        }
    }
}

fn lake() -> Facts {
    facts(&[("hos-a", "Medicare", STEADY), ("hos-b", "Medicaid", STEADY)])
}

#[test]
fn a_month_that_was_restated_is_told_with_what_most_of_it_is_due_to() {
    let mut given = lake();
    let changes =
        [("hos-b", "late_rows", 300_000), ("hos-b", "late_payments", -50_000), ("hos-a", "deletions", 150_000)];
    restated(&mut given, 1_000_000, &changes);
    let found = report(&given);
    let closed = all(&found).closed.as_ref().unwrap();
    assert_eq!(
        closed.finding,
        "September was restated by +$400\u{a0}K since it was closed; of it +$300\u{a0}K late charges of Brook"
    );
    let values = |table: &Table| -> Vec<Vec<String>> {
        let cells = |line: &Line| line.cells.iter().map(|cell| cell.value.clone().unwrap_or_default()).collect();
        table.lines.iter().map(cells).collect()
    };
    assert_eq!(values(&closed.tables[0]), [["2000000.00", "2400000.00", "400000.00", "90.0000", "108.0000"]]);
    let names: Vec<&str> = closed.tables[1].lines.iter().map(|line| line.name.as_str()).collect();
    assert_eq!(names, ["Late charges, Brook", "Deleted charges, Alder", "Late payments, Brook", "Restated by"]);
    assert_eq!(values(&closed.tables[1])[3], ["400000.00", "1.000000"]);
    assert_eq!(closed.measures.lines.len(), 5);
    let of_alder = found.scopes.iter().find(|scope| scope.name == "Alder").unwrap().closed.as_ref().unwrap();
    assert_eq!(
        of_alder.finding,
        "September was restated by +$150\u{a0}K since it was closed; all of it deleted charges"
    );
}

#[rstest::rstest]
#[case::nothing(&[], "September stands as it was closed")]
#[case::little(&[("hos-a", "corrections", -400)], "September is little changed since it was closed: −$400")]
#[case::fall(
    &[("hos-a", "corrections", -90_000)],
    "September was restated by −$90\u{a0}K since it was closed; all of it corrections of Alder"
)]
#[case::spread(
    &[
        ("hos-a", "corrections", 30_000),
        ("hos-b", "corrections", 30_000),
        ("hos-a", "late_rows", 30_000),
        ("hos-b", "changed_rules", 10_000),
    ],
    "September was restated by +$100\u{a0}K since it was closed"
)]
fn a_closed_month_says_how_much_of_it_still_stands(#[case] changes: &[(&str, &str, i128)], #[case] expected: &str) {
    let mut given = lake();
    restated(&mut given, 1_000_000, changes);
    assert_eq!(all(&report(&given)).closed.as_ref().unwrap().finding, expected);
    assert_eq!(all(&report(&lake())).closed, None);
}
