//! The names that a column of the source may have.

use schemars::JsonSchema;
use serde::Deserialize;

/// A column of the source: its name, or the names that it has had, of which a load has one.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(from = "Written")]
pub struct SourceColumn {
    names: Vec<String>,
}

/// A column of the source as a mapping's file has it.
#[derive(Deserialize, JsonSchema)]
#[serde(untagged)]
enum Written {
    Name(String),
    AnyOf(AnyOf),
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct AnyOf {
    any_of: Vec<String>,
}

impl From<Written> for SourceColumn {
    fn from(written: Written) -> Self {
        match written {
            Written::Name(name) => Self { names: vec![name] },
            Written::AnyOf(AnyOf { any_of }) => Self { names: any_of },
        }
    }
}

impl From<&str> for SourceColumn {
    fn from(name: &str) -> Self {
        Self { names: vec![name.to_owned()] }
    }
}

impl SourceColumn {
    /// Its names, in the order in which they are looked for.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.names.iter().map(String::as_str)
    }

    /// Returns the first of its names that a load has; none where the load lacks the column.
    pub fn found(&self, has: impl Fn(&str) -> bool) -> Option<&str> {
        self.names().find(|name| has(name))
    }

    /// Its names, for messages: `` `MRN` or `PatientID` ``.
    #[must_use]
    pub fn quoted(&self) -> String {
        format!("`{}`", self.names.join("` or `"))
    }

    /// What a load lacks that lacks it, for messages; `column` is the model's.
    pub(super) fn as_missing(&self, column: &str) -> String {
        if self.names.len() == 1 { self.quoted() } else { format!("{} of `{column}`", self.quoted()) }
    }

    /// One column that has the names of several; none where one of them has several itself, or there is none.
    pub(super) fn of_plain(columns: &[Self]) -> Option<Self> {
        let is_plain = !columns.is_empty() && columns.iter().all(|column| column.names.len() == 1);
        is_plain.then(|| Self { names: columns.iter().flat_map(|column| column.names.clone()).collect() })
    }
}

#[cfg(test)]
mod tests {
    use crate::cdm::Mapping;

    const NAMES: &str = "src_claim_id = [\"ClaimID\", { any_of = [\"PayorID\", \"Payer\"] }]\n\
        claim_status = [\"Status\", \"State\"]\npayor_id = { column = { any_of = [\"PayorID\", \"Payer\"] }, null_words = [\"-\"] }\n";

    fn mapping(lines: &str) -> Result<Mapping, String> {
        let text = format!("datasource = \"x\"\n[entities.claims]\n{lines}");
        Mapping::parse("x.toml", &text).map_err(|error| error.to_string())
    }

    /// What a load with certain columns is read from: the names, or what it lacks.
    fn read_from(columns: &[&str]) -> Result<[String; 3], Vec<String>> {
        let mapping = mapping(NAMES).unwrap();
        let resolved = mapping.columns("claims", "").unwrap().resolve(|name| columns.contains(&name))?;
        Ok(["src_claim_id", "claim_status", "payor_id"]
            .map(|column| resolved.source(column).unwrap().columns().collect::<Vec<_>>().join("+")))
    }

    #[rstest::rstest]
    #[case::the_old(&["ClaimID", "PayorID", "Status"], ["ClaimID+PayorID", "Status", "PayorID"])]
    #[case::the_new(&["ClaimID", "Payer", "State"], ["ClaimID+Payer", "State", "Payer"])]
    #[case::both(&["State", "ClaimID", "Payer", "Status", "PayorID"], ["ClaimID+PayorID", "Status", "PayorID"])]
    fn a_column_is_read_from_the_first_of_its_names_that_a_load_has(#[case] has: &[&str], #[case] expected: [&str; 3]) {
        assert_eq!(read_from(has).unwrap(), expected);
    }

    #[test]
    fn a_load_without_any_name_of_a_column_is_told_the_column_and_all_its_names() {
        let missing = read_from(&["Payer"]).unwrap_err();
        assert_eq!(missing, ["`ClaimID`", "`Status` or `State` of `claim_status`"]);
    }

    #[test]
    fn a_column_that_a_load_has_under_two_names_is_told() {
        let mapping = mapping(NAMES).unwrap();
        let columns = mapping.columns("claims", "").unwrap();
        assert_eq!(columns.repeated(|name| name.starts_with("Sta")), [("claim_status", "Status", vec!["State"])]);
    }

    #[rstest::rstest]
    #[case::of_the_id("src_claim_id = [\"A\", \"B\"]", "src_claim_id")]
    #[case::of_another_entity("src_claim_id = \"C\"\npatient_key = [\"A\", \"B\"]", "patient_key")]
    fn a_list_for_a_key_stays_a_key_of_several_columns(#[case] lines: &str, #[case] column: &str) {
        let mapping = mapping(lines).unwrap();
        let columns = mapping.columns("claims", "").unwrap();
        assert_eq!(columns.source(column).unwrap().parts().len(), 2);
        assert!(columns.resolve(|name| name != "B").is_err());
    }

    #[rstest::rstest]
    #[case("claim_status = []")]
    #[case("claim_status = { any_of = [] }")]
    #[case("claim_status = { any_of = [\"A\"], constant = \"B\" }")]
    #[case("claim_status = [\"A\", { any_of = [\"B\"], tracked = false }]")]
    fn a_column_without_a_name_or_with_more_than_names_is_refused(#[case] line: &str) {
        let error = mapping(&format!("src_claim_id = \"C\"\n{line}")).unwrap_err();
        assert!(error.contains("claim_status"), "{error}");
    }
}
