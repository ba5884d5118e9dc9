//! Loads of bronze through the model and the rules.

use polars::prelude::*;
use rcm_domain::cdm::to_model;
use rcm_domain::quality::{Rulebook, assess};
use rcm_domain::scd2;
use rcm_model::cdm::{Entity, Mapping};
use rcm_model::event::RuleCount;
use rcm_platform::bronze::{MALFORMED, Manifest, POSITION};
use rcm_platform::context::Context;
use rcm_platform::error::{Result, StageError};

use super::extracts;
use super::order::Order;
use crate::delta::scan_parquet;
use crate::frames::blocking;
use crate::quarantine;

/// What some loads bring to an entity.
pub(super) struct Intake {
    /// The loads.
    pub loads: Vec<Manifest>,
    /// Their places: see [`Order::place`].
    pub places: Vec<i64>,
    /// One per stream that was not read to its end.
    pub refusals: Vec<Refusal>,
    /// Good rows as events, with their bucket.
    pub events: DataFrame,
    /// Rows for the quarantine table.
    pub quarantined: DataFrame,
    /// Keys of full extracts, rows in quarantine too: `key`, `bucket`, `datasource`, `sequence`, which is
    /// [`Order::place`].
    pub keys_seen: DataFrame,
    /// Rows per load, in the order of the loads.
    pub tallies: Vec<Tally>,
    pub rules: Vec<RuleCount>,
    /// Share of a load's rows that were quarantined, or would have been, at most.
    pub worst_share: Option<f64>,
}

/// Why a load could not be taken, and with it the rest of its stream was left out.
pub(super) struct Refusal {
    pub stream: String,
    pub error: StageError,
}

/// Rows of one load.
#[derive(Debug, Clone, Copy)]
pub(super) struct Tally {
    pub read: u64,
    pub quarantined: u64,
}

impl Tally {
    /// None of a load without rows.
    fn quarantined_share(self) -> Option<f64> {
        (self.read > 0).then(|| self.quarantined as f64 / self.read as f64)
    }
}

/// Where rows of a load go.
#[derive(Debug, Clone, Copy)]
struct Place {
    /// See [`Order::place`].
    of_load: i64,
    /// Buckets of the table.
    buckets: u32,
}

/// What one load brings.
struct LoadIntake {
    events: DataFrame,
    keys_seen: DataFrame,
    /// Entries of the quarantine table for the rows that failed.
    quarantined: Option<DataFrame>,
    tally: Tally,
    rules: Vec<RuleCount>,
}

/// Reads loads of bronze. One that does not hold what its mapping wants, or of which more rows fail
/// than may, ends the reading of its stream, and of no other.
///
/// # Errors
/// The store fails.
pub(super) async fn read(
    context: &Context,
    entity: &'static Entity,
    loads: Vec<Manifest>,
    rulebook: &Rulebook,
    (order, buckets): (&Order, u32),
) -> Result<Intake> {
    let (mut events, mut keys_seen, mut quarantined) = (Vec::new(), Vec::new(), Vec::new());
    let (mut taken, mut places, mut tallies, mut rules) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    let mut refusals: Vec<Refusal> = Vec::new();
    let mut worst_share: Option<f64> = None;
    for load in loads {
        if refusals.iter().any(|refusal| refusal.stream == load.stream) {
            continue;
        }
        let place = Place { of_load: order.place(&load), buckets };
        let outcome = match read_load(context, entity, &load, rulebook, place).await {
            Ok(found) => {
                rules.extend(found.rules.iter().cloned());
                worst_share = worst_share.into_iter().chain(found.tally.quarantined_share()).reduce(f64::max);
                check_thresholds(&found, &load, rulebook).map(|()| found)
            }
            Err(error) => Err(error),
        };
        match outcome {
            Ok(found) => {
                events.push(found.events.lazy());
                keys_seen.push(found.keys_seen.lazy());
                quarantined.extend(found.quarantined.map(IntoLazy::lazy));
                tallies.push(found.tally);
                places.push(place.of_load);
                taken.push(load);
            }
            Err(error) if error.is_retryable() => return Err(error),
            Err(error) => refusals.push(Refusal { stream: load.stream, error }),
        }
    }
    if taken.is_empty() {
        let [events, quarantined, keys_seen] = [DataFrame::empty(), DataFrame::empty(), DataFrame::empty()];
        return Ok(Intake {
            loads: taken,
            places,
            refusals,
            events,
            quarantined,
            keys_seen,
            tallies,
            rules,
            worst_share,
        });
    }
    quarantined.push(DataFrame::empty_with_schema(&quarantine::schema()).lazy());
    let all = |frames: Vec<LazyFrame>| -> Result<DataFrame> { Ok(concat(frames, UnionArgs::default())?.collect()?) };
    let frames = blocking(move || Ok((all(events)?, all(quarantined)?, all(keys_seen)?)));
    let (events, quarantined, keys_seen) = frames.await?;
    Ok(Intake { loads: taken, places, refusals, events, quarantined, keys_seen, tallies, rules, worst_share })
}

async fn scan(context: &Context, load: &Manifest) -> Result<LazyFrame> {
    scan_parquet(&context.lake, &load.data_files, ScanArgsParquet::default()).await
}

async fn read_load(
    context: &Context,
    entity: &'static Entity,
    load: &Manifest,
    rulebook: &Rulebook,
    place: Place,
) -> Result<LoadIntake> {
    let mapping = context.settings.mapping(&load.datasource)?.clone();
    let scan = scan(context, load).await?;
    let (rulebook, load, now) = (rulebook.clone(), load.clone(), context.now());
    blocking(move || {
        let raw = raw_rows(scan.clone(), entity, &mapping, &load)?;
        let (mut found, failed) = judge(raw, entity, &mapping, &rulebook, &load, place)?;
        found.quarantined = failed.map(|failed| entries(scan, &failed, &load, now)).transpose()?;
        Ok(found)
    })
    .await
}

/// The columns that the mapping names, and what bronze says of the rows.
fn raw_rows(mut scan: LazyFrame, entity: &Entity, mapping: &Mapping, load: &Manifest) -> Result<DataFrame> {
    let mut wanted: Vec<&str> = mapping.source_columns(entity.name).collect();
    wanted.sort_unstable();
    wanted.dedup();
    wanted.extend([POSITION, MALFORMED]);
    let stored = scan.collect_schema()?;
    if let Some(missing) = wanted.iter().find(|name| !stored.contains(name)) {
        let Manifest { stream, sequence, .. } = load;
        let message = format!("load {sequence} of `{stream}` has no column `{missing}`, which its mapping names");
        return Err(StageError::BrokenContract(message));
    }
    Ok(scan.select(wanted.into_iter().map(|name| col(PlSmallStr::from_str(name))).collect::<Vec<_>>()).collect()?)
}

/// What a load brings, its rows in quarantine aside: of those it answers keys, reasons and positions.
fn judge(
    raw: DataFrame,
    entity: &Entity,
    mapping: &Mapping,
    rulebook: &Rulebook,
    load: &Manifest,
    place: Place,
) -> Result<(LoadIntake, Option<DataFrame>)> {
    let model = to_model(&raw, entity, mapping, load.extracted_at)?;
    let malformed = raw.column(MALFORMED)?.is_not_null();
    let positions = raw.column(POSITION)?.i64()?.clone();
    let read = raw.height() as u64;
    // It is as large as what was made of it.
    drop(raw);
    let assessment = assess(&model, &malformed, entity, rulebook)?;
    let good = assessment.reasons.is_null();
    let are_all_good = good.all();
    let keys = model.column(entity.key)?.clone();

    let of_load = (place.of_load, load.load_id.as_str());
    let events = if are_all_good {
        scd2::events(&model, positions.clone(), entity, of_load, place.buckets)?
    } else {
        scd2::events(&model.filter(&good)?, positions.filter(&good)?, entity, of_load, place.buckets)?
    };
    let failed = if are_all_good {
        None
    } else {
        let frame = df!(
            "key" => keys.as_materialized_series().clone(),
            "reasons" => assessment.reasons.clone().into_series(),
            POSITION => positions.into_series(),
        )?;
        Some(frame.filter(&!&good)?)
    };
    let quarantined = failed.as_ref().map_or(0, |failed| failed.height() as u64);
    let rules = assessment.tallies.into_iter().map(|tally| RuleCount {
        entity: entity.name.to_owned(),
        rule: tally.rule,
        severity: tally.severity.as_str().to_owned(),
        load_id: load.load_id.clone(),
        checked: read,
        failed: tally.failed,
    });
    let found = LoadIntake {
        events: events.drop(rcm_domain::cdm::UNPARSEABLE)?,
        keys_seen: keys_seen(&keys, load, place)?,
        quarantined: None,
        tally: Tally { read, quarantined },
        rules: rules.collect(),
    };
    Ok((found, failed))
}

/// Keys of a full extract; nothing for any other load.
fn keys_seen(keys: &Column, load: &Manifest, place: Place) -> Result<DataFrame> {
    let keys = if extracts::is_one(load) { keys.drop_nulls() } else { keys.slice(0, 0) };
    let bucket = scd2::bucket_of(&keys, place.buckets)?;
    let mut frame = DataFrame::new_infer_height(vec![keys.with_name("key".into()), bucket.into_column()])?;
    let height = frame.height();
    let datasource = Scalar::from(PlSmallStr::from_str(&load.datasource));
    frame.with_column(Column::new_scalar("datasource".into(), datasource, height))?;
    frame.with_column(Column::new_scalar("sequence".into(), Scalar::from(place.of_load), height))?;
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
    let positions = failed.column(POSITION)?.as_materialized_series().clone();
    let rows = scan
        .filter(col(POSITION).is_in(lit(positions).implode(true), false))
        .rename(["key", "reasons"], ["key (source)", "reasons (source)"], false)
        .join(wanted, position.clone(), position, JoinArgs::new(JoinType::Inner))
        .sort([POSITION], SortMultipleOptions::default())
        .collect()?;
    let keys = rows.column("key")?.str()?.clone();
    let reasons = rows.column("reasons")?.str()?.clone();
    quarantine::entries(&rows.drop_many(["key", "reasons"]), &keys, &reasons, load, now)
}

/// Whether no more rows failed than the entity's rules allow.
fn check_thresholds(found: &LoadIntake, load: &Manifest, rulebook: &Rulebook) -> Result<()> {
    for count in &found.rules {
        let rule = rulebook.rules.iter().find(|rule| rule.id == count.rule);
        let Some(allowed) = rule.and_then(|rule| rule.max_failed_share) else { continue };
        check_share(&format!("rule `{}`", count.rule), &load.load_id, (count.failed, count.checked), allowed)?;
    }
    let Some(allowed) = rulebook.max_quarantined_share else { return Ok(()) };
    check_share("quarantine", &load.load_id, (found.tally.quarantined, found.tally.read), allowed)
}

fn check_share(what: &str, load_id: &str, (failed, checked): (u64, u64), allowed: f64) -> Result<()> {
    if checked == 0 || failed as f64 / checked as f64 <= allowed {
        return Ok(());
    }
    let message = format!("{what} took {failed} of {checked} rows of load {load_id}; allowed is a share of {allowed}");
    Err(StageError::ThresholdExceeded(message))
}
