//! Quotes that nobody meant: they put the lines up to the next quote together.

/// The lines of a record, if a stray quote has put them together; blank ones are left out.
///
/// A stray quote is told by what it has swallowed: whole lines with as many separators as the header
/// has. Text of several lines that was meant has others, and stays one field.
pub(super) fn lines(fields: &[&[u8]], columns: usize, delimiter: u8, is_closed: bool) -> Option<Vec<Vec<u8>>> {
    let separators = columns.checked_sub(1).filter(|&separators| separators > 0)?;
    let is_stray = |(index, field): (usize, &&[u8])| {
        let after = fields.len() - index - 1;
        let of_last_line = field.rsplit(|&byte| byte == b'\n').next().unwrap_or_default();
        let last_quotes = of_last_line.contains(&b'"') || fields[index + 1..].iter().any(|field| field.contains(&b'"'));
        let is_certain = last_quotes || !is_closed || fields.len() != columns;
        field.contains(&b'\n') && swallows(field, (index, after), separators, delimiter, is_certain)
    };
    if !fields.iter().enumerate().any(is_stray) {
        return None;
    }
    let text = fields.join(&delimiter);
    let lines = text.split(|&byte| byte == b'\n').map(|line| line.strip_suffix(b"\r").unwrap_or(line));
    Some(lines.filter(|line| !line.is_empty()).map(<[u8]>::to_vec).collect())
}

/// Whether a field of several lines, with so many fields before and after it, holds whole records.
///
/// The line on which a stray quote opens is whole, so it has as many separators as the header. The line on which
/// it closes has them too, or more where a quote of its own has closed it. `is_certain`: the record does not fit the
/// header, or a quote stands in the text of its last line.
fn swallows(field: &[u8], around: (usize, usize), separators: usize, delimiter: u8, is_certain: bool) -> bool {
    let (before, after) = around;
    let mut counts = field.split(|&byte| byte == b'\n').map(|line| {
        let is_blank = line.is_empty() || line == b"\r";
        (is_blank, line.split(|&byte| byte == delimiter).count() - 1)
    });
    let (Some((_, first)), Some((is_end, last))) = (counts.next(), counts.next_back()) else { return false };
    let inner: Vec<usize> = counts.filter(|(is_blank, _)| !is_blank).map(|(_, count)| count).collect();
    let (first, last, is_end) = (before + first, last + after, is_end && after == 0);
    let is_last_whole = is_end || last == separators || (is_certain && last > separators);
    if inner.is_empty() {
        // Text of two lines in few columns may look like two records by chance.
        return first == separators && is_last_whole && !is_end && (separators > 2 || is_certain);
    }
    let whole = inner.iter().filter(|count| **count == separators).count();
    whole * 4 >= inner.len() * 3 && first >= separators && (is_last_whole || is_certain)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The lines of the first record of a text, as CSV readers see it.
    fn of(text: &str, columns: usize) -> Option<usize> {
        let mut reader = csv::ReaderBuilder::new().has_headers(false).flexible(true).from_reader(text.as_bytes());
        let record = reader.byte_records().next().unwrap().unwrap();
        let fields: Vec<&[u8]> = record.iter().collect();
        lines(&fields, columns, b',', true).map(|lines| lines.len())
    }

    #[rstest::rstest]
    #[case::closed_by_a_quote_of_its_own("1,\"Ann,d1,10\n2,Bob,d2,20\n3,Cid,\"d3, x\",30\n", 4, 3)]
    #[case::closed_on_the_next_line("1,\"Ann,d1,10\n2,Bob,\"d2, x\",20\n", 4, 2)]
    #[case::closed_by_a_name("1,\"Ann,d1,10\n2,\"Bob, Jr\",d2,20\n", 4, 2)]
    #[case::with_a_short_line("1,\"A,d,1\n2,B,d,2\n3,C,d,3\n4,D\n5,E,d,5\n6,F\",d,6\n", 4, 6)]
    fn a_stray_quote_is_told_by_what_it_swallows(#[case] text: &str, #[case] columns: usize, #[case] expected: usize) {
        assert_eq!(of(text, columns), Some(expected));
    }

    #[rstest::rstest]
    #[case::an_address_in_two_columns("1,\"12 Main St\nSpringfield, IL\"\n", 2)]
    #[case::an_address_in_three("1,x,\"12 Main St\nSpringfield, IL, 62701\"\n", 3)]
    #[case::a_note("1,x,\"a note\nwith, four, commas, in, it\nend\",d,e\n", 5)]
    #[case::one_column("\"a\nb\"\n", 1)]
    fn text_of_several_lines_stays_one_field(#[case] text: &str, #[case] columns: usize) {
        assert_eq!(of(text, columns), None);
    }
}
