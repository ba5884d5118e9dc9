//! The NPI registry (NPPES), version 2.1 of its API.
//!
//! Grain of a row: one identifier, as the registry knew it when it was asked. What the registry
//! does not show any more, or never knew, is a row as well: its status says so.

use reqwest::{Method, Request};
use serde_json::Value;
use url::Url;

use super::client::{Client, RegistryReply};
use crate::bronze_rows::Row;
use crate::config::{self, NpiSearch};
use crate::context::Context;
use crate::error::{Result, StageError};

/// Results that one answer holds at most.
pub const PAGE: usize = 200;
/// Results of a search that may be skipped at most: no more than this and one page are ever shown.
pub const DEEPEST_SKIP: usize = 1000;

/// Columns of a row.
pub const COLUMNS: [&str; 10] = [
    NUMBER,
    "status",
    "enumeration_type",
    "first_name",
    "last_name",
    "organization_name",
    "position",
    "primary_taxonomy",
    "state",
    "last_updated",
];
/// The column with the identifier.
pub const NUMBER: &str = "number";

/// Errors say this where an identifier is no longer in service.
const DEACTIVATED: &str = "15";
const API_VERSION: &str = "2.1";
/// Epochs were seconds once and are milliseconds now; a number above this one is milliseconds.
const MOST_SECONDS: i64 = 100_000_000_000;

/// The registry.
pub struct Registry {
    client: Client,
    base_url: Url,
}

/// What the registry says of one identifier.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Provider {
    pub number: String,
    /// `active`, `deactivated` or `unknown`; another letter that the registry may use, as it is.
    pub status: String,
    /// `NPI-1` for a person, `NPI-2` for an organization.
    pub enumeration_type: Option<String>,
    /// Of a person; of an organization's authorized official otherwise.
    pub first_name: Option<String>,
    pub last_name: Option<String>,
    pub organization_name: Option<String>,
    /// Title or position of the authorized official.
    pub position: Option<String>,
    /// Description of the primary taxonomy, else of the first one.
    pub primary_taxonomy: Option<String>,
    /// State of the practice.
    pub state: Option<String>,
    /// ISO date.
    pub last_updated: Option<String>,
}

impl Registry {
    /// The registry that the configuration names.
    ///
    /// # Errors
    /// Its address is no URL, or its options make no sense.
    pub fn new(context: &Context, options: &config::Npi) -> Result<Self> {
        let base_url = Url::parse(&options.base_url)
            .map_err(|error| StageError::bad_config(format!("configs/sources.toml: [npi] base_url: {error}")))?;
        Ok(Self { client: Client::new(context, "NPI registry", &options.http)?, base_url })
    }

    /// Asks for one identifier.
    ///
    /// # Errors
    /// The registry does not respond, or its response has another shape.
    pub async fn look_up(&self, number: &str) -> Result<Provider> {
        let of_status =
            |status: &str| Provider { number: number.to_owned(), status: status.to_owned(), ..Provider::default() };
        match self.ask(&[(NUMBER, number)]).await? {
            Said::Results(results) if results.is_empty() => Ok(of_status("unknown")),
            Said::Results(results) => {
                let mut providers = results.iter().map(Provider::read).collect::<Result<Vec<_>>>()?.into_iter();
                providers.find(|provider| provider.number == number).ok_or_else(|| broken("answers for another number"))
            }
            Said::Errors(errors) if errors.iter().any(|error| error.number == DEACTIVATED) => {
                Ok(of_status("deactivated"))
            }
            Said::Errors(errors) if errors.iter().all(|error| error.field == NUMBER) => Ok(of_status("unknown")),
            Said::Errors(errors) => Err(refused(&errors)),
        }
    }

    /// Asks for the results of a search after the first `skip` ones.
    ///
    /// # Errors
    /// The registry does not answer, or refuses the search.
    pub async fn page(&self, search: &NpiSearch, skip: usize) -> Result<Vec<Provider>> {
        let (limit, skip) = (PAGE.to_string(), skip.to_string());
        let mut criteria = search.criteria();
        criteria.extend([("limit", limit.as_str()), ("skip", skip.as_str())]);
        match self.ask(&criteria).await? {
            Said::Results(results) => results.iter().map(Provider::read).collect(),
            Said::Errors(errors) => Err(refused(&errors)),
        }
    }

    async fn ask(&self, criteria: &[(&str, &str)]) -> Result<Said> {
        let mut url = self.base_url.clone();
        url.query_pairs_mut().append_pair("version", API_VERSION).extend_pairs(criteria);
        match self.client.json(Request::new(Method::GET, url)).await? {
            RegistryReply::Found(answer) => Said::read(&answer),
            RegistryReply::Refused(status) => Err(broken(&format!("answers {}", status.as_u16()))),
        }
    }
}

impl Provider {
    fn read(result: &Value) -> Result<Self> {
        let number = text(&result[NUMBER]).ok_or_else(|| broken("answers a result without a number"))?;
        let basic = &result["basic"];
        let enumeration_type = text(&result["enumeration_type"]);
        let official = if enumeration_type.as_deref() == Some("NPI-2") { "authorized_official_" } else { "" };
        Ok(Self {
            number,
            status: status(text(&basic["status"]).as_deref()),
            first_name: text(&basic[format!("{official}first_name")]),
            last_name: text(&basic[format!("{official}last_name")]),
            organization_name: text(&basic["organization_name"]),
            position: text(&basic["authorized_official_title_or_position"]),
            primary_taxonomy: text(&one_of(&result["taxonomies"], "primary", &Value::Bool(true))["desc"]),
            state: text(&one_of(&result["addresses"], "address_purpose", &Value::from("LOCATION"))["state"]),
            last_updated: text(&basic["last_updated"]).or_else(|| date_of_epoch(&result["last_updated_epoch"])),
            enumeration_type,
        })
    }

    /// The provider as a row of [`COLUMNS`].
    #[must_use]
    pub fn into_row(self) -> Row {
        Row::Fields(vec![
            Some(self.number),
            Some(self.status),
            self.enumeration_type,
            self.first_name,
            self.last_name,
            self.organization_name,
            self.position,
            self.primary_taxonomy,
            self.state,
            self.last_updated,
        ])
    }
}

/// The body of a response with status 200. Its `result_count` is that of the page, and is not used.
enum Said {
    Results(Vec<Value>),
    Errors(Vec<Complaint>),
}

/// One of the registry's errors.
struct Complaint {
    field: String,
    number: String,
}

impl Said {
    fn read(answer: &Value) -> Result<Self> {
        if let Some(errors) = answer["Errors"].as_array().filter(|errors| !errors.is_empty()) {
            let word = |value: &Value| text(value).unwrap_or_default();
            let errors = errors.iter().map(|e| Complaint { field: word(&e["field"]), number: word(&e["number"]) });
            return Ok(Self::Errors(errors.collect()));
        }
        match &answer["results"] {
            Value::Array(results) => Ok(Self::Results(results.clone())),
            _ => Err(broken("answers neither results nor errors")),
        }
    }
}

/// Text or number without blanks around it; nothing where the registry says `--`.
fn text(value: &Value) -> Option<String> {
    let text = match value {
        Value::String(text) => text.trim().to_owned(),
        Value::Number(number) => number.to_string(),
        _ => return None,
    };
    (!text.is_empty() && text != "--").then_some(text)
}

/// The item of a list that has this value, else its first one.
fn one_of<'a>(list: &'a Value, name: &str, value: &Value) -> &'a Value {
    let items = list.as_array().map_or(&[][..], Vec::as_slice);
    items.iter().find(|item| &item[name] == value).or(items.first()).unwrap_or(&Value::Null)
}

fn status(letter: Option<&str>) -> String {
    match letter {
        None | Some("A") => "active".to_owned(),
        Some("D") => "deactivated".to_owned(),
        Some(other) => other.to_owned(),
    }
}

fn date_of_epoch(epoch: &Value) -> Option<String> {
    let epoch: i64 = text(epoch)?.parse().ok()?;
    let seconds = if epoch.abs() > MOST_SECONDS { epoch / 1000 } else { epoch };
    Some(chrono::DateTime::from_timestamp(seconds, 0)?.date_naive().to_string())
}

fn refused(errors: &[Complaint]) -> StageError {
    let errors: Vec<String> = errors.iter().map(|error| format!("{} for `{}`", error.number, error.field)).collect();
    broken(&format!("answers error {}", crate::load::printable(&errors.join(", "))))
}

fn broken(what: &str) -> StageError {
    StageError::broken_contract(format!("NPI registry: {what}"))
}

#[cfg(test)]
mod tests {
    use rstest::rstest;
    use serde_json::json;

    use super::*;

    #[test]
    fn an_organization_is_read_with_its_official() {
        let result = json!({
            "number": 1_000_000_004, "enumeration_type": "NPI-2", "last_updated_epoch": 1_700_000_000,
            "basic": {
                "organization_name": "MADE UP CLINIC", "status": "A", "authorized_official_first_name": "QUILLON",
                "authorized_official_last_name": "FICTOR", "authorized_official_title_or_position": "--",
            },
            "taxonomies": [{"desc": "Second", "primary": false}, {"desc": "First", "primary": true}],
            "addresses": [{"address_purpose": "MAILING", "state": "ZY"}, {"address_purpose": "LOCATION", "state": "ZZ"}],
        });
        let expected = Provider {
            number: "1000000004".to_owned(),
            status: "active".to_owned(),
            enumeration_type: Some("NPI-2".to_owned()),
            first_name: Some("QUILLON".to_owned()),
            last_name: Some("FICTOR".to_owned()),
            organization_name: Some("MADE UP CLINIC".to_owned()),
            position: None,
            primary_taxonomy: Some("First".to_owned()),
            state: Some("ZZ".to_owned()),
            last_updated: Some("2023-11-14".to_owned()),
        };
        assert_eq!(Provider::read(&result).unwrap(), expected);
    }

    #[test]
    fn a_result_may_lack_everything_but_its_number() {
        let provider = Provider::read(&json!({"number": "1000000004", "basic": {"first_name": "--"}})).unwrap();
        assert_eq!((provider.number.as_str(), provider.status.as_str()), ("1000000004", "active"));
        assert_eq!(provider.first_name, None);
        assert_eq!(Provider::read(&json!({})).unwrap_err().name(), "BrokenContract");
    }

    #[rstest]
    #[case::seconds(json!(1_700_000_000))]
    #[case::milliseconds(json!(1_700_000_000_000_i64))]
    #[case::text_of_milliseconds(json!("1700000000000"))]
    fn an_epoch_is_seconds_or_milliseconds(#[case] epoch: Value) {
        assert_eq!(date_of_epoch(&epoch).as_deref(), Some("2023-11-14"));
    }
}
