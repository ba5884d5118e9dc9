//! Random extracts, compared with a naive simulation: after each load the current rows are those of the load.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;

use rand::rngs::StdRng;
use rand::seq::IndexedRandom;
use rand::{Rng, SeedableRng};

use crate::ledger::{COLUMNS, Ledger, Load};

const CASES: u64 = 8;
const LOADS: usize = 5;
const KEYS: [&str; 6] = ["K1", "K2", "K3", "K4", "K5", "K6"];
/// Modified times of rows of full extracts: they stay the same, go back, and lie in the future.
const STAMPS: [&str; 4] = ["2024-03-01", "2024-09-10", "2024-09-10", "2042-01-01"];

/// A row: its key, amount and modified time.
type Row = (&'static str, u32, String);

/// One load: its rows, and the first field of a malformed record, if it has one.
#[derive(Debug)]
struct Delivery {
    load: Load,
    rows: Vec<Row>,
    malformed: Option<&'static str>,
}

fn any_delivery(dice: &mut StdRng, number: usize) -> Delivery {
    let load = if number == 0 || dice.random_bool(0.6) { Load::Full } else { Load::Incremental };
    // What an incremental load is to take is stamped as what it took before, or later.
    let stamps: Vec<String> = match load {
        Load::Full => STAMPS.map(str::to_owned).to_vec(),
        Load::Incremental => vec![format!("2025-01-{:02}", number / 2 + 1), "2042-01-01".to_owned()],
    };
    let mut rows = Vec::new();
    for key in KEYS {
        if dice.random_bool(0.6) {
            let repeats = if dice.random_bool(0.15) { 2 } else { 1 };
            for _ in 0..repeats {
                let amount = *[10, 20, 30].choose(dice).unwrap();
                rows.push((key, amount, stamps.choose(dice).unwrap().clone()));
            }
        }
    }
    if rows.is_empty() {
        rows.push(("K1", 10, stamps[0].clone()));
    }
    let malformed = dice.random_bool(0.3).then(|| *["K2", "K5", "ZZ"].choose(dice).unwrap());
    Delivery { load, rows, malformed }
}

fn text(delivery: &Delivery) -> String {
    let mut text = format!("{COLUMNS}\n");
    for (key, amount, stamp) in &delivery.rows {
        writeln!(text, "{key},P,2024-01-15,{amount},,,{stamp}").unwrap();
    }
    if let Some(key) = delivery.malformed {
        writeln!(text, "{key},P,2024-01-15").unwrap();
    }
    text
}

/// Returns the state after a load from the state before it.
fn shown(state: &BTreeMap<&'static str, u32>, delivery: &Delivery) -> BTreeMap<&'static str, u32> {
    let mut winners: BTreeMap<&'static str, (&str, u32)> = BTreeMap::new();
    for (key, amount, stamp) in &delivery.rows {
        let winner = winners.entry(key).or_insert((stamp, *amount));
        if stamp.as_str() >= winner.0 {
            *winner = (stamp, *amount);
        }
    }
    let kept: BTreeSet<&str> = match delivery.load {
        Load::Incremental => KEYS.into(),
        Load::Full => delivery.malformed.into_iter().collect(),
    };
    let before = state.iter().filter(|(key, _)| kept.contains(**key)).map(|(key, amount)| (*key, *amount));
    before.chain(winners.into_iter().map(|(key, (_, amount))| (key, amount))).collect()
}

async fn the_lake_shows_what_the_loads_show(seed: u64) {
    let mut dice = StdRng::seed_from_u64(seed);
    let ledger = Ledger::new().await;
    ledger.any_share_may_be_lost();
    let mut state = BTreeMap::new();
    let mut past: Vec<Delivery> = Vec::new();
    for number in 0..LOADS {
        let delivery = any_delivery(&mut dice, number);
        ledger.tables(&["transactions"], delivery.load);
        ledger.send("transactions", text(&delivery));
        state = shown(&state, &delivery);
        past.push(delivery);
        let told = ledger.run_today().await.whole();
        let expected: Vec<String> = state.iter().map(|(key, amount)| format!("{key}|{amount}.00")).collect();
        assert_eq!(ledger.amounts().await, expected, "seed {seed}: {past:#?}");
        assert_eq!(told.ar(), format!("{}.00", state.values().sum::<u32>()), "seed {seed}: {past:#?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn after_any_sequence_of_loads_the_lake_has_the_rows_that_they_show() {
    for seed in 0..CASES {
        the_lake_shows_what_the_loads_show(seed).await;
    }
}
