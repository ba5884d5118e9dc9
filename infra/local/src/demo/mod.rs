//! Generates a small hospital group to try the lake with, and the same at any size for benchmarks.
//!
//! There are two hospitals and three monthly deliveries. An extract is made on the seventh of the next month and has
//! every table as of the evening before; the payers send the changes of claims since the last delivery. Patients move,
//! providers change department, payments arrive, and the older a balance is, the less of it is collected (see
//! `payments`). There is something for the report to find: from September on Medicaid pays no claim of the second
//! hospital, whose claims of October do not come. Names, addresses, phone numbers and social security numbers cannot
//! belong to a real person.
//!
//! Real feeds have defects, so the demo adds these on purpose; [`DemoFiles::defects`] says how the lake handles
//! each one:
//!
//! | month | file | defect |
//! |---|---|---|
//! | 1 | patients of hos-b | the word NULL for a first name |
//! | 1 | patients of hos-a | a line break inside a quoted field |
//! | 1 | transactions of hos-b | an amount that is not a number |
//! | 1 | claims of hospital 2 | a byte order mark |
//! | 2 | encounters of hos-a | a row without key |
//! | 2 | encounters of hos-b | two date formats in one column |
//! | 2 | patients of hos-a | an implausible phone number |
//! | 2 | transactions of hos-b | repeated rows |
//! | 2 | claims of hospital 1 | rows sent again unchanged |
//! | 2 | claims of hospital 1 | columns in another order |
//! | 2 | claims of hospital 2 | a ragged row |
//! | 2 | claims of hospital 9 | an unknown hospital |
//! | 3 | claims of hospital 1 | late corrections: modified before the current version |
//! | 3 | claims of hospital 1 | a file in UTF-16 |
//! | 3 | claims of hospital 2 | the file of September sent again in the place of October's |
//! | 3 | departments of hos-a | a row missing from a full extract |

mod benchmark;
mod claims;
mod cpt_codes;
mod defects;
mod dice;
mod encounters;
mod months;
mod npi;
mod patients;
mod payments;
mod providers;
mod sheet;
mod transactions;
mod words;
mod world;

#[cfg(test)]
mod tests;

use std::io;
use std::path::{Path, PathBuf};

use chrono::{DateTime, NaiveDate, NaiveTime, Utc};

pub use benchmark::{BenchmarkFiles, generate};
pub use defects::REFUSED;

/// One row of a file, field by field.
type Record = Vec<String>;

/// The configuration of the demo's report.
pub const REPORT: &str = include_str!("report.toml");

/// Default seed of the demo.
pub const SEED: u64 = 20_241_110;

/// Date of the demo's KPIs.
pub const AS_OF: NaiveDate = dice::date(2024, 11, 7);

/// The months of the deliveries, as in the names of the claims files.
pub const MONTHS: [&str; 3] = ["2024-08", "2024-09", "2024-10"];

/// Times of the extracts, by month.
pub const EXTRACTED_AT: [DateTime<Utc>; 3] =
    [two_in_the_morning(2024, 9, 7), two_in_the_morning(2024, 10, 7), two_in_the_morning(2024, 11, 7)];

/// The files that [`write()`] wrote.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DemoFiles {
    /// The deliveries, oldest first.
    pub deliveries: Vec<DemoDelivery>,
    pub defects: Vec<Defect>,
}

/// The delivery of one month.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DemoDelivery {
    pub month: &'static str,
    pub extracted_at: DateTime<Utc>,
    /// Folder of the extracts, `<datasource>/<table>.csv`.
    pub emr: PathBuf,
    /// Folder of the landed files, `claims/*.csv` and `cptcodes/*.csv`.
    pub landing: PathBuf,
    /// Number of rows of all files.
    pub rows: u64,
}

/// An intentional defect.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Defect {
    /// Number of the delivery, from 1.
    pub month: usize,
    /// Path of the file below the delivery's folder.
    pub file: &'static str,
    pub wrong: &'static str,
    /// How the lake handles it.
    pub lake: &'static str,
}

/// Writes the deliveries to `<dir>/month-1` to `<dir>/month-3`, with fewer than 40,000 rows in all. The same
/// seed writes the same bytes.
///
/// # Errors
/// A file cannot be written.
pub fn write(dir: &Path, seed: u64) -> io::Result<DemoFiles> {
    let mut months = months::deliveries(seed);
    let defects = defects::spoil(&mut months);
    let mut deliveries = Vec::with_capacity(months.len());
    for (index, files) in months.iter().enumerate() {
        let folder = dir.join(format!("month-{}", index + 1));
        for (path, sheet) in files {
            sheet.write(&folder.join(path))?;
        }
        deliveries.push(DemoDelivery {
            month: MONTHS[index],
            extracted_at: EXTRACTED_AT[index],
            emr: folder.join("emr"),
            landing: folder.join("landing"),
            rows: files.values().map(|sheet| sheet.rows.len() as u64).sum(),
        });
    }
    Ok(DemoFiles { deliveries, defects })
}

const fn two_in_the_morning(year: i32, month: u32, day: u32) -> DateTime<Utc> {
    let two = match NaiveTime::from_hms_opt(2, 0, 0) {
        Some(time) => time,
        None => NaiveTime::MIN,
    };
    dice::date(year, month, day).and_time(two).and_utc()
}
