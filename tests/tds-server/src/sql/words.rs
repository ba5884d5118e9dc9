//! Splits the text of a statement into words.

use crate::tokens::SqlError;

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Word {
    /// A keyword or a plain name, as it is written.
    Plain(String),
    /// A name in brackets, without them.
    Quoted(String),
    Parameter(usize),
    Number(i64),
    /// `(`, `)`, `,`, `.`, `*`, `=`, `<`, `<=`, `>`, `>=`.
    Sign(&'static str),
}

const SIGNS: [&str; 10] = ["<=", ">=", "<", ">", "=", "(", ")", ",", ".", "*"];

pub(super) fn words(text: &str) -> Result<Vec<Word>, SqlError> {
    let mut words = Vec::new();
    let mut rest = text.trim_start();
    while let Some(first) = rest.chars().next() {
        let (word, after) = match first {
            '[' => quoted(rest)?,
            '@' => {
                let (number, after) = split(&rest[2..], |c| c.is_ascii_digit());
                (Word::Parameter(number.parse().map_err(|_| syntax(rest))?), after)
            }
            c if c.is_ascii_digit() => {
                let (number, after) = split(rest, |c| c.is_ascii_digit());
                (Word::Number(number.parse().map_err(|_| syntax(rest))?), after)
            }
            c if c.is_alphabetic() || c == '_' => {
                let (name, after) = split(rest, |c| c.is_alphanumeric() || c == '_');
                (Word::Plain(name.to_owned()), after)
            }
            _ => {
                let sign = SIGNS.into_iter().find(|sign| rest.starts_with(sign)).ok_or_else(|| syntax(rest))?;
                (Word::Sign(sign), &rest[sign.len()..])
            }
        };
        words.push(word);
        rest = after.trim_start();
    }
    Ok(words)
}

/// A name in brackets, in which `]]` stands for `]`.
fn quoted(text: &str) -> Result<(Word, &str), SqlError> {
    let mut name = String::new();
    let mut characters = text.char_indices().skip(1).peekable();
    while let Some((at, c)) = characters.next() {
        if c != ']' {
            name.push(c);
        } else if characters.next_if(|(_, next)| *next == ']').is_some() {
            name.push(']');
        } else {
            return Ok((Word::Quoted(name), &text[at + 1..]));
        }
    }
    Err(syntax(text))
}

fn split(text: &str, belongs: impl Fn(char) -> bool) -> (&str, &str) {
    text.split_at(text.find(|c| !belongs(c)).unwrap_or(text.len()))
}

pub(super) fn syntax(at: &str) -> SqlError {
    SqlError::new(102, 15, &format!("Incorrect syntax near '{at}'."))
}
