//! Names of T-SQL, from `load_config.csv` to a statement: parsed once, always quoted.

use crate::error::{Result, StageError};
use crate::load::printable;

/// Longest name that SQL Server has.
const MAX_LENGTH: usize = 128;

/// A name without its brackets.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Identifier(String);

/// A table, with its schema where one is given.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct TableName(Vec<Identifier>);

impl Identifier {
    /// Reads the name of a column: plain, or in brackets in which `]]` stands for `]`.
    ///
    /// # Errors
    /// `BadConfig` if the text is anything else.
    pub(super) fn parse(text: &str) -> Result<Self> {
        match parts(text).as_deref() {
            Some([one]) => Ok(one.clone()),
            _ => Err(no_identifier("column", text)),
        }
    }

    /// A name that a database told us.
    pub(super) fn known(name: &str) -> Self {
        Self(name.to_owned())
    }

    pub(super) fn name(&self) -> &str {
        &self.0
    }

    /// The name in brackets.
    pub(super) fn quoted(&self) -> String {
        format!("[{}]", self.0.replace(']', "]]"))
    }
}

impl TableName {
    /// Reads the name of a table: `patients`, `dbo.patients`, `[my schema].[patients]`.
    ///
    /// # Errors
    /// `BadConfig` if the text is anything else.
    pub(super) fn parse(text: &str) -> Result<Self> {
        match parts(text) {
            Some(parts) if parts.len() <= 2 => Ok(Self(parts)),
            _ => Err(no_identifier("table", text)),
        }
    }

    /// The name with every part in brackets.
    pub(super) fn quoted(&self) -> String {
        self.0.iter().map(Identifier::quoted).collect::<Vec<_>>().join(".")
    }
}

fn no_identifier(what: &str, text: &str) -> StageError {
    StageError::bad_config(format!("load_config.csv: `{}` is no name of a {what}", printable(text)))
}

/// The parts of a name between dots; none if one of them is no identifier.
fn parts(text: &str) -> Option<Vec<Identifier>> {
    let mut parts = Vec::new();
    let mut rest = text;
    loop {
        let (part, after) = if rest.starts_with('[') { quoted(rest)? } else { plain(rest)? };
        parts.push(part);
        match after.strip_prefix('.') {
            Some(next) => rest = next,
            None if after.is_empty() => return Some(parts),
            None => return None,
        }
    }
}

fn plain(text: &str) -> Option<(Identifier, &str)> {
    let belongs = |c: char| c.is_alphanumeric() || "_@$#".contains(c);
    let (name, after) = text.split_at(text.find(|c| !belongs(c)).unwrap_or(text.len()));
    let starts_well = name.starts_with(|c: char| c.is_alphabetic() || c == '_');
    (starts_well && fits(name)).then(|| (Identifier(name.to_owned()), after))
}

fn quoted(text: &str) -> Option<(Identifier, &str)> {
    let mut name = String::new();
    let mut characters = text.char_indices().skip(1).peekable();
    while let Some((at, c)) = characters.next() {
        if c != ']' {
            name.push(c);
        } else if characters.next_if(|(_, next)| *next == ']').is_some() {
            name.push(']');
        } else {
            let is_clean = fits(&name) && !name.trim().is_empty() && !name.chars().any(char::is_control);
            return is_clean.then(|| (Identifier(name), &text[at + 1..]));
        }
    }
    None
}

fn fits(name: &str) -> bool {
    name.encode_utf16().count() <= MAX_LENGTH
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case("patients", "[patients]")]
    #[case("dbo.patients", "[dbo].[patients]")]
    #[case("[dbo].[patients]", "[dbo].[patients]")]
    #[case("[my.schema].patients", "[my.schema].[patients]")]
    #[case("[odd]]name].[select * from x; --]", "[odd]]name].[select * from x; --]")]
    #[case("Größe._x1", "[Größe].[_x1]")]
    fn a_table_name_is_quoted_part_by_part(#[case] text: &str, #[case] expected: &str) {
        assert_eq!(TableName::parse(text).unwrap().quoted(), expected);
    }

    #[rstest]
    #[case::empty("")]
    #[case::only_a_schema("dbo.")]
    #[case::only_a_dot(".patients")]
    #[case::another_database("db.dbo.patients")]
    #[case::a_statement("patients; DROP TABLE patients")]
    #[case::a_comment("patients--")]
    #[case::a_text("'patients'")]
    #[case::a_blank("dbo.my patients")]
    #[case::an_open_bracket("[dbo.patients")]
    #[case::a_closed_bracket("dbo].[patients")]
    #[case::more_after_a_bracket("[dbo]x.patients")]
    #[case::nothing_in_brackets("dbo.[]")]
    #[case::a_new_line("[dbo\n]")]
    #[case::a_number("dbo.1patients")]
    #[case::a_variable("@patients")]
    #[case::too_long(&"x".repeat(129))]
    fn what_is_no_name_of_a_table_is_refused(#[case] text: &str) {
        assert_eq!(TableName::parse(text).unwrap_err().name(), "BadConfig");
    }

    #[test]
    fn a_column_has_one_part() {
        assert_eq!(Identifier::parse("[Modified Date]").unwrap().name(), "Modified Date");
        assert_eq!(Identifier::parse("t.ModifiedDate").unwrap_err().name(), "BadConfig");
    }
}
