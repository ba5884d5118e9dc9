//! Loads of bronze through the model and the rules.

use polars::prelude::*;
use rcm_domain::cdm::{Entity, Mapping, to_model};
use rcm_domain::event::RuleCount;
use rcm_domain::quality::{Rulebook, Severity, assess};
use rcm_domain::scd2;

use crate::bronze::{MALFORMED, Manifest, POSITION};
use crate::config::LoadKind;
use crate::context::Context;
use crate::delta::scan_parquet;
use crate::error::{Result, StageError};
use crate::frames::blocking;
use crate::quarantine;

/// What some loads bring to an entity.
pub(super) struct Intake {
    /// Good rows as events, with their bucket.
    pub events: DataFrame,
    /// Rows for the quarantine table.
    pub quarantined: DataFrame,
    /// Keys of full extracts, rows in quarantine too: `key`, `bucket`, `datasource`, `sequence`.
    pub keys_seen: DataFrame,
    /// Rows per load, in the order of the loads.
    pub tallies: Vec<Tally>,
    pub rules: Vec<RuleCount>,
}

/// Rows of one load.
#[derive(Debug, Clone, Copy)]
pub(super) struct Tally {
    pub read: u64,
    pub quarantined: u64,
}

/// What one load brings.
struct LoadIntake {
    events: DataFrame,
    keys_seen: DataFrame,
    /// Keys, reasons and positions of the rows that failed.
    failed: Option<DataFrame>,
    tally: Tally,
    rules: Vec<RuleCount>,
}

/// Reads loads of bronze.
///
/// # Errors
/// A file cannot be read, or a mapped column is missing.
pub(super) async fn read(
    context: &Context,
    entity: &'static Entity,
    loads: &[Manifest],
    buckets: u32,
) -> Result<Intake> {
    let rulebook = context.settings.rulebook(entity);
    let (mut events, mut keys_seen, mut quarantined) = (Vec::new(), Vec::new(), Vec::new());
    let (mut tallies, mut rules) = (Vec::new(), Vec::new());
    for load in loads {
        let mapping = context.settings.mapping(&load.datasource)?.clone();
        let scan = scan(context, load).await?;
        let (rulebook, owned, rows) = (rulebook.clone(), load.clone(), scan.clone());
        let found = blocking(move || read_load(rows, entity, &mapping, &rulebook, &owned, buckets)).await?;
        if let Some(failed) = found.failed {
            let (owned, now) = (load.clone(), context.now());
            quarantined.push(blocking(move || entries(scan, &failed, &owned, now)).await?.lazy());
        }
        events.push(found.events.lazy());
        keys_seen.push(found.keys_seen.lazy());
        tallies.push(found.tally);
        rules.extend(found.rules);
    }
    quarantined.push(DataFrame::empty_with_schema(&quarantine::schema()).lazy());
    let all = |frames: Vec<LazyFrame>| concat(frames, UnionArgs::default())?.collect();
    Ok(Intake { events: all(events)?, quarantined: all(quarantined)?, keys_seen: all(keys_seen)?, tallies, rules })
}

async fn scan(context: &Context, load: &Manifest) -> Result<LazyFrame> {
    scan_parquet(&context.lake, &load.data_files, ScanArgsParquet::default()).await
}

fn read_load(
    scan: LazyFrame,
    entity: &Entity,
    mapping: &Mapping,
    rulebook: &Rulebook,
    load: &Manifest,
    buckets: u32,
) -> Result<LoadIntake> {
    let mut wanted: Vec<&str> = mapping.source_columns(entity.name).collect();
    wanted.sort_unstable();
    wanted.dedup();
    wanted.extend([POSITION, MALFORMED]);
    let raw =
        scan.select(wanted.into_iter().map(|name| col(PlSmallStr::from_str(name))).collect::<Vec<_>>()).collect()?;
    let model = to_model(&raw, entity, mapping, load.extracted_at)?;
    let malformed = raw.column(MALFORMED)?.is_not_null();
    let assessment = assess(&model, &malformed, entity, rulebook)?;
    let good = assessment.reasons.is_null();
    let positions = raw.column(POSITION)?.i64()?.clone();

    let rows = model.filter(&good)?;
    let events =
        scd2::events(&rows, positions.filter(&good)?, entity, (load.sequence as i64, load.load_id.as_str()), buckets)?;
    let keys = model.column(entity.key)?.clone();
    let failed = if good.all() {
        None
    } else {
        let frame = df!(
            "key" => keys.as_materialized_series().clone(),
            "reasons" => assessment.reasons.clone().into_series(),
            POSITION => positions.into_series(),
        )?;
        Some(frame.filter(&!&good)?)
    };
    let read = raw.height() as u64;
    let quarantined = failed.as_ref().map_or(0, |failed| failed.height() as u64);
    let rules = assessment.tallies.into_iter().map(|tally| RuleCount {
        entity: entity.name.to_owned(),
        rule: tally.rule,
        severity: tally.severity.as_str().to_owned(),
        load_id: load.load_id.clone(),
        checked: read,
        failed: tally.failed,
    });
    Ok(LoadIntake {
        events: events.drop(rcm_domain::cdm::UNPARSEABLE)?,
        keys_seen: keys_seen(&keys, load, buckets)?,
        failed,
        tally: Tally { read, quarantined },
        rules: rules.collect(),
    })
}

/// Keys of a full extract; nothing for any other load.
fn keys_seen(keys: &Column, load: &Manifest, buckets: u32) -> Result<DataFrame> {
    let keys = if load.kind == LoadKind::Snapshot { keys.drop_nulls() } else { keys.slice(0, 0) };
    let bucket = scd2::bucket_of(&keys, buckets)?;
    let mut frame = DataFrame::new_infer_height(vec![keys.with_name("key".into()), bucket.into_column()])?;
    let height = frame.height();
    let datasource = Scalar::from(PlSmallStr::from_str(&load.datasource));
    frame.with_column(Column::new_scalar("datasource".into(), datasource, height))?;
    frame.with_column(Column::new_scalar("sequence".into(), Scalar::from(load.sequence as i64), height))?;
    Ok(frame)
}

/// Entries of the quarantine table for the rows of a load that failed, with all that bronze has of
/// them.
fn entries(
    scan: LazyFrame,
    failed: &DataFrame,
    load: &Manifest,
    now: chrono::DateTime<chrono::Utc>,
) -> Result<DataFrame> {
    let position = [col(POSITION)];
    let wanted = failed.clone().lazy().select([col(POSITION), col("key"), col("reasons")]);
    let rows = scan
        .rename(["key", "reasons"], ["key (source)", "reasons (source)"], false)
        .join(wanted, position.clone(), position, JoinArgs::new(JoinType::Inner))
        .sort([POSITION], SortMultipleOptions::default())
        .collect()?;
    let keys = rows.column("key")?.str()?.clone();
    let reasons = rows.column("reasons")?.str()?.clone();
    quarantine::entries(&rows.drop_many(["key", "reasons"]), &keys, &reasons, load, now)
}

impl Intake {
    /// Whether more rows failed than the entity's rules allow.
    pub(super) fn check_thresholds(&self, rulebook: &Rulebook) -> Result<()> {
        for count in &self.rules {
            let rule = rulebook.rules.iter().find(|rule| rule.id == count.rule);
            let Some(allowed) = rule.and_then(|rule| rule.max_failed_share) else { continue };
            check_share(&format!("rule `{}`", count.rule), &count.load_id, (count.failed, count.checked), allowed)?;
        }
        let Some(allowed) = rulebook.max_quarantined_share else { return Ok(()) };
        let error_counts = self.rules.iter().filter(|count| count.severity == Severity::Error.as_str());
        let mut loads: Vec<&str> = error_counts.map(|count| count.load_id.as_str()).collect();
        loads.dedup();
        for (load_id, tally) in loads.iter().zip(&self.tallies) {
            check_share("quarantine", load_id, (tally.quarantined, tally.read), allowed)?;
        }
        Ok(())
    }
}

fn check_share(what: &str, load_id: &str, (failed, checked): (u64, u64), allowed: f64) -> Result<()> {
    if checked == 0 || failed as f64 / checked as f64 <= allowed {
        return Ok(());
    }
    let message = format!("{what} took {failed} of {checked} rows of load {load_id}; allowed is a share of {allowed}");
    Err(StageError::ThresholdExceeded(message))
}
