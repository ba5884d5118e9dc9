use rstest::rstest;

use super::tests::{refusal, stream_dialect, wanted};
use super::*;
use crate::bronze::MALFORMED;

fn dialect(delimiter: &str, encoding: &str) -> Dialect {
    Dialect::of(Some(delimiter), Some(encoding)).unwrap()
}

#[rstest]
#[case::pipes("|", "utf-8", "id|name\n1|Zoë, Ann\n".as_bytes())]
#[case::tabs("\t", "utf-8", "id\tname\n1\tZoë, Ann\n".as_bytes())]
#[case::windows_1252(";", "windows-1252", b"id;name\n1;Zo\xEB, Ann\n")]
#[case::a_mark_goes_before_the_encoding("|", "windows-1252", "\u{feff}id|name\n1|Zoë, Ann\n".as_bytes())]
#[case::utf16("|", "utf-16le", b"\xFF\xFEi\0d\0|\0n\0a\0m\0e\0\n\x001\0|\0Z\0o\0\xEB\0,\0 \0A\0n\0n\0")]
#[tokio::test]
async fn a_file_is_read_in_the_dialect_of_its_source(
    #[case] delimiter: &str,
    #[case] encoding: &str,
    #[case] content: &[u8],
) {
    let streamed = stream_dialect(content, wanted(&["id", "name"]), dialect(delimiter, encoding)).await.unwrap();
    assert_eq!(streamed.texts("name"), [Some("Zoë, Ann".to_owned())]);
}

#[tokio::test]
async fn a_long_file_is_decoded_whole() {
    let mut content = b"id,name\n".to_vec();
    (0..60_000).for_each(|id| content.extend([format!("{id},Zo").as_bytes(), b"\xEB\xEB\n"].concat()));
    let streamed = stream_dialect(&content, wanted(&["id", "name"]), dialect(",", "windows-1252")).await.unwrap();
    assert_eq!((streamed.found.rows, streamed.found.malformed), (60_000, 0));
    assert!(streamed.texts("name").iter().all(|name| name.as_deref() == Some("Zoëë")));
}

#[tokio::test]
async fn bytes_that_an_encoding_does_not_have_make_their_record_malformed() {
    let content = b"id,name\n1,\xFF\xFF\n2,Bob\n";
    let streamed = stream_dialect(content, wanted(&["id", "name"]), dialect(",", "shift_jis")).await.unwrap();
    assert_eq!(streamed.texts("id"), [None, Some("2".to_owned())]);
    assert!(streamed.texts(MALFORMED)[0].is_some());
}

#[tokio::test]
async fn lines_of_a_stray_quote_are_split_at_the_files_own_delimiter() {
    let content = b"id|name\n1|\"Ann, x\n2|Bob\n3|Cy\"\n";
    let streamed = stream_dialect(content, wanted(&["id", "name"]), dialect("|", "utf-8")).await.unwrap();
    let lines = [r#"["1","Ann, x"]"#, r#"["2","Bob"]"#, r#"["3","Cy"]"#];
    assert_eq!(streamed.texts(MALFORMED), lines.map(|line| Some(line.to_owned())));
}

#[rstest]
#[case::zip(b"PK\x03\x04\x14\0\0\0data/a.csv", "is a zip archive")]
#[case::xlsx(b"PK\x03\x04\x14\0\0\0[Content_Types].xml", "is an Excel workbook (xlsx)")]
#[case::gzip(b"\x1F\x8B\x08\0\0", "is compressed (gzip)")]
#[case::xls(b"\xD0\xCF\x11\xE0\xA1\xB1", "is an old Excel workbook (xls)")]
#[case::pdf(b"%PDF-1.7\n", "is a PDF document")]
#[case::parquet(b"PAR1\x15\x04", "is a Parquet file")]
#[case::pipes(b"id|name\n1|Ann\n", "is separated by `|`, not by `,`: set `delimiter = \"|\"` for its feed")]
#[case::semicolons(b"id;name\n1;Ann\n", "is separated by `;`, not by `,`: set `delimiter = \";\"` for its feed")]
#[case::tabs(b"id\tname\n1\tAnn\n", "is separated by `\\t`, not by `,`: set `delimiter = \"\\t\"` for its feed")]
#[case::other_encoding(b"id,name,Zo\xEB\n1,Ann,x\n", "set `encoding = \"windows-1252\"` for its feed")]
#[tokio::test]
async fn a_file_that_does_not_fit_is_refused_as_what_it_is(#[case] content: &[u8], #[case] expected: &str) {
    let reason = refusal(content).await;
    assert!(reason.contains(expected) && !reason.contains("name") && !reason.contains("Zo"), "{reason}");
}

#[tokio::test]
async fn the_only_column_may_have_another_delimiter_in_its_name() {
    let streamed = stream_dialect(b"a|b\n1\n", wanted(&["a|b"]), Dialect::default()).await.unwrap();
    assert_eq!(streamed.texts("a|b"), [Some("1".to_owned())]);
}
