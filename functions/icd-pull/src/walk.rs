//! The walk through a release: breadth first, and resumed where a broken one ended.
//!
//! What was answered is kept in parts, objects that are written once, under
//! `bronze/icd_codes/_walk/`. Nothing else is: where a walk stands follows from its nodes.

use std::collections::{HashMap, HashSet, VecDeque};

use futures::StreamExt;
use rcm_platform::config::Icd;
use rcm_platform::http::icd::{Node, Release};
use rcm_platform::lake::ICD_WALKS;
use rcm_platform::{Context, StageError, stage};
use tracing::warn;
use xxhash_rust::xxh3::xxh3_64;

/// Nodes per part: what a broken walk asks for again at most.
const PART_NODES: usize = 200;

/// Nodes by the code that they were asked by.
type Nodes = HashMap<String, Node>;

/// Where the parts of a walk are kept. A walk after another load, or of something else, has a folder
/// of its own, so that parts that were left behind are never taken for new ones.
pub(crate) fn progress_folder(options: &Icd, last_sequence: u64) -> String {
    let Icd { base_url, release, language, chapters, .. } = options;
    let what = format!("{base_url}\n{release}\n{language}\n{}", chapters.join("\n"));
    format!("{ICD_WALKS}/{last_sequence:020}-{:016x}", xxh3_64(what.as_bytes()))
}

/// Walks the configured chapters. Answers all nodes, each once and breadth first, and how many of
/// them an earlier walk has asked for.
///
/// # Errors
/// The API's own; what it answered before is kept.
pub(crate) async fn walk(
    context: &Context,
    options: &Icd,
    release: &Release,
    progress: &str,
) -> Result<(Vec<Node>, usize), StageError> {
    let mut nodes = resume(context, progress).await?;
    let resumed = nodes.len();
    loop {
        let (_, waiting) = breadth_first(&nodes, options);
        if waiting.is_empty() {
            break;
        }
        for part in waiting.chunks(PART_NODES) {
            let (answered, failed) = ask(release, part, options.http.concurrency.max(1)).await;
            keep(context, progress, &answered).await?;
            nodes.extend(answered);
            if let Some(error) = failed {
                return Err(error);
            }
        }
    }
    let (order, _) = breadth_first(&nodes, options);
    Ok((order.iter().filter_map(|code| nodes.remove(code)).collect(), resumed))
}

/// Codes of the nodes that are known, and of those that are still to be asked for.
fn breadth_first(nodes: &Nodes, options: &Icd) -> (Vec<String>, Vec<String>) {
    let release = [String::new()];
    let roots = if options.chapters.is_empty() { &release[..] } else { &options.chapters };
    let mut queue: VecDeque<&String> = roots.iter().collect();
    let mut seen: HashSet<&String> = roots.iter().collect();
    let (mut known, mut waiting) = (Vec::new(), Vec::new());
    while let Some(code) = queue.pop_front() {
        let Some(node) = nodes.get(code) else {
            waiting.push(code.clone());
            continue;
        };
        known.push(code.clone());
        queue.extend(node.children.iter().filter(|child| seen.insert(child)));
    }
    (known, waiting)
}

/// What the API answers, up to its first failure.
async fn ask(release: &Release, codes: &[String], at_once: usize) -> (Vec<(String, Node)>, Option<StageError>) {
    let asked = codes.iter().cloned().map(|code| async move {
        let node = release.node(&code).await?;
        Ok((code, node))
    });
    let mut answers = futures::stream::iter(asked.collect::<Vec<_>>()).buffered(at_once);
    let mut answered = Vec::with_capacity(codes.len());
    while let Some(answer) = answers.next().await {
        match answer {
            Ok(node) => answered.push(node),
            Err(error) => return (answered, Some(error)),
        }
    }
    (answered, None)
}

async fn resume(context: &Context, progress: &str) -> Result<Nodes, StageError> {
    let mut nodes = Nodes::new();
    for meta in context.lake.list(progress).await? {
        let key = meta.location.as_ref();
        let part: Vec<(String, Node)> = serde_json::from_slice(&context.lake.get(key).await?)
            .map_err(|error| StageError::CorruptLake(format!("`{key}`: {error}")))?;
        nodes.extend(part);
    }
    Ok(nodes)
}

async fn keep(context: &Context, progress: &str, answered: &[(String, Node)]) -> Result<(), StageError> {
    if answered.is_empty() {
        return Ok(());
    }
    let json =
        serde_json::to_vec(answered).map_err(|error| StageError::CorruptLake(format!("writing JSON: {error}")))?;
    context.lake.put(&format!("{progress}/{}.json", stage::new_id(context.now())), json).await
}

/// Removes the parts of a walk that has become a load. One that stays is never read again.
pub(crate) async fn forget(context: &Context, progress: &str) {
    let removed = async {
        for meta in context.lake.list(progress).await? {
            context.lake.delete(meta.location.as_ref()).await?;
        }
        Ok::<(), StageError>(())
    };
    if let Err(error) = removed.await {
        warn!(error = error.name(), "parts of a finished walk are left behind");
    }
}
