//! The place of a load among all loads of its datasource.

use std::collections::{BTreeMap, HashMap};

use chrono::{DateTime, Utc};
use rcm_model::cdm::Entity;
use rcm_platform::bronze::{LoadLog, Manifest};
use rcm_platform::context::Context;
use rcm_platform::error::Result;

/// No stream has as many loads.
const LOADS_OF_A_STREAM: i64 = 1 << 40;

/// The place of a load among all loads of its datasource, which history is told by: its number in its stream,
/// after those of the streams that began before. A hospital that changed its system has two streams of one
/// table, each with numbers of its own.
#[derive(Debug, Clone, Default)]
pub(super) struct Order {
    /// How many streams of a datasource began before a stream.
    before: HashMap<(String, String), i64>,
}

impl Order {
    /// The order of an entity's streams. Nothing is read where no datasource has several.
    ///
    /// # Errors
    /// The store fails.
    pub(super) async fn of(context: &Context, entity: &Entity) -> Result<Self> {
        let mut order = Self::default();
        for (datasource, streams) in streams_by_datasource(context, entity) {
            if streams.len() < 2 {
                continue;
            }
            let mut began: Vec<(DateTime<Utc>, String)> = Vec::with_capacity(streams.len());
            for stream in streams {
                if let Some(first) = first_load(context, entity, &stream, &datasource).await? {
                    began.push((first.extracted_at, stream));
                }
            }
            began.sort();
            for (before, (_, stream)) in (0..).zip(began) {
                order.before.insert((datasource.clone(), stream), before);
            }
        }
        Ok(order)
    }

    pub(super) fn place(&self, load: &Manifest) -> i64 {
        let before = self.before.get(&(load.datasource.clone(), load.stream.clone())).copied().unwrap_or(0);
        before * LOADS_OF_A_STREAM + load.sequence as i64
    }
}

/// The first load of a datasource in a stream: in that of the tables of one hospital simply the first, in one
/// that several land in one of many.
async fn first_load(context: &Context, entity: &Entity, stream: &str, datasource: &str) -> Result<Option<Manifest>> {
    let log = LoadLog::new(&context.lake, stream);
    if stream != entity.name {
        return log.first().await;
    }
    Ok(log.after(0).await?.into_iter().find(|load| load.datasource == datasource))
}

fn streams_by_datasource(context: &Context, entity: &Entity) -> BTreeMap<String, Vec<String>> {
    let mut streams: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for row in context.settings.load_config.iter().filter(|row| row.entity() == entity.name) {
        streams.entry(row.datasource.clone()).or_default().push(row.stream());
    }
    if context.settings.sources.feeds.iter().any(|feed| feed.entity == entity.name) {
        for streams in streams.values_mut() {
            streams.push(entity.name.to_owned());
        }
    }
    streams
}
