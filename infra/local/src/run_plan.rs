//! What a run would do, and why. Reads the lake and writes nothing.

use std::collections::BTreeSet;

use chrono::{DateTime, NaiveDate, TimeDelta, Utc};
use rcm_model::cdm::ENTITIES;
use rcm_model::event::PlanInput;
use rcm_model::load_config::{LoadRow, LoadType};
use rcm_model::standstill::Standstill;
use rcm_platform::bronze::Manifest;
use rcm_platform::config::{LoadKind, keys};
use rcm_platform::load::printable;
use rcm_platform::{Context, StageError, emr, lake};
use rcm_tables::gold::Due;
use rcm_tables::silver::{self, WaitingLoads};
use rcm_tables::standstill;
use serde::Serialize;

/// What a run would do.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct RunPlan {
    pub lake: String,
    pub now: DateTime<Utc>,
    /// Date of the KPIs.
    pub as_of: NaiveDate,
    pub extracts: Vec<PlannedTable>,
    /// Landed files that would be loaded, oldest first.
    pub files: Vec<String>,
    /// Landed files that a list has no room for: the run after the next one loads them.
    pub files_left: usize,
    pub pulls: Vec<PlannedPull>,
    /// Loads that silver tables do not have yet. What the sources bring comes on top.
    pub silver: Vec<PlannedSilver>,
    /// Gold tables that would be made anew, and the report.
    pub gold: Vec<PlannedGold>,
    /// What waits for a person, and no run does anything about.
    pub standstills: Vec<Standstill>,
}

/// A table of a hospital.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct PlannedTable {
    pub stream: String,
    pub load_type: LoadType,
    /// Rows from this watermark on are read; all rows where there is none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub from: Option<DateTime<Utc>>,
    /// Whether something would be read.
    pub is_read: bool,
    pub why: String,
}

/// A registry.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct PlannedPull {
    pub function: &'static str,
    pub is_asked: bool,
    pub why: String,
}

/// Loads of a stream that a silver table would take in.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct PlannedSilver {
    pub table: String,
    pub stream: String,
    /// Numbers of the first and the last one; none where the table is only made anew.
    pub loads: Option<(u64, u64)>,
    pub rows: u64,
    pub why: String,
}

/// A gold table, or the report.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct PlannedGold {
    pub table: String,
    pub because: Vec<String>,
}

impl RunPlan {
    /// Whether nothing of what the lake has is left to be done. What the sources bring is known when they are read.
    #[must_use]
    pub fn finds_nothing(&self) -> bool {
        self.files.is_empty() && self.silver.is_empty() && self.gold.is_empty()
    }
}

/// Reads what a run would do.
///
/// # Errors
/// A log cannot be read, or the configuration cannot be used.
pub async fn read(context: &Context, as_of: Option<NaiveDate>) -> Result<RunPlan, StageError> {
    let work = plan::work_list(context, PlanInput { as_of, ..PlanInput::default() }).await?;
    let mut extracts = Vec::new();
    for row in &context.settings.load_config {
        extracts.push(planned_table(context, row).await?);
    }
    let mut silver = Vec::new();
    // What a run takes in waits for no person.
    let mut taken = BTreeSet::new();
    for entity in ENTITIES {
        let table = lake::silver(entity.name);
        let waiting = silver::waiting(context, entity).await?;
        let not_refused = waiting.iter().filter(|waiting| waiting.refused.is_none());
        taken.extend(not_refused.map(|waiting| format!("{table}: {}", waiting.stream)));
        silver.extend(waiting.into_iter().map(|waiting| planned_silver(&table, waiting)));
    }
    let mut standstills = standstill::find(context).await?;
    standstills.retain(|standstill| !taken.contains(&standstill.subject));
    let gold = gold(context, work.as_of, &silver).await?;
    Ok(RunPlan {
        lake: context.lake.root().to_string(),
        now: context.now(),
        as_of: work.as_of,
        extracts,
        files: work.files.into_iter().map(|file| printable(&file.key)).collect(),
        files_left: work.files_left,
        pulls: pulls(context),
        silver,
        gold,
        standstills,
    })
}

async fn planned_table(context: &Context, row: &LoadRow) -> Result<PlannedTable, StageError> {
    let stream = row.stream();
    let planned = |from, is_read, why: String| PlannedTable {
        stream: stream.clone(),
        load_type: row.loadtype,
        from,
        is_read,
        why,
    };
    if !row.is_active {
        return Ok(planned(None, false, format!("is_active is 0 in {}", keys::LOAD_CONFIG)));
    }
    let last = emr_extract::goes_on_from(context, &stream).await?;
    match (emr::file_of(context, row).await, &last) {
        (Err(error), _) => return Ok(planned(None, false, format!("it would fail: {error}"))),
        (Ok(Some(file)), Some(last)) if is_like(row, last) && file == last.source => {
            return Ok(planned(None, false, format!("its file is the one of load {}", last.sequence)));
        }
        (Ok(_), _) => {}
    }
    let Some(last) = last else { return Ok(planned(None, true, "the first load: all rows".to_owned())) };
    if row.loadtype == LoadType::Full {
        return Ok(planned(
            None,
            true,
            format!("all rows; load {} was made {}", last.sequence, moment(last.finished_at)),
        ));
    }
    let watermark = last.watermark.as_ref().filter(|watermark| watermark.column == row.watermark);
    let Some(to) = watermark.and_then(|watermark| watermark.to) else {
        let why = format!("all rows: load {} has no watermark of `{}`", last.sequence, printable(&row.watermark));
        return Ok(planned(None, true, why));
    };
    let overlap = TimeDelta::days(context.settings.sources.emr.overlap_days(&stream).into());
    let why = format!("load {} ended at `{}` {}", last.sequence, printable(&row.watermark), moment(to));
    Ok(planned(Some(to - overlap), true, why))
}

/// Whether a load took as much of the table as the next one is to take.
fn is_like(row: &LoadRow, last: &Manifest) -> bool {
    let kind = match row.loadtype {
        LoadType::Full => LoadKind::Snapshot,
        LoadType::Incremental => LoadKind::Upsert,
    };
    last.kind == kind
}

fn moment(moment: DateTime<Utc>) -> String {
    format!("{} UTC", moment.format("%Y-%m-%d %H:%M:%S"))
}

fn pulls(context: &Context) -> Vec<PlannedPull> {
    let sources = &context.settings.sources;
    let pull = |function, max_age_days: Option<u32>, table: &str| PlannedPull {
        function,
        is_asked: max_age_days.is_some(),
        why: match max_age_days {
            Some(days) => format!("asks for what is older than {days} days"),
            None => format!("{table} is not in {}", keys::SOURCES),
        },
    };
    vec![
        pull("npi-pull", sources.npi.as_ref().map(|npi| npi.max_age_days), "[npi]"),
        pull("icd-pull", sources.icd.as_ref().map(|icd| icd.max_age_days), "[icd]"),
    ]
}

fn planned_silver(table: &str, waiting: WaitingLoads) -> PlannedSilver {
    let WaitingLoads { stream, taken, loads, refused, is_rebuilt } = waiting;
    let mut why = match refused {
        Some(reason) => format!("it is tried again; the last run refused it, {reason}"),
        None if taken == 0 => "the table has nothing of the stream".to_owned(),
        None => format!("the table has the stream up to load {taken}"),
    };
    if is_rebuilt {
        why = format!("loads were voided, or are voided no more: the table is made anew; {why}");
    }
    let ends = loads.first().zip(loads.last()).map(|(first, last)| (first.sequence, last.sequence));
    PlannedSilver { table: table.to_owned(), stream, loads: ends, rows: loads.iter().map(|load| load.rows).sum(), why }
}

/// The gold tables that would be made anew: something that they are made from has changed, or will have.
async fn gold(context: &Context, as_of: NaiveDate, silver: &[PlannedSilver]) -> Result<Vec<PlannedGold>, StageError> {
    let mut due = gold_dimensions::due(context).await?;
    due.extend(gold_facts::due(context).await?);
    due.extend(gold_kpis::due(context, as_of).await?);
    let mut changing: BTreeSet<String> = silver.iter().map(|silver| silver.table.clone()).collect();
    let mut planned = Vec::new();
    // In the order in which a run makes them: what is made anew changes what is made from it.
    for table in due {
        let because = because(&table, &changing, as_of);
        if !because.is_empty() {
            changing.insert(table.table.clone());
            planned.push(PlannedGold { table: table.table, because });
        }
    }
    let made_from_gold: Vec<&str> =
        planned.iter().map(|gold| gold.table.as_str()).filter(|table| table.starts_with("gold/kpi_")).collect();
    let because = match made_from_gold.as_slice() {
        [] if gold_report::is_due(context, as_of).await? => {
            "gold or its configuration has changed since it was made".to_owned()
        }
        [] => return Ok(planned),
        [one] => format!("{one} is made anew"),
        more => format!("{} tables of KPIs are made anew", more.len()),
    };
    planned.push(PlannedGold { table: format!("{}/{as_of}", gold_report::FOLDER), because: vec![because] });
    Ok(planned)
}

fn because(due: &Due, changing: &BTreeSet<String>, as_of: NaiveDate) -> Vec<String> {
    let mut because: Vec<String> = Vec::new();
    // What has nothing to be made from is not made, until the first load of its source.
    if due.lacks.iter().any(|table| !changing.contains(table)) {
        return because;
    }
    let inputs = || due.inputs.iter().filter(|input| changing.contains(*input));
    if !due.is_there {
        because.push("it is not there yet".to_owned());
    }
    if due.is_made_otherwise {
        because.push("an older version of rcm made it".to_owned());
    }
    because.extend(due.changed.iter().map(|input| match input.as_str() {
        "as_of" => format!("it is of another date than {as_of}"),
        table if table.contains('/') => format!("{table} has changed since"),
        other => format!("{other} has changed since"),
    }));
    let to_come = inputs().filter(|input| !due.changed.contains(input));
    because.extend(to_come.map(|table| {
        if table.starts_with("silver/") { format!("{table} takes loads in") } else { format!("{table} is made anew") }
    }));
    because
}
