//! The table of sources, `configs/emr/load_config.csv`.

use csv::{ReaderBuilder, StringRecord, Trim};
use serde::{Deserialize, Serialize};

/// Header of `load_config.csv`, letter for letter.
pub const HEADER: &str = "database,datasource,tablename,loadtype,watermark,is_active,targetpath";

/// One table of one hospital: a row of `load_config.csv`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LoadRow {
    pub database: String,
    pub datasource: String,
    /// Schema and table in the source, such as `dbo.patients`.
    pub tablename: String,
    pub loadtype: LoadType,
    /// Source column that an incremental load follows; empty for full loads.
    #[serde(default)]
    pub watermark: String,
    #[serde(default = "active")]
    pub is_active: bool,
    /// Folder below `bronze/`.
    pub targetpath: String,
}

fn active() -> bool {
    true
}

/// How much of a table one load takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum LoadType {
    Full,
    Incremental,
}

impl LoadRow {
    /// Table name without its schema and its brackets or quotes: the entity of the common data model.
    #[must_use]
    pub fn entity(&self) -> &str {
        let table = self.tablename.rsplit('.').next().unwrap_or(&self.tablename);
        let without = |open, close| table.strip_prefix(open)?.strip_suffix(close);
        without('[', ']').or_else(|| without('"', '"')).unwrap_or(table)
    }

    /// Bronze stream of the table, such as `hosa/patients`.
    #[must_use]
    pub fn stream(&self) -> String {
        format!("{}/{}", self.targetpath, self.entity())
    }
}

/// Why a line of `load_config.csv` cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum LoadConfigError {
    #[error("load_config.csv: the header must be `{HEADER}`")]
    Header,
    #[error("load_config.csv line {line}: {reason}")]
    Line { line: usize, reason: String },
}

/// Reads `load_config.csv`. Blank lines are passed over; every other line must be usable, since a
/// source that silently drops out of the plan is a hole in the receivables. A field may be in quotes.
///
/// # Errors
/// The header differs, or a line has another number of fields, an unknown load type, an
/// incremental load without a watermark, a path that leaves its folder, a stream that another line
/// has already, or a table of a datasource that another active line has: of two full loads of one
/// table, each would delete what the other brings.
pub fn parse(text: &str) -> Result<Vec<LoadRow>, LoadConfigError> {
    let text = text.trim_start_matches('\u{feff}');
    let (header, lines) = text.split_once('\n').unwrap_or((text, ""));
    if header.trim_end() != HEADER {
        return Err(LoadConfigError::Header);
    }
    let mut reader =
        ReaderBuilder::new().has_headers(false).flexible(true).trim(Trim::All).from_reader(lines.as_bytes());
    let mut rows: Vec<LoadRow> = Vec::new();
    let mut record = StringRecord::new();
    let mut start = 0;
    loop {
        let refused = |reason: String| LoadConfigError::Line { line: line_of(lines, start), reason };
        match reader.read_record(&mut record) {
            Ok(false) => return Ok(rows),
            Ok(true) => {}
            Err(error) => return Err(refused(error.to_string())),
        }
        let is_blank = record.len() == 1 && record.as_slice().is_empty();
        if !is_blank {
            let row = parse_record(&record).map_err(refused)?;
            check_repetition(&rows, &row).map_err(refused)?;
            rows.push(row);
        }
        start = reader.position().byte() as usize;
    }
}

/// The number in the file of the first line with anything in it from a place of the lines below the header on.
fn line_of(lines: &str, start: usize) -> usize {
    let rest = lines.get(start..).unwrap_or_default();
    let blank = rest.len() - rest.trim_start_matches(['\r', '\n']).len();
    2 + lines.get(..start + blank).unwrap_or_default().matches('\n').count()
}

fn check_repetition(earlier: &[LoadRow], row: &LoadRow) -> Result<(), String> {
    if earlier.iter().any(|other| other.stream() == row.stream()) {
        return Err(format!("the stream `{}` is on an earlier line already", row.stream()));
    }
    let is_same = |other: &LoadRow| other.datasource == row.datasource && other.entity() == row.entity();
    if row.is_active && earlier.iter().any(|other| other.is_active && is_same(other)) {
        let (entity, datasource) = (row.entity(), &row.datasource);
        return Err(format!("`{entity}` of datasource `{datasource}` is on an earlier active line already"));
    }
    Ok(())
}

fn parse_record(record: &StringRecord) -> Result<LoadRow, String> {
    let fields: Vec<&str> = record.iter().collect();
    let [database, datasource, tablename, loadtype, watermark, is_active, targetpath] = fields[..] else {
        return Err(format!("expected 7 fields, found {}", fields.len()));
    };
    let loadtype = match loadtype {
        "Full" => LoadType::Full,
        "Incremental" => LoadType::Incremental,
        other => return Err(format!("loadtype must be Full or Incremental, not `{other}`")),
    };
    if loadtype == LoadType::Incremental && watermark.is_empty() {
        return Err("an incremental load needs a watermark column".to_owned());
    }
    for (name, value) in [("datasource", datasource), ("targetpath", targetpath)] {
        if !is_path_segment(value) {
            return Err(format!("{name} must be letters, digits, `-` and `_`, not `{value}`"));
        }
    }
    let is_active = match is_active {
        "1" | "true" => true,
        "0" | "false" => false,
        other => return Err(format!("is_active must be 1 or 0, not `{other}`")),
    };
    Ok(LoadRow {
        database: database.to_owned(),
        datasource: datasource.to_owned(),
        tablename: tablename.to_owned(),
        loadtype,
        watermark: watermark.to_owned(),
        is_active,
        targetpath: targetpath.to_owned(),
    })
}

/// Whether a name is safe as one segment of a key: it cannot leave its folder or hide.
#[must_use]
pub fn is_path_segment(name: &str) -> bool {
    !name.is_empty() && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '-' || c == '_')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_names_its_entity_and_stream() {
        let text = format!("{HEADER}\r\ndb-a,hos-a,dbo.patients,Incremental,ModifiedDate,1,hosa\r\n");
        let rows = parse(&text).unwrap();
        assert_eq!(rows[0].entity(), "patients");
        assert_eq!(rows[0].stream(), "hosa/patients");
        assert!(rows[0].is_active);
    }

    #[test]
    fn a_table_name_may_be_in_brackets() {
        for name in ["[my.schema].[patients]", "\"\"\"my.schema\"\".\"\"patients\"\"\""] {
            let text = format!("{HEADER}\ndb-a,hos-a,{name},Full,,1,hosa\n");
            assert_eq!(parse(&text).unwrap()[0].stream(), "hosa/patients");
        }
    }

    #[rstest::rstest]
    #[case("db,hos-a,dbo.patients,Incremental,,1,hosa", "watermark")]
    #[case("db,hos-a,dbo.patients,Sometimes,x,1,hosa", "loadtype")]
    #[case("db,hos-a,dbo.patients,Full,,1,../hosa", "targetpath")]
    #[case("db,hos-a,dbo.patients,Full,,maybe,hosa", "is_active")]
    #[case("db,hos-a,dbo.patients", "7 fields")]
    fn a_line_that_cannot_be_used_is_named_with_its_reason(#[case] line: &str, #[case] expected: &str) {
        let error = parse(&format!("{HEADER}\n{line}\n")).unwrap_err().to_string();
        assert!(error.contains("line 2") && error.contains(expected), "{error}");
    }

    #[rstest::rstest]
    #[case("\"db, old\",hos-a,\"[my,schema].[patients]\",Full,,1,hosa", "db, old", "[my,schema].[patients]")]
    #[case("\"the \"\"old\"\" db\", hos-a , dbo.patients ,Full,\"\",1,hosa", "the \"old\" db", "dbo.patients")]
    fn a_field_may_be_in_quotes(#[case] line: &str, #[case] database: &str, #[case] tablename: &str) {
        let rows = parse(&format!("{HEADER}\r\n{line}\r\n")).unwrap();
        assert_eq!((rows[0].database.as_str(), rows[0].tablename.as_str()), (database, tablename));
    }

    #[rstest::rstest]
    #[case("\n\n", 4)]
    #[case("\r\n  \r\n\r\n", 5)]
    #[case("db,hos-a,dbo.patients,Full,,1,hosa\n\n", 4)]
    #[case("\"a\ndb\",hos-a,dbo.patients,Full,,1,hosa\n", 4)]
    fn blank_lines_are_passed_over_and_counted(#[case] before: &str, #[case] line: usize) {
        let error = parse(&format!("{HEADER}\n{before}db,hos-a\n")).unwrap_err();
        assert_eq!(error, LoadConfigError::Line { line, reason: "expected 7 fields, found 2".to_owned() });
    }

    #[test]
    fn a_quote_that_is_left_open_makes_no_row() {
        let error = parse(&format!("{HEADER}\n\"db,hos-a,dbo.patients,Full,,1,hosa\n")).unwrap_err().to_string();
        assert!(error.contains("line 2") && error.contains("7 fields"), "{error}");
    }

    #[rstest::rstest]
    #[case("\"database\",datasource,tablename,loadtype,watermark,is_active,targetpath")]
    #[case("Database,datasource,tablename,loadtype,watermark,is_active,targetpath")]
    fn another_header_is_refused(#[case] header: &str) {
        assert_eq!(parse(&format!("{header}\n")), Err(LoadConfigError::Header));
    }

    #[test]
    fn two_lines_of_one_stream_are_refused() {
        let line = "db,hos-a,dbo.patients,Full,,1,hosa";
        let error = parse(&format!("{HEADER}\n{line}\n{line}\n")).unwrap_err();
        assert!(error.to_string().contains("line 3"));
    }

    #[test]
    fn two_active_lines_of_one_table_of_a_datasource_are_refused() {
        let lines = |first: u8| {
            format!("{HEADER}\ndb,hos-a,dbo.patients,Full,,{first},hosa\ndb,hos-a,new.patients,Full,,1,hosa2\n")
        };
        let error = parse(&lines(1)).unwrap_err().to_string();
        assert!(error.contains("line 3") && error.contains("`patients` of datasource `hos-a`"), "{error}");
        assert_eq!(parse(&lines(0)).unwrap().len(), 2);
    }
}
