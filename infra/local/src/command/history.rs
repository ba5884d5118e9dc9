//! `rcm history`: the versions of one key, all of them or those of a moment.

use std::process::ExitCode;

use rcm_model::cdm::{Entity, entity, shape};
use rcm_platform::load::printable;
use rcm_platform::{Context, StageError};
use serde_json::{Map, Value, json};

use super::arguments::entities;
use super::{CommandOutput, SOME_FAILED};
use crate::history::{self, When, held_at, known_at};
use crate::print::{self, AsOf, History, Version};

#[derive(Debug, clap::Args)]
pub(super) struct HistoryArguments {
    /// Entity of the common data model, such as `patients`.
    #[arg(value_parser = entities())]
    entity: String,
    /// Durable key: source id and datasource, such as `HOSP1-000402-hos-b`.
    key: String,
    /// Show the version that held at the end of a date, in the zone of the datasource, or at a time such as
    /// `2024-09-15T12:00Z`.
    #[arg(long)]
    as_of: Option<When>,
    /// Show what the lake knew at the end of a date, or at a time: without the loads that came later.
    #[arg(long)]
    known_on: Option<When>,
    /// Show columns that may identify a patient as shapes.
    #[arg(long)]
    masked: bool,
    /// Print one JSON document and nothing else.
    #[arg(long)]
    json: bool,
    /// Folder or URL (`file:///…`, `s3://bucket/prefix`) of the lake.
    #[arg(long, env = "LAKE_URL")]
    pub(super) lake: String,
}

/// Shows the versions of a key. The exit code is 1 if there is none.
///
/// # Errors
/// There is no such entity, or a table cannot be read.
pub(super) async fn history(context: &Context, arguments: HistoryArguments) -> Result<CommandOutput, StageError> {
    let HistoryArguments { entity: name, key, as_of, known_on, masked, json, lake: _ } = arguments;
    let Some(mut found) = history::read(&context.lake, &name, &key).await? else {
        let text = format!(
            "{name} has no such key in this lake; hint: keys are <id>-<datasource>, such as HOSP1-000402-hos-b\n"
        );
        return Ok(CommandOutput { text, exit: ExitCode::from(SOME_FAILED) }.into_message(json));
    };
    if as_of.is_some() || known_on.is_some() || json {
        history::complete(context, &mut found).await?;
    }
    if masked && let Some(entity) = entity(&found.entity) {
        mask(&mut found, entity);
    }
    let all = found.versions.clone();
    let mut head = String::new();
    if let Some(known_on) = known_on {
        let moment = known_on.moment(context, &found.datasource)?;
        found.versions = known_at(&all, moment);
        found.quarantined.retain(|row| row.quarantined_at <= moment);
        head = format!("As the lake knew it at {}\n", known_on.words());
        if found.versions.is_empty() && found.quarantined.is_empty() && !json {
            let text = printable(&format!("{head}{} {}: the lake had nothing of it", found.entity, found.key)) + "\n";
            return Ok(CommandOutput { text, exit: ExitCode::from(SOME_FAILED) });
        }
    }
    let asked = match as_of {
        Some(when) => Some(AsOf { when, moment: when.moment(context, &found.datasource)? }),
        None => None,
    };
    let is_there = match &asked {
        Some(asked) => held_at(&found.versions, asked.moment).is_some(),
        None => !found.versions.is_empty() || !found.quarantined.is_empty(),
    };
    let text = match asked {
        _ if json => print::json(&document(&found, asked, known_on)),
        Some(asked) => head + &print::as_of(&found, &all, asked),
        None => head + &print::history(&found),
    };
    let exit = if is_there { ExitCode::SUCCESS } else { ExitCode::from(SOME_FAILED) };
    Ok(CommandOutput { text, exit })
}

/// Puts shapes in the place of what may identify a patient.
fn mask(history: &mut History, entity: &Entity) {
    if entity.is_of_a_patient() {
        history.key = shape(&history.key);
    }
    for version in &mut history.versions {
        for (column, value) in history.columns.iter().zip(&mut version.values) {
            if entity.identifying(column).is_some() {
                *value = value.as_deref().map(shape);
            }
        }
    }
}

fn document(history: &History, asked: Option<AsOf>, known_on: Option<When>) -> Value {
    let line = |(index, version): (usize, &Version)| {
        let values = history.columns.iter().zip(&version.values);
        let values: Map<String, Value> = values.map(|(column, value)| (column.clone(), json!(value))).collect();
        let known = version.observations.iter().min_by_key(|observed| observed.known_at);
        json!({
            "version": index + 1,
            "from": version.from,
            "to": version.to,
            "state": version.state(),
            "load_id": version.load_id,
            "known_since": known.map(|observed| observed.known_at),
            "known_by": known.map(|observed| &observed.load).filter(|load| !load.is_empty()),
            "values": values,
        })
    };
    let quarantined = history.quarantined.iter().map(
        |row| json!({ "since": row.quarantined_at, "row": row.place, "failed": row.reasons, "status": row.status }),
    );
    json!({
        "entity": history.entity,
        "key": history.key,
        "known_on": known_on.map(When::words),
        "as_of": asked.map(|asked| asked.when.words()),
        "version_as_of": asked.and_then(|asked| held_at(&history.versions, asked.moment)).map(|(index, _)| index + 1),
        "versions": history.versions.iter().enumerate().map(line).collect::<Vec<_>>(),
        "quarantined": quarantined.collect::<Vec<_>>(),
    })
}
