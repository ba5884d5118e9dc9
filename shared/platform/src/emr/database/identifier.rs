//! Names of SQL, from `load_config.csv` to a statement: parsed once, always quoted.

use crate::error::{Result, StageError};
use crate::load::printable;

/// How a kind of database quotes names. A plain name is taken as it is written, capitals included.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::emr) enum Quotes {
    /// `[a name]`, in which `]]` stands for `]`: T-SQL.
    Brackets,
    /// `"a name"`, in which `""` stands for `"`: the SQL standard.
    Double,
}

/// A name without its quotes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::emr) struct Identifier(String);

/// A table, with its schema where one is given.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::emr) struct TableName(Vec<Identifier>);

impl Quotes {
    const fn open(self) -> char {
        match self {
            Self::Brackets => '[',
            Self::Double => '"',
        }
    }

    const fn close(self) -> char {
        match self {
            Self::Brackets => ']',
            Self::Double => '"',
        }
    }

    /// Whether a name is not longer than a database of this kind has them.
    fn fits(self, name: &str) -> bool {
        match self {
            Self::Brackets => name.encode_utf16().count() <= 128,
            Self::Double => name.len() <= 63,
        }
    }
}

impl Identifier {
    /// Reads the name of a column: plain, or in quotes.
    ///
    /// # Errors
    /// `BadConfig` if the text is anything else.
    pub(super) fn parse(quotes: Quotes, text: &str) -> Result<Self> {
        match parts(quotes, text).as_deref() {
            Some([one]) => Ok(one.clone()),
            _ => Err(no_identifier("column", text)),
        }
    }

    /// A name that a database told us.
    pub(in crate::emr) fn known(name: &str) -> Self {
        Self(name.to_owned())
    }

    pub(in crate::emr) fn name(&self) -> &str {
        &self.0
    }

    /// The name in quotes.
    pub(in crate::emr) fn quoted(&self, quotes: Quotes) -> String {
        let (open, close) = (quotes.open(), quotes.close());
        format!("{open}{}{close}", self.0.replace(close, &format!("{close}{close}")))
    }
}

impl TableName {
    /// Reads the name of a table: `patients`, `dbo.patients`, `[my schema].[patients]`.
    ///
    /// # Errors
    /// `BadConfig` if the text is anything else.
    pub(super) fn parse(quotes: Quotes, text: &str) -> Result<Self> {
        match parts(quotes, text) {
            Some(parts) if parts.len() <= 2 => Ok(Self(parts)),
            _ => Err(no_identifier("table", text)),
        }
    }

    /// The name with every part in quotes.
    pub(in crate::emr) fn quoted(&self, quotes: Quotes) -> String {
        self.0.iter().map(|part| part.quoted(quotes)).collect::<Vec<_>>().join(".")
    }
}

fn no_identifier(what: &str, text: &str) -> StageError {
    StageError::bad_config(format!("load_config.csv: `{}` is no name of a {what}", printable(text)))
}

/// The parts of a name between dots; none if one of them is no identifier.
fn parts(quotes: Quotes, text: &str) -> Option<Vec<Identifier>> {
    let mut parts = Vec::new();
    let mut rest = text;
    loop {
        let (part, after) = if rest.starts_with(quotes.open()) { quoted(quotes, rest)? } else { plain(quotes, rest)? };
        parts.push(part);
        match after.strip_prefix('.') {
            Some(next) => rest = next,
            None if after.is_empty() => return Some(parts),
            None => return None,
        }
    }
}

fn plain(quotes: Quotes, text: &str) -> Option<(Identifier, &str)> {
    let belongs = |c: char| c.is_alphanumeric() || "_@$#".contains(c);
    let (name, after) = text.split_at(text.find(|c| !belongs(c)).unwrap_or(text.len()));
    let starts_well = name.starts_with(|c: char| c.is_alphabetic() || c == '_');
    (starts_well && quotes.fits(name)).then(|| (Identifier(name.to_owned()), after))
}

fn quoted(quotes: Quotes, text: &str) -> Option<(Identifier, &str)> {
    let (mut name, close) = (String::new(), quotes.close());
    let mut characters = text.char_indices().skip(1).peekable();
    while let Some((at, c)) = characters.next() {
        if c != close {
            name.push(c);
        } else if characters.next_if(|(_, next)| *next == close).is_some() {
            name.push(close);
        } else {
            let is_clean = quotes.fits(&name) && !name.trim().is_empty() && !name.chars().any(char::is_control);
            return is_clean.then(|| (Identifier(name), &text[at + 1..]));
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case("patients", "[patients]", "\"patients\"")]
    #[case("dbo.patients", "[dbo].[patients]", "\"dbo\".\"patients\"")]
    #[case("Größe._x1", "[Größe].[_x1]", "\"Größe\".\"_x1\"")]
    fn a_table_name_is_quoted_part_by_part(#[case] text: &str, #[case] brackets: &str, #[case] double: &str) {
        let quoted = |quotes| TableName::parse(quotes, text).unwrap().quoted(quotes);
        assert_eq!((quoted(Quotes::Brackets).as_str(), quoted(Quotes::Double).as_str()), (brackets, double));
    }

    #[rstest]
    #[case(Quotes::Brackets, "[dbo].[patients]")]
    #[case(Quotes::Brackets, "[my.schema].[patients]")]
    #[case(Quotes::Brackets, "[odd]]name].[select * from x; --]")]
    #[case(Quotes::Brackets, "[a \"quote\"].[patients]")]
    #[case(Quotes::Double, "\"My Schema\".\"Patients\"")]
    #[case(Quotes::Double, "\"odd\"\"name\".\"select * from x; --\"")]
    #[case(Quotes::Double, "\"my.schema\".\"[patients]\"")]
    fn a_name_that_is_in_quotes_stays_as_it_is(#[case] quotes: Quotes, #[case] text: &str) {
        assert_eq!(TableName::parse(quotes, text).unwrap().quoted(quotes), text);
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
    #[case::an_open_quote("\"dbo.patients")]
    #[case::a_closed_bracket("dbo].[patients")]
    #[case::more_after_a_bracket("[dbo]x.patients")]
    #[case::more_after_a_quote("\"dbo\"x.patients")]
    #[case::nothing_in_brackets("dbo.[]")]
    #[case::nothing_in_quotes("dbo.\"\"")]
    #[case::a_new_line("[dbo\n]")]
    #[case::a_new_line_in_quotes("\"dbo\n\"")]
    #[case::a_number("dbo.1patients")]
    #[case::a_variable("@patients")]
    #[case::too_long(&"x".repeat(129))]
    fn what_is_no_name_of_a_table_is_refused(
        #[values(Quotes::Brackets, Quotes::Double)] quotes: Quotes,
        #[case] text: &str,
    ) {
        assert_eq!(TableName::parse(quotes, text).unwrap_err().name(), "BadConfig");
    }

    #[rstest]
    #[case(Quotes::Brackets, 128)]
    #[case(Quotes::Double, 63)]
    fn a_name_is_not_longer_than_the_database_has_them(#[case] quotes: Quotes, #[case] longest: usize) {
        TableName::parse(quotes, &"x".repeat(longest)).unwrap();
        TableName::parse(quotes, &"x".repeat(longest + 1)).unwrap_err();
    }

    #[rstest]
    #[case(Quotes::Brackets, "[Modified Date]")]
    #[case(Quotes::Double, "\"Modified Date\"")]
    fn a_column_has_one_part(#[case] quotes: Quotes, #[case] text: &str) {
        assert_eq!(Identifier::parse(quotes, text).unwrap().name(), "Modified Date");
        assert_eq!(Identifier::parse(quotes, "t.ModifiedDate").unwrap_err().name(), "BadConfig");
    }
}
