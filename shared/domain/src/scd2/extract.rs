//! Extracts: a load says what the source holds when it is read.
//!
//! Loads are applied one after the other. After each, the current version of every key that it brought is the
//! row that it brought: of several rows of one key the one with the latest modified time, then the last. The
//! modified time only says since when, where it can be believed. What a full extract lacks is deleted as of
//! the extract, unless a row in quarantine names it.

use chrono::{DateTime, Utc};
use polars::prelude::*;
use rcm_model::cdm::Entity;

use super::MODIFIED_GOES_BACK;
use super::columns::{Columns, Counts, amount_columns};
use super::events::{IS_DELETE, LOAD_ID};
use super::hash::{hash_of, row_hash};
use super::plan::{Holdings, Outcome, Plan};
use super::write::{NewVersion, Patch, Planned, write};

/// Columns of stored rows that the planning of extracts looks at, beside the key and the surrogate key.
pub const COMPARED: [&str; 6] =
    ["datasource", "row_hash", "effective_from", "effective_to", "is_deleted", "src_modified_at"];

/// A load of an extract.
#[derive(Debug, Clone)]
pub struct ExtractLoad {
    pub load_id: String,
    pub datasource: String,
    /// When the source was read; later than every load of the datasource before.
    pub extracted_at: DateTime<Utc>,
    /// Whether it holds the whole table: what it lacks is deleted. No load of the datasource follows it in the
    /// same batch.
    pub is_full: bool,
    /// Columns whose change alone is no new version: the current one takes the new value.
    pub untracked: Vec<&'static str>,
    /// Loads whose rows stand in the place of rows of this one.
    pub corrected_by: Vec<String>,
}

impl ExtractLoad {
    /// Whether a row of a load is one of this load, or corrects one of it.
    fn has_row_of(&self, load_id: Option<&str>) -> bool {
        load_id.is_some_and(|id| id == self.load_id || self.corrected_by.iter().any(|correction| correction == id))
    }
}

/// Loads of extracts, as far as they concern one bucket.
#[derive(Debug, Clone, Copy)]
pub struct ExtractBatch<'a> {
    /// In the order in which they are applied.
    pub loads: &'a [ExtractLoad],
    /// Good rows as [`super::events`] returns them, in the order of the loads.
    pub rows: &'a DataFrame,
    /// Keys that rows in quarantine name, which a full extract does not delete: `key`, `load_id`.
    pub named: &'a DataFrame,
    /// Whether stored rows may have been hashed with other tracked columns than today's.
    pub may_hash_otherwise: bool,
}

impl ExtractBatch<'_> {
    /// Whether the attributes of stored rows are needed to plan the batch, and not only their hashes.
    #[must_use]
    pub fn needs_attributes(&self) -> bool {
        self.may_hash_otherwise || self.loads.iter().any(|load| !load.untracked.is_empty())
    }

    /// Whether the amounts of stored rows are needed to plan the batch: what a datasource holds is checked after a full
    /// extract.
    #[must_use]
    pub fn needs_amounts(&self) -> bool {
        self.loads.iter().any(|load| load.is_full)
    }

    /// Keys whose closed versions are needed to plan the batch, in column `key`: those without a current
    /// version, which may have been deleted, and those whose current version starts after the extract, which
    /// only tables have that were made when modified times decided.
    ///
    /// # Errors
    /// A frame lacks a column.
    pub fn needs_closed(&self, entity: &Entity, current: &DataFrame) -> PolarsResult<DataFrame> {
        let rows = self.rows.column(entity.key)?.str()?;
        let mut lack: PlHashSet<&str> = rows.iter().flatten().collect();
        let keys = current.column(entity.key)?.str()?;
        let starts = current.column("effective_from")?.datetime()?.physical();
        let earliest = self.loads.iter().map(|load| load.extracted_at.timestamp_micros()).min().unwrap_or(i64::MAX);
        for (key, start) in keys.iter().zip(starts.iter()) {
            if let Some(key) = key
                && start.is_some_and(|start| start < earliest)
            {
                lack.remove(key);
            }
        }
        let mut needed: Vec<&str> = lack.into_iter().collect();
        needed.sort_unstable();
        df!("key" => needed)
    }
}

/// Plans what a batch of extracts changes in one bucket.
///
/// `current` has the bucket's current rows; `closed` every closed row of the keys in
/// [`ExtractBatch::needs_closed`]. Both have [`COMPARED`], the amounts where [`ExtractBatch::needs_amounts`], and `observations` where
/// a version may have several; all columns of the silver schema where [`ExtractBatch::needs_attributes`].
///
/// # Errors
/// A frame lacks a column.
pub fn plan_extracts(
    entity: &Entity,
    current: &DataFrame,
    closed: &DataFrame,
    batch: &ExtractBatch<'_>,
    now: DateTime<Utc>,
) -> PolarsResult<Plan> {
    let columns: Vec<PlSmallStr> = current.get_column_names_owned();
    let stored = current.vstack(&closed.select(columns)?)?;
    let held = Columns::of(&stored, entity, batch.needs_amounts())?;
    let rows = Columns::of(batch.rows, entity, batch.needs_amounts())?;
    let mut walk = Walk::start(entity, (&stored, &held, current.height()), (batch, &rows))?;
    let mut next = 0;
    let load_ids = batch.rows.column(LOAD_ID)?.str()?.rechunk().into_owned();
    for (index, load) in batch.loads.iter().enumerate() {
        let start = next;
        while next < load_ids.len() && load.has_row_of(load_ids.get(next)) {
            next += 1;
        }
        walk.apply_load(index, load, start..next);
        if load.is_full {
            walk.apply_absences(index, load);
        }
    }
    let Walk { made, patches, outcomes, deleted, warnings, holdings, .. } = walk;
    let planned = Planned { stored: &stored, rows: batch.rows, untracked: &untracked_by_load(batch), made, patches };
    let (add, patches) = write(entity, &planned, now)?;
    let remove = stored.select([entity.surrogate])?.clear();
    Ok(Plan { add, patches, remove, outcomes, deleted, warnings, holdings })
}

fn untracked_by_load<'a>(batch: &ExtractBatch<'a>) -> Vec<&'a ExtractLoad> {
    batch.loads.iter().filter(|load| !load.untracked.is_empty()).collect()
}

/// What is known of a key while loads are applied.
#[derive(Debug, Clone, Copy)]
enum State {
    Unknown,
    /// It has no current version since a moment.
    Gone(i64),
    /// A stored version is current: its row.
    Stored(usize),
    /// A version that a load of the batch made is current: its place among those.
    Made(usize),
}

/// A key that the batch names.
struct Key {
    state: State,
    /// The last load that brought a good row of it, counted from 1, and that row.
    brought_by: usize,
    row: usize,
    /// The last load of which a row in quarantine names it, counted from 1.
    named_by: usize,
}

/// The loads of a batch on their way through the keys of a bucket.
struct Walk<'a> {
    entity: &'a Entity,
    stored: &'a Columns,
    rows: &'a Columns,
    is_delete: BooleanChunked,
    starts: Int64Chunked,
    ends: Int64Chunked,
    /// Hashes of stored rows under today's tracked columns, where they may differ from what is stored.
    rehashed: PlHashMap<usize, i64>,
    /// Hashes of untracked columns, of stored and of incoming rows; empty where all are tracked.
    untracked: Option<(Int64Chunked, Int64Chunked)>,
    /// Stored rows before this one are current.
    current: usize,
    keys: Vec<Key>,
    by_key: PlHashMap<&'a str, usize>,
    /// Place in `keys` of each incoming row; none where it has no key.
    of_rows: Vec<Option<usize>>,
    /// Closed rows by key.
    closed: PlHashMap<&'a str, Vec<usize>>,
    made: Vec<NewVersion>,
    /// By stored row.
    patches: PlHashMap<usize, Patch>,
    outcomes: Counts<Outcome>,
    deleted: std::collections::BTreeMap<String, u64>,
    warnings: Counts<&'static str>,
    holdings: Vec<Holdings>,
    amounts: usize,
}

impl<'a> Walk<'a> {
    fn start(
        entity: &'a Entity,
        (frame, stored, current): (&DataFrame, &'a Columns, usize),
        (batch, rows): (&ExtractBatch<'a>, &'a Columns),
    ) -> PolarsResult<Self> {
        let micros = |name: &str| -> PolarsResult<Int64Chunked> {
            Ok(frame.column(name)?.datetime()?.physical().rechunk().into_owned())
        };
        let mut walk = Self {
            entity,
            stored,
            rows,
            is_delete: batch.rows.column(IS_DELETE)?.bool()?.rechunk().into_owned(),
            starts: micros("effective_from")?,
            ends: micros("effective_to")?,
            rehashed: PlHashMap::default(),
            untracked: None,
            current,
            keys: Vec::new(),
            by_key: PlHashMap::with_capacity(rows.keys.len()),
            of_rows: Vec::with_capacity(rows.keys.len()),
            closed: PlHashMap::default(),
            made: Vec::new(),
            patches: PlHashMap::default(),
            outcomes: Counts::new(),
            deleted: std::collections::BTreeMap::new(),
            warnings: Counts::new(),
            holdings: Vec::new(),
            amounts: amount_columns(entity).count(),
        };
        walk.find_keys(batch)?;
        walk.hash_again(frame, batch)?;
        Ok(walk)
    }

    /// Finds the keys that the batch names, and what is stored of them.
    fn find_keys(&mut self, batch: &ExtractBatch<'a>) -> PolarsResult<()> {
        let rows = self.rows;
        for key in rows.keys.iter() {
            let at = key.map(|key| self.key(key));
            self.of_rows.push(at);
        }
        let load_ids = batch.named.column(LOAD_ID)?.str()?;
        for (key, load_id) in batch.named.column("key")?.str()?.iter().zip(load_ids.iter()) {
            let (Some(key), Some(load_id)) = (key, load_id) else { continue };
            let Some(load) = batch.loads.iter().position(|load| load.load_id == load_id) else { continue };
            let at = self.key(key);
            self.keys[at].named_by = load + 1;
        }
        let stored = self.stored;
        for (row, key) in stored.keys.iter().enumerate() {
            let Some(key) = key else { continue };
            let Some(at) = self.by_key.get(key).copied() else { continue };
            if row < self.current {
                self.keys[at].state = State::Stored(row);
                continue;
            }
            self.closed.entry(key).or_default().push(row);
            let end = self.ends.get(row).unwrap_or(i64::MIN);
            match &mut self.keys[at].state {
                state @ State::Unknown => *state = State::Gone(end),
                State::Gone(since) => *since = end.max(*since),
                State::Stored(_) | State::Made(_) => {}
            }
        }
        Ok(())
    }

    fn key(&mut self, key: &'a str) -> usize {
        let next = self.keys.len();
        let at = *self.by_key.entry(key).or_insert(next);
        if at == next {
            self.keys.push(Key { state: State::Unknown, brought_by: 0, row: 0, named_by: 0 });
        }
        at
    }

    /// A stored hash that differs from a row's may be of other tracked columns: it is taken again. Only the rows
    /// of keys that seem to have changed are.
    fn hash_again(&mut self, frame: &DataFrame, batch: &ExtractBatch<'_>) -> PolarsResult<()> {
        if !batch.needs_attributes() {
            return Ok(());
        }
        let (stored, rows) = (self.stored, self.rows);
        let mut differ: Vec<IdxSize> = Vec::new();
        for (row, key) in self.of_rows.iter().enumerate() {
            let Some(State::Stored(at)) = key.map(|at| self.keys[at].state) else { continue };
            if stored.hash(at) != rows.hash(row) {
                differ.push(at as IdxSize);
            }
        }
        differ.sort_unstable();
        differ.dedup();
        let all_untracked: Vec<&str> = batch.loads.iter().flat_map(|load| load.untracked.iter().copied()).collect();
        for load in batch.loads {
            let of_source: Vec<IdxSize> = differ
                .iter()
                .copied()
                .filter(|row| stored.datasources.get(*row as usize) == Some(load.datasource.as_str()))
                .collect();
            if of_source.is_empty() || self.rehashed.contains_key(&(of_source[0] as usize)) {
                continue;
            }
            let taken = frame.take(&IdxCa::from_vec("row".into(), of_source.clone()))?;
            let hashes = row_hash(&taken, self.entity, &load.untracked)?;
            let hashes = of_source.iter().map(|row| *row as usize).zip(hashes.iter().flatten());
            self.rehashed.extend(hashes);
        }
        if !all_untracked.is_empty() {
            let columns = || all_untracked.iter().copied();
            self.untracked = Some((hash_of(frame, columns())?, hash_of(batch.rows, columns())?));
        }
        Ok(())
    }

    fn apply_load(&mut self, index: usize, load: &ExtractLoad, range: std::ops::Range<usize>) {
        let (mut brought, mut others) = (Vec::with_capacity(range.len()), Vec::new());
        for row in range {
            let Some(at) = self.of_rows[row] else { continue };
            let key = &mut self.keys[at];
            if key.brought_by != index + 1 {
                key.brought_by = index + 1;
                key.row = row;
                brought.push(at);
            } else if self.rows.modified(row) >= self.rows.modified(key.row) {
                others.push((at, key.row));
                key.row = row;
            } else {
                others.push((at, row));
            }
        }
        let mut outcomes: std::collections::BTreeMap<Outcome, u64> = std::collections::BTreeMap::new();
        for at in brought {
            *outcomes.entry(self.apply(at, load)).or_default() += 1;
        }
        for (at, row) in others {
            let is_same = self.rows.hash(row) == self.rows.hash(self.keys[at].row);
            let outcome = if is_same { Outcome::Unchanged } else { Outcome::Superseded };
            *outcomes.entry(outcome).or_default() += 1;
        }
        for (outcome, rows) in outcomes {
            *self.outcomes.entry((load.load_id.clone(), outcome)).or_default() += rows;
        }
    }

    /// Makes the row that a load brought the current version of its key.
    fn apply(&mut self, at: usize, load: &ExtractLoad) -> Outcome {
        let Key { state, row, .. } = self.keys[at];
        let is_delete = self.is_delete.get(row).unwrap_or(false);
        let (extracted_at, modified) = (load.extracted_at.timestamp_micros(), self.rows.modified(row));
        let (start, hash) = match state {
            State::Unknown | State::Gone(_) if is_delete => return Outcome::Unchanged,
            State::Unknown => {
                self.add(at, row, modified.min(extracted_at));
                return Outcome::New;
            }
            State::Gone(since) => {
                self.warn_unless_later(load, modified, since);
                self.add(at, row, start_after(since, modified, extracted_at));
                return Outcome::Changed;
            }
            State::Stored(stored) => {
                let hash = self.rehashed.get(&stored).copied().unwrap_or_else(|| self.stored.hash(stored));
                (self.starts.get(stored).unwrap_or(i64::MIN), hash)
            }
            State::Made(made) => (self.made[made].from, self.rows.hash(self.made[made].row)),
        };
        if !is_delete && hash == self.rows.hash(row) {
            self.refresh(state, row, (modified != extracted_at).then_some(modified));
            return Outcome::Unchanged;
        }
        self.warn_unless_later(load, modified, start);
        let from = if start < extracted_at { start_after(start, modified, extracted_at) } else { extracted_at };
        self.end(at, from, is_delete);
        if is_delete {
            self.keys[at].state = State::Gone(from);
        } else {
            self.add(at, row, from);
        }
        Outcome::Changed
    }

    fn warn_unless_later(&mut self, load: &ExtractLoad, modified: i64, start: i64) {
        if modified <= start {
            *self.warnings.entry((load.load_id.clone(), MODIFIED_GOES_BACK)).or_default() += 1;
        }
    }

    fn add(&mut self, at: usize, row: usize, from: i64) {
        self.keys[at].state = State::Made(self.made.len());
        let modified = self.rows.modified(row);
        self.made.push(NewVersion { row, untracked_of: row, from, to: None, is_deleted: false, modified });
    }

    /// Takes over what says nothing new of the tracked columns: a newer modified time, and untracked values.
    fn refresh(&mut self, state: State, row: usize, modified: Option<i64>) {
        let (before, of_rows) =
            self.untracked.as_ref().map_or((None, None), |(stored, rows)| (Some(stored), Some(rows)));
        match state {
            State::Stored(stored) => {
                let modified = modified.filter(|modified| *modified != self.stored.modified(stored));
                let differs = before.is_some_and(|before| before.get(stored) != of_rows.and_then(|rows| rows.get(row)));
                if modified.is_some() || differs || self.patches.contains_key(&stored) {
                    let patch = self.patches.entry(stored).or_default();
                    patch.modified = modified.or(patch.modified);
                    patch.untracked_of = Some(row);
                }
            }
            State::Made(made) => {
                let made = &mut self.made[made];
                made.modified = modified.unwrap_or(made.modified);
                made.untracked_of = row;
            }
            State::Unknown | State::Gone(_) => {}
        }
    }

    /// Ends the current version of a key.
    fn end(&mut self, at: usize, to: i64, is_deleted: bool) {
        match self.keys[at].state {
            State::Stored(row) => {
                self.close_stored(row, to, is_deleted);
                // Only where modified times decided before did a version end after a later extract.
                for closed in self.closed.get(self.stored.key(row)).cloned().unwrap_or_default() {
                    if self.ends.get(closed).is_some_and(|end| end > to) {
                        self.close_stored(closed, to, false);
                    }
                }
            }
            State::Made(made) => {
                let made = &mut self.made[made];
                (made.to, made.is_deleted) = (Some(to.max(made.from)), is_deleted);
            }
            State::Unknown | State::Gone(_) => {}
        }
    }

    /// A version that starts after its end is left as an empty one.
    fn close_stored(&mut self, row: usize, to: i64, is_deleted: bool) {
        let start = self.starts.get(row).unwrap_or(to);
        let patch = self.patches.entry(row).or_default();
        (patch.to, patch.is_deleted) = (Some(to.max(start)), is_deleted);
    }

    /// Deletes what a full extract lacks, and tells what the datasource holds then.
    fn apply_absences(&mut self, index: usize, load: &ExtractLoad) {
        let (to, mut deleted) = (load.extracted_at.timestamp_micros(), 0);
        let mut holdings = Holdings::new(&load.load_id, &load.datasource, self.amounts);
        let (stored, rows) = (self.stored, self.rows);
        for at in 0..self.keys.len() {
            let Key { state, brought_by, row, named_by } = self.keys[at];
            if brought_by == index + 1 {
                if !self.is_delete.get(row).unwrap_or(false) {
                    holdings.keys += 1;
                    rows.add_amounts(row, &mut holdings.sums);
                }
                continue;
            }
            let (columns, row) = match state {
                State::Stored(row) => (stored, row),
                State::Made(made) => (rows, self.made[made].row),
                State::Unknown | State::Gone(_) => continue,
            };
            if columns.datasources.get(row) != Some(load.datasource.as_str()) {
                continue;
            }
            if named_by == index + 1 {
                holdings.keys += 1;
                columns.add_amounts(row, &mut holdings.sums);
                continue;
            }
            self.end(at, to, true);
            self.keys[at].state = State::Gone(to);
            deleted += 1;
        }
        for row in 0..self.current {
            let is_of_source = stored.datasources.get(row) == Some(load.datasource.as_str());
            if is_of_source && !self.by_key.contains_key(stored.key(row)) {
                self.close_stored(row, to, true);
                deleted += 1;
            }
        }
        *self.deleted.entry(load.load_id.clone()).or_default() += deleted;
        self.holdings.push(holdings);
    }
}

/// Where a version starts that follows one, or a gap, that started at `start`: at its modified time, if that
/// can be believed, else with the extract.
fn start_after(start: i64, modified: i64, extracted_at: i64) -> i64 {
    if start < modified && modified <= extracted_at { modified } else { extracted_at.max(start.saturating_add(1)) }
}
