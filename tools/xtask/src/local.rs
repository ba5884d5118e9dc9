//! What follows on one machine: the registration of the silver functions, and the table of entities in the
//! data model.

use rcm_model::cdm::{Column, ColumnType, Entity};

use crate::names::{fill, function};
use crate::outputs::Output;
use crate::regions::Region;

/// The files of the command line, and the document.
pub(crate) fn outputs(entities: &[&Entity]) -> Vec<Output> {
    let each = |template: &str| entities.iter().map(|entity| fill(template, entity.name)).collect::<String>();
    let handler =
        "        \"silver-<function>\" => Box::pin(silver_<entity>::handle(context, decode(name, input)?)),\n";
    let mut dependencies: Vec<&str> = entities.iter().map(|entity| entity.name).collect();
    dependencies.sort_unstable();
    let dependency = |entity: &&str| {
        let function = function(entity);
        format!("silver-{function} = {{ path = \"../../functions/silver-{function}\" }}\n")
    };
    vec![
        Output::regions(
            "infra/local/src/functions.rs",
            vec![Region::marked("silver functions", list(entities)), Region::marked("silver handlers", each(handler))],
        ),
        Output::regions(
            "infra/local/Cargo.toml",
            vec![Region::marked("silver functions", dependencies.iter().map(dependency).collect())],
        ),
        Output::regions("docs/data-model.md", vec![Region::marked("entities", table(entities))]),
    ]
}

fn list(entities: &[&Entity]) -> String {
    let names: String = entities.iter().map(|entity| fill("    \"silver-<function>\",\n", entity.name)).collect();
    format!(
        "/// The silver functions, in the order of the model's entities.\npub const SILVER: [&str; {}] = [\n{names}];\n",
        entities.len()
    )
}

/// The entities as a table of Markdown.
fn table(entities: &[&Entity]) -> String {
    let line = |entity: &&Entity| {
        let columns: Vec<String> = entity.tracked.iter().map(column).collect();
        let id = entity.source_id.map(|id| format!(" {id}")).unwrap_or_default();
        format!("| {} | {} |{id} | {} |\n", entity.name, entity.key, columns.join(", "))
    };
    let head = "| entity | key | source id | attributes |\n|---|---|---|---|\n";
    head.chars().chain(entities.iter().map(line).collect::<String>().chars()).collect()
}

fn column(column: &Column) -> String {
    let kind = match column.kind {
        ColumnType::Text | ColumnType::KeyOf(_) => "",
        ColumnType::Date => " ᵈ",
        ColumnType::Money => " ᵐ",
        ColumnType::Boolean => " ᵇ",
    };
    let name = column.name;
    let untracked = if column.is_tracked {
        String::new()
    } else {
        format!(" (untracked: a change of only the {name} makes no new version)")
    };
    format!("{name}{kind}{untracked}")
}
