use std::fs;

use arrow_array::{Array, Int64Array, RecordBatch, StringArray};
use bytes::Bytes;
use chrono::TimeZone;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use rcm_model::cdm::Mapping;
use rstest::rstest;
use tempfile::TempDir;

use super::*;
use crate::bronze::{MALFORMED, POSITION};
use crate::bronze_file::tests::{Trouble, Unreliable};
use crate::error::ErrorKind;

const KEY: &str = "bronze/x/data/1.parquet";

/// A file that was streamed: what was found and the batches that lie in the lake.
pub(super) struct Streamed {
    pub(super) found: CsvSummary,
    batches: Vec<RecordBatch>,
}

impl Streamed {
    pub(super) fn texts(&self, column: &str) -> Vec<Option<String>> {
        let of_batch = |batch: &RecordBatch| {
            let texts = batch.column_by_name(column).unwrap().as_any().downcast_ref::<StringArray>().unwrap().clone();
            texts.iter().map(|text| text.map(str::to_owned)).collect::<Vec<_>>()
        };
        self.batches.iter().flat_map(of_batch).collect()
    }

    fn positions(&self) -> Vec<i64> {
        let of_batch = |batch: &RecordBatch| {
            let column = batch.column_by_name(POSITION).unwrap();
            column.as_any().downcast_ref::<Int64Array>().unwrap().values().to_vec()
        };
        self.batches.iter().flat_map(of_batch).collect()
    }
}

fn lake(folder: &TempDir) -> Lake {
    Lake::open(url::Url::from_directory_path(folder.path()).unwrap().as_str()).unwrap()
}

pub(super) fn wanted(columns: &[&str]) -> Wanted {
    Wanted { columns: columns.iter().map(|&column| column.to_owned()).collect(), ..Wanted::default() }
}

async fn stream_wanted(content: &[u8], wanted: Wanted) -> Result<Streamed> {
    stream_dialect(content, wanted, Dialect::default()).await
}

pub(super) async fn stream_dialect(content: &[u8], wanted: Wanted, dialect: Dialect) -> Result<Streamed> {
    let folder = tempfile::tempdir().unwrap();
    let lake = lake(&folder);
    lake.put("landing/x/x.csv", content.to_vec()).await.unwrap();
    let csv = Csv::in_lake(&lake, Path::from("landing/x/x.csv"), "x.csv".to_owned()).with_dialect(dialect);
    let streamed = to_parquet(&csv, wanted, &lake, KEY).await;
    if streamed.is_err() {
        assert_eq!(lake.list("bronze").await.unwrap(), [], "a failure leaves nothing behind");
    }
    let found = streamed?;
    assert_eq!(found.content_hash, content_hash(&csv).await.unwrap());
    let bytes = Bytes::from(fs::read(lake.local_path(KEY).unwrap()).unwrap());
    let batches = ParquetRecordBatchReaderBuilder::try_new(bytes).unwrap().build().unwrap();
    Ok(Streamed { found, batches: batches.map(|batch| batch.unwrap()).collect() })
}

async fn stream(content: impl AsRef<[u8]>) -> Result<Streamed> {
    stream_wanted(content.as_ref(), wanted(&["id", "name"])).await
}

pub(super) async fn refusal(content: impl AsRef<[u8]>) -> String {
    match stream(content).await {
        Err(error) if error.kind() == ErrorKind::BrokenContract => error.message().to_owned(),
        Err(other) => panic!("expected a broken contract, got {other}"),
        Ok(streamed) => panic!("expected a broken contract, got {} rows", streamed.found.rows),
    }
}

#[rstest]
#[case::plain("id,name\n1,Ann\n2,Bob\n")]
#[case::windows_lines("id,name\r\n1,Ann\r\n2,Bob\r\n")]
#[case::old_mac_lines("id,name\r1,Ann\r2,Bob\r")]
#[case::no_final_newline("id,name\n1,Ann\n2,Bob")]
#[case::byte_order_mark("\u{feff}id,name\n1,Ann\n2,Bob\n")]
#[case::byte_order_mark_before_a_quote("\u{feff}\"id\",name\n1,Ann\n2,Bob\n")]
#[case::quotes("\"id\",\"name\"\n\"1\",\"Ann\"\n\"2\",\"Bob\"")]
#[case::blanks_around_names(" id , name\n1,Ann\n2,Bob\n")]
#[case::blank_lines("\n\nid,name\n\n1,Ann\n\n\n2,Bob\n\n")]
#[case::columns_in_another_order("name,id\nAnn,1\nBob,2\n")]
#[case::a_column_more("id,extra,name\n1,,Ann\n2,x,Bob\n")]
#[tokio::test]
async fn every_way_of_writing_a_file_gives_the_same_rows(#[case] content: &str) {
    let streamed = stream(content).await.unwrap();
    assert_eq!(streamed.texts("id"), [Some("1".to_owned()), Some("2".to_owned())]);
    assert_eq!(streamed.texts("name"), [Some("Ann".to_owned()), Some("Bob".to_owned())]);
    assert_eq!(streamed.texts(MALFORMED), [None, None]);
    assert_eq!(streamed.positions(), [1, 2]);
    assert_eq!((streamed.found.rows, streamed.found.malformed), (2, 0));
}

#[rstest]
#[case("id,name\n1,\"Ann, the 2nd\"\n", "Ann, the 2nd")]
#[case("id,name\n1,\"Ann\nof two lines\"\n", "Ann\nof two lines")]
#[case("id,name\n1,\"Ann \"\"A\"\" B\"\n", "Ann \"A\" B")]
#[case("id,name\n1,  Ann \n", "  Ann ")]
#[case("id,name\n1,\n", "")]
#[case("id,name\n1,5\" pipe\n", "5\" pipe")]
#[case("id,name\n1,Zoë\n", "Zoë")]
#[tokio::test]
async fn a_field_stays_as_it_is_written(#[case] content: &str, #[case] expected: &str) {
    assert_eq!(stream(content).await.unwrap().texts("name"), [Some(expected.to_owned())]);
}

#[rstest]
#[case::too_few(b"id,name\n1\n2,Bob\n", r#"["1"]"#)]
#[case::too_many(b"id,name\n1,Ann,x\n2,Bob\n", r#"["1","Ann","x"]"#)]
#[case::not_utf8(b"id,name\n1,Zo\xEB\n2,Bob\n", r#"["1","Zoë"]"#)]
#[tokio::test]
async fn a_record_that_does_not_fit_is_kept_as_a_list_and_the_file_goes_on(
    #[case] content: &[u8],
    #[case] expected: &str,
) {
    let streamed = stream(content).await.unwrap();
    assert_eq!(streamed.texts("id"), [None, Some("2".to_owned())]);
    assert_eq!(streamed.texts("name"), [None, Some("Bob".to_owned())]);
    assert_eq!(streamed.texts(MALFORMED), [Some(expected.to_owned()), None]);
    assert_eq!(streamed.positions(), [1, 2]);
    assert_eq!((streamed.found.rows, streamed.found.malformed), (2, 1));
}

#[rstest]
#[case::within_a_record("id,name\n1,Ann\n2", r#"["2"]"#)]
#[case::within_quotes("id,name\n1,Ann\n2,\"Bo", r#"["2","Bo"]"#)]
#[case::within_quotes_at_a_line_end("id,name\n1,Ann\n2,\"Bo\n", r#"["2","Bo\n"]"#)]
#[tokio::test]
async fn a_file_that_was_cut_off_ends_with_a_malformed_record(#[case] content: &str, #[case] expected: &str) {
    let streamed = stream(content).await.unwrap();
    assert_eq!(streamed.texts("id"), [Some("1".to_owned()), None]);
    assert_eq!(streamed.texts(MALFORMED), [None, Some(expected.to_owned())]);
}

#[rstest]
#[case::over_whole_lines(
    "id,a,name\n1,x,Ann\n2,\"x,Bob\n3,x,Cy\n4,x\",Di\n5,x,Ed\n",
    &[r#"["2","x","Bob"]"#, r#"["3","x","Cy"]"#, r#"["4","x","Di"]"#]
)]
#[case::windows_lines("id,a,name\r\n1,x,Ann\r\n2,\"x,Bob\r\n3,x,Cy\"\r\n5,x,Ed\r\n", &[r#"["2","x","Bob"]"#, r#"["3","x","Cy"]"#])]
#[case::closed_by_another_columns_quote(
    "id,a,name\n1,x,Ann\n2,\"x,Bob\n3,x,Cy\n4,x,\"Di\"\n5,x,Ed\n",
    &[r#"["2","x","Bob"]"#, r#"["3","x","Cy"]"#, r#"["4","x","Di\""]"#]
)]
#[case::on_the_next_line("id,a,name\n1,x,Ann\n2,\"x,Bob\n3\",x,Cy\n5,x,Ed\n", &[r#"["2","x","Bob"]"#, r#"["3","x","Cy"]"#])]
#[tokio::test]
async fn a_stray_quote_costs_only_the_lines_that_it_holds_together(#[case] content: &str, #[case] lines: &[&str]) {
    let streamed = stream(content).await.unwrap();
    let malformed: Vec<String> = streamed.texts(MALFORMED).into_iter().flatten().collect();
    assert_eq!(malformed, lines);
    let ids: Vec<String> = streamed.texts("id").into_iter().flatten().collect();
    assert_eq!(ids, ["1", "5"]);
    let rows = lines.len() as i64 + 2;
    assert_eq!(streamed.positions(), (1..=rows).collect::<Vec<i64>>());
    assert_eq!((streamed.found.rows, streamed.found.malformed), (rows as u64, lines.len() as u64));
}

#[rstest]
#[case::no_final_newline("id,name\n1,Ann\n2,\"Bob\n3,Cy")]
#[case::final_newline("id,name\n1,Ann\n2,\"Bob\n3,Cy\n")]
#[tokio::test]
async fn a_stray_quote_that_is_never_closed_makes_a_malformed_record_of_each_line(#[case] content: &str) {
    let streamed = stream(content).await.unwrap();
    let expected = [None, Some(r#"["2","Bob"]"#.to_owned()), Some(r#"["3","Cy"]"#.to_owned())];
    assert_eq!(streamed.texts(MALFORMED), expected);
    assert_eq!(streamed.positions(), [1, 2, 3]);
}

#[rstest]
#[case::an_address("id,name,city\n1,\"12 Main St\nSuite 4\nAtlanta, GA\",x\n")]
#[case::text_with_commas("id,name\n1,\"Ann\nof, two\nlines\"\n")]
#[case::one_more_line("id,name\n1,\"Ann\nBob\"\n")]
#[case::a_blank_line("id,name\n1,\"Ann\n\nBob\"\n")]
#[tokio::test]
async fn text_of_several_lines_that_was_meant_stays_one_record(#[case] content: &str) {
    let streamed = stream(content).await.unwrap();
    assert_eq!((streamed.found.rows, streamed.found.malformed), (1, 0));
}

#[tokio::test]
async fn text_of_several_lines_in_the_only_column_stays_one_record() {
    let streamed = stream_wanted(b"id\n\"a\nb\nc\"\n", wanted(&["id"])).await.unwrap();
    assert_eq!((streamed.found.rows, streamed.found.malformed), (1, 0));
}

#[tokio::test]
async fn a_file_with_only_a_header_has_no_rows() {
    let streamed = stream("id,name").await.unwrap();
    assert_eq!((streamed.found.rows, streamed.found.malformed), (0, 0));
    assert_eq!(streamed.found.columns, ["id", "name"]);
}

#[rstest]
#[case::empty("", "`x.csv` is empty")]
#[case::only_a_byte_order_mark("\u{feff}", "`x.csv` is empty")]
#[case::only_blank_lines("\n\r\n\n", "`x.csv` is empty")]
#[case::missing_column("id,nome\n1,Ann\n", "`x.csv` lacks the column `name`")]
#[case::missing_columns("a,b\n1,Ann\n", "`x.csv` lacks the columns `id`, `name`")]
#[case::no_header("1,Ann\n2,Bob\n", "`x.csv` lacks the columns `id`, `name`")]
#[case::same_name_twice("id,name,id\n1,Ann,1\n", "`x.csv` has the same name for columns 1 and 3 in its header")]
#[case::no_name("id,name, \n1,Ann,1\n", "`x.csv` has no name for column 3 in its header")]
#[case::open_quote("id,\"name\n1,Ann\n", "`x.csv` has a quote in its header that is not closed")]
#[case::taken_name(
    "id,name,_position\n1,Ann,1\n",
    "`x.csv` has a column `_position` or `_malformed`: these names are taken by the lake"
)]
#[case::nul_bytes("id,na\0me\n1,Ann\n", "`x.csv` has NUL bytes in its header: it is no CSV file, or it is damaged")]
#[tokio::test]
async fn a_file_that_cannot_be_used_is_refused_with_the_reason(#[case] content: &str, #[case] expected: &str) {
    assert_eq!(refusal(content).await, expected);
}

#[rstest]
#[case::little_endian(true, true)]
#[case::big_endian(false, true)]
#[case::without_a_mark(true, false)]
#[tokio::test]
async fn a_utf16_file_is_refused(#[case] is_little_endian: bool, #[case] has_mark: bool) {
    let text = format!("{}id,name\n1,Ann\n", if has_mark { "\u{feff}" } else { "" });
    let bytes = |unit: u16| if is_little_endian { unit.to_le_bytes() } else { unit.to_be_bytes() };
    let content: Vec<u8> = text.encode_utf16().flat_map(bytes).collect();
    let reason = refusal(content).await;
    assert!(reason.contains("UTF-16") && reason.contains("save it as UTF-8"), "{reason}");
}

#[rstest]
#[case::in_the_header("id,\"na", "in its header")]
#[case::in_a_record("id,name\n1,Ann\n2,\"Bo", "in record 2")]
#[tokio::test]
async fn a_quote_left_open_ends_the_reading_at_the_limit(#[case] start: &str, #[case] expected: &str) {
    let content = format!("{start}{}", "lost\n".repeat(800_000));
    let reason = refusal(content).await;
    assert!(reason.contains(expected) && !reason.contains("lost"), "{reason}");
}

#[tokio::test]
async fn many_long_records_arrive_whole_and_in_order() {
    let long = "x".repeat(100_000);
    let records: Vec<String> = (1..=300).map(|id| format!("{id},{long}\n")).collect();
    let content = format!("id,name\n{}", records.concat());
    let streamed = stream(content).await.unwrap();
    assert_eq!(streamed.positions(), (1..=300).collect::<Vec<i64>>());
    assert!(streamed.texts("name").iter().all(|name| name.as_ref() == Some(&long)));
}

#[tokio::test]
async fn a_record_that_says_what_the_seal_says_is_a_record_like_any_other() {
    let streamed = stream("id,name\n\u{1a}end of file\u{1a}\n1,Ann\n\u{1a}end of file\u{1a}\n").await.unwrap();
    assert_eq!((streamed.found.rows, streamed.found.malformed), (3, 2));
}

fn newer(after: Option<&str>, mapping: &str) -> Newer {
    let mapping = Mapping::parse("x.toml", &format!("datasource = \"x\"\n{mapping}")).unwrap();
    Newer {
        column: "changed".to_owned(),
        after: after.map(|after| after.parse().unwrap()),
        until: Utc.with_ymd_and_hms(2024, 12, 1, 0, 0, 0).unwrap(),
        moments: Moments::of(&mapping).unwrap(),
        loaded: None,
    }
}

#[tokio::test]
async fn only_newer_records_and_those_without_a_readable_watermark_are_taken() {
    let content = "id,changed\n1,2024-10-01\n2,2024-10-02\n3,2024-10-03\n4,\n5,soon\n6\n7,2099-01-01\n";
    let wanted = Wanted { newer: Some(newer(Some("2024-10-02T00:00:00Z"), "")), ..wanted(&["id", "changed"]) };
    let streamed = stream_wanted(content.as_bytes(), wanted).await.unwrap();
    assert_eq!(streamed.positions(), [3, 4, 5, 6, 7]);
    assert_eq!((streamed.found.rows, streamed.found.malformed, streamed.found.ahead), (5, 1, 1));
    assert_eq!(streamed.found.high, Some(Utc.with_ymd_and_hms(2024, 10, 3, 0, 0, 0).unwrap()));
}

#[rstest]
#[case("", "2024-10-02", Some("2024-10-02T00:00:00Z"))]
#[case("", " 2024-10-02 13:14:15.123 ", Some("2024-10-02T13:14:15.123Z"))]
#[case("", "2024-10-02T13:14:15", Some("2024-10-02T13:14:15Z"))]
#[case("", "10/02/2024", None)]
#[case("date_formats = [\"%m/%d/%Y\"]", "10/02/2024", Some("2024-10-02T00:00:00Z"))]
#[case("date_formats = [\"%d.%m.%Y %H:%M\"]", "02.10.2024 06:30", Some("2024-10-02T06:30:00Z"))]
#[case("date_formats = [\"%Y-%m-%d %H:%M:%S %z\"]", "2024-10-02 06:30:00 -0400", Some("2024-10-02T10:30:00Z"))]
#[case("time_zone = \"America/New_York\"", "2024-10-02", Some("2024-10-02T04:00:00Z"))]
#[case("time_zone = \"America/New_York\"", "2024-11-03 01:30:00", Some("2024-11-03T05:30:00Z"))]
#[case("time_zone = \"America/New_York\"", "2024-03-10 02:30:00", None)]
#[case("", "", None)]
fn a_moment_is_read_as_its_source_writes_it(#[case] mapping: &str, #[case] text: &str, #[case] expected: Option<&str>) {
    let expected = expected.map(|moment| moment.parse::<DateTime<Utc>>().unwrap());
    assert_eq!(newer(None, mapping).moments.read(text), expected);
}

#[tokio::test]
async fn a_reading_thread_that_panics_answers_nothing_of_the_panic() {
    let lake = Unreliable::lake(Trouble::Reading);
    lake.put("a.csv", "Name\nQuillon Fictor\n").await.unwrap();
    let csv = Csv::in_lake(&lake, Path::from("a.csv"), "a.csv".to_owned());
    let error = content_hash(&csv).await.unwrap_err();
    assert_eq!(error.to_string(), "source unavailable: the reading thread stopped");
}

#[tokio::test]
async fn a_file_on_disk_that_is_not_there_is_an_unavailable_source() {
    let folder = tempfile::tempdir().unwrap();
    let csv = Csv::on_disk(folder.path().join("none.csv"), "none.csv".to_owned());
    let error = to_parquet(&csv, Wanted::default(), &lake(&folder), KEY).await.unwrap_err();
    assert_eq!(error.name(), "SourceUnavailable");
}
