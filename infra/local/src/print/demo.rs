//! Describes the data of the demo.

use super::figures::count;
use super::table::{list, sections};
use crate::demo::DemoFiles;

/// Returns the deliveries of the demo and their intentional defects as text.
#[must_use]
pub fn demo_files(files: &DemoFiles) -> String {
    let deliveries = files.deliveries.iter().map(|delivery| {
        format!(
            "{}, extracted on {}: {} rows",
            delivery.month,
            delivery.extracted_at.date_naive(),
            count(delivery.rows)
        )
    });
    let defects = files
        .defects
        .iter()
        .map(|defect| format!("month-{}/{}\n      {}: {}", defect.month, defect.file, defect.wrong, defect.lake));
    sections(&[
        list("A made-up hospital group, delivered in three months", &deliveries.collect::<Vec<_>>()),
        list("Intentional defects of the files, and how the lake handles them", &defects.collect::<Vec<_>>()),
    ])
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use super::*;
    use crate::demo::{Defect, DemoDelivery, EXTRACTED_AT};

    #[test]
    fn the_demo_says_what_is_wrong_and_what_becomes_of_it() {
        let files = DemoFiles {
            deliveries: vec![DemoDelivery {
                month: "2024-08",
                extracted_at: EXTRACTED_AT[0],
                emr: PathBuf::new(),
                landing: PathBuf::new(),
                rows: 9_876,
            }],
            defects: vec![Defect {
                month: 1,
                file: "emr/hos-b/transactions.csv",
                wrong: "an amount is no number",
                lake: "the row goes to quarantine",
            }],
        };
        insta::assert_snapshot!(demo_files(&files), @r"
        A made-up hospital group, delivered in three months
          2024-08, extracted on 2024-09-07: 9,876 rows

        Intentional defects of the files, and how the lake handles them
          month-1/emr/hos-b/transactions.csv
              an amount is no number: the row goes to quarantine
        ");
    }
}
