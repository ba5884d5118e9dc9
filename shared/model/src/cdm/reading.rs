//! How texts of a source are read: what stands for nothing, and what spreadsheets put around ids.

use std::borrow::Cow;

use schemars::JsonSchema;
use serde::Deserialize;

/// The case that ids are folded to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum IdCase {
    Upper,
    Lower,
}

/// Blanks that cannot be seen and that Unicode does not count as white space.
const ZERO_WIDTH: [char; 5] = ['\u{200b}', '\u{200c}', '\u{200d}', '\u{2060}', '\u{feff}'];

/// Returns a text without blanks around it, also those without width; none where nothing is left or the text is
/// one of `null_words`, without case.
#[must_use]
pub fn trimmed<'a>(text: &'a str, null_words: &[String]) -> Option<&'a str> {
    let text = text.trim_matches(is_blank);
    let is_null = text.is_empty() || null_words.iter().any(|word| word.eq_ignore_ascii_case(text));
    (!is_null).then_some(text)
}

fn is_blank(letter: char) -> bool {
    letter.is_whitespace() || ZERO_WIDTH.contains(&letter)
}

/// Returns an id without what spreadsheets put around it: an apostrophe or `="…"` before digits, quotes, the
/// `.0` of a whole number, blanks without width. None where nothing is left or the id is one of `null_words`.
#[must_use]
pub fn id<'a>(text: &'a str, null_words: &[String], case: Option<IdCase>) -> Option<Cow<'a, str>> {
    let mut id = trimmed(text, null_words)?;
    id = id.strip_prefix('=').filter(|rest| rest.starts_with('"')).unwrap_or(id);
    id = id.strip_prefix('"').and_then(|rest| rest.strip_suffix('"')).unwrap_or(id);
    id = id.strip_prefix('\'').unwrap_or(id);
    let id = whole_number(trimmed(id, null_words)?);
    let id = if !id.is_ascii() && id.contains(ZERO_WIDTH) {
        Cow::Owned(id.replace(ZERO_WIDTH, ""))
    } else {
        Cow::Borrowed(id)
    };
    let folded = match case {
        Some(IdCase::Upper) if id.chars().any(char::is_lowercase) => Cow::Owned(id.to_uppercase()),
        Some(IdCase::Lower) if id.chars().any(char::is_uppercase) => Cow::Owned(id.to_lowercase()),
        _ => id,
    };
    Some(folded)
}

/// `1001` of `1001.0`.
fn whole_number(id: &str) -> &str {
    match id.split_once('.') {
        Some((whole, zeros))
            if !whole.is_empty()
                && whole.bytes().all(|byte| byte.is_ascii_digit())
                && !zeros.is_empty()
                && zeros.bytes().all(|byte| byte == b'0') =>
        {
            whole
        }
        _ => id,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[rstest::rstest]
    #[case("'000123", Some("000123"))]
    #[case("1001.0", Some("1001"))]
    #[case("1001.00", Some("1001"))]
    #[case("10.5", Some("10.5"))]
    #[case("V1.0", Some("V1.0"))]
    #[case("=\"00123\"", Some("00123"))]
    #[case("\"A1\"", Some("A1"))]
    #[case("\u{feff}A1\u{200b}", Some("A1"))]
    #[case("A\u{200d}1", Some("A1"))]
    #[case("\u{a0}A1\u{a0}", Some("A1"))]
    #[case(" null ", None)]
    #[case("\\N", None)]
    #[case("'", None)]
    #[case("1.23E+11", Some("1.23E+11"))]
    #[case("O'Neil", Some("O'Neil"))]
    fn an_id_is_freed_of_what_stands_around_it(#[case] text: &str, #[case] expected: Option<&str>) {
        let words = ["NULL", "\\N"].map(str::to_owned);
        assert_eq!(id(text, &words, None).as_deref(), expected);
    }

    #[test]
    fn ids_are_folded_where_the_mapping_says_so() {
        assert_eq!(id("Ab-1", &[], Some(IdCase::Upper)).as_deref(), Some("AB-1"));
        assert_eq!(id("Ab-1", &[], Some(IdCase::Lower)).as_deref(), Some("ab-1"));
        assert_eq!(id("Ab-1", &[], None).as_deref(), Some("Ab-1"));
    }
}
