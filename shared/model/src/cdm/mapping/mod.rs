//! A source's own column names, words, date formats and ids: `configs/cdm/<datasource>.toml`.

mod canonical;
mod columns;
mod filter;
mod names;
mod values;

use std::collections::BTreeMap;

use chrono_tz::Tz;
use schemars::JsonSchema;
use serde::Deserialize;

pub use columns::{ColumnSource, EntityMapping, KEY_SEPARATOR};
pub use filter::Filter;
pub use names::SourceColumn;
use values::Values;

use super::reading::IdCase;
use super::{ColumnType, Entity, date_format, entity};

/// Formats that every source may use beside its own, in the notation of `chrono`; the other forms of ISO 8601
/// are read by [`super::iso`].
pub(super) const ISO_FORMATS: [&str; 3] = ["%Y-%m-%d", "%Y-%m-%d %H:%M:%S%.f", "%Y-%m-%dT%H:%M:%S%.f"];

/// How one source's tables become the common data model.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Mapping {
    /// Name of the source, the suffix of its durable keys: `hos-a`.
    pub datasource: String,
    /// Formats of its dates and times, tried in this order, in the notation of `chrono`.
    #[serde(default)]
    date_formats: Vec<String>,
    /// Zone of its times without an offset, such as `America/New_York`; UTC where none is given.
    #[serde(default)]
    pub time_zone: Option<String>,
    /// Words that stand for nothing in ids, dates, numbers and truth values, without case.
    #[serde(default = "default_null_words")]
    pub null_words: Vec<String>,
    /// The case that ids are folded to; none leaves them as they are.
    #[serde(default)]
    pub id_case: Option<IdCase>,
    /// Prefixes that some of its tables put before an id and others leave out, by entity.
    #[serde(default)]
    id_prefixes: BTreeMap<String, Vec<String>>,
    /// Names of its landed files, by folder of `landing/`; `*` stands for any text.
    #[serde(default)]
    landing: BTreeMap<String, Vec<String>>,
    /// The model's words for the source's, by model column.
    #[serde(default)]
    values: BTreeMap<String, Values>,
    /// Model column → source column, by entity.
    #[serde(default)]
    entities: BTreeMap<String, EntityMapping>,
    /// Other layouts of an entity's files.
    #[serde(default)]
    layouts: Vec<Layout>,
    /// The table or feed that an entity is read from where it is not the one of its own name, by entity.
    #[serde(default)]
    read_from: BTreeMap<String, String>,
    /// What the file says of every entity, see [`Mapping::canonical`].
    #[serde(skip)]
    canonical: BTreeMap<&'static str, String>,
}

/// A layout of some of an entity's files.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Layout {
    entity: String,
    /// Names of the files; `*` stands for any text.
    files: Vec<String>,
    columns: EntityMapping,
}

/// Why a mapping file cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum MappingError {
    #[error("cdm/{file}: {reason}")]
    Unusable { file: String, reason: String },
}

fn default_null_words() -> Vec<String> {
    ["NULL", "\\N"].map(str::to_owned).to_vec()
}

impl Mapping {
    /// Reads `configs/cdm/<file>`.
    ///
    /// # Errors
    /// The text is no such TOML, names a time zone, a date format, an entity or a column that there
    /// is not, a date format whose values could not be read, says of a column what cannot be done with it, or
    /// leaves the key of a mapped entity out.
    pub fn parse(file: &str, text: &str) -> Result<Self, MappingError> {
        let unusable = |reason: String| MappingError::Unusable { file: file.to_owned(), reason };
        let mut mapping: Self = toml::from_str(text).map_err(|error| unusable(with_line(text, &error)))?;
        if let Some(zone) = &mapping.time_zone {
            zone.parse::<Tz>().map_err(|_| unusable(format!("there is no time zone `{zone}`")))?;
        }
        for format in &mapping.date_formats {
            date_format::check(format).map_err(unusable)?;
        }
        for name in mapping.id_prefixes.keys() {
            entity(name).ok_or_else(|| unusable(format!("[id_prefixes] there is no entity `{name}`")))?;
        }
        for name in mapping.read_from.keys() {
            entity(name).ok_or_else(|| unusable(format!("[read_from] there is no entity `{name}`")))?;
        }
        for (name, columns) in &mut mapping.entities {
            let entity = entity(name).ok_or_else(|| unusable(format!("there is no entity `{name}`")))?;
            let table = format!("[entities.{name}]");
            columns.read_lists(entity);
            columns.check(entity).map_err(|(column, reason)| unusable(at(text, &table, &column, &reason)))?;
        }
        for layout in &mut mapping.layouts {
            let name = &layout.entity;
            let entity = entity(name).ok_or_else(|| unusable(format!("[[layouts]] there is no entity `{name}`")))?;
            if layout.files.is_empty() {
                return Err(unusable(format!("[[layouts]] of `{name}` names no files")));
            }
            let table = "[layouts.columns]";
            let refuse = |(_, reason): (String, String)| unusable(format!("{table} of `{name}` {reason}"));
            layout.columns.read_lists(entity);
            layout.columns.check(entity).map_err(refuse)?;
        }
        for (column, values) in &mapping.values {
            let table = format!("[values.{column}]");
            check_values(column, values).map_err(|(word, reason)| unusable(at(text, &table, &word, &reason)))?;
        }
        let file: toml::Table = toml::from_str(text).map_err(|error| unusable(with_line(text, &error)))?;
        mapping.canonical =
            super::ENTITIES.iter().map(|entity| (entity.name, canonical::text(&file, entity))).collect();
        Ok(mapping)
    }

    /// Formats of dates and times, the source's own first.
    pub fn date_formats(&self) -> impl Iterator<Item = &str> {
        let own = self.date_formats.iter().map(String::as_str);
        own.chain(ISO_FORMATS.into_iter().filter(|iso| !self.date_formats.iter().any(|own| own == iso)))
    }

    /// Prefixes to take off the ids of an entity.
    pub fn id_prefixes(&self, entity: &str) -> &[String] {
        self.id_prefixes.get(entity).map_or(&[], Vec::as_slice)
    }

    /// The model's words for the source's words of a column; none where they are taken as they are.
    #[must_use]
    pub fn values(&self, column: &str) -> Option<&BTreeMap<String, Vec<String>>> {
        self.values.get(column)
    }

    /// The table or feed that an entity is read from. Several entities may be read from one.
    #[must_use]
    pub fn table_of<'a>(&'a self, entity: &'a str) -> &'a str {
        self.read_from.get(entity).map_or(entity, String::as_str)
    }

    /// Whether an entity of the source is read from a table or feed.
    #[must_use]
    pub fn reads(&self, table: &str) -> bool {
        super::ENTITIES.iter().any(|entity| self.table_of(entity.name) == table && self.maps(entity.name))
    }

    /// The entity that a table or feed of the source has rows of: that of its name, else the one that is read from it.
    /// The name itself where there is none, or several are: then no key tells a row from another.
    #[must_use]
    pub fn entity_of<'a>(&self, table: &'a str) -> &'a str {
        let reads = |entity: &&&'static Entity| self.table_of(entity.name) == table && self.maps(entity.name);
        let mut readers = super::ENTITIES.iter().filter(reads);
        match (entity(table), readers.next(), readers.next()) {
            (None, Some(only), None) => only.name,
            _ => table,
        }
    }

    /// Whether the source has this entity at all.
    #[must_use]
    pub fn maps(&self, entity: &str) -> bool {
        self.entities.contains_key(entity) || self.layouts.iter().any(|layout| layout.entity == entity)
    }

    /// The columns of an entity in a file, or in what a source of another kind is called: those of the first
    /// layout that names it, else those of `[entities.<entity>]`.
    #[must_use]
    pub fn columns(&self, entity: &str, source_name: &str) -> Option<&EntityMapping> {
        let file_name = source_name.rsplit('/').next().unwrap_or(source_name);
        let mut layouts = self.layouts.iter().filter(|layout| layout.entity == entity);
        let layout = layouts.find(|layout| layout.files.iter().any(|pattern| matches(pattern, file_name)));
        layout.map(|layout| &layout.columns).or_else(|| self.entities.get(entity))
    }

    /// The source column of a model column in `[entities.<entity>]`, the first one where it is made of several;
    /// none where the source does not have it.
    #[must_use]
    pub fn source_column(&self, entity: &str, column: &str) -> Option<&SourceColumn> {
        self.entities.get(entity)?.source(column)?.parts().first()
    }

    /// The columns of `[entities.<entity>]`.
    #[must_use]
    pub fn entity_columns(&self, entity: &str) -> Option<&EntityMapping> {
        self.entities.get(entity)
    }

    /// All names of source columns of `[entities.<entity>]`.
    pub fn source_columns(&self, entity: &str) -> impl Iterator<Item = &str> {
        self.entities.get(entity).into_iter().flat_map(EntityMapping::source_columns)
    }

    /// All names of source columns of an entity in a file, or in what a source of another kind is called.
    pub fn source_columns_of<'a>(&'a self, entity: &str, source_name: &str) -> impl Iterator<Item = &'a str> + use<'a> {
        self.columns(entity, source_name).into_iter().flat_map(EntityMapping::source_columns)
    }

    /// Every set of columns, with its entity.
    pub fn all_columns(&self) -> impl Iterator<Item = (&str, &EntityMapping)> {
        let entities = self.entities.iter().map(|(name, columns)| (name.as_str(), columns));
        entities.chain(self.layouts.iter().map(|layout| (layout.entity.as_str(), &layout.columns)))
    }

    /// All that the file says of how rows of an entity are read, in one form whatever its layout and comments:
    /// two mappings with the same text make the same rows.
    #[must_use]
    pub fn canonical(&self, entity: &Entity) -> &str {
        self.canonical.get(entity.name).map_or("", String::as_str)
    }

    /// Whether files of the source land in a folder.
    #[must_use]
    pub fn lands_in(&self, folder: &str) -> bool {
        self.landing.get(folder).is_some_and(|patterns| !patterns.is_empty())
    }

    /// Whether a file of this name, landed in this folder, comes from this source.
    #[must_use]
    pub fn owns_file(&self, folder: &str, file_name: &str) -> bool {
        self.landing.get(folder).is_some_and(|patterns| patterns.iter().any(|pattern| matches(pattern, file_name)))
    }
}

/// What TOML says of a text, with the line.
fn with_line(text: &str, error: &toml::de::Error) -> String {
    match error.span() {
        Some(span) => {
            let line = line_at(text, span.start);
            let words = text.lines().nth(line - 1).unwrap_or_default();
            let key = words.split('=').next().unwrap_or_default().trim();
            format!("line {line}, `{key}`: {}", error.message())
        }
        None => error.message().to_owned(),
    }
}

fn line_at(text: &str, offset: usize) -> usize {
    text.get(..offset).unwrap_or(text).matches('\n').count() + 1
}

/// A reason with its table, and with the line of its key where that is found.
fn at(text: &str, table: &str, key: &str, reason: &str) -> String {
    let mut lines = (1..).zip(text.lines()).skip_while(|(_, line)| !line.trim_start().starts_with(table)).skip(1);
    let in_table = lines.by_ref().take_while(|(_, line)| !line.trim_start().starts_with('['));
    let is_of_key = |line: &str| {
        let line = line.trim_start().trim_start_matches(['"', '\'']);
        line.strip_prefix(key).is_some_and(|rest| rest.trim_start_matches(['"', '\'', ' ']).starts_with('='))
    };
    let found = in_table.into_iter().find(|(_, line)| is_of_key(line));
    match found {
        Some((line, _)) => format!("line {line}: {table} {reason}"),
        None => format!("{table} {reason}"),
    }
}

/// Checks what is said of the values of a column.
fn check_values(column: &str, values: &Values) -> Result<(), (String, String)> {
    let is_text = |entity: &&Entity| {
        entity.tracked.iter().any(|tracked| tracked.name == column && tracked.kind == ColumnType::Text)
    };
    if !super::ENTITIES.iter().any(is_text) {
        return Err((String::new(), "is no text column of the model".to_owned()));
    }
    values::check(values)
}

/// Whether a name fits a pattern in which `*` stands for any text. Letters count alike in any case,
/// since people who drop files do not agree on it.
fn matches(pattern: &str, name: &str) -> bool {
    let (pattern, name) = (pattern.to_lowercase(), name.to_lowercase());
    let mut parts = pattern.split('*');
    let Some(mut rest) = parts.next().and_then(|first| name.strip_prefix(first)) else { return false };
    let mut parts = parts.peekable();
    if parts.peek().is_none() {
        return rest.is_empty();
    }
    while let Some(part) = parts.next() {
        if parts.peek().is_none() {
            return rest.ends_with(part);
        }
        match rest.find(part) {
            Some(at) => rest = &rest[at + part.len()..],
            None => return false,
        }
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;

    #[rstest::rstest]
    #[case("hospital1_*", "hospital1_claim_data.csv", true)]
    #[case("hospital1_*", "hospital10_claim_data.csv", false)]
    #[case("*claims*.csv", "2024_Claims_hosp.CSV", true)]
    #[case("a*a", "a", false)]
    #[case("exact.csv", "exact.csv", true)]
    #[case("exact.csv", "not_exact.csv", false)]
    fn a_star_stands_for_any_text(#[case] pattern: &str, #[case] name: &str, #[case] expected: bool) {
        assert_eq!(matches(pattern, name), expected);
    }

    #[test]
    fn a_column_the_model_does_not_have_is_named() {
        let text = "datasource = \"x\"\n[entities.patients]\nsrc_patient_id = \"ID\"\nshoe_size = \"S\"";
        let error = Mapping::parse("x.toml", text).unwrap_err().to_string();
        assert!(error.contains("x.toml") && error.contains("shoe_size"), "{error}");
    }

    #[rstest::rstest]
    #[case("time_zone = \"America/Sampleton\"", "no time zone")]
    #[case("date_formats = [\"%Q-%d\"]", "no date format")]
    #[case("date_formats = [\"%d.%m.%Y\", \"dd.mm.yyyy\"]", "no date format")]
    #[case("date_formats = [\"%d.%m.%Y %I:%M\"]", "cannot be read")]
    fn a_zone_or_format_that_there_is_not_or_is_not_read_is_refused(#[case] line: &str, #[case] expected: &str) {
        let error = Mapping::parse("x.toml", &format!("datasource = \"x\"\n{line}")).unwrap_err().to_string();
        assert!(error.contains(expected), "{error}");
    }

    #[test]
    fn prefixes_of_an_entity_that_there_is_not_are_refused() {
        let text = "datasource = \"x\"\n[id_prefixes]\nprovider = [\"H1-\"]";
        let error = Mapping::parse("x.toml", text).unwrap_err().to_string();
        assert_eq!(error, "cdm/x.toml: [id_prefixes] there is no entity `provider`");
    }

    #[test]
    fn several_entities_may_be_read_from_one_table() {
        let text =
            "datasource = \"x\"\n[read_from]\ndepartments = \"visits\"\n[entities.departments]\nsrc_dept_id = \"D\"";
        let mapping = Mapping::parse("x.toml", text).unwrap();
        assert_eq!((mapping.table_of("departments"), mapping.table_of("patients")), ("visits", "patients"));
        assert_eq!(["visits", "departments", "patients"].map(|table| mapping.reads(table)), [true, false, false]);
        let entities =
            |mapping: &Mapping| ["visits", "patients", "wards"].map(|table| mapping.entity_of(table).to_owned());
        assert_eq!(entities(&mapping), ["departments", "patients", "wards"]);
        let more = text.replace("departments = ", "encounters = \"visits\"\ndepartments = ")
            + "\n[entities.encounters]\nsrc_encounter_id = \"E\"";
        let entity_of_two = entities(&Mapping::parse("x.toml", &more).unwrap());
        assert_eq!(entity_of_two, ["visits", "patients", "wards"], "of two no key is that of a row");
        let error = Mapping::parse("x.toml", &text.replace("departments = ", "wards = ")).unwrap_err().to_string();
        assert_eq!(error, "cdm/x.toml: [read_from] there is no entity `wards`");
    }

    #[test]
    fn an_entity_without_its_key_is_refused() {
        let error = Mapping::parse("x.toml", "datasource = \"x\"\n[entities.patients]\ndob = \"D\"").unwrap_err();
        assert!(error.to_string().contains("src_patient_id"));
    }

    #[test]
    fn own_date_formats_come_before_the_iso_ones() {
        let mapping = Mapping::parse("x.toml", "datasource = \"x\"\ndate_formats = [\"%d.%m.%Y\"]").unwrap();
        assert_eq!(mapping.date_formats().next(), Some("%d.%m.%Y"));
        assert_eq!(mapping.date_formats().count(), 4);
    }
}
