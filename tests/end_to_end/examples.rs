//! The examples run, on the lake of the demo's first month.

use std::path::Path;
use std::process::Command;

use polars::prelude::*;
use rcm::demo;

use crate::binaries::ROOT;
use crate::readers::TOOLS;
use crate::scratch::Scratch;

#[path = "../../examples/custom_kpi.rs"]
#[allow(dead_code, unreachable_pub, reason = "it is a program of its own, and its main is called by nobody here")]
mod custom_kpi;

#[tokio::test(flavor = "multi_thread")]
async fn the_example_in_rust_and_the_one_in_python_say_the_same() {
    let scratch = Scratch::new().await;
    let files = demo::write(&scratch.beside("sources"), demo::SEED).unwrap();
    let month = &files.deliveries[0];
    scratch.set_clock(month.extracted_at);
    scratch.land(&month.landing).await;
    scratch.run(&month.emr, demo::AS_OF).await;

    let lag = custom_kpi::claim_lag(&scratch.lake()).await.unwrap();
    assert_eq!(lag.height(), 2, "one row per hospital");
    let texts = |column: &str| -> Vec<String> {
        lag.column(column)
            .unwrap()
            .cast(&DataType::String)
            .unwrap()
            .str()
            .unwrap()
            .iter()
            .flatten()
            .map(str::to_owned)
            .collect()
    };
    let rounded = |column: &str, digits: usize| -> Vec<String> {
        lag.column(column).unwrap().f64().unwrap().iter().flatten().map(|value| format!("{value:.digits$}")).collect()
    };
    let ours = [texts("datasource"), texts("claims"), rounded("mean_lag_days", 2), rounded("prompt_share", 4)];

    let output = Command::new(Path::new(TOOLS).join("python"))
        .arg(format!("{ROOT}/examples/explore_gold.py"))
        .arg(scratch.path(""))
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let said = String::from_utf8(output.stdout).unwrap();
    for title in ["Ageing of the balance", "Charges by year of service", "Charges by department"] {
        let rows = said.split(title).nth(1).unwrap().lines().skip(2).take_while(|line| !line.is_empty());
        assert!(rows.count() > 0, "{title}: {said}");
    }
    let rows: Vec<Vec<&str>> =
        said.split("Claim lag").nth(1).unwrap().lines().skip(2).map(|line| line.split('\t').collect()).collect();
    assert_eq!(rows.len(), lag.height(), "{said}");
    for (index, row) in rows.iter().enumerate() {
        assert_eq!((row[0], row[1]), (ours[0][index].as_str(), ours[1][index].as_str()));
        for (theirs, ours) in row[2..].iter().zip([&ours[2][index], &ours[3][index]]) {
            let [theirs, ours] = [*theirs, ours.as_str()].map(|figure| figure.parse::<f64>().unwrap());
            assert!((theirs - ours).abs() < 0.011, "{theirs} is {ours}");
        }
    }
}
