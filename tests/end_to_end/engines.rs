//! Engines that people query silver with find the versions of a table with history: in files that were put together
//! from column chunks, with the statistics that they skip files, row groups and pages by.

use std::collections::BTreeMap;

use chrono::{Days, NaiveDate};
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use serde_json::{Value, json};

use crate::ledger::{Ledger, Load};
use crate::readers::script;

/// Engines that `history.py` knows.
const ENGINES: [&str; 7] = ["duckdb", "polars", "pyarrow", "deltalake", "query-builder", "spark", "spark-by-row"];
const DAYS: u64 = 14;
const FIRST_DAY: &str = "2024-09-10";

/// Amounts of a claim by the day of their modified time: the events of a key.
type Events = BTreeMap<NaiveDate, i64>;

/// One version as the events give it.
struct Version {
    key: usize,
    from: NaiveDate,
    to: Option<NaiveDate>,
    amount: i64,
}

/// The day with a number, counted from the first.
fn day(number: u64) -> NaiveDate {
    FIRST_DAY.parse::<NaiveDate>().unwrap() + Days::new(number)
}

/// The events of a day: new claims, changes of some, and late changes of others, many of them with an amount that the
/// claim had before.
fn events_of(number: u64, claims: &mut Vec<Events>, random: &mut StdRng) -> Vec<(usize, NaiveDate, i64)> {
    let known = claims.len();
    let mut events: Vec<(usize, NaiveDate, i64)> = Vec::new();
    let new = if number == 0 { 300 } else { 15 };
    claims.resize(known + new, Events::new());
    events.extend((known..known + new).map(|key| (key, day(number), random.random_range(1..4))));
    if known > 0 {
        for _ in 0..40 {
            events.push((random.random_range(0..known), day(number), random.random_range(1..4)));
        }
        for _ in 0..8 {
            let late = day(random.random_range(0..number));
            events.push((random.random_range(0..known), late, random.random_range(1..4)));
        }
    }
    // Of two events at one modified time the later file would win; here there are none.
    events.retain(|(key, day, amount)| {
        let is_first = !claims[*key].contains_key(day);
        claims[*key].entry(*day).or_insert(*amount);
        is_first
    });
    events
}

/// The versions of all claims.
fn versions(claims: &[Events]) -> Vec<Version> {
    let mut versions: Vec<Version> = Vec::new();
    for (key, events) in claims.iter().enumerate() {
        for (&from, &amount) in events {
            match versions.last_mut().filter(|last| last.key == key) {
                Some(last) if last.amount == amount => continue,
                Some(last) => last.to = Some(from),
                None => {}
            }
            versions.push(Version { key, from, to: None, amount });
        }
    }
    versions
}

/// What every engine is to find, by the names of `history.py`.
fn expected(versions: &[Version], key: usize, moment: NaiveDate) -> Value {
    let found = |is_wanted: &dyn Fn(&Version) -> bool| {
        let amounts: Vec<i64> =
            versions.iter().filter(|version| is_wanted(version)).map(|version| version.amount).collect();
        json!([amounts.len(), format!("{}.00", amounts.iter().sum::<i64>())])
    };
    json!({
        "all": found(&|_| true),
        "open": found(&|version| version.to.is_none()),
        "closed": found(&|version| version.to.is_some()),
        "current": found(&|version| version.to.is_none()),
        "ended then": found(&|version| version.to == Some(moment)),
        "ended later": found(&|version| version.to > Some(moment)),
        "ended before": found(&|version| version.to.is_some_and(|to| to < moment)),
        "started then": found(&|version| version.from == moment),
        "of the key": found(&|version| version.key == key),
        "open of the key": found(&|version| version.key == key && version.to.is_none()),
    })
}

#[tokio::test(flavor = "multi_thread")]
async fn every_engine_finds_the_versions_of_a_table_with_history() {
    let ledger = Ledger::with_claims().await;
    ledger.edit("configs/sources.toml", "claims = 1", "claims = 3");
    let mut random = StdRng::seed_from_u64(7);
    let mut claims: Vec<Events> = Vec::new();
    for number in 0..DAYS {
        let events = events_of(number, &mut claims, &mut random);
        let rows = events
            .iter()
            .map(|(key, day, amount)| format!("C{key},T,P,2024-09-01,2024-09-05,{amount}.00,0,Pending,A,{day}"));
        let rows: Vec<String> = rows.collect();
        let rows: Vec<&str> = rows.iter().map(String::as_str).collect();
        ledger.land_claims(&format!("hosx_{number}.csv"), &rows);
        if number == 0 {
            ledger.take(Load::Full, &["T,P,2024-09-01,1.00,,,2024-09-10"]).await.whole();
        } else {
            ledger.run().await.whole();
        }
    }
    let table = ledger.path("silver/claims");
    let table = table.to_str().unwrap();
    let versions = versions(&claims);
    let (key, moment) = (versions.iter().find(|version| version.to.is_some()).unwrap().key, day(DAYS / 2));
    let (name, moment_text) = (format!("C{key}-hos-x"), format!("{moment} 00:00:00"));
    let arguments = [table, &name, &moment_text];
    let shape = script("history.py", &["shape", arguments[0], arguments[1], arguments[2]]);
    let at_least = |name: &str, least: i64| assert!(shape[name].as_i64() >= Some(least), "{name}: {shape}");
    at_least("files", 4);
    at_least("row_groups_of_a_file", 3);
    let expected = expected(&versions, key, moment);
    for engine in ENGINES {
        let found = script("history.py", &[engine, arguments[0], arguments[1], arguments[2]]);
        assert_eq!(found, expected, "{engine}");
    }
}
