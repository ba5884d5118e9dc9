//! The ICD-10-CM order file, as CMS publishes it every fiscal year: one line per code in fixed
//! columns, a code after the ones that it is part of.
//! Source: the readme of the CMS "Code Descriptions in Tabular Order" archive.

use rcm_platform::bronze_rows::Row;
use rcm_platform::config::order_file_year as year;

/// Largest file that is read, in bytes; they have some 20 MB.
pub(crate) const SIZE_LIMIT: u64 = 256 * 1024 * 1024;

/// Columns of a row. `icd_code` is the code with its point after the third character, as claims and
/// the WHO write it; `parent_code` the longest shorter code of the file that it begins with.
pub(crate) const COLUMNS: [&str; 8] =
    ["order", "code", "icd_code", "is_billable", "short_description", "long_description", "parent_code", "release"];

/// Characters of a code before its point.
const CATEGORY: usize = 3;

/// Reads all lines. One that is not as it should be is a malformed row.
///
/// # Errors
/// Why the file is refused: it is empty, its first line is none of an order file, or its name does
/// not tell the year.
pub(crate) fn read(file_name: &str, bytes: &[u8]) -> Result<Vec<Row>, String> {
    let release = year(file_name).ok_or("has no year in its name, which would be the release")?;
    let text = text(bytes);
    let mut lines = text.lines().map(str::trim_end).filter(|line| !line.is_empty()).peekable();
    match lines.peek() {
        None => return Err("is empty".to_owned()),
        Some(first) if Line::parse(first).is_none() => return Err("is no ICD-10-CM order file".to_owned()),
        Some(_) => {}
    }
    let mut above: Vec<String> = Vec::new();
    let rows = lines.map(|line| match Line::parse(line) {
        Some(parsed) => {
            above.retain(|code| parsed.code.starts_with(code.as_str()) && *code != parsed.code);
            let parent = above.last().map(|code| with_point(code));
            above.push(parsed.code.clone());
            parsed.into_row(parent, release)
        }
        None => Row::Malformed(serde_json::json!([line]).to_string()),
    });
    Ok(rows.collect())
}

/// One line; columns are counted in characters, from 1.
struct Line {
    /// Columns 1 to 5.
    order: String,
    /// Columns 7 to 13.
    code: String,
    /// Column 15: whether the code may stand on a claim, which the ones without parts may.
    is_billable: bool,
    /// Columns 17 to 76.
    short: String,
    /// Column 78 and all that follow.
    long: String,
}

impl Line {
    fn parse(line: &str) -> Option<Self> {
        let characters: Vec<char> = line.chars().collect();
        let field = |from: usize, to: usize| -> String {
            let end = to.min(characters.len());
            characters.get(from - 1..end.max(from - 1)).unwrap_or_default().iter().collect::<String>().trim().to_owned()
        };
        let (order, code, flag) = (field(1, 5), field(7, 13), field(15, 15));
        let is_number = !order.is_empty() && order.chars().all(|c| c.is_ascii_digit());
        let is_code = code.len() >= CATEGORY && code.chars().all(|c| c.is_ascii_alphanumeric());
        if !is_number || !is_code || !["0", "1"].contains(&flag.as_str()) {
            return None;
        }
        let (short, long) = (field(17, 76), field(78, characters.len().max(78)));
        Some(Self { order, code, is_billable: flag == "1", short, long })
    }

    fn into_row(self, parent: Option<String>, release: &str) -> Row {
        Row::Fields(vec![
            Some(self.order),
            Some(self.code.clone()),
            Some(with_point(&self.code)),
            Some(self.is_billable.to_string()),
            Some(self.short),
            Some(self.long),
            parent,
            Some(release.to_owned()),
        ])
    }
}

fn with_point(code: &str) -> String {
    match code.split_at_checked(CATEGORY) {
        Some((category, rest)) if !rest.is_empty() => format!("{category}.{rest}"),
        _ => code.to_owned(),
    }
}

/// UTF-8, with or without a byte order mark; Latin-1 where it is none, as in the files of some years.
fn text(bytes: &[u8]) -> String {
    match std::str::from_utf8(bytes) {
        Ok(text) => text.trim_start_matches('\u{feff}').to_owned(),
        Err(_) => bytes.iter().copied().map(char::from).collect(),
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    /// A line of an order file.
    fn line(order: u32, code: &str, flag: &str, description: &str) -> String {
        format!("{order:05} {code:<7} {flag} {description:<60} {description} in full\n")
    }

    fn fields(row: &Row) -> Vec<&str> {
        let Row::Fields(fields) = row else { panic!("malformed") };
        fields.iter().map(|field| field.as_deref().unwrap_or("-")).collect()
    }

    #[test]
    fn a_line_is_cut_at_its_columns() {
        let rows = read("icd10cm_order_2025.txt", line(17, "Z999A", "1", "Made up").as_bytes()).unwrap();
        let expected = ["00017", "Z999A", "Z99.9A", "true", "Made up", "Made up in full", "-", "2025"];
        assert_eq!(fields(&rows[0]), expected);
    }

    #[test]
    fn the_parent_is_the_longest_shorter_code_before() {
        let codes = ["Z90", "Z900", "Z9001", "Z9001XA", "Z902", "Z91", "Z9"];
        let text: String = codes[..6].iter().map(|code| line(1, code, "0", "Made up")).collect();
        let rows = read("order_2025.txt", text.as_bytes()).unwrap();
        let parents: Vec<&str> = rows.iter().map(|row| fields(row)[6]).collect();
        assert_eq!(parents, ["-", "Z90", "Z90.0", "Z90.01", "Z90", "-"]);
    }

    #[test]
    fn a_line_that_is_none_is_malformed_and_the_others_go_on() {
        let text = line(1, "Z90", "1", "Made up") + "total: 1 code\n\n" + &line(2, "Z91", "x", "Made up");
        let rows = read("order_2025.txt", text.as_bytes()).unwrap();
        let malformed = rows.iter().map(|row| matches!(row, Row::Malformed(_))).collect::<Vec<_>>();
        assert_eq!(malformed, [false, true, true]);
    }

    #[test]
    fn letters_beyond_ascii_do_not_move_the_columns() {
        let text = line(1, "Z90", "1", "Désordre inventé").replace('\n', "\r\n");
        let latin: Vec<u8> = text.chars().map(|c| c as u8).collect();
        for bytes in [text.as_bytes(), &latin] {
            assert_eq!(fields(&read("order_2025.txt", bytes).unwrap()[0])[5], "Désordre inventé in full");
        }
    }

    #[rstest]
    #[case::addenda(
        "icd10cm_order_addenda_2025.txt",
        "Add:      00017 Z999A   1 Made up\n",
        "is no ICD-10-CM order file"
    )]
    #[case::empty("order_2025.txt", "\n\n", "is empty")]
    #[case::no_year("order.txt", "00017 Z999A   1 Made up\n", "no year")]
    fn a_file_that_is_no_order_file_is_refused(#[case] name: &str, #[case] text: &str, #[case] expected: &str) {
        assert!(read(name, text.as_bytes()).unwrap_err().contains(expected));
    }

    #[rstest]
    #[case("icd10cm_order_2025.txt", Some("2025"))]
    #[case("icd10cm-order-April-2026.txt", Some("2026"))]
    #[case("order_20x5.txt", None)]
    #[case("order_20", None)]
    fn the_release_is_the_year_in_the_files_name(#[case] name: &str, #[case] expected: Option<&str>) {
        assert_eq!(year(name), expected);
    }
}
