//! A mapping in one form, whatever the layout, order and comments of its file.

use std::fmt::Write;

use toml::{Table, Value};

use crate::cdm::Entity;

/// Keys of a mapping that say nothing of how its rows are read.
const OF_NO_ROW: [&str; 3] = ["datasource", "landing", "read_from"];

/// What a mapping's file says of the rows of an entity.
pub(super) fn text(file: &Table, entity: &Entity) -> String {
    let mut text = String::new();
    for (key, value) in file.iter().filter(|(key, _)| !OF_NO_ROW.contains(&key.as_str())) {
        match (key.as_str(), value) {
            ("entities", Value::Table(entities)) => add_some(&mut text, key, entities, |name| name == entity.name),
            ("values", Value::Table(columns)) => {
                let is_own = |name: &str| entity.tracked.iter().any(|column| column.name == name);
                add_some(&mut text, key, columns, is_own);
            }
            ("layouts", Value::Array(layouts)) => {
                let is_own = |layout: &&Value| layout.get("entity").and_then(Value::as_str) == Some(entity.name);
                for layout in layouts.iter().filter(is_own) {
                    add(&mut text, key, layout);
                }
            }
            _ => add(&mut text, key, value),
        }
    }
    text
}

fn add_some(text: &mut String, key: &str, table: &Table, is_wanted: impl Fn(&str) -> bool) {
    for (name, value) in table.iter().filter(|(name, _)| is_wanted(name)) {
        add(text, &format!("{key}.{name}"), value);
    }
}

/// Adds a line for every value, with the path to it. Tables are sorted by their keys as they are.
fn add(text: &mut String, path: &str, value: &Value) {
    match value {
        Value::Table(table) => {
            let mut entries: Vec<_> = table.iter().collect();
            entries.sort_by_key(|(key, _)| key.as_str());
            for (key, value) in entries {
                add(text, &format!("{path}.{key:?}"), value);
            }
        }
        Value::Array(values) => {
            for (index, value) in values.iter().enumerate() {
                add(text, &format!("{path}[{index}]"), value);
            }
        }
        Value::String(word) => _ = writeln!(text, "{path} = {word:?}"),
        other => _ = writeln!(text, "{path} = {other}"),
    }
}

#[cfg(test)]
mod tests {
    use crate::cdm::{CLAIMS, Mapping, PATIENTS};

    const TEXT: &str = "datasource = \"x\"\ndate_formats = [\"%d.%m.%Y\"]\n[landing]\nclaims = [\"x_*\"]\n\
        [entities.patients]\nsrc_patient_id = \"ID\"\ndob = \"D\"\n[entities.claims]\nsrc_claim_id = \"C\"\n";

    fn canonical(text: &str) -> [String; 2] {
        let mapping = Mapping::parse("x.toml", text).unwrap();
        [&PATIENTS, &CLAIMS].map(|entity| mapping.canonical(entity).to_owned())
    }

    #[rstest::rstest]
    #[case::a_comment("[entities.patients]", "# About patients.\n[entities.patients]", [true, true])]
    #[case::the_order("src_patient_id = \"ID\"\ndob = \"D\"", "dob = \"D\"\nsrc_patient_id = \"ID\"", [true, true])]
    #[case::the_names_of_files("x_*", "y_*", [true, true])]
    #[case::a_column("\"D\"", "\"Born\"", [false, true])]
    #[case::a_format("%d.%m.%Y", "%m/%d/%Y", [false, false])]
    #[case::a_column_of_another_entity("\"C\"", "\"Claim\"", [true, false])]
    fn what_changes_the_rows_of_an_entity_changes_its_text(
        #[case] from: &str,
        #[case] to: &str,
        #[case] stays: [bool; 2],
    ) {
        let (before, after) = (canonical(TEXT), canonical(&TEXT.replace(from, to)));
        assert_eq!([before[0] == after[0], before[1] == after[1]], stays);
    }
}
