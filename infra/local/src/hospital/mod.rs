//! Drafts the mapping of a hospital from the headers of its files, and from what their cells look like.
//!
//! [`draft`] is pure: samples of files and what is known go in, a [`Draft`] comes out. [`write::mapping`] and
//! [`write::load_rows`] make configuration of it. `words.rs` has the words that headers are made of, `names.rs` reads them,
//! `columns.rs` finds the columns, `tables.rs` the tables, `dates.rs` and `ids.rs` how dates and ids are written.

mod columns;
mod dates;
mod ids;
mod names;
mod sample;
mod tables;
#[cfg(test)]
mod tests;
mod words;
pub mod write;

use std::collections::{BTreeMap, BTreeSet};

use rcm_model::cdm::{ColumnSource, ColumnType, ENTITIES, Entity, Mapping, Origin, shape};
use rcm_model::load_config::{LoadType, is_path_segment};
use serde::Serialize;

pub use self::columns::Drafted;
use self::columns::Known;
use self::dates::DateFormats;
pub use self::sample::Sample;
use self::sample::{Form, SampleColumn};
use self::tables::TableDraft;

/// What is drafted of a hospital.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Draft {
    pub datasource: String,
    pub tables: Vec<DraftedTable>,
    pub date_formats: Vec<String>,
    /// Why the formats may be wrong; none if they are sure.
    pub date_formats_unsure: Option<String>,
    /// Whether some of its columns tell the time of the day, so that its zone matters.
    pub has_times: bool,
    /// Prefixes of ids, by entity.
    pub id_prefixes: BTreeMap<String, Vec<String>>,
    /// Files that nothing was drafted from.
    pub left_out: Vec<LeftOut>,
}

/// A table of the hospital.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct DraftedTable {
    pub entity: &'static str,
    pub file: String,
    /// Other files with the same columns.
    pub other_files: Vec<String>,
    /// Name of the table in the source, as `load_config.csv` has it.
    pub table: String,
    /// Rows that were looked at.
    pub rows: usize,
    pub columns: Vec<DraftedColumn>,
    /// Columns of the model that nothing was found for.
    pub missing: Vec<&'static str>,
    pub not_used: Vec<ShownColumn>,
    pub load: Load,
    pub delimiter: char,
    pub is_utf8: bool,
}

/// A column of the model, and what it is read from.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct DraftedColumn {
    pub column: &'static str,
    #[serde(flatten)]
    pub source: ShownColumn,
    /// Why it may be wrong; none if it is sure.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub unsure: Option<String>,
}

/// A column of the source, as a person is shown it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ShownColumn {
    pub source: String,
    /// The shape that most of its cells have, see [`shape`]; empty if none is filled.
    pub shape: String,
}

/// How the rows of a table come.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Load {
    /// A line of `load_config.csv`, with the watermark of an incremental load.
    Extract { incremental_by: Option<String> },
    /// Files with names of this pattern land.
    Landed { pattern: String, unsure: Option<String> },
}

impl Load {
    /// How a line of `load_config.csv` says it; none where files land.
    #[must_use]
    pub fn load_type(&self) -> Option<LoadType> {
        match self {
            Self::Extract { incremental_by: Some(_) } => Some(LoadType::Incremental),
            Self::Extract { incremental_by: None } => Some(LoadType::Full),
            Self::Landed { .. } => None,
        }
    }
}

/// A file that nothing was drafted from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct LeftOut {
    pub file: String,
    /// Why. Never a word of what is in it.
    pub why: String,
    /// The datasource that it is of, if another one claims it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub of: Option<String>,
}

impl Draft {
    /// Number of lines that are marked as unsure.
    #[must_use]
    pub fn unsure(&self) -> usize {
        let columns = self.tables.iter().flat_map(|table| &table.columns).filter(|column| column.unsure.is_some());
        let landed = self.tables.iter().filter(|table| matches!(&table.load, Load::Landed { unsure: Some(_), .. }));
        columns.count() + landed.count() + usize::from(self.date_formats_unsure.is_some())
    }
}

/// Drafts a hospital from samples of its files. `mappings` are those that there are: what other hospitals call a column,
/// this one may call it too.
#[must_use]
pub fn draft<'a>(datasource: &str, samples: &[Sample], mappings: impl IntoIterator<Item = &'a Mapping>) -> Draft {
    let mut known = Known { names: names_of(mappings), ..Known::default() };
    let (tables, _) = tables::assign(samples, &known);
    known.keys = tables.iter().map(|table| (table.columns.entity.name, keys_of(table))).collect();
    let (tables, left) = tables::assign(samples, &known);
    let DateFormats { formats, unsure } = dates::choose(used(&tables, |_, column| column.form == Form::Date));
    let has_times = used(&tables, |_, column| column.form == Form::Date)
        .any(|cells| cells.iter().take(100).any(|cell| dates::has_time(cell)));
    let left_out = left.into_iter().map(|sample| LeftOut {
        file: sample.file.clone(),
        why: "it has no rows of a hospital's tables that the lake knows, or another file has them".to_owned(),
        of: None,
    });
    Draft {
        datasource: datasource.to_owned(),
        date_formats: formats.into_iter().map(str::to_owned).collect(),
        date_formats_unsure: unsure,
        has_times,
        id_prefixes: prefixes(&tables),
        left_out: left_out.collect(),
        tables: tables.iter().map(|table| drafted(datasource, table)).collect(),
    }
}

/// What other hospitals call a column, in words.
fn names_of<'a>(mappings: impl IntoIterator<Item = &'a Mapping>) -> BTreeMap<(String, String), BTreeSet<String>> {
    let mut known: BTreeMap<(String, String), BTreeSet<String>> = BTreeMap::new();
    for mapping in mappings {
        for (entity, columns) in mapping.all_columns() {
            let Some(entity) = rcm_model::cdm::entity(entity) else { continue };
            for column in model_columns(entity) {
                // What a key is made of is not what it is.
                let source = columns.source(column).filter(|source| source.parts().len() == 1);
                let names = source.into_iter().flat_map(ColumnSource::columns).map(|name| names::words(name).join(" "));
                known.entry((entity.name.to_owned(), column.to_owned())).or_default().extend(names);
            }
        }
    }
    known
}

fn model_columns(entity: &'static Entity) -> impl Iterator<Item = &'static str> {
    let moments = ["src_inserted_at", "src_modified_at"];
    std::iter::once(entity.id()).chain(entity.tracked.iter().map(|column| column.name)).chain(moments)
}

fn keys_of(table: &TableDraft<'_>) -> BTreeSet<String> {
    let id = table.columns.drafted.iter().find(|drafted| drafted.column == table.columns.entity.id());
    let column = id.and_then(|id| source_of(table, &id.source));
    column.map(|column| column.values.iter().cloned().collect()).unwrap_or_default()
}

fn source_of<'a>(table: &TableDraft<'a>, name: &str) -> Option<&'a SampleColumn> {
    table.sample.columns.iter().find(|column| column.name == name)
}

/// The cells of the columns that are used and for which something holds.
fn used<'a>(
    tables: &'a [TableDraft<'a>],
    is_wanted: impl Fn((&'static Entity, &'static str), &SampleColumn) -> bool + 'a,
) -> impl Iterator<Item = &'a [String]> {
    let columns = tables.iter().flat_map(|table| {
        let of_table = table.columns.drafted.iter();
        of_table.filter_map(move |drafted| {
            Some(((table.columns.entity, drafted.column), source_of(table, &drafted.source)?))
        })
    });
    columns.filter(move |(model, column)| is_wanted(*model, column)).map(|(_, column)| column.values.as_slice())
}

fn prefixes(tables: &[TableDraft<'_>]) -> BTreeMap<String, Vec<String>> {
    let mut found = BTreeMap::new();
    for entity in ENTITIES {
        let is_of_entity = |(table, column): (&'static Entity, &'static str), _: &SampleColumn| {
            let kind = table.tracked.iter().find(|tracked| tracked.name == column).map(|tracked| tracked.kind);
            (table.name == entity.name && column == table.id()) || kind == Some(ColumnType::KeyOf(entity.name))
        };
        let prefixes = ids::prefixes(used(tables, is_of_entity));
        if !prefixes.is_empty() {
            found.insert(entity.name.to_owned(), prefixes);
        }
    }
    found
}

fn drafted(datasource: &str, table: &TableDraft<'_>) -> DraftedTable {
    let TableDraft { sample, others, columns } = table;
    let entity = columns.entity;
    let is_used = |name: &str| columns.drafted.iter().any(|drafted| drafted.source == name);
    let shown = |column: &SampleColumn| ShownColumn { source: column.name.clone(), shape: most_common_shape(column) };
    let drafted = columns.drafted.iter().filter_map(|drafted| {
        let source = shown(source_of(table, &drafted.source)?);
        Some(DraftedColumn { column: drafted.column, source, unsure: drafted.unsure.clone() })
    });
    let is_missing = |column: &&'static str| columns.drafted.iter().all(|drafted| drafted.column != *column);
    let load = load(datasource, table);
    // A name that changes with every delivery is none of a table.
    let is_own_name = load.load_type().is_some() && others.is_empty() && is_path_segment(&sample.stem);
    DraftedTable {
        entity: entity.name,
        file: sample.file.clone(),
        other_files: others.iter().map(|sample| sample.file.clone()).collect(),
        table: if is_own_name { sample.stem.clone() } else { entity.name.to_owned() },
        rows: sample.rows,
        columns: drafted.collect(),
        missing: model_columns(entity).filter(is_missing).collect(),
        not_used: sample.columns.iter().filter(|column| !is_used(&column.name)).map(shown).collect(),
        load,
        delimiter: sample.delimiter,
        is_utf8: sample.is_utf8,
    }
}

/// An extract is incremental if every row that was looked at says when it was changed.
fn load(datasource: &str, table: &TableDraft<'_>) -> Load {
    if table.columns.entity.origin == Origin::LandedFiles {
        let (pattern, unsure) = pattern(datasource, table);
        return Load::Landed { pattern, unsure };
    }
    let modified = table.columns.drafted.iter().find(|drafted| drafted.column == "src_modified_at");
    let column = modified.and_then(|modified| source_of(table, &modified.source));
    let is_whole = |column: &&SampleColumn| column.values.len() == table.sample.rows && column.distinct > 1;
    Load::Extract { incremental_by: column.filter(is_whole).map(|column| column.name.clone()) }
}

/// The names of files that land: what comes before the words that say what is in them.
fn pattern(datasource: &str, table: &TableDraft<'_>) -> (String, Option<String>) {
    let stem = &table.sample.stem;
    let is_said = |word: &str| {
        let says_what = ["data", "export", "extract", "file", "remit", "remits", "report", "daily", "monthly"];
        let is_date = word.chars().all(|letter| letter.is_ascii_digit());
        is_date || says_what.contains(&word) || names::file_fit("claims", word) > 0.0
    };
    let parts: Vec<&str> = stem.split_inclusive(['_', '-', '.', ' ']).collect();
    let bare = |part: &str| part.trim_end_matches(['_', '-', '.', ' ']).to_lowercase();
    let own: String = parts.iter().take_while(|part| !is_said(&bare(part))).copied().collect();
    if own.is_empty() || own.len() == stem.len() {
        let pattern =
            if own.is_empty() { format!("{}*", bare(parts.first().unwrap_or(&"claims"))) } else { format!("{own}*") };
        let why = format!("the name does not tell the hospital: put `{datasource}_` before it");
        return (pattern, Some(why));
    }
    (format!("{own}*"), None)
}

fn most_common_shape(column: &SampleColumn) -> String {
    let mut counts: BTreeMap<String, usize> = BTreeMap::new();
    for cell in column.values.iter().take(1_000) {
        *counts.entry(shape(cell)).or_default() += 1;
    }
    counts.into_iter().max_by(|a, b| a.1.cmp(&b.1).then(b.0.cmp(&a.0))).map(|(shape, _)| shape).unwrap_or_default()
}
