//! What is decided about entries of a quarantine table, and reasons of today.

use std::collections::BTreeMap;

use polars::prelude::*;
use rcm_domain::cdm::timestamp;
use rcm_model::event::TableCommit;
use rcm_platform::context::Context;
use rcm_platform::error::Result;

use super::{BY_CORRECTION, BY_REPLAY, DECISIONS, DISCARDED, FileChange, OPEN, RESOLVED, commit_with, schema};
use crate::delta::{self, Table, retry_on_conflict};
use crate::desk::{Action, Decision};
use crate::frames::{blocking, conform};

/// Changes of the open entries of a table. Entries that are not open stay as they are.
#[derive(Debug, Clone, Default)]
pub struct Settled {
    /// The decision that settles entries; none where only reasons change.
    pub decision: Option<Decision>,
    /// Other reasons that entries fail for today, by fingerprint.
    pub reasons: BTreeMap<String, String>,
}

impl Settled {
    /// The changes as a frame: `fingerprint`, `new_status`, `new_reasons`.
    fn changes(&self) -> Result<DataFrame> {
        let status = self.decision.as_ref().and_then(|decision| match decision.action {
            Action::Replay | Action::Correct => Some(RESOLVED),
            Action::Discard => Some(DISCARDED),
            Action::Export | Action::Show => None,
        });
        let decided = self.decision.iter().flat_map(|decision| &decision.fingerprints).filter(|_| status.is_some());
        let mut rows: BTreeMap<&str, (Option<&str>, Option<&str>)> = BTreeMap::new();
        for fingerprint in decided {
            rows.entry(fingerprint).or_default().0 = status;
        }
        for (fingerprint, reasons) in &self.reasons {
            rows.entry(fingerprint).or_default().1 = Some(reasons);
        }
        let (statuses, reasons): (Vec<_>, Vec<_>) = rows.values().copied().unzip();
        let fingerprints: Vec<&str> = rows.into_keys().collect();
        Ok(df!("fingerprint" => fingerprints, "new_status" => statuses, "new_reasons" => reasons)?)
    }

    /// Columns that the decision sets in the entries that it settles.
    fn columns(&self) -> Vec<Expr> {
        let Some(decision) = &self.decision else { return Vec::new() };
        let resolution = match decision.action {
            Action::Replay => lit(BY_REPLAY),
            Action::Correct => lit(BY_CORRECTION),
            Action::Discard | Action::Export | Action::Show => lit(NULL).cast(DataType::String),
        };
        let why = decision.why.clone().map_or_else(|| lit(NULL).cast(DataType::String), lit);
        let set = [
            ("resolution", resolution),
            ("decision", lit(decision.number as i64)),
            ("decided_by", lit(decision.who.clone())),
            ("why", why),
            ("decided_at", lit(decision.at.timestamp_micros()).cast(timestamp())),
        ];
        set.into_iter()
            .map(|(name, value)| when(col("new_status").is_not_null()).then(value).otherwise(col(name)).alias(name))
            .collect()
    }
}

/// Changes open entries of the table at `path`, in one commit; none where nothing changes. Only files with such entries
/// are written anew.
///
/// # Errors
/// The store fails, or other runs kept committing.
pub async fn settle(context: &Context, path: &str, settled: &Settled, run_id: &str) -> Result<Option<TableCommit>> {
    let changes = settled.changes()?;
    if changes.height() == 0 {
        return Ok(None);
    }
    retry_on_conflict(|| async {
        let Some(table) = Table::open_with(&context.lake, path, &schema()).await? else { return Ok(None) };
        let mut change = FileChange { add: Vec::new(), remove: Vec::new() };
        for file in table.files() {
            let entries = table.scan(std::slice::from_ref(file)).await?;
            let concerned = concerned(entries.clone(), changes.clone());
            if blocking(move || Ok(concerned.collect()?.height())).await? == 0 {
                continue;
            }
            let (settled, changes, now) = (settled.clone(), changes.clone(), context.now().timestamp_micros());
            let entries = blocking(move || after(entries, changes, &settled, now)).await?;
            change.add.push(delta::write(context, path, &entries, &[]).await?);
            change.remove.push(file.clone());
        }
        if change.add.is_empty() {
            return Ok(None);
        }
        let decision = settled.decision.as_ref().map(|decision| (DECISIONS.to_owned(), decision.number as i64));
        commit_with(context, path, Some(&table), change, decision.into_iter().collect(), run_id).await.map(Some)
    })
    .await
}

/// The open entries that really change.
fn concerned(entries: LazyFrame, changes: DataFrame) -> LazyFrame {
    let id = [col("fingerprint")];
    entries
        .filter(col("status").eq(lit(OPEN)))
        .select([col("fingerprint"), col("reasons")])
        .join(changes.lazy(), id.clone(), id, JoinArgs::new(JoinType::Inner))
        .filter(col("new_status").is_not_null().or(col("new_reasons").neq(col("reasons"))))
}

/// The entries of a file after a change.
fn after(entries: LazyFrame, changes: DataFrame, settled: &Settled, now: i64) -> Result<DataFrame> {
    let concerned = concerned(entries.clone(), changes).drop(by_name(["reasons"], true, false));
    let concerned = concerned.with_column(lit(true).alias("changes"));
    let id = [col("fingerprint")];
    let columns: Vec<Expr> = schema().iter_names().map(|name| col(name.clone())).collect();
    let updated = when(col("changes")).then(lit(now).cast(timestamp())).otherwise(col("updated_at"));
    let mut set = vec![
        coalesce(&[col("new_status"), col("status")]).alias("status"),
        coalesce(&[col("new_reasons"), col("reasons")]).alias("reasons"),
        updated.alias("updated_at"),
    ];
    set.extend(settled.columns());
    let entries = entries.join(concerned, id.clone(), id, JoinArgs::new(JoinType::Left));
    let entries = entries.with_columns(set).select(columns).sort(["fingerprint"], SortMultipleOptions::default());
    conform(&entries.collect()?, &schema())
}

#[cfg(test)]
mod tests {
    use rcm_platform::testing::TestLake;

    use super::super::tests::{entries, make, table};
    use super::super::{Replacement, replace};
    use super::*;

    const PATH: &str = "quarantine/things";

    /// Status and resolution of the entries, in the order of their fingerprints.
    async fn statuses(context: &Context) -> Vec<String> {
        let table = table(context, PATH).await;
        let rows = table.scan(table.files()).await.unwrap().sort(["fingerprint"], SortMultipleOptions::default());
        let rows = blocking(move || Ok(rows.collect()?)).await.unwrap();
        let of = |name: &str, row: usize| rows.column(name).unwrap().str().unwrap().get(row).unwrap_or("-").to_owned();
        (0..rows.height()).map(|row| format!("{} {}", of("status", row), of("resolution", row))).collect()
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn open_entries_are_settled_once_and_those_that_fail_again_in_a_rebuild_are_open_again() {
        let context = TestLake::new().context().await;
        let all = entries(0..4, "open");
        let mut fingerprints: Vec<String> =
            all.column("fingerprint").unwrap().str().unwrap().iter().flatten().map(str::to_owned).collect();
        fingerprints.sort_unstable();
        make(&context, PATH, &all).await;
        let settled = |action, row: usize| {
            let decision = Decision {
                number: row as u64 + 1,
                entity: "things".to_owned(),
                action,
                who: "somebody".to_owned(),
                why: None,
                at: context.now(),
                run_id: "run".to_owned(),
                rulebook: String::new(),
                fingerprints: vec![fingerprints[row].clone()],
            };
            let reasons = BTreeMap::from([(fingerprints[3].clone(), "another".to_owned())]);
            Settled { decision: Some(decision), reasons }
        };
        for (row, action) in [Action::Replay, Action::Discard, Action::Correct].into_iter().enumerate() {
            for is_new in [true, false] {
                let committed = settle(&context, PATH, &settled(action, row), "run").await.unwrap();
                assert_eq!(committed.is_some(), is_new, "{action:?}");
            }
        }
        // Decided entries are not decided about again.
        assert_eq!(settle(&context, PATH, &settled(Action::Discard, 0), "run").await.unwrap(), None);
        let decided = ["resolved replay", "discarded -", "resolved correction", "open -"];
        assert_eq!(statuses(&context).await, decided);

        make(&context, "quarantine/found", &all).await;
        let found = table(&context, "quarantine/found").await;
        for (corrected, last) in [(vec![fingerprints[2].clone()], "resolved correction"), (Vec::new(), "open -")] {
            let Replacement { commit, open_gone } =
                replace(&context, PATH, Some(&found), &corrected, "run").await.unwrap();
            assert!(commit.is_some() && open_gone == 0);
            assert_eq!(statuses(&context).await, ["open -", "discarded -", last, "open -"]);
        }
    }
}
