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
    let text = raw.cast(DataType::String).str().strip_chars(lit(BLANKS));
    when(text.clone().eq(lit(""))).then(lit(NULL)).otherwise(text)
}

/// Text, null where it is one of some words, without case.
pub(super) fn without_nulls(text: Expr, words: Vec<String>) -> Expr {
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

/// The model's words for the source's, without case; a word that is not named stays as it is.
pub(super) fn mapped(text: Expr, values: &BTreeMap<String, Vec<String>>) -> Expr {
    let words = values.iter().flat_map(|(word, sources)| sources.iter().map(move |source| (source, word)));
    let words: HashMap<String, String> =
        words.map(|(source, word)| (source.trim().to_lowercase(), word.clone())).collect();
    each(text, move |text| {
        Some(words.get(&text.to_lowercase()).map_or(Cow::Borrowed(text), |word| Cow::Owned(word.clone())))
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

fn each(text: Expr, read: impl Fn(&str) -> Option<Cow<'_, str>> + Send + Sync + 'static) -> Expr {
    text.map(
        move |texts| {
            let texts = texts.str()?;
            let read: StringChunked = texts.iter().map(|text| text.and_then(&read)).collect();
            Ok(read.with_name(texts.name().clone()).into_column())
        },
        |_, field| Ok(field.clone()),
    )
}
