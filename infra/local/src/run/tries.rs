//! Reads the reports of failed tries from the lake.
//!
//! A failed function returns only its error. What it had loaded, committed and found before is in its report in the
//! lake.

use std::collections::BTreeSet;

use rcm_model::event::{Outcome, StageReport};
use rcm_platform::stage::REPORTS;
use rcm_platform::{Lake, StageError};

/// Returns the reports of the failed tries of some stages in a run, for each subject the oldest first. Returns none if
/// they cannot be read, because a run continues without them.
pub(super) async fn failed(lake: &Lake, run_id: &str, stages: &BTreeSet<&str>) -> Vec<StageReport> {
    if stages.is_empty() {
        return Vec::new();
    }
    match read(lake, run_id, stages).await {
        Ok(reports) => reports,
        Err(error) => {
            tracing::warn!(error = error.name(), message = %error, "the reports of failed tries cannot be read");
            Vec::new()
        }
    }
}

async fn read(lake: &Lake, run_id: &str, stages: &BTreeSet<&str>) -> Result<Vec<StageReport>, StageError> {
    let is_wanted = |name: &str| name.split_once("--").is_some_and(|(stage, _)| stages.contains(stage));
    let mut reports = Vec::new();
    // A name ends with the time of its report: the tries of a stage on a subject are listed in their order.
    for meta in lake.list(&format!("{REPORTS}/{run_id}")).await? {
        if !meta.location.filename().is_some_and(is_wanted) {
            continue;
        }
        let bytes = lake.get(meta.location.as_ref()).await?;
        let report: StageReport = serde_json::from_slice(&bytes)
            .map_err(|error| StageError::corrupt_lake(format!("`{}`: {error}", meta.location)))?;
        if report.error.is_some() {
            reports.push(report);
        }
    }
    Ok(reports)
}

/// Adds the work of failed tries to the report of a stage. If several tries report the same load, rule or check, the
/// last one counts: the next try ingests rows whose commit failed.
pub(super) fn add(report: &mut StageReport, tries: &[StageReport]) {
    let (stage, subject) = (report.stage.clone(), report.subject.clone());
    for tried in tries.iter().rev().filter(|tried| tried.stage == stage && tried.subject == subject) {
        put_before(&mut report.loads, &tried.loads, |a, b| a.load_id == b.load_id);
        put_before(&mut report.commits, &tried.commits, |a, b| a == b);
        put_before(&mut report.rules, &tried.rules, |a, b| {
            (&a.entity, &a.rule, &a.load_id) == (&b.entity, &b.rule, &b.load_id)
        });
        put_before(&mut report.checks, &tried.checks, |a, b| (&a.table, &a.check) == (&b.table, &b.check));
        put_before(&mut report.metrics, &tried.metrics, |a, b| (&a.name, &a.entity) == (&b.name, &b.entity));
        put_before(&mut report.notes, &tried.notes, |a, b| a == b);
        // The last try found the work of this try done.
        if report.outcome == Outcome::NothingNew && !(tried.loads.is_empty() && tried.commits.is_empty()) {
            report.outcome = Outcome::Done;
        }
    }
}

fn put_before<T: Clone>(later: &mut Vec<T>, earlier: &[T], is_same: impl Fn(&T, &T) -> bool) {
    let new: Vec<T> = earlier.iter().filter(|item| !later.iter().any(|known| is_same(known, item))).cloned().collect();
    later.splice(0..0, new);
}

#[cfg(test)]
mod tests {
    use rcm_model::event::{LoadCounts, StageTimes};
    use rcm_platform::Context;
    use rcm_platform::stage::{self, Failure, Work};
    use rcm_platform::testing::TestLake;

    use super::*;

    fn load(load_id: &str, read: u64) -> LoadCounts {
        LoadCounts { load_id: load_id.to_owned(), read, ..LoadCounts::default() }
    }

    async fn fails(context: &Context, stage: &str, loads: Vec<LoadCounts>) {
        let work = Work { loads, notes: vec!["drift".to_owned()], ..Work::default() };
        let failure = Failure { error: StageError::timeout("slow".to_owned()), work };
        stage::report(context, stage, "run", "claims", async { Err(failure) }).await.unwrap_err();
    }

    /// Returns the report that the function returned.
    fn ended(context: &Context, outcome: Outcome) -> StageReport {
        let times = StageTimes { started_at: context.now(), finished_at: context.now() };
        StageReport { outcome, ..StageReport::new("run", "silver-claims", "claims", times) }
    }

    #[tokio::test]
    async fn all_tries_of_a_stage_count_and_of_a_load_the_last_one_does() {
        let lake = TestLake::new();
        let context = lake.context().await;
        fails(&context, "silver-claims", vec![load("a", 3), load("b", 4)]).await;
        fails(&context, "silver-claims", vec![load("b", 5)]).await;
        fails(&context, "silver-patients", vec![load("c", 6)]).await;
        let tries = failed(&context.lake, "run", &BTreeSet::from(["silver-claims"])).await;
        let mut report = ended(&context, Outcome::Failed);
        add(&mut report, &tries);
        assert_eq!(report.loads, [load("a", 3), load("b", 5)]);
        assert_eq!((report.outcome, report.notes), (Outcome::Failed, vec!["drift".to_owned()]));
    }

    #[tokio::test]
    async fn a_try_that_finds_everything_done_by_the_one_before_is_not_told_as_nothing_new() {
        let lake = TestLake::new();
        let context = lake.context().await;
        fails(&context, "silver-claims", vec![load("a", 3)]).await;
        let tries = failed(&context.lake, "run", &BTreeSet::from(["silver-claims"])).await;
        let mut report = ended(&context, Outcome::NothingNew);
        add(&mut report, &tries);
        assert_eq!((report.outcome, report.loads), (Outcome::Done, vec![load("a", 3)]));
    }

    #[tokio::test]
    async fn a_run_goes_on_without_reports_that_cannot_be_read() {
        let lake = TestLake::new();
        let context = lake.context().await;
        context.lake.put(&format!("{REPORTS}/run/silver-claims--claims--1.json"), "no report").await.unwrap();
        assert!(failed(&context.lake, "run", &BTreeSet::from(["silver-claims"])).await.is_empty());
    }
}
