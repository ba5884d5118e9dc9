//! What changed in a table between two of its versions: rows, columns and sums.
//!
//! Files that both versions have are not compared: a file never changes. The others are compared by key, in parts that fit
//! into memory.

mod compare;
mod point;

use std::collections::BTreeSet;
use std::hash::{DefaultHasher, Hash, Hasher};

use chrono::{DateTime, Utc};
use polars::prelude::*;
use rcm_domain::gold::{DIMENSIONS, FACTS};
use rcm_domain::kpi::KPIS;
use rcm_domain::money;
use rcm_model::cdm::entity;
use rcm_platform::load::printable;
use rcm_platform::{Context, StageError};
use rcm_tables::delta::{DataFile, Table};
use rcm_tables::frames::blocking;
use serde::Serialize;

pub use self::compare::{ChangedRow, ChangedValue};
use self::compare::{ColumnCounts, Columns, Counts, is_bookkeeping};
pub use self::point::Point;

/// Rows of one version that are compared at once, about.
const ROWS_AT_ONCE: u64 = 500_000;
/// Column that large tables are partitioned by; a key is in one bucket, as long as their number stays the same.
const BUCKET: &str = "bucket";

/// What is compared.
#[derive(Debug)]
pub struct Request<'a> {
    /// Table, such as `gold/fact_claims`.
    pub table: &'a str,
    pub from: Point,
    pub to: Point,
    /// Whether the values of changed rows are read.
    pub with_values: bool,
}

/// A version of a table.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct VersionLine {
    pub version: i64,
    pub rows: u64,
    pub committed_at: Option<DateTime<Utc>>,
    pub run_id: Option<String>,
}

/// What changed between two versions of a table.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Diff {
    pub table: String,
    pub before: VersionLine,
    pub after: VersionLine,
    pub added: u64,
    pub removed: u64,
    /// Rows of which a column changed that is no bookkeeping.
    pub changed: u64,
    /// Rows that only have another load, time of reading or bucket.
    pub touched: u64,
    /// Columns that changed, and amounts whose sum did.
    pub columns: Vec<ColumnDiff>,
    pub columns_added: Vec<String>,
    pub columns_removed: Vec<String>,
    /// The first changed rows; none unless values were asked for.
    pub rows: Vec<ChangedRow>,
}

/// What changed in a column.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ColumnDiff {
    pub column: String,
    pub changed: u64,
    pub null_to_value: u64,
    pub value_to_null: u64,
    /// Of an amount, over all rows of a version.
    #[serde(skip)]
    pub sums: Option<Sums>,
}

/// The sum of an amount in two versions, in cents.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sums {
    pub before: i128,
    pub after: i128,
}

impl Diff {
    /// Whether the two versions say the same of everything but bookkeeping.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.added + self.removed + self.changed == 0
            && self.columns_added.is_empty()
            && self.columns_removed.is_empty()
    }
}

/// Two versions of a table.
struct Pair {
    before: Table,
    after: Table,
    /// Files that only one of them has.
    only_before: Vec<DataFile>,
    only_after: Vec<DataFile>,
}

/// Compares two versions of a table.
///
/// # Errors
/// `BadConfig` if there is no such table or version, or maintenance has removed files of it; a file cannot be read.
pub async fn read(context: &Context, request: &Request<'_>) -> Result<Diff, StageError> {
    let path = request.table.replacen('.', "/", 1);
    let keys = keys_of(&path)?;
    let Some(latest) = Table::open(&context.lake, &path).await? else {
        return Err(StageError::bad_config(format!("there is no table `{}` in this lake", printable(&path))));
    };
    let to = point::version(&latest, request.to, latest.version()).await?;
    let after = if to == latest.version() { None } else { Some(latest.at_version(to).await?) };
    let before = match after.as_ref().unwrap_or(&latest).data_version().await? {
        0 if matches!(request.from, Point::Last) => {
            let message = format!("table `{path}` has had one version of its rows until version {to}");
            return Err(StageError::bad_config(message));
        }
        changed => point::version(&latest, request.from, changed - 1).await?,
    };
    let before = latest.at_version(before).await?;
    let pair = Pair::of(before, after.unwrap_or(latest));
    pair.check_files(&path).await?;
    let columns = pair.columns(keys)?;
    let mut counts = Counts::default();
    let mut rows = Vec::new();
    for part in pair.parts()? {
        let scans = pair.scans(&part, &columns.keys).await?;
        let (counted, with_rows) = (columns.clone(), request.with_values && rows.is_empty());
        let (part_counts, part_rows) = blocking(move || {
            let (earlier, later) = scans;
            let counts = counted.counts(earlier.clone(), later.clone())?;
            let rows = if with_rows { counted.changed_rows(earlier, later)? } else { Vec::new() };
            Ok((counts, rows))
        })
        .await?;
        counts += part_counts;
        rows.extend(part_rows);
    }
    let amounts: Vec<PlSmallStr> = columns.amounts();
    let sums = pair.sums(&amounts).await?;
    Ok(Diff {
        table: path,
        columns: column_lines(&columns, &counts, &amounts, &sums),
        columns_added: lacking(pair.after.schema(), pair.before.schema()),
        columns_removed: lacking(pair.before.schema(), pair.after.schema()),
        before: version_line(&pair.before).await?,
        after: version_line(&pair.after).await?,
        added: counts.added,
        removed: counts.removed,
        changed: counts.changed,
        touched: counts.touched,
        rows,
    })
}

/// The columns that identify a row of a table.
fn keys_of(path: &str) -> Result<Vec<&'static str>, StageError> {
    let (layer, name) = path.split_once('/').unwrap_or_default();
    let found = match layer {
        "silver" => entity(name).map(|entity| vec![entity.surrogate]),
        "quarantine" => Some(vec!["fingerprint"]),
        "gold" if name == "dim_date" => Some(vec!["date_sk"]),
        "gold" => FACTS
            .iter()
            .find(|fact| fact.table == name)
            .map(|fact| vec![fact.entity.key])
            .or_else(|| DIMENSIONS.iter().find(|found| found.table == name).map(|found| vec![found.entity.surrogate]))
            .or_else(|| KPIS.iter().find(|kpi| kpi.table == name).map(|kpi| kpi.grain.to_vec())),
        _ => None,
    };
    found.ok_or_else(|| {
        StageError::bad_config(format!(
            "`{}` is no table whose rows have a key; hint: tables are silver/<entity>, quarantine/<entity> and those of gold, \
             such as gold/fact_claims",
            printable(path)
        ))
    })
}

impl Pair {
    fn of(before: Table, after: Table) -> Self {
        let paths = |table: &Table| table.files().iter().map(DataFile::path).collect::<BTreeSet<_>>();
        let only = |table: &Table, others: &BTreeSet<String>| {
            table.files().iter().filter(|file| !others.contains(&file.path())).cloned().collect()
        };
        let (of_before, of_after) = (paths(&before), paths(&after));
        Self { only_before: only(&before, &of_after), only_after: only(&after, &of_before), before, after }
    }

    /// Checks that maintenance has left all files of both versions.
    async fn check_files(&self, path: &str) -> Result<(), StageError> {
        for table in [&self.before, &self.after] {
            let gone = table.removed_files(table.files()).await?;
            if gone > 0 {
                return Err(StageError::bad_config(format!(
                    "version {} of table `{path}` cannot be read: maintenance has removed {gone} of its files; hint: name a \
                     later version, `--from`; replaced files are kept for 30 days",
                    table.version()
                )));
            }
        }
        Ok(())
    }

    /// The columns that both versions have and that can be compared: lists are internal data of silver.
    fn columns(&self, keys: Vec<&'static str>) -> Result<Columns, StageError> {
        let (before, after) = (self.before.schema(), self.after.schema());
        if let Some(key) = keys.iter().find(|key| !before.contains(key) || !after.contains(key)) {
            return Err(StageError::bad_config(format!(
                "one of the versions has no column `{key}`, by which rows are compared"
            )));
        }
        let is_key = |name: &PlSmallStr| keys.iter().any(|key| name == key);
        let compared = after.iter().filter(|(name, dtype)| {
            before.contains(name) && !is_key(name) && !matches!(dtype, DataType::List(_) | DataType::Struct(_))
        });
        let compared = compared.map(|(name, dtype)| (name.clone(), dtype.clone())).collect();
        Ok(Columns { keys: keys.into_iter().map(PlSmallStr::from_static).collect(), compared })
    }

    fn parts(&self) -> Result<Vec<Part>, StageError> {
        let rows = |files: &[DataFile]| files.iter().map(DataFile::rows).sum::<u64>();
        let rows = rows(&self.only_before).max(rows(&self.only_after));
        if rows <= ROWS_AT_ONCE {
            return Ok(vec![Part::All]);
        }
        let buckets = |table: &Table| {
            let values = table.files().iter().map(|file| file.partition_value(BUCKET).map(str::to_owned));
            values.collect::<BTreeSet<_>>()
        };
        let is_bucketed = |table: &Table| Ok::<_, StageError>(table.partition_columns()? == [BUCKET]);
        // With another number of buckets a key is in another one. A table of so many rows has rows in all of them.
        let (before, after) = (buckets(&self.before), buckets(&self.after));
        if is_bucketed(&self.before)? && is_bucketed(&self.after)? && before == after {
            return Ok(after.into_iter().map(Part::Bucket).collect());
        }
        let of = rows.div_ceil(ROWS_AT_ONCE);
        Ok((0..of).map(|number| Part::Share { number, of }).collect())
    }

    async fn scans(&self, part: &Part, keys: &[PlSmallStr]) -> Result<(LazyFrame, LazyFrame), StageError> {
        let files = |files: &[DataFile]| files.iter().filter(|file| part.has_file(file)).cloned().collect::<Vec<_>>();
        let before = self.before.scan(&files(&self.only_before)).await?;
        let after = self.after.scan(&files(&self.only_after)).await?;
        Ok((part.rows(before, keys), part.rows(after, keys)))
    }

    /// The sums of amounts in both versions, in cents.
    async fn sums(&self, amounts: &[PlSmallStr]) -> Result<Vec<Sums>, StageError> {
        if amounts.is_empty() {
            return Ok(Vec::new());
        }
        let removed: BTreeSet<String> = self.only_before.iter().map(DataFile::path).collect();
        let common: Vec<DataFile> =
            self.before.files().iter().filter(|file| !removed.contains(&file.path())).cloned().collect();
        let common = sums_of(&self.before, &common, amounts).await?;
        let before = sums_of(&self.before, &self.only_before, amounts).await?;
        let after = sums_of(&self.after, &self.only_after, amounts).await?;
        let sums = common.into_iter().zip(before.into_iter().zip(after));
        Ok(sums.map(|(common, (before, after))| Sums { before: common + before, after: common + after }).collect())
    }
}

/// Some of the rows of both versions; every key is in one part.
enum Part {
    All,
    Bucket(Option<String>),
    /// The keys of one hash out of so many.
    Share {
        number: u64,
        of: u64,
    },
}

impl Part {
    fn has_file(&self, file: &DataFile) -> bool {
        match self {
            Self::Bucket(bucket) => file.partition_value(BUCKET) == bucket.as_deref(),
            Self::All | Self::Share { .. } => true,
        }
    }

    fn rows(&self, rows: LazyFrame, keys: &[PlSmallStr]) -> LazyFrame {
        let (Self::Share { number, of }, Some(key)) = (self, keys.first()) else { return rows };
        let (number, of) = (*number, *of);
        let is_in = move |column: Column| {
            let keys = column.cast(&DataType::String)?;
            let is_in: BooleanChunked = keys.str()?.iter().map(|key| Some(share(key, of) == number)).collect();
            Ok(is_in.with_name(column.name().clone()).into_column())
        };
        rows.filter(col(key.clone()).map(is_in, |_, field| Ok(Field::new(field.name().clone(), DataType::Boolean))))
    }
}

fn share(key: Option<&str>, of: u64) -> u64 {
    let mut hasher = DefaultHasher::new();
    key.hash(&mut hasher);
    hasher.finish() % of
}

async fn sums_of(table: &Table, files: &[DataFile], amounts: &[PlSmallStr]) -> Result<Vec<i128>, StageError> {
    let sums: Vec<Expr> = amounts.iter().map(|amount| col(amount.clone()).cast(money::sum_dtype()).sum()).collect();
    let sums = table.scan(files).await?.select(sums);
    let found = blocking(move || Ok(sums.collect()?)).await?;
    let cents = |amount: &PlSmallStr| -> Result<i128, StageError> {
        Ok(found.column(amount)?.as_materialized_series().decimal()?.physical().get(0).unwrap_or(0))
    };
    amounts.iter().map(cents).collect()
}

impl Columns {
    /// The amounts among the compared columns.
    fn amounts(&self) -> Vec<PlSmallStr> {
        let amounts = self.compared.iter().filter(|(_, dtype)| matches!(dtype, DataType::Decimal(_, money::SCALE)));
        amounts.map(|(name, _)| name.clone()).collect()
    }
}

fn column_lines(columns: &Columns, counts: &Counts, amounts: &[PlSmallStr], sums: &[Sums]) -> Vec<ColumnDiff> {
    let lines = columns.compared.iter().zip(&counts.columns).map(|((name, _), counted)| {
        let ColumnCounts { changed, null_to_value, value_to_null } = *counted;
        let sums = amounts.iter().zip(sums).find(|(amount, _)| *amount == name).map(|(_, sums)| *sums);
        ColumnDiff { column: name.to_string(), changed, null_to_value, value_to_null, sums }
    });
    let mut lines: Vec<ColumnDiff> = lines
        .filter(|line| !is_bookkeeping(&line.column))
        .filter(|line| line.changed > 0 || line.sums.is_some_and(|sums| sums.before != sums.after))
        .collect();
    lines.sort_by_key(|line| std::cmp::Reverse((line.sums.is_some(), line.changed)));
    lines
}

fn lacking(schema: &Schema, other: &Schema) -> Vec<String> {
    schema.iter_names().filter(|name| !other.contains(name)).map(ToString::to_string).collect()
}

async fn version_line(table: &Table) -> Result<VersionLine, StageError> {
    let info = table.commit_info(table.version()).await?;
    let (committed_at, run_id) = info.map_or((None, None), |info| (info.at, info.run_id));
    Ok(VersionLine { version: table.version(), rows: table.rows(), committed_at, run_id })
}
