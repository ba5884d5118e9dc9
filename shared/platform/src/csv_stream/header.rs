use std::collections::HashMap;

use csv::ByteRecord;

use super::{Dialect, Wanted};
use crate::bronze::{MALFORMED, POSITION};
use crate::load;

/// The names of a header, or why it cannot be used.
///
/// The reason names only wanted columns and places: where a file has no header, the record that
/// stands in its place is a patient's.
pub(super) fn names(record: &ByteRecord, wanted: &Wanted, dialect: Dialect) -> Result<Vec<String>, String> {
    let zeros: usize = record.as_slice().iter().map(|byte| usize::from(*byte == 0)).sum();
    if zeros * 5 > record.as_slice().len() * 2 {
        return Err("is UTF-16: save it as UTF-8, or set `encoding = \"utf-16le\"`".to_owned());
    }
    if zeros > 0 {
        return Err("has NUL bytes in its header: it is no CSV file, or it is damaged".to_owned());
    }
    let names = record.iter().map(|name| std::str::from_utf8(name).map(|name| name.trim().to_owned()));
    let Ok(names) = names.collect::<Result<Vec<String>, _>>() else {
        return Err("has a header that is not UTF-8: save it as UTF-8, or set `encoding = \"windows-1252\"` for its feed if that \
                    is what it is"
            .to_owned());
    };
    check_wanted(&names, wanted).map_err(|reason| other_delimiter(&names, dialect).unwrap_or(reason))?;
    if let Some(index) = names.iter().position(String::is_empty) {
        return Err(format!("has no name for column {} in its header", index + 1));
    }
    check_unique(&names)?;
    if names.iter().any(|name| name == POSITION || name == MALFORMED) {
        return Err(format!("has a column `{POSITION}` or `{MALFORMED}`: these names are taken by the lake"));
    }
    Ok(names)
}

/// Why a header of one column lacks others, where another delimiter is in it.
fn other_delimiter(names: &[String], dialect: Dialect) -> Option<String> {
    let [only] = names else { return None };
    let count = |delimiter: char| only.matches(delimiter).count();
    let others = ['|', ';', '\t', ','].into_iter().filter(|&other| other != char::from(dialect.delimiter()));
    let found = others.filter(|&other| count(other) > 0).max_by_key(|&other| count(other))?.escape_debug();
    let set = char::from(dialect.delimiter()).escape_debug();
    Some(format!("is separated by `{found}`, not by `{set}`: set `delimiter = \"{found}\"` for its feed"))
}

fn check_wanted(names: &[String], wanted: &Wanted) -> Result<(), String> {
    let has = |name: &str| names.iter().any(|known| known == name);
    let missing = wanted.columns.iter().filter(|name| !has(name)).map(|name| format!("`{name}`"));
    let unmapped = wanted.mapping.iter().filter_map(|mapping| mapping.resolve(has).err()).flatten();
    load::lacks(missing.chain(unmapped)).map_or(Ok(()), Err)
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
