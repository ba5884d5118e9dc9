use std::collections::HashMap;

use csv::ByteRecord;

use crate::bronze::{MALFORMED, POSITION};

/// The names of a header, or why it cannot be used.
///
/// The reason names only wanted columns and places: where a file has no header, the record that
/// stands in its place is a patient's.
pub(super) fn names(record: &ByteRecord, wanted: &[String]) -> Result<Vec<String>, String> {
    if record.as_slice().contains(&0) {
        return Err("has NUL bytes in its header: is it UTF-16? save it as UTF-8".to_owned());
    }
    let names = record.iter().map(|name| std::str::from_utf8(name).map(|name| name.trim().to_owned()));
    let Ok(names) = names.collect::<Result<Vec<String>, _>>() else {
        return Err("has a header that is not UTF-8: save it as UTF-8".to_owned());
    };
    check_wanted(&names, wanted)?;
    if let Some(index) = names.iter().position(String::is_empty) {
        return Err(format!("has no name for column {} in its header", index + 1));
    }
    check_unique(&names)?;
    if names.iter().any(|name| name == POSITION || name == MALFORMED) {
        return Err(format!("has a column `{POSITION}` or `{MALFORMED}`: these names are taken by the lake"));
    }
    Ok(names)
}

fn check_wanted(names: &[String], wanted: &[String]) -> Result<(), String> {
    let mut missing: Vec<&str> = wanted.iter().filter(|name| !names.contains(name)).map(String::as_str).collect();
    missing.sort_unstable();
    missing.dedup();
    match missing[..] {
        [] => Ok(()),
        [column] => Err(format!("lacks the column `{column}`")),
        _ => Err(format!("lacks the columns `{}`", missing.join("`, `"))),
    }
}

fn check_unique(names: &[String]) -> Result<(), String> {
    let mut first: HashMap<&str, usize> = HashMap::with_capacity(names.len());
    for (index, name) in names.iter().enumerate() {
        if let Some(earlier) = first.insert(name, index) {
            return Err(format!("has the same name for columns {} and {} in its header", earlier + 1, index + 1));
        }
    }
    Ok(())
}
