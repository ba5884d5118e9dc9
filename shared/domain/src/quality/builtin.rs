//! Rules that hold for every entity and need no file.

use chrono::TimeDelta;
use polars::prelude::*;
use rcm_model::cdm::Entity;
use rcm_model::event::{Dimension, Severity};

use super::assess::{Check, LoadFacts, LoadNature, Shown};
use crate::cdm::{UNPARSEABLE, timestamp};

/// Column of the rows that says whether a record did not fit its file's header.
pub(super) const MALFORMED: &str = "malformed_record";
const KEY_MISSING: &str = "key_missing";
const KEY_LOOKS_MANGLED: &str = "key_looks_mangled";
const REPEATED_HEADER: &str = "repeated_header";
const TRAILER_ROW: &str = "trailer_row";
const MODIFIED_AT_MISSING: &str = "modified_at_missing";
const MODIFIED_IN_FUTURE: &str = "modified_in_future";
const UNPARSEABLE_VALUE: &str = "unparseable_value";
const UNREADABLE_VALUE: &str = "unreadable_value";
/// Column of the rows that names optional values that could not be read.
const UNREADABLE: &str = "unreadable";
/// Column of the verdicts with the reasons of a row.
pub(super) const REASONS: &str = "reasons";

/// Names of verdicts that no rule of a file may have.
pub(super) const RESERVED: [&str; 10] = [
    MALFORMED,
    KEY_MISSING,
    KEY_LOOKS_MANGLED,
    REPEATED_HEADER,
    TRAILER_ROW,
    MODIFIED_AT_MISSING,
    MODIFIED_IN_FUTURE,
    UNPARSEABLE_VALUE,
    UNREADABLE_VALUE,
    REASONS,
];

/// What a spreadsheet makes of a long number, of a formula that fails and of a column that is too narrow.
const MANGLED: &str = r"(?i)^(-?\d+([.,]\d+)?E\+\d+|#(REF!|N/A|VALUE!|NAME\?|DIV/0!|NUM!|NULL!)|##+)$";

/// Words in the key's place of a row that ends a file. A count may stand behind those that announce one, set
/// off from the word: `TOTAL 25` is a trailer and `TOTAL1234` an id.
const TRAILER: &str = concat!(
    r"(?i)^[-=*#\s]*(",
    r"((grand\s+|sub[\s-]?)?totals?|sum|(record|row|line)?\s*counts?|trailer|total\s+(records|rows|lines))",
    r"[-=*#\s]*((\s*[:=]\s*|\s+)[\d.,]+)?",
    r"|end(\s+of\s+(file|report|data))?|eof",
    r")[-=*#:\s]*$"
);

/// How far the modified time of a landed event may be ahead of its file's.
const AHEAD_OF_FILE: TimeDelta = TimeDelta::days(1);

/// What is asked of every row, whatever the rules of a file are.
pub(super) fn checks(rows: &DataFrame, entity: &Entity, load: &LoadFacts, shown: Shown) -> Vec<Check> {
    let well_formed = shown.well_formed();
    let unparseable = col(UNPARSEABLE).str().strip_chars_end(lit(" "));
    let modified_at_missing = col("src_modified_at").is_null().and(shown.is_unreadable("src_modified_at").not());
    let mut checks = vec![
        Check::new(MALFORMED, Severity::Error, col(MALFORMED)),
        Check::new(KEY_MISSING, Severity::Error, well_formed.clone().and(col(entity.key).is_null()))
            .about(Dimension::Completeness),
        Check::new(MODIFIED_AT_MISSING, Severity::Error, well_formed.clone().and(modified_at_missing))
            .about(Dimension::Completeness),
        Check {
            reason: concat_str([lit(format!("{UNPARSEABLE_VALUE}: ")), unparseable, lit("; ")], "", false),
            ..Check::new(UNPARSEABLE_VALUE, Severity::Error, col(UNPARSEABLE).neq(lit("")))
        },
    ];
    checks.extend(of_key(entity, load, &well_formed));
    checks.push(modified_in_future(load, well_formed));
    if rows.schema().contains(UNREADABLE) {
        checks.push(Check::new(UNREADABLE_VALUE, Severity::Warn, col(UNREADABLE).neq(lit(""))));
    }
    checks
}

/// What the source's own id of a row gives away: no row of data, or an id that a spreadsheet has changed.
fn of_key(entity: &Entity, load: &LoadFacts, well_formed: &Expr) -> [Check; 3] {
    let id = col(entity.id()).str().strip_chars(lit(NULL));
    let header = load.key_headers.iter().map(|name| name.trim().to_lowercase()).collect::<Vec<_>>().join("|");
    let repeated = if header.is_empty() { lit(false) } else { id.clone().str().to_lowercase().eq(lit(header)) };
    // A key of several columns has the word in the first.
    let first = if load.key_headers.len() > 1 { "|" } else { "" };
    let word = match first {
        "" => id.clone(),
        separator => id.clone().str().split(lit(separator)).list().first().str().strip_chars(lit(NULL)),
    };
    let fits = |text: Expr, pattern: &str| text.str().contains(lit(pattern.to_owned()), true);
    let check = |name, severity, fails| Check::new(name, severity, well_formed.clone().and(fails));
    [
        check(REPEATED_HEADER, Severity::Error, repeated),
        check(TRAILER_ROW, Severity::Error, fits(word, TRAILER)),
        check(KEY_LOOKS_MANGLED, Severity::Warn, fits(id, MANGLED)),
    ]
}

/// An event that is said to be of a time long after its file's would win over all that comes in between. An
/// extract is applied as of its own time, so there it only counts.
fn modified_in_future(load: &LoadFacts, well_formed: Expr) -> Check {
    let (severity, latest) = match load.nature {
        LoadNature::Extract => (Severity::Warn, load.extracted_at),
        LoadNature::Event => (Severity::Error, load.extracted_at + AHEAD_OF_FILE),
    };
    let latest = lit(latest.timestamp_micros()).cast(timestamp());
    let fails = well_formed.and(col("src_modified_at").gt(latest));
    Check::new(MODIFIED_IN_FUTURE, severity, fails).about(Dimension::Timeliness)
}

#[cfg(test)]
mod tests {
    use chrono::DateTime;
    use rcm_model::cdm::{CLAIMS, CPT_CODES, DEPARTMENTS, PROVIDERS};

    use super::super::assess::tests::{all_columns, rows};
    use super::super::{Assessment, Rulebook, assess};
    use super::*;

    fn assessed(entity: &Entity, columns: &DataFrame, headers: &[&str], nature: LoadNature) -> Assessment {
        let rows = rows(entity, columns);
        let malformed = BooleanChunked::full("m".into(), false, rows.height());
        let mapped = all_columns(entity);
        let extracted_at = DateTime::UNIX_EPOCH + TimeDelta::days(10);
        let load = LoadFacts { nature, extracted_at, columns: &mapped, key_headers: headers };
        assess(&rows, &malformed, entity, &Rulebook::default(), &load).unwrap()
    }

    fn of_id(entity: &Entity, headers: &[&str], id: &str) -> (Option<String>, u64) {
        let mut columns = df!(entity.id() => [id]).unwrap();
        columns.with_column(Column::new(entity.key.into(), [id])).unwrap();
        let found = assessed(entity, &columns, headers, LoadNature::Extract);
        let mangled = found.tallies.iter().find(|tally| tally.rule == KEY_LOOKS_MANGLED).unwrap().failed;
        (found.reasons.get(0).map(str::to_owned), mangled)
    }

    #[rstest::rstest]
    #[case("TOTAL")]
    #[case("totals")]
    #[case("Grand Total")]
    #[case("SUM")]
    #[case("COUNT")]
    #[case("END")]
    #[case("EOF")]
    #[case("TRAILER")]
    #[case("Record Count")]
    #[case("RECORD COUNT: 1,250")]
    #[case("Total: 123")]
    #[case("TOTAL 25")]
    #[case("Total:")]
    #[case("--- end ---")]
    #[case("END OF FILE")]
    fn a_row_whose_key_is_a_word_that_ends_files_is_quarantined(
        #[case] id: &str,
        #[values(&DEPARTMENTS, &PROVIDERS, &CPT_CODES, &CLAIMS)] entity: &Entity,
    ) {
        assert_eq!(of_id(entity, &["ID"], id), (Some(TRAILER_ROW.to_owned()), 0));
    }

    #[rstest::rstest]
    #[case("TOTAL1234")]
    #[case("SUM-25")]
    #[case("END25")]
    #[case("END 25")]
    #[case("ENDO")]
    #[case("COUNTY")]
    #[case("COUNT1")]
    #[case("DEPT001")]
    #[case("99213")]
    #[case("12E5")]
    #[case("#12")]
    #[case("--")]
    fn an_id_that_only_begins_like_a_trailer_or_looks_odd_is_an_id(#[case] id: &str) {
        assert_eq!(of_id(&DEPARTMENTS, &["DeptID"], id), (None, 0));
    }

    #[rstest::rstest]
    #[case(&["DeptID"], " deptid ", Some(REPEATED_HEADER))]
    #[case(&["DeptID"], "DeptID2", None)]
    #[case(&["TxID", "LineNo"], "TXID|LINENO", Some(REPEATED_HEADER))]
    #[case(&["TxID", "LineNo"], "Total|25", Some(TRAILER_ROW))]
    #[case(&["TxID", "LineNo"], "T1|25", None)]
    #[case(&[], "", None)]
    fn a_row_whose_key_is_its_own_header_is_quarantined(
        #[case] headers: &[&str],
        #[case] id: &str,
        #[case] expected: Option<&str>,
    ) {
        assert_eq!(of_id(&DEPARTMENTS, headers, id).0.as_deref(), expected);
    }

    #[rstest::rstest]
    #[case("1.23E+11")]
    #[case("1,23e+11")]
    #[case("#REF!")]
    #[case("#N/A")]
    #[case("####")]
    fn an_id_that_a_spreadsheet_has_changed_is_counted_and_kept(#[case] id: &str) {
        assert_eq!(of_id(&CLAIMS, &["ClaimID"], id), (None, 1));
    }

    #[rstest::rstest]
    #[case::before(LoadNature::Extract, -1, 0, None)]
    #[case::at(LoadNature::Extract, 0, 0, None)]
    #[case::of_an_extract(LoadNature::Extract, 1, 1, None)]
    #[case::of_an_event_within_a_day(LoadNature::Event, 24 * 3600, 0, None)]
    #[case::of_an_event(LoadNature::Event, 24 * 3600 + 1, 1, Some(MODIFIED_IN_FUTURE))]
    fn a_modified_time_after_the_load_warns_in_extracts_and_fails_in_events(
        #[case] nature: LoadNature,
        #[case] seconds: i64,
        #[case] failed: u64,
        #[case] reason: Option<&str>,
    ) {
        let modified = (10 * 24 * 3600 + seconds) * 1_000_000;
        let columns = df!("claim_key" => ["k"], "src_claim_id" => ["k"], "src_modified_at" => [modified]).unwrap();
        let found = assessed(&CLAIMS, &columns, &["ClaimID"], nature);
        let tally = found.tallies.iter().find(|tally| tally.rule == MODIFIED_IN_FUTURE).unwrap();
        assert_eq!((tally.failed, found.reasons.get(0)), (failed, reason));
    }

    #[test]
    fn optional_values_that_cannot_be_read_are_counted_where_the_model_names_them() {
        let mut rows = rows(&CLAIMS, &df!("claim_key" => ["k"], "src_claim_id" => ["k"]).unwrap());
        rows.with_column(Column::new(UNREADABLE.into(), ["src_inserted_at "])).unwrap();
        let malformed = BooleanChunked::full("m".into(), false, 1);
        let mapped = all_columns(&CLAIMS);
        let extracted_at = DateTime::UNIX_EPOCH;
        let load = LoadFacts { nature: LoadNature::Extract, extracted_at, columns: &mapped, key_headers: &["ID"] };
        let found = assess(&rows, &malformed, &CLAIMS, &Rulebook::default(), &load).unwrap();
        let tally = found.tallies.iter().find(|tally| tally.rule == UNREADABLE_VALUE).unwrap();
        assert_eq!((tally.failed, tally.severity, found.reasons.get(0)), (1, Severity::Warn, None));
    }
}
