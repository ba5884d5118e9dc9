//! Texts of a source, read value by value.

use std::borrow::Cow;
use std::collections::{BTreeMap, HashMap};

use polars::prelude::*;
use rcm_model::cdm::reading::{self, IdCase};

use crate::money;

/// Blanks that stand around texts, also those that cannot be seen.
const BLANKS: &str = " \t\r\n\u{b}\u{c}\u{85}\u{a0}\u{2002}\u{2003}\u{2009}\u{200b}\u{200c}\u{200d}\u{2028}\u{2029}\u{202f}\u{2060}\u{3000}\u{feff}";

/// Text without blanks around it, null where nothing is left.
pub(super) fn filled(raw: Expr) -> Expr {
    each(raw.cast(DataType::String), |text| {
        let text = text.trim_matches(|letter: char| !letter.is_ascii_alphanumeric() && BLANKS.contains(letter));
        (!text.is_empty()).then_some(Cow::Borrowed(text))
    })
}

/// Text, null where it is one of some words, without case.
pub(super) fn without_nulls(text: Expr, words: Vec<String>) -> Expr {
    if words.is_empty() {
        return text;
    }
    let longest = words.iter().map(String::len).max().unwrap_or(0);
    each(text, move |text| {
        let is_null = text.len() <= longest && words.iter().any(|word| word.eq_ignore_ascii_case(text));
        (!is_null).then_some(Cow::Borrowed(text))
    })
}

/// Ids without what spreadsheets put around them.
pub(super) fn ids(raw: Expr, null_words: Vec<String>, case: Option<IdCase>) -> Expr {
    each(raw.cast(DataType::String), move |text| reading::id(text, &null_words, case))
}

/// What a key does not have of an id, and what it has more.
pub(super) struct Affixes {
    /// Each is taken from the front of the id, one after the other.
    pub prefixes: Vec<String>,
    pub suffix: String,
}

impl Affixes {
    /// The key of an id, in `key`.
    fn key_of<'a>(&self, id: &str, key: &'a mut String) -> &'a str {
        let mut rest = id;
        for prefix in &self.prefixes {
            rest = rest.strip_prefix(prefix.as_str()).unwrap_or(rest);
        }
        key.clear();
        key.push_str(rest);
        key.push_str(&self.suffix);
        key
    }
}

/// Keys of ids as [`ids`] reads them.
pub(super) fn keys_of(raw: Expr, null_words: Vec<String>, case: Option<IdCase>, affixes: Affixes) -> Expr {
    written(raw.cast(DataType::String), move |text, key| {
        let id = reading::id(text, &null_words, case)?;
        Some(affixes.key_of(&id, key))
    })
}

/// Ids without some affixes and with others.
pub(super) fn with_affixes(ids: Expr, affixes: Affixes) -> Expr {
    written(ids, move |id, key| Some(affixes.key_of(id, key)))
}

/// The model's words for the source's, without case; a word that is not named stays as it is.
pub(super) fn mapped(text: Expr, values: &BTreeMap<String, Vec<String>>) -> Expr {
    let words = values.iter().flat_map(|(word, sources)| sources.iter().map(move |source| (source, word)));
    let words: HashMap<String, String> =
        words.map(|(source, word)| (source.trim().to_lowercase(), word.clone())).collect();
    written(text, move |text, lower| {
        lower.clear();
        lower.push_str(text);
        lower.make_ascii_lowercase();
        if !lower.is_ascii() {
            *lower = text.to_lowercase();
        }
        if let Some(word) = words.get(lower.as_str()) {
            lower.clone_from(word);
            return Some(lower);
        }
        Some(text)
    })
}

/// Amounts in texts, rounded to the cent; null where a text is none, or too large.
pub(super) fn amounts(text: Expr) -> Expr {
    text.map(
        |texts| {
            let cents: Int128Chunked = texts.str()?.iter().map(|text| money::parse_cents(text?)).collect();
            let amounts = cents.with_name(texts.name().clone()).into_decimal_unchecked(money::PRECISION, money::SCALE);
            Ok(amounts.into_column())
        },
        |_, field| Ok(Field::new(field.name().clone(), money::dtype())),
    )
}

/// What `read` makes of every text. A column of which every text stays as it is is not copied.
fn each(text: Expr, read: impl Fn(&str) -> Option<Cow<'_, str>> + Send + Sync + 'static) -> Expr {
    text.map(
        move |column| {
            let texts = column.str()?;
            let stays = |text: Option<&str>| text.is_none_or(|text| read(text).is_some_and(|read| *read == *text));
            if texts.iter().all(stays) {
                return Ok(column);
            }
            let read: StringChunked = texts.iter().map(|text| text.and_then(&read)).collect();
            Ok(read.with_name(texts.name().clone()).into_column())
        },
        |_, field| Ok(field.clone()),
    )
}

/// What `write` makes of every text, with a text of its own to write to.
fn written(
    text: Expr,
    write: impl for<'a> Fn(&'a str, &'a mut String) -> Option<&'a str> + Send + Sync + 'static,
) -> Expr {
    text.map(
        move |column| {
            let texts = column.str()?;
            let mut written = StringChunkedBuilder::new(texts.name().clone(), texts.len());
            let mut buffer = String::new();
            for text in texts.iter() {
                written.append_option(text.and_then(|text| write(text, &mut buffer)));
            }
            Ok(written.finish().into_column())
        },
        |_, field| Ok(field.clone()),
    )
}
