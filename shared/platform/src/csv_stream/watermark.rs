use std::collections::BTreeMap;
use std::sync::Arc;

use chrono::{DateTime, NaiveDate, Utc};
use rcm_model::cdm::{DateReader, Mapping, SourceColumn, reading};

use crate::error::{Result, StageError};
use crate::keys::LoadedKeys;

/// The records that an incremental load takes: those whose watermark is later than `after`, those that no load
/// has, and those without a watermark that can be read, which silver quarantines.
#[derive(Debug, Clone)]
pub struct Newer {
    pub column: String,
    pub after: Option<DateTime<Utc>>,
    /// A later watermark is a mistyped one. Its record is taken, but the next load does not start
    /// from it: nothing would be newer for years.
    pub until: DateTime<Utc>,
    pub moments: Moments,
    /// What the loads before have. None: a record that is no later than `after` is left out unseen.
    pub loaded: Option<Arc<LoadedKeys>>,
}

/// How a source writes moments.
#[derive(Debug, Clone)]
pub struct Moments {
    reader: DateReader,
    null_words: Vec<String>,
}

impl Moments {
    /// The reader of a mapping, as silver has it.
    ///
    /// # Errors
    /// The mapping names a zone or a format that there is not.
    pub fn of(mapping: &Mapping) -> Result<Self> {
        let bad = |reason: String| StageError::bad_config(format!("cdm/{}: {reason}", mapping.datasource));
        Ok(Self { reader: DateReader::of(mapping).map_err(bad)?, null_words: mapping.null_words.clone() })
    }

    /// Returns the moment that a text says, as [`DateReader::moment`] does; none of a word that stands for nothing.
    #[must_use]
    pub fn read(&self, text: &str) -> Option<DateTime<Utc>> {
        self.reader.moment(reading::trimmed(text, &self.null_words)?)
    }
}

/// The watermarks of a file while it is read.
pub(super) struct Watermarks {
    newer: Newer,
    index: usize,
    /// Places of the columns that make the id.
    id: Vec<usize>,
    found: WatermarksFound,
}

/// What the watermarks of a file were.
#[derive(Debug, Default)]
pub(super) struct WatermarksFound {
    /// The latest one that is not in the future.
    pub(super) high: Option<DateTime<Utc>>,
    /// Number of those in the future.
    pub(super) ahead: u64,
    /// Number of records that were taken only because no load has them.
    pub(super) late: u64,
    /// Number of those not in the future, by day.
    pub(super) per_day: BTreeMap<NaiveDate, u64>,
}

impl Watermarks {
    pub(super) fn of(newer: Newer, columns: &[String]) -> Option<Self> {
        let has = |name: &str| columns.iter().any(|column| column == name);
        let place = |name: &String| columns.iter().position(|column| column == name);
        let index = place(&newer.column)?;
        let found = |column: &SourceColumn| columns.iter().position(|name| Some(name.as_str()) == column.found(has));
        let id = newer.loaded.iter().flat_map(|loaded| loaded.id()).filter_map(found).collect();
        Some(Self { newer, index, id, found: WatermarksFound::default() })
    }

    pub(super) fn found(self) -> WatermarksFound {
        self.found
    }

    /// Counts a record's watermark and returns whether the record is taken.
    pub(super) fn take(&mut self, fields: &[&str]) -> bool {
        let Some(watermark) = fields.get(self.index).and_then(|text| self.newer.moments.read(text)) else {
            return true;
        };
        if watermark > self.newer.until {
            self.found.ahead += 1;
        } else {
            self.found.high = self.found.high.max(Some(watermark));
            *self.found.per_day.entry(watermark.date_naive()).or_default() += 1;
        }
        if self.newer.after.is_none_or(|after| watermark > after) {
            return true;
        }
        let id = self.id.iter().filter_map(|&index| fields.get(index).copied());
        let is_late = self.newer.loaded.as_ref().is_some_and(|loaded| !loaded.has(id, watermark));
        self.found.late += u64::from(is_late);
        is_late
    }
}
