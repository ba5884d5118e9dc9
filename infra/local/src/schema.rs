//! JSON schemas of the configuration, made of the types that read it. Editors underline what does not fit.

use rcm_domain::quality::Rulebook;
use rcm_model::cdm::{ENTITIES, Entity, Mapping};
use rcm_model::report_config::ReportConfig;
use rcm_platform::config::Sources;
use schemars::JsonSchema;
use schemars::generate::SchemaSettings;
use serde_json::{Map, Value, json};

/// A file of the configuration.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum ConfigFile {
    /// `configs/quality/<entity>.toml`
    Quality,
    /// `configs/cdm/<datasource>.toml`
    Cdm,
    /// configs/sources.toml
    Sources,
    /// configs/report.toml
    Report,
}

/// Returns the JSON schema (draft 7) of a file.
#[must_use]
pub fn schema(file: ConfigFile) -> Value {
    match file {
        ConfigFile::Quality => of::<Rulebook>(),
        ConfigFile::Sources => of::<Sources>(),
        ConfigFile::Report => of::<ReportConfig>(),
        ConfigFile::Cdm => with_columns(of::<Mapping>()),
    }
}

fn of<T: JsonSchema>() -> Value {
    SchemaSettings::draft07().into_generator().into_root_schema_for::<T>().to_value()
}

/// Names the entities and the columns of each, of which the mapping's own type only knows that they have names.
fn with_columns(mut schema: Value) -> Value {
    let entities: Map<String, Value> =
        ENTITIES.iter().map(|entity| (entity.name.to_owned(), columns_of(entity))).collect();
    schema["properties"]["entities"] =
        json!({ "type": "object", "properties": entities, "additionalProperties": false });
    schema
}

fn columns_of(entity: &Entity) -> Value {
    let moments = ["src_inserted_at", "src_modified_at"];
    let columns = std::iter::once(entity.id()).chain(entity.tracked.iter().map(|column| column.name)).chain(moments);
    let mut properties: Map<String, Value> =
        columns.map(|column| (column.to_owned(), json!({ "$ref": "#/definitions/ColumnSource" }))).collect();
    for condition in ["where", "deleted_where"] {
        let description = "A condition in SQL over the hospital's own columns";
        properties.insert(condition.to_owned(), json!({ "type": "string", "description": description }));
    }
    json!({
        "type": "object",
        "properties": properties,
        "required": [entity.id()],
        "additionalProperties": false,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_schema_has_the_keys_of_its_file_and_no_other() {
        for (file, key) in [
            (ConfigFile::Quality, "rule"),
            (ConfigFile::Cdm, "entities"),
            (ConfigFile::Sources, "landing"),
            (ConfigFile::Report, "targets"),
        ] {
            let schema = schema(file);
            assert!(schema["properties"][key].is_object(), "{file:?}: {schema:#}");
            assert_eq!(schema["additionalProperties"], false, "{file:?}");
            assert!(schema["$schema"].as_str().unwrap().contains("draft-07"), "{file:?}");
        }
    }

    #[test]
    fn the_schema_of_a_mapping_has_the_columns_of_the_model() {
        let schema = schema(ConfigFile::Cdm);
        let patients = &schema["properties"]["entities"]["properties"]["patients"];
        assert_eq!(patients["required"], json!(["src_patient_id"]));
        assert_eq!(patients["properties"]["dob"]["$ref"], "#/definitions/ColumnSource");
        assert!(schema["definitions"]["ColumnSource"].is_object(), "{schema:#}");
        assert!(patients["properties"]["shoe_size"].is_null());
    }
}
