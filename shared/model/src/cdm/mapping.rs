//! A hospital's own column names, date formats and id prefixes: `configs/cdm/<datasource>.toml`.

use std::collections::BTreeMap;

use chrono_tz::Tz;
use serde::Deserialize;

use super::{Entity, date_format, entity};

/// Formats that every source may use beside its own, in the notation of `chrono`.
const ISO_FORMATS: [&str; 3] = ["%Y-%m-%d", "%Y-%m-%d %H:%M:%S%.f", "%Y-%m-%dT%H:%M:%S%.f"];

/// How one source's tables become the common data model.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
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
    /// Prefixes that some of its tables put before an id and others leave out, by entity.
    #[serde(default)]
    id_prefixes: BTreeMap<String, Vec<String>>,
    /// Names of its landed files, by folder of `landing/`; `*` stands for any text.
    #[serde(default)]
    landing: BTreeMap<String, Vec<String>>,
    /// Model column → source column, by entity.
    #[serde(default)]
    entities: BTreeMap<String, BTreeMap<String, String>>,
}

/// Why a mapping file cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum MappingError {
    #[error("cdm/{file}: {reason}")]
    Unusable { file: String, reason: String },
}

impl Mapping {
    /// Reads `configs/cdm/<file>`.
    ///
    /// # Errors
    /// The text is no such TOML, names a time zone, a date format, an entity or a column that there
    /// is not, a date format whose values could not be read, or leaves the key of a mapped entity out.
    pub fn parse(file: &str, text: &str) -> Result<Self, MappingError> {
        let unusable = |reason: String| MappingError::Unusable { file: file.to_owned(), reason };
        let mapping: Self = toml::from_str(text).map_err(|error| unusable(error.message().to_owned()))?;
        if let Some(zone) = &mapping.time_zone {
            zone.parse::<Tz>().map_err(|_| unusable(format!("there is no time zone `{zone}`")))?;
        }
        for format in &mapping.date_formats {
            date_format::check(format).map_err(unusable)?;
        }
        for name in mapping.id_prefixes.keys() {
            entity(name).ok_or_else(|| unusable(format!("[id_prefixes] there is no entity `{name}`")))?;
        }
        for (name, columns) in &mapping.entities {
            let entity = entity(name).ok_or_else(|| unusable(format!("there is no entity `{name}`")))?;
            check_columns(entity, columns).map_err(unusable)?;
        }
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

    /// Whether the source has this entity at all.
    #[must_use]
    pub fn maps(&self, entity: &str) -> bool {
        self.entities.contains_key(entity)
    }

    /// The source column of a model column; none where the source does not have it.
    #[must_use]
    pub fn source_column(&self, entity: &str, column: &str) -> Option<&str> {
        self.entities.get(entity)?.get(column).map(String::as_str)
    }

    /// All source columns of an entity, the ones that a load must have.
    pub fn source_columns(&self, entity: &str) -> impl Iterator<Item = &str> {
        self.entities.get(entity).into_iter().flat_map(|columns| columns.values().map(String::as_str))
    }

    /// Whether a file of this name, landed in this folder, comes from this source.
    #[must_use]
    pub fn owns_file(&self, folder: &str, file_name: &str) -> bool {
        self.landing.get(folder).is_some_and(|patterns| patterns.iter().any(|pattern| matches(pattern, file_name)))
    }
}

fn check_columns(entity: &Entity, columns: &BTreeMap<String, String>) -> Result<(), String> {
    let id = entity.id();
    if !columns.contains_key(id) {
        return Err(format!("[entities.{}] must map `{id}`", entity.name));
    }
    for column in columns.keys() {
        let moments = ["src_inserted_at", "src_modified_at"];
        if column != id && !entity.tracks(column) && !moments.contains(&column.as_str()) {
            return Err(format!("[entities.{}] has no column `{column}`", entity.name));
        }
    }
    Ok(())
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
