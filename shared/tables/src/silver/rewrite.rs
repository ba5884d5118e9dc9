//! The files of a bucket after a plan.
//!
//! A file of which versions changed is put together from its own column chunks, and new ones of the columns that
//! changed; new versions become a row group of it. A file that has many row groups, or of which rows go, is written
//! anew as two: its current versions, and the closed ones.

use std::collections::HashSet;

use polars::prelude::*;
use rcm_domain::cdm::silver_schema;
use rcm_domain::scd2::{Plan, patched};
use rcm_platform::error::{Result, StageError};

use super::stored::{Bucket, StoredFile, is_open};
use crate::chunks::{Group, ParquetFile, ROW_GROUP, encode, file_of, file_of_groups};
use crate::delta::{self, DataFile, Encoded, NewFile};
use crate::frames::{blocking, conform};

/// Row groups of a file, beyond those that its rows may have at first, with which it is written anew. Buckets that
/// change together are not written anew together: each has up to [`SPREAD`] more.
const MOST_GROUPS: usize = 8;
const SPREAD: usize = 5;
/// Rows of the smallest row groups that a file has at first.
const FEWEST_ROWS: usize = 131_072;
/// Bytes below which a file without changes takes new versions too.
const SMALL: u64 = 16 * 1024 * 1024;

/// Files that a plan adds to a bucket, and those that it removes.
#[derive(Default)]
pub(super) struct Rewritten {
    pub add: Vec<NewFile>,
    pub remove: Vec<DataFile>,
}

/// What becomes of a file.
enum Fate {
    /// These row groups get new columns.
    Spliced(Vec<usize>),
    /// Rows of it go, or it has many row groups.
    Anew,
}

/// Writes the files of a bucket after a plan. `files` are those that the plan may change.
///
/// # Errors
/// The store fails, or the bytes of a file are not those that were written.
pub(super) async fn write(bucket: Bucket<'_>, path: &str, files: Vec<StoredFile>, plan: &Plan) -> Result<Rewritten> {
    let mut rewritten = Rewritten::default();
    if plan.is_empty() {
        return Ok(rewritten);
    }
    let schema = stored_schema(bucket);
    let mut fates = fates(bucket, files, plan)?;
    let appended_to = if plan.add.height() > 0 { takes_new(bucket, &mut fates).await? } else { None };
    let mut added = None;
    if plan.add.height() > 0 {
        let (rows, schema) = (plan.add.clone(), schema.clone());
        added = Some(blocking(move || ParquetFile::whole(encode(&conform(&rows, &schema)?, ROW_GROUP)?.into())).await?);
    }
    for (index, (file, fate)) in fates.into_iter().enumerate() {
        let new = added.take_if(|new| appended_to == Some(index) && new.schema() == file.parquet.schema());
        match fate {
            Fate::Spliced(groups) => {
                let splice = Splice { bucket, path, file: &file, groups, plan };
                rewritten.add.push(splice.write(new).await?);
            }
            Fate::Anew => rewritten.add.extend(anew(bucket, path, &file, plan, new).await?),
        }
        rewritten.remove.push(file.file);
    }
    if let Some(new) = added {
        let file = blocking(move || composed(&new, &vec![None; new.groups()], None, &schema));
        rewritten.add.push(put(bucket, path, file.await?).await?);
    }
    let before: u64 = rewritten.remove.iter().map(DataFile::rows).sum();
    let after: u64 = rewritten.add.iter().map(|file| file.rows).sum();
    if after + plan.remove.height() as u64 != before + plan.add.height() as u64 {
        let (new, gone) = (plan.add.height(), plan.remove.height());
        let message = format!("of {before} rows, {new} new ones and {gone} that go, {after} were written");
        return Err(StageError::internal(message));
    }
    Ok(rewritten)
}

/// Columns of the bucket's files.
fn stored_schema(bucket: Bucket<'_>) -> Schema {
    silver_schema(bucket.entity).iter_fields().filter(|field| field.name() != "bucket").collect()
}

/// What becomes of each file that the plan changes.
fn fates(bucket: Bucket<'_>, files: Vec<StoredFile>, plan: &Plan) -> Result<Vec<(StoredFile, Fate)>> {
    let keys = |frame: &DataFrame| -> Result<HashSet<i64>> {
        Ok(frame.column(bucket.entity.surrogate)?.i64()?.iter().flatten().collect())
    };
    let removed = keys(&plan.remove)?;
    let mut changed = HashSet::new();
    for patch in &plan.patches {
        changed.extend(keys(patch)?);
    }
    check_found(&files, &changed)?;
    check_found(&files, &removed)?;
    let mut fates: Vec<(StoredFile, Fate)> = Vec::new();
    for file in files {
        if fates.iter().any(|(known, _)| known.file.path() == file.file.path()) {
            continue;
        }
        let groups = file.groups_with(&changed);
        let lacks_column = || {
            let schema = file.parquet.schema();
            let names: HashSet<&str> = schema.get_fields().iter().map(|field| field.name()).collect();
            let mut patched = plan.patches.iter().flat_map(DataFrame::get_column_names);
            patched.any(|name| !names.contains(name.as_str()))
        };
        let is_anew = !removed.is_empty() && !file.groups_with(&removed).is_empty()
            || !groups.is_empty() && (has_many_groups(bucket, &file) || lacks_column());
        if is_anew {
            fates.push((file, Fate::Anew));
        } else if !groups.is_empty() {
            fates.push((file, Fate::Spliced(groups)));
        }
    }
    Ok(fates)
}

/// Checks that every version that changes is in one of the files.
fn check_found(files: &[StoredFile], keys: &HashSet<i64>) -> Result<()> {
    let found: HashSet<i64> = files.iter().flat_map(|file| file.keys_of(keys)).collect();
    let missing = keys.len() - found.len();
    if missing > 0 {
        return Err(StageError::internal(format!("{missing} versions that change are in no file that was read")));
    }
    Ok(())
}

fn has_many_groups(bucket: Bucket<'_>, file: &StoredFile) -> bool {
    let more = bucket.number.unsigned_abs() as usize % SPREAD;
    file.parquet.groups() >= MOST_GROUPS + more + file.file.rows() as usize / FEWEST_ROWS
}

/// Which of the files takes the new versions: the smallest that is written anyway and has current versions, else a
/// small one that is written for them, which is added to `fates`; none if there is no such file.
async fn takes_new(bucket: Bucket<'_>, fates: &mut Vec<(StoredFile, Fate)>) -> Result<Option<usize>> {
    let open = fates.iter().enumerate().filter(|(_, (file, _))| is_open(&file.file));
    if let Some((index, _)) = open.min_by_key(|(_, (file, _))| file.file.size()) {
        return Ok(Some(index));
    }
    let small = bucket.files().filter(|file| is_open(file) && file.size() < SMALL);
    let Some(file) = small.min_by_key(|file| file.size()) else { return Ok(None) };
    let file = bucket.footer(file).await?;
    let fate = if has_many_groups(bucket, &file) { Fate::Anew } else { Fate::Spliced(Vec::new()) };
    fates.push((file, fate));
    Ok(Some(fates.len() - 1))
}

/// A file that is put together from its chunks and new ones.
struct Splice<'a> {
    bucket: Bucket<'a>,
    path: &'a str,
    file: &'a StoredFile,
    /// Row groups with versions that changed.
    groups: Vec<usize>,
    plan: &'a Plan,
}

impl Splice<'_> {
    /// Writes the file, with the row groups of `new` behind its own.
    async fn write(&self, new: Option<ParquetFile>) -> Result<NewFile> {
        let key = self.bucket.key_of(&self.file.file);
        let whole = self.file.parquet.clone().with_all(&self.bucket.context.lake, &key).await?;
        let (groups, patches) = (self.groups.clone(), self.plan.patches.clone());
        let (surrogate, schema) = (self.bucket.entity.surrogate, stored_schema(self.bucket));
        let file = blocking(move || {
            let mut replaced: Vec<Option<ParquetFile>> = vec![None; whole.groups()];
            for group in groups {
                replaced[group] = columns(&whole, group, surrogate, &patches)?;
            }
            composed(&whole, &replaced, new.as_ref(), &schema)
        });
        put(self.bucket, self.path, file.await?).await
    }
}

/// The columns of a row group that patches change, encoded; none if they set what is there.
fn columns(whole: &ParquetFile, group: usize, surrogate: &str, patches: &[DataFrame]) -> Result<Option<ParquetFile>> {
    // Each patch has the surrogate key too.
    let wanted: Vec<&str> = patches.iter().flat_map(DataFrame::get_column_names).map(PlSmallStr::as_str).collect();
    let rows = whole.decode(group..group + 1, &wanted)?;
    let changed = patched(&rows, surrogate, patches)?;
    let differs = |column: &&Column| rows.column(column.name()).is_ok_and(|before| !before.equals_missing(column));
    let changed: Vec<Column> = changed.columns().iter().filter(differs).cloned().collect();
    if changed.is_empty() {
        return Ok(None);
    }
    let changed = DataFrame::new(rows.height(), changed)?;
    ParquetFile::whole(encode(&changed, usize::MAX)?.into()).map(Some)
}

/// The file of the row groups of `own`, of which some have columns of other files, and of those of `new`.
fn composed(
    own: &ParquetFile,
    replaced: &[Option<ParquetFile>],
    new: Option<&ParquetFile>,
    schema: &Schema,
) -> Result<Encoded> {
    let mut groups: Vec<Group<'_>> = Vec::new();
    for (group, replaced) in replaced.iter().enumerate() {
        groups.push(own.group(group, replaced.as_ref())?);
    }
    if let Some(new) = new {
        for group in 0..new.groups() {
            groups.push(new.group(group, None)?);
        }
    }
    file_of_groups(own, &groups, schema)
}

async fn put(bucket: Bucket<'_>, path: &str, file: Encoded) -> Result<NewFile> {
    delta::put(bucket.context, path, file, &[("bucket", Some(bucket.number.to_string()))]).await
}

/// Writes the rows of a file that stay, and those of `new`.
async fn anew(
    bucket: Bucket<'_>,
    path: &str,
    file: &StoredFile,
    plan: &Plan,
    new: Option<ParquetFile>,
) -> Result<Vec<NewFile>> {
    let whole = file.parquet.clone().with_all(&bucket.context.lake, &bucket.key_of(&file.file)).await?;
    let (schema, surrogate) = (stored_schema(bucket), bucket.entity.surrogate);
    let changes = plan.without_new();
    let rows = blocking(move || {
        let names: Vec<&str> = schema.iter_names().map(PlSmallStr::as_str).collect();
        let stored = conform(&whole.decode(0..whole.groups(), &names)?, &schema)?;
        let mut rows = changes.kept(&stored, surrogate)?;
        if let Some(new) = new {
            rows.vstack_mut(&conform(&new.decode(0..new.groups(), &names)?, &schema)?)?;
        }
        Ok(rows)
    });
    current_and_closed(bucket, path, rows.await?).await
}

/// Writes rows of a bucket as files of their own: the current versions, and the closed ones.
///
/// # Errors
/// The store fails.
pub(super) async fn current_and_closed(bucket: Bucket<'_>, path: &str, rows: DataFrame) -> Result<Vec<NewFile>> {
    let files = blocking(move || {
        let is_current = rows.column("is_current")?.bool()?.clone();
        let mut files = Vec::new();
        for rows in [rows.filter(&is_current)?, rows.filter(&!is_current)?] {
            if rows.height() > 0 {
                files.push(file_of(&rows, ROW_GROUP)?);
            }
        }
        Ok(files)
    });
    let mut written = Vec::new();
    for file in files.await? {
        written.push(put(bucket, path, file).await?);
    }
    Ok(written)
}
