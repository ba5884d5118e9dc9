//! A stand-in for the NPI registry, with the made-up providers of the demo.

use std::collections::{BTreeMap, HashMap};
use std::io;
use std::path::Path;

use rcm_model::codes::is_valid_npi;
use serde_json::{Value, json};

use super::server::{Request, Response};

/// State in which all providers of the demo practise; it does not exist.
pub(super) const STATE: &str = "ZZ";
/// One in this many entries has a former family name of the provider.
const RENAMED_EVERY: usize = 7;
/// One in this many entries is deactivated.
const DEACTIVATED_EVERY: usize = 11;

/// Entries by identifier; `None` for a deactivated one.
pub(super) struct Entries(BTreeMap<String, Option<Value>>);

impl Entries {
    /// Reads one entry per valid identifier in the provider files `<folder>/<datasource>/providers.csv`. A mistyped
    /// identifier has no entry.
    ///
    /// # Errors
    /// A file cannot be read.
    pub(super) fn of_extracts(folder: &Path) -> io::Result<Self> {
        let mut providers: BTreeMap<String, [String; 3]> = BTreeMap::new();
        for datasource in std::fs::read_dir(folder)? {
            let path = datasource?.path().join("providers.csv");
            for row in csv::Reader::from_path(path)?.deserialize() {
                let row: HashMap<String, String> = row?;
                let field = |name: &str| row.get(name).cloned().unwrap_or_default();
                providers.insert(field("NPI"), ["FirstName", "LastName", "Specialization"].map(field));
            }
        }
        providers.retain(|number, _| is_valid_npi(number));
        let entries = providers.into_iter().enumerate().map(|(index, (number, words))| {
            let is_deactivated = index % DEACTIVATED_EVERY == DEACTIVATED_EVERY - 1;
            let is_renamed = index % RENAMED_EVERY == RENAMED_EVERY - 1;
            let entry = (!is_deactivated).then(|| entry(&number, &words, is_renamed));
            (number, entry)
        });
        Ok(Self(entries.collect()))
    }

    pub(super) fn answer(&self, request: &Request) -> Response {
        let query: HashMap<String, String> = request.url.query_pairs().into_owned().collect();
        if let Some(number) = query.get("number") {
            return match self.0.get(number) {
                Some(None) => errors("number", "15", &format!("deactivated NPI {number}")),
                Some(Some(entry)) => results(&[entry]),
                None => results(&[]),
            };
        }
        let criteria: Vec<(&str, &str)> =
            [("state", "/addresses/0/state"), ("taxonomy_description", "/taxonomies/0/desc")]
                .into_iter()
                .filter_map(|(name, place)| Some((query.get(name)?.as_str(), place)))
                .collect();
        if criteria.is_empty() {
            return errors("generic", "04", "No valid search criteria provided");
        }
        let number = |name: &str| query.get(name).and_then(|text| text.parse().ok());
        let (limit, skip) = (number("limit").unwrap_or(10).min(200), number("skip").unwrap_or(0).min(1000));
        let fits = |entry: &&Value| {
            criteria.iter().all(|(wanted, place)| entry.pointer(place).and_then(Value::as_str) == Some(wanted))
        };
        let found: Vec<&Value> = self.0.values().flatten().filter(fits).skip(skip).take(limit).collect();
        results(&found)
    }
}

fn entry(number: &str, [first, last, specialty]: &[String; 3], is_renamed: bool) -> Value {
    let last = if is_renamed { "FORMERLY" } else { last.as_str() };
    json!({
        "number": number,
        "enumeration_type": "NPI-1",
        "created_epoch": "1136073600000",
        "last_updated_epoch": "1704067200000",
        "basic": {
            "first_name": first.to_uppercase(), "last_name": last.to_uppercase(), "middle_name": "--",
            "status": "A", "enumeration_date": "2006-01-01", "last_updated": "2024-01-01",
        },
        "addresses": [{"address_purpose": "LOCATION", "state": STATE, "postal_code": "000010001", "country_code": "US"}],
        "taxonomies": [{"code": "000000000X", "desc": specialty, "primary": true}],
    })
}

fn results(entries: &[&Value]) -> Response {
    (200, json!({"result_count": entries.len(), "results": entries}))
}

/// Returns an error. The registry reports errors with the status of a successful response.
fn errors(field: &str, number: &str, description: &str) -> Response {
    (200, json!({"Errors": [{"field": field, "number": number, "description": description}]}))
}
