//! The walk through a release: breadth first, and resumed where a broken one ended.
//!
//! What was answered is kept in parts, objects that are written once, under
//! `bronze/icd_codes/_walk/`. Nothing else is: where a walk stands follows from its nodes.

use std::collections::{BTreeSet, HashMap, HashSet, VecDeque};

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

/// What a walk found.
pub(crate) struct Walked {
    /// Each once, breadth first.
    pub(crate) nodes: Vec<Node>,
    /// How many of them an earlier walk has asked for.
    pub(crate) resumed: usize,
    /// Codes that a node has below it and the API has no node for, in order.
    pub(crate) missing: BTreeSet<String>,
}

/// What the API answered for some codes.
#[derive(Default)]
struct Answers {
    found: Vec<(String, Node)>,
    missing: Vec<String>,
    /// Why it answered for no more of them.
    failed: Option<StageError>,
}

/// Walks the configured chapters.
///
/// # Errors
/// The API's own, and what it answered before is kept; it has no node for a configured chapter.
pub(crate) async fn walk(
    context: &Context,
    options: &Icd,
    release: &Release,
    progress: &str,
) -> Result<Walked, StageError> {
    let mut nodes = resume(context, progress).await?;
    let resumed = nodes.len();
    let mut missing = BTreeSet::new();
    loop {
        let (_, mut waiting) = breadth_first(&nodes, options);
        waiting.retain(|code| !missing.contains(code));
        if waiting.is_empty() {
            break;
        }
        for part in waiting.chunks(PART_NODES) {
            let answers = ask(release, part, options.http.concurrency.max(1)).await;
            keep(context, progress, &answers.found).await?;
            check_roots(&answers.missing, options)?;
            nodes.extend(answers.found);
            missing.extend(answers.missing);
            if let Some(error) = answers.failed {
                return Err(error);
            }
        }
    }
    let (order, _) = breadth_first(&nodes, options);
    let nodes = order.iter().filter_map(|code| nodes.remove(code)).collect();
    Ok(Walked { nodes, resumed, missing })
}

/// Codes that the walk starts from: the release's own is empty.
fn roots(options: &Icd) -> &[String] {
    const RELEASE: &[String] = &[String::new()];
    if options.chapters.is_empty() { RELEASE } else { &options.chapters }
}

/// Checks that the API has what the configuration names: nothing else says that it was ever there.
fn check_roots(missing: &[String], options: &Icd) -> Result<(), StageError> {
    match roots(options).iter().find(|root| missing.contains(root)) {
        Some(root) => Err(StageError::broken_contract(format!("ICD API: answers 404 for `{root}`"))),
        None => Ok(()),
    }
}

/// Codes of the nodes that are known, and of those that are still to be asked for.
fn breadth_first(nodes: &Nodes, options: &Icd) -> (Vec<String>, Vec<String>) {
    let mut queue: VecDeque<&String> = roots(options).iter().collect();
    let mut seen: HashSet<&String> = queue.iter().copied().collect();
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
async fn ask(release: &Release, codes: &[String], at_once: usize) -> Answers {
    let asked = codes.iter().cloned().map(|code| async move { (release.node(&code).await, code) });
    let mut asked = futures::stream::iter(asked.collect::<Vec<_>>()).buffered(at_once);
    let mut answers = Answers::default();
    while let Some((answer, code)) = asked.next().await {
        match answer {
            Ok(Some(node)) => answers.found.push((code, node)),
            Ok(None) => answers.missing.push(code),
            Err(error) => return Answers { failed: Some(error), ..answers },
        }
    }
    answers
}

async fn resume(context: &Context, progress: &str) -> Result<Nodes, StageError> {
    let mut nodes = Nodes::new();
    for meta in context.lake.list(progress).await? {
        let key = meta.location.as_ref();
        // One that is gone belongs to a walk that another run has finished meanwhile.
        let Some(part) = context.lake.get_if_exists(key).await? else { continue };
        let part: Vec<(String, Node)> =
            serde_json::from_slice(&part).map_err(|error| StageError::corrupt_lake(format!("`{key}`: {error}")))?;
        nodes.extend(part);
    }
    Ok(nodes)
}

async fn keep(context: &Context, progress: &str, answered: &[(String, Node)]) -> Result<(), StageError> {
    if answered.is_empty() {
        return Ok(());
    }
    let json =
        serde_json::to_vec(answered).map_err(|error| StageError::corrupt_lake(format!("writing JSON: {error}")))?;
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
