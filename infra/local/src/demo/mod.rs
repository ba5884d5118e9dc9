//! A small made-up hospital group to try the lake with, and the same at any size for benchmarks.
//!
//! Two hospitals, three monthly deliveries. An extract is taken on the seventh of the next month
//! and shows every table as it stood the evening before; the payers send what happened to the
//! claims since the last delivery. Patients move, providers change department, payments come in,
//! and the older a balance is, the less of it is collected (see `payments`). Names, addresses,
//! phone numbers and social security numbers cannot belong to anybody.
//!
//! Feeds are never clean, so each of these defects is put in on purpose, and [`DemoFiles::defects`]
//! says what the lake does about it:
//!
//! | month | file | defect |
//! |---|---|---|
//! | 1 | patients of hos-b | the word NULL for a first name |
//! | 1 | patients of hos-a | a line break inside a quoted field |
//! | 1 | transactions of hos-b | an amount that is no number |
//! | 1 | claims of hospital 2 | a byte order mark |
//! | 2 | encounters of hos-a | a row without key |
//! | 2 | encounters of hos-b | two date formats in one column |
//! | 2 | patients of hos-a | an implausible phone number |
//! | 2 | transactions of hos-b | rows that stand there twice |
//! | 2 | claims of hospital 1 | rows sent again unchanged |
//! | 2 | claims of hospital 2 | a ragged row |
//! | 2 | claims of hospital 9 | a hospital that nobody knows |
//! | 3 | claims of hospital 1 | late corrections: modified before the current version |
//! | 3 | claims of hospital 2 | columns in another order |
//! | 3 | claims of hospital 1 | a file in UTF-16 |
//! | 3 | claims of hospital 2 | a file dropped twice under two names |
//! | 3 | departments of hos-a | a row that vanished from a full extract |

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

/// Seed of the demo where no other is asked for.
pub const SEED: u64 = 20_241_107;

/// Date that the KPIs of the demo are computed for.
pub const AS_OF: NaiveDate = dice::date(2024, 11, 7);

/// The months that are delivered, as the names of the claims files have them.
pub const MONTHS: [&str; 3] = ["2024-08", "2024-09", "2024-10"];

/// When each month's extracts are taken.
pub const EXTRACTED_AT: [DateTime<Utc>; 3] =
    [two_in_the_morning(2024, 9, 7), two_in_the_morning(2024, 10, 7), two_in_the_morning(2024, 11, 7)];

/// What [`write()`] wrote.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DemoFiles {
    /// The deliveries, oldest first.
    pub deliveries: Vec<DemoDelivery>,
    pub defects: Vec<Defect>,
}

/// What is delivered in one month.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DemoDelivery {
    pub month: &'static str,
    pub extracted_at: DateTime<Utc>,
    /// Folder of the extracts, `<datasource>/<table>.csv`.
    pub emr: PathBuf,
    /// Folder of the landed files, `claims/*.csv` and `cptcodes/*.csv`.
    pub landing: PathBuf,
    /// Rows of all files.
    pub rows: u64,
}

/// Something that went wrong on purpose.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Defect {
    /// Number of the delivery, from 1.
    pub month: usize,
    /// Path of the file below the delivery's folder.
    pub file: &'static str,
    pub wrong: &'static str,
    /// What the lake does about it.
    pub lake: &'static str,
}

/// Writes the deliveries to `<dir>/month-1` to `<dir>/month-3`, below 30,000 rows in all. The same seed
/// writes the same bytes.
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
