//! Silver tables and loads that wait for a person.

use std::fmt::Write;

use rcm_model::cdm::{ENTITIES, Entity};
use rcm_model::standstill::{Standstill, StandstillKind};
use rcm_platform::context::Context;
use rcm_platform::error::Result;
use rcm_platform::{lake, load};

use super::record::{self, StreamState, Voids};
use super::{columns, refused};
use crate::delta::Table;
use crate::rulebooks::Rulebooks;

/// Finds the loads that no silver table has, though a run should have taken them in, and the tables that were made
/// with other mappings or rules than those of today.
///
/// # Errors
/// The store fails, or a log cannot be read.
pub async fn standstills(context: &Context) -> Result<Vec<Standstill>> {
    // Rules that cannot be read are what every run says itself.
    let rulebooks = Rulebooks::read(&context.lake).await.ok();
    let mut found = Vec::new();
    for entity in ENTITIES {
        let table = Table::open(&context.lake, &lake::silver(entity.name)).await?;
        for (stream, voided) in Voids::read(context, entity).await?.into_streams() {
            let state = StreamState::read(context, entity, table.as_ref(), stream, voided).await?;
            found.extend(waiting(context, entity, &state).await?);
            found.extend(state.has_other_voids().then(|| voids_wait(entity, &state.stream)));
        }
        let lacking = table.as_ref().map_or_else(Vec::new, |table| columns::lacking(entity, table));
        found.extend((!lacking.is_empty()).then(|| lacks_columns(entity, &lacking)));
        if let (Some(table), Some(rulebooks)) = (&table, &rulebooks) {
            let datasources = context.settings.mappings().map(|mapping| mapping.datasource.as_str());
            let today = record::fingerprints(context, entity, &rulebooks.of(entity), datasources);
            let outdated = record::outdated(table, today).await?;
            found.extend((!outdated.is_empty()).then(|| made_otherwise(entity, &outdated)));
        }
    }
    Ok(found)
}

async fn waiting(context: &Context, entity: &Entity, state: &StreamState) -> Result<Option<Standstill>> {
    let Some(first) = state.waiting.first() else { return Ok(None) };
    let StreamState { stream, waiting, .. } = state;
    let refused = refused::read(context, entity, stream).await?.filter(|refused| refused.sequence == first.sequence);
    let source = load::printable(&first.source.name);
    let mut because = format!("load {} (`{source}`, {} rows)", first.sequence, first.rows);
    let hint = match &refused {
        Some(refused) => {
            _ = write!(because, " was refused, {}: {}", refused.error, refused.reason);
            format!(
                "correct what the reason says and run again, or leave the load out: rcm load void {stream} {} --why TEXT",
                first.sequence
            )
        }
        None if context.settings.mapping(&first.datasource).is_err() => {
            _ = write!(because, " is of datasource `{}`, of which configs/cdm has no mapping", first.datasource);
            format!("put configs/cdm/{}.toml back, or void the load", first.datasource)
        }
        None => {
            because += " has not been taken in since it was made";
            "run again; if it stays, look at the errors of the last runs in audit/load_logs".to_owned()
        }
    };
    if waiting.len() > 1 {
        _ = write!(because, "; {} loads wait behind it", waiting.len() - 1);
    }
    let since = refused.map_or(first.finished_at, |refused| refused.since);
    Ok(Some(Standstill {
        kind: StandstillKind::LoadWaits,
        subject: format!("{}: {stream}", lake::silver(entity.name)),
        since: Some(since),
        because,
        hint,
    }))
}

fn voids_wait(entity: &Entity, stream: &str) -> Standstill {
    Standstill {
        kind: StandstillKind::TableOutdated,
        subject: format!("{}: {stream}", lake::silver(entity.name)),
        since: None,
        because: "loads of the stream were voided, or are voided no more, and the table was not made anew since; \
                  nothing of the stream is taken in until it is"
            .to_owned(),
        hint: format!("run again; if it stays, see why it fails: rcm rebuild {}", entity.name),
    }
}

fn lacks_columns(entity: &Entity, lacking: &[&str]) -> Standstill {
    let columns = if lacking.len() == 1 { "column" } else { "columns" };
    Standstill {
        kind: StandstillKind::TableOutdated,
        subject: lake::silver(entity.name),
        since: None,
        because: format!(
            "it has no {columns} {}, which this version of the product reads; until it is made anew, loads are \
             ingested without it",
            lacking.join(", ")
        ),
        hint: format!("make it anew from bronze: rcm rebuild {}", entity.name),
    }
}

fn made_otherwise(entity: &Entity, outdated: &[String]) -> Standstill {
    let of = outdated.iter().map(|application| {
        let datasource = application.strip_prefix("mapping:");
        let rules = || format!("configs/quality/{}.toml", entity.name);
        datasource.map_or_else(rules, |datasource| format!("configs/cdm/{datasource}.toml"))
    });
    let of: Vec<String> = of.collect();
    Standstill {
        kind: StandstillKind::TableOutdated,
        subject: lake::silver(entity.name),
        since: None,
        because: format!("rows in it were made before {} changed", of.join(" and ")),
        hint: format!("make it anew from bronze: rcm rebuild {}", entity.name),
    }
}
