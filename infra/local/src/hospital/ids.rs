//! Prefixes that some of a hospital's tables put before an id and others leave out.

use std::collections::BTreeSet;

/// Share of the cells that must begin alike before that is taken for a way to write ids.
const COMMON: f64 = 0.05;

/// The ids of one column, as they begin: `H2-PROV` of `H2-PROV0133`.
#[derive(Debug, Default)]
struct Beginnings<'a> {
    beginnings: BTreeSet<&'a str>,
    cells: BTreeSet<&'a str>,
}

/// Finds the prefixes in the columns that have ids of one entity. Such an id is the same with and without the prefix: what
/// is left of it is an id of another column, or looks like all of them.
pub(super) fn prefixes<'a>(columns: impl IntoIterator<Item = &'a [String]>) -> Vec<String> {
    let columns: Vec<Beginnings<'_>> = columns.into_iter().map(beginnings).collect();
    let mut found: BTreeSet<String> = BTreeSet::new();
    for with in &columns {
        for long in &with.beginnings {
            for without in &columns {
                for short in without.beginnings.iter().filter(|short| short.len() < long.len()) {
                    let Some(prefix) = long.strip_suffix(short).filter(|prefix| ends_apart(prefix, short)) else {
                        continue;
                    };
                    if is_same_id(prefix, with, long, without, short) {
                        found.insert(prefix.to_owned());
                    }
                }
            }
        }
    }
    // A longer one that consists of others is taken off with them.
    found
        .iter()
        .filter(|prefix| !found.iter().any(|other| other != *prefix && prefix.ends_with(other.as_str())))
        .cloned()
        .collect()
}

fn beginnings(cells: &[String]) -> Beginnings<'_> {
    let cells: BTreeSet<&str> = cells.iter().map(String::as_str).collect();
    let all: Vec<&str> =
        cells.iter().map(|cell| cell.trim_end_matches(|letter: char| letter.is_ascii_digit())).collect();
    let is_common =
        |beginning: &&&str| all.iter().filter(|other| other == beginning).count() as f64 >= COMMON * all.len() as f64;
    let distinct: BTreeSet<&str> = all.iter().copied().collect();
    // Free text begins in every way there is.
    let beginnings = if distinct.len() > 50 { BTreeSet::new() } else { distinct };
    let beginnings = beginnings.iter().filter(is_common).copied().collect();
    Beginnings { beginnings, cells }
}

/// Whether a prefix ends where a reader sees it: before a letter after a sign, or before digits.
fn ends_apart(prefix: &str, rest: &str) -> bool {
    prefix.ends_with(|letter: char| !letter.is_alphanumeric()) || rest.is_empty()
}

fn is_same_id(prefix: &str, with: &Beginnings<'_>, long: &str, without: &Beginnings<'_>, short: &str) -> bool {
    let stripped =
        || with.cells.iter().filter(|cell| cell.starts_with(long)).filter_map(|cell| cell.strip_prefix(prefix));
    if stripped().any(|id| without.cells.contains(id)) {
        return true;
    }
    // No key in common: rows of a sample, or providers that left. Their ids are as long.
    let digits = |cell: &str, beginning: &str| cell.len() - beginning.len();
    let of_short: BTreeSet<usize> =
        without.cells.iter().filter(|cell| cell.starts_with(short)).map(|cell| digits(cell, short)).collect();
    !short.is_empty() && stripped().all(|id| of_short.contains(&digits(id, short)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(columns: &[&[&str]]) -> Vec<String> {
        let columns: Vec<Vec<String>> =
            columns.iter().map(|column| column.iter().map(ToString::to_string).collect()).collect();
        prefixes(columns.iter().map(Vec::as_slice))
    }

    #[test]
    fn a_prefix_that_one_table_has_and_another_has_not_is_found() {
        assert_eq!(of(&[&["H2-PROV0001", "H2-PROV0002"], &["PROV0002", "PROV0238"]]), ["H2-"]);
        assert_eq!(of(&[&["H2-PROV0001"], &["PROV0238"]]), ["H2-"], "no key in common");
        assert_eq!(of(&[&["MRN:77", "MRN:78"], &["77"]]), ["MRN:"]);
        assert_eq!(of(&[&["C/12", "C/13"], &["DOC-12"], &["13", "12"]]), ["C/", "DOC-"]);
        assert_eq!(of(&[&["C12", "C13"], &["12", "13"]]), ["C"]);
    }

    #[test]
    fn ids_that_are_written_alike_have_none() {
        assert_eq!(of(&[&["HOSP1-000001", "HOSP1-000002"], &["HOSP1-000002"]]), [""; 0]);
        assert_eq!(of(&[&["1", "2"], &["2"]]), [""; 0]);
        assert_eq!(of(&[&["DEPT001"], &["CARD001"]]), [""; 0]);
    }

    #[test]
    fn a_table_may_write_its_own_ids_in_both_ways() {
        assert_eq!(of(&[&["C-1", "2", "C-3"], &["1", "2"]]), ["C-"]);
    }
}
