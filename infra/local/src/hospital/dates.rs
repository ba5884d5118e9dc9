//! Finds the formats of a hospital's dates and times.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::LazyLock;

use rcm_model::cdm::{DateReader, Mapping};

/// Cells of a column that are tried, first with every format, then with those that fit.
const FIRST: usize = 40;
const MORE: usize = 5_000;
/// Share of the cells that a format must read: exports have dates that are none.
const ENOUGH: f64 = 0.9;

const DAYS: [&str; 18] = [
    "%m/%d/%Y",
    "%d/%m/%Y",
    "%d.%m.%Y",
    "%d-%m-%Y",
    "%m-%d-%Y",
    "%Y/%m/%d",
    "%Y.%m.%d",
    "%Y%m%d",
    "%d-%b-%Y",
    "%d %b %Y",
    "%d%b%Y",
    "%b %d, %Y",
    "%B %d, %Y",
    "%d %B %Y",
    "%m/%d/%y",
    "%d/%m/%y",
    "%d.%m.%y",
    "%d-%b-%y",
];
const TIMES: [&str; 8] =
    ["", " %H:%M", " %H:%M:%S", " %H:%M:%S%.f", "T%H:%M:%S", " %I:%M %p", " %I:%M:%S %p", "%H%M%S"];

/// A format and its reader, which reads ISO 8601 too.
struct Format {
    text: String,
    reader: DateReader,
}

static FORMATS: LazyLock<Vec<Format>> = LazyLock::new(|| {
    let all = DAYS.iter().flat_map(|day| TIMES.iter().map(move |time| format!("{day}{time}")));
    all.filter_map(|text| Some(Format { reader: reader(&[&text])?, text })).collect()
});
static ISO: LazyLock<Option<DateReader>> = LazyLock::new(|| reader(&[]));

fn reader(formats: &[&str]) -> Option<DateReader> {
    let formats = formats.iter().map(|format| format!("{format:?}")).collect::<Vec<_>>().join(", ");
    let mapping = Mapping::parse("x.toml", &format!("datasource = \"x\"\ndate_formats = [{formats}]")).ok()?;
    DateReader::of(&mapping).ok()
}

/// Whether a text is a date or time of ISO 8601.
pub(super) fn is_iso(text: &str) -> bool {
    text.len() >= 8 && ISO.as_ref().is_some_and(|reader| reader.date(text).is_some())
}

/// Whether a text has a time of the day.
pub(super) fn has_time(text: &str) -> bool {
    text.contains(':')
}

/// The formats that read most cells of a column: none of ISO 8601, which needs none; several where the cells do not tell
/// the day from the month. `None` if the cells are no dates.
pub(super) fn formats(values: &[String]) -> Option<Vec<&'static str>> {
    if share(ISO.as_ref()?, values, FIRST) >= ENOUGH && share(ISO.as_ref()?, values, MORE) >= ENOUGH {
        return Some(Vec::new());
    }
    let mut found: Vec<(f64, &str)> = Vec::new();
    for format in FORMATS.iter() {
        if share(&format.reader, values, FIRST) >= ENOUGH {
            let share = share(&format.reader, values, MORE);
            found.extend((share >= ENOUGH).then_some((share, format.text.as_str())));
        }
    }
    let best = found.iter().map(|(share, _)| *share).reduce(f64::max)?;
    Some(found.into_iter().filter(|(share, _)| *share >= best - 1e-9).map(|(_, format)| format).collect())
}

fn share(reader: &DateReader, values: &[String], most: usize) -> f64 {
    let tried = values.len().min(most);
    let may_be =
        |cell: &&String| (6..=40).contains(&cell.len()) && cell.bytes().filter(u8::is_ascii_digit).count() >= 3;
    let read = values.iter().take(most).filter(may_be).filter(|cell| reader.date(cell).is_some()).count();
    if tried == 0 { 0.0 } else { read as f64 / tried as f64 }
}

/// The formats of all columns of a hospital together.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct DateFormats {
    pub(super) formats: Vec<&'static str>,
    /// Why they may be wrong.
    pub(super) unsure: Option<String>,
}

/// Chooses formats that read every column: where a column's own cells do not tell the day from the month, those of the
/// others do.
pub(super) fn choose<'a>(columns: impl IntoIterator<Item = &'a [String]>) -> DateFormats {
    let of_columns: Vec<Vec<&'static str>> =
        columns.into_iter().filter_map(formats).filter(|formats| !formats.is_empty()).collect();
    let sure: BTreeSet<&str> =
        of_columns.iter().filter(|formats| formats.len() == 1).map(|formats| formats[0]).collect();
    let sure_orders: BTreeMap<char, BTreeSet<bool>> = sure.iter().fold(BTreeMap::new(), |mut orders, format| {
        if let Some((separator, is_month_first)) = order(format) {
            orders.entry(separator).or_default().insert(is_month_first);
        }
        orders
    });
    let mut chosen: Vec<&'static str> = Vec::new();
    let mut unsure = None;
    for formats in &of_columns {
        let told = |format: &&&'static str| {
            order(format).is_some_and(|(separator, is_month_first)| {
                sure_orders.get(&separator).is_some_and(|orders| orders.contains(&is_month_first))
            })
        };
        let first = formats.iter().find(|format| sure.contains(*format)).or_else(|| formats.iter().find(told));
        let format = first.copied().unwrap_or_else(|| formats[0]);
        if formats.len() > 1 && first.is_none() {
            unsure = Some("no date has a day above 12: the month may come first or second".to_owned());
        }
        if !chosen.contains(&format) {
            chosen.push(format);
        }
    }
    if sure_orders.values().any(|orders| orders.len() > 1) {
        unsure =
            Some("some columns have the day first, others the month: the first format that fits is used".to_owned());
    }
    chosen.sort_by_key(|format| format.len());
    DateFormats { formats: chosen, unsure }
}

/// What stands between the parts of a date, and whether the month comes first; none of a format that cannot be mistaken.
fn order(format: &str) -> Option<(char, bool)> {
    let rest = format.strip_prefix("%m").map(|rest| (rest, true)).or_else(|| Some((format.strip_prefix("%d")?, false)));
    let (rest, is_month_first) = rest?;
    let separator = rest.chars().next().filter(|separator| *separator != '%')?;
    let is_numeric = rest[1..].starts_with("%m") || rest[1..].starts_with("%d");
    is_numeric.then_some((separator, is_month_first))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts(cells: &[&str]) -> Vec<String> {
        cells.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn formats_are_found() {
        for (cells, expected) in [
            (&["2024-11-07", "2024-11-08"][..], &[][..]),
            (&["2024-11-07T06:30:00Z"], &[]),
            (&["07.11.2024", "31.12.1969"], &["%d.%m.%Y"]),
            (&["07.11.2024 06:30"], &["%d.%m.%Y %H:%M"]),
            (&["11/27/2024"], &["%m/%d/%Y"]),
            (&["27/11/2024"], &["%d/%m/%Y"]),
            (&["11/07/2024"], &["%m/%d/%Y", "%d/%m/%Y"]),
            (&["11/27/24"], &["%m/%d/%y"]),
            (&["27-Nov-2024"], &["%d-%b-%Y"]),
            (&["11/27/2024 6:30:05 PM"], &["%m/%d/%Y %I:%M:%S %p"]),
        ] {
            assert_eq!(formats(&texts(cells)).unwrap(), expected, "{cells:?}");
        }
        assert_eq!(formats(&texts(&["Sampleton", "Otherton"])), None);
    }

    #[test]
    fn one_column_tells_the_order_of_the_others() {
        let (unclear, clear) = (texts(&["03/04/2024"]), texts(&["27/04/2024 10:00"]));
        let chosen = choose([unclear.as_slice(), clear.as_slice()]);
        assert_eq!(chosen, DateFormats { formats: vec!["%d/%m/%Y", "%d/%m/%Y %H:%M"], unsure: None });
        let alone = choose([unclear.as_slice()]);
        assert_eq!((alone.formats, alone.unsure.is_some()), (vec!["%m/%d/%Y"], true));
    }
}
