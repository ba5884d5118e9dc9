//! Prints the versions of one key.

use chrono::{DateTime, Utc};
use rcm_platform::load::printable;
use serde::Serialize;

use super::figures::{NONE, moment};
use super::table::{sections, table};

/// Mark before a value that differs from the previous version.
const CHANGED: &str = "* ";

/// Every version of one key.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct History {
    pub entity: String,
    pub key: String,
    /// Datasource of the key.
    pub datasource: String,
    /// Tracked columns, in the order of the values.
    pub columns: Vec<String>,
    /// Oldest first.
    pub versions: Vec<Version>,
    /// Rows of the key that failed a rule, oldest first.
    pub quarantined: Vec<QuarantinedRow>,
}

/// A row of a key that failed a rule. It is in quarantine and not a version of the key.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct QuarantinedRow {
    pub quarantined_at: DateTime<Utc>,
    /// Bronze stream, load and row number, such as `hosb/patients load 1 row 402`.
    pub place: String,
    /// The rules that it failed.
    pub reasons: String,
    /// `open`, unless somebody has changed the status in the table.
    pub status: String,
}

/// One version of a key: its attributes from one time until another.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Version {
    pub from: DateTime<Utc>,
    /// End of the version, exclusive; `None` while it is open.
    pub to: Option<DateTime<Utc>>,
    pub is_current: bool,
    /// The source had deleted the key when the version ended.
    pub is_deleted: bool,
    /// Load of the version.
    pub load_id: String,
    /// Value of each tracked column.
    pub values: Vec<Option<String>>,
    /// When the source said so.
    pub observations: Vec<Observation>,
}

/// A time at which a source said what a version says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Observation {
    /// Modified time of the source's row.
    pub modified_at: DateTime<Utc>,
    /// Since when the lake has the row.
    pub known_at: DateTime<Utc>,
    /// See [`rcm_tables::silver::ordinal`]; none of a version that has no observation.
    pub ordinal: Option<i64>,
    /// Stream and load, such as `claims/hos-a load 3`; empty where it is not known.
    pub load: String,
}

impl Version {
    /// Returns whether the version was never valid: it lost a tie of modified times, or is the event that deleted the
    /// key.
    pub(crate) fn is_empty(&self) -> bool {
        self.to == Some(self.from)
    }

    pub(crate) fn state(&self) -> &'static str {
        match self {
            _ if self.is_empty() && self.is_deleted => "deletion",
            _ if self.is_empty() => "lost a tie",
            _ if self.is_current => "current",
            _ if self.is_deleted => "deleted",
            _ => "",
        }
    }

    fn value(&self, column: usize) -> &str {
        self.values.get(column).and_then(Option::as_deref).unwrap_or(NONE)
    }
}

/// Returns the versions of a key as text: one line per version with the columns that changed, changes marked, and
/// below the columns that never changed.
#[must_use]
pub fn history(history: &History) -> String {
    let title = printable(&format!("{} {}", history.entity, history.key));
    if history.versions.is_empty() && history.quarantined.is_empty() {
        return format!("{title}\n  has no version: the lake does not have this key\n");
    }
    if history.versions.is_empty() {
        let title = format!("{title}\n  has no version: every row of this key failed a rule\n\n");
        return title + &sections(&[quarantined(&history.quarantined)]);
    }
    let (changing, steady): (Vec<usize>, Vec<usize>) =
        (0..history.columns.len()).partition(|&column| ever_changes(&history.versions, column));
    sections(&[versions(&title, history, &changing), unchanged(history, &steady), quarantined(&history.quarantined)])
}

fn quarantined(rows: &[QuarantinedRow]) -> String {
    let lines = rows
        .iter()
        .map(|row| vec![moment(row.quarantined_at), row.place.clone(), row.reasons.clone(), row.status.clone()]);
    table("In quarantine", &["since", "row", "failed", "status"], 4, lines.collect())
}

fn ever_changes(versions: &[Version], column: usize) -> bool {
    versions.windows(2).any(|pair| pair[0].values.get(column) != pair[1].values.get(column))
}

fn versions(title: &str, history: &History, changing: &[usize]) -> String {
    let mut header = vec!["", "from", "to", "state"];
    header.extend(changing.iter().map(|&column| history.columns[column].as_str()));
    header.push("load");
    let mut lines = Vec::with_capacity(history.versions.len());
    let mut before: Option<&Version> = None;
    for (index, version) in history.versions.iter().enumerate() {
        let mut line = vec![
            (index + 1).to_string(),
            moment(version.from),
            version.to.map_or_else(|| NONE.to_owned(), moment),
            version.state().to_owned(),
        ];
        line.extend(changing.iter().map(|&column| {
            let differs = before.is_some_and(|before| before.values.get(column) != version.values.get(column));
            format!("{}{}", if differs { CHANGED } else { "" }, version.value(column))
        }));
        line.push(version.load_id.clone());
        lines.push(line);
        // The next version is compared with the last version that was valid.
        if !version.is_empty() {
            before = Some(version);
        }
    }
    let columns = header.len();
    table(title, &header, columns, lines.into_iter().collect())
}

fn unchanged(history: &History, steady: &[usize]) -> String {
    let Some(version) = history.versions.last() else { return String::new() };
    let lines = steady.iter().map(|&column| vec![history.columns[column].clone(), version.value(column).to_owned()]);
    let title = if history.versions.len() == 1 { "Attributes" } else { "Never changed" };
    table(title, &["column", "value"], 2, lines.collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(day: u32) -> DateTime<Utc> {
        chrono::NaiveDate::from_ymd_opt(2024, 9, day).unwrap().and_time(chrono::NaiveTime::MIN).and_utc()
    }

    fn version(from: u32, to: Option<u32>, address: &str, phone: Option<&str>) -> Version {
        Version {
            from: at(from),
            to: to.map(at),
            is_current: to.is_none(),
            is_deleted: false,
            load_id: format!("load-{from}"),
            values: vec![Some("Corvane".to_owned()), Some(address.to_owned()), phone.map(str::to_owned)],
            observations: Vec::new(),
        }
    }

    fn of(versions: Vec<Version>) -> History {
        let columns = ["first_name", "address", "phone_number"].map(str::to_owned).to_vec();
        History {
            entity: "patients".to_owned(),
            key: "HOSP1-000001-hos-a".to_owned(),
            datasource: "hos-a".to_owned(),
            columns,
            versions,
            quarantined: Vec::new(),
        }
    }

    #[test]
    fn a_line_per_version_marks_what_changed() {
        let deleted = Version { is_deleted: true, ..version(9, Some(12), "2 Nowhere Road", Some("555-0102")) };
        let versions = vec![
            version(1, Some(5), "1 Figment Lane", None),
            version(5, Some(5), "1 Figment Lane", Some("555-0199")),
            version(5, Some(9), "1 Figment Lane", Some("555-0102")),
            deleted,
            version(20, None, "2 Nowhere Road", None),
        ];
        insta::assert_snapshot!(history(&of(versions)), @r"
        patients HOSP1-000001-hos-a
              from         to           state        address            phone_number   load
        ───────────────────────────────────────────────────────────────────────────────────────
          1   2024-09-01   2024-09-05                1 Figment Lane     –              load-1
          2   2024-09-05   2024-09-05   lost a tie   1 Figment Lane     * 555-0199     load-5
          3   2024-09-05   2024-09-09                1 Figment Lane     * 555-0102     load-5
          4   2024-09-09   2024-09-12   deleted      * 2 Nowhere Road   555-0102       load-9
          5   2024-09-20   –            current      2 Nowhere Road     * –            load-20

        Never changed
          column       value
        ───────────────────────
          first_name   Corvane
        ");
    }

    #[test]
    fn a_single_version_shows_its_attributes_below() {
        insta::assert_snapshot!(history(&of(vec![version(1, None, "1 Figment Lane", None)])), @r"
        patients HOSP1-000001-hos-a
              from         to   state     load
        ─────────────────────────────────────────
          1   2024-09-01   –    current   load-1

        Attributes
          column         value
        ────────────────────────────────
          first_name     Corvane
          address        1 Figment Lane
          phone_number   –
        ");
    }

    #[test]
    fn a_key_whose_rows_all_failed_is_shown_with_the_reasons() {
        let row = QuarantinedRow {
            quarantined_at: at(1),
            place: "hosa/patients load 1 row 7".to_owned(),
            reasons: "first_name_literal_null".to_owned(),
            status: "open".to_owned(),
        };
        insta::assert_snapshot!(history(&History { quarantined: vec![row], ..of(Vec::new()) }), @r"
        patients HOSP1-000001-hos-a
          has no version: every row of this key failed a rule

        In quarantine
          since        row                          failed                    status
        ─────────────────────────────────────────────────────────────────────────────
          2024-09-01   hosa/patients load 1 row 7   first_name_literal_null   open
        ");
    }

    #[test]
    fn an_unknown_key_is_said_to_be_unknown() {
        assert!(history(&of(Vec::new())).contains("does not have this key"));
    }
}
