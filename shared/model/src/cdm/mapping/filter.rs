//! Conditions over a source's columns, in SQL.

/// Functions that a condition may call.
const FUNCTIONS: [&str; 14] = [
    "abs",
    "coalesce",
    "concat",
    "ends_with",
    "left",
    "length",
    "lower",
    "ltrim",
    "nullif",
    "right",
    "rtrim",
    "starts_with",
    "trim",
    "upper",
];
/// Words of SQL that are no columns.
const WORDS: [&str; 19] = [
    "and", "or", "not", "in", "is", "null", "true", "false", "like", "ilike", "between", "case", "when", "then",
    "else", "end", "similar", "to", "escape",
];

/// A condition over a source's columns, such as `TYPE = 'CHARGE'`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Filter {
    sql: String,
    columns: Vec<String>,
}

impl Filter {
    /// Reads a condition as far as its columns go.
    ///
    /// # Errors
    /// It names no column, has a quote that is not closed, or calls what a condition may not call.
    pub fn parse(sql: &str) -> Result<Self, String> {
        let mut columns: Vec<String> = Vec::new();
        let mut rest = sql;
        while let Some(first) = rest.chars().next() {
            // Quotes of other kinds, which end elsewhere: `E'…'`, `U&'…'`, `$$…$$`.
            let before = sql[..sql.len() - rest.len()].chars().next_back();
            let follows_a_word = before.is_some_and(|letter| letter.is_alphanumeric() || "_&".contains(letter));
            if first == '$' || matches!(first, '\'' | '"' | '`') && follows_a_word || first == '`' {
                return Err(
                    "has a quote of another kind: texts stand in single quotes, columns in double ones".to_owned()
                );
            }
            let (word, after) = match first {
                '\'' => {
                    rest = after_quote(rest, '\'')?;
                    continue;
                }
                '"' => {
                    let after = after_quote(rest, '"')?;
                    if after.trim_start().starts_with('(') {
                        return Err("calls a quoted name".to_owned());
                    }
                    columns.push(rest[1..rest.len() - after.len() - 1].replace("\"\"", "\""));
                    rest = after;
                    continue;
                }
                first if first.is_alphabetic() || first == '_' => split_word(rest),
                first if first.is_ascii_digit() => {
                    rest = split_word(rest).1;
                    continue;
                }
                ';' => return Err("has a `;`: it is one condition".to_owned()),
                '-' if rest.starts_with("--") => return Err("has a comment: it is one condition".to_owned()),
                '/' if rest.starts_with("/*") => return Err("has a comment: it is one condition".to_owned()),
                first => {
                    rest = &rest[first.len_utf8()..];
                    continue;
                }
            };
            rest = after;
            let name = word.to_lowercase();
            if ["select", "from", "join", "union", "with", "exists"].contains(&name.as_str()) {
                return Err(format!("has `{word}`: a condition asks one row and reads nothing else"));
            }
            if WORDS.contains(&name.as_str()) {
                continue;
            }
            if after.trim_start().starts_with('(') {
                if !FUNCTIONS.contains(&name.as_str()) {
                    return Err(format!("calls `{word}`; it may call {}", FUNCTIONS.join(", ")));
                }
                continue;
            }
            columns.push(word.to_owned());
        }
        if columns.is_empty() {
            return Err("names no column of the source".to_owned());
        }
        let mut known = std::collections::BTreeSet::new();
        columns.retain(|column| known.insert(column.clone()));
        Ok(Self { sql: sql.to_owned(), columns })
    }

    /// The condition, in SQL.
    #[must_use]
    pub fn sql(&self) -> &str {
        &self.sql
    }

    /// The columns that it names.
    pub fn columns(&self) -> impl Iterator<Item = &str> {
        self.columns.iter().map(String::as_str)
    }
}

/// What follows a quoted text; a quote within is written twice.
fn after_quote(text: &str, quote: char) -> Result<&str, String> {
    let mut rest = &text[1..];
    loop {
        let end = rest.find(quote).ok_or("has a quote that is not closed")?;
        rest = &rest[end + 1..];
        match rest.strip_prefix(quote) {
            Some(after) => rest = after,
            None => return Ok(rest),
        }
    }
}

fn split_word(text: &str) -> (&str, &str) {
    let end = text.find(|letter: char| !letter.is_alphanumeric() && letter != '_').unwrap_or(text.len());
    text.split_at(end)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[rstest::rstest]
    #[case("TYPE = 'CHARGE'", &["TYPE"])]
    #[case("\"Row Type\" in ('A', 'it''s') and not lower(Flag) = 'x'", &["Row Type", "Flag"])]
    #[case("A = 'x' or B = 'y' or A = 'z'", &["A", "B"])]
    #[case("Amt_2 > 10 and Day is not null", &["Amt_2", "Day"])]
    fn the_columns_of_a_condition_are_found(#[case] sql: &str, #[case] expected: &[&str]) {
        assert_eq!(Filter::parse(sql).unwrap().columns().collect::<Vec<_>>(), expected);
    }

    #[rstest::rstest]
    #[case("x in (select y from read_csv('a'))", "reads nothing else")]
    #[case("read_parquet('a') = x", "calls `read_parquet`")]
    #[case("x = 'a", "not closed")]
    #[case("'a' = 'a'", "names no column")]
    #[case("x = 1; drop", "one condition")]
    #[case("x = 1 -- y", "comment")]
    #[case("\"read_csv\"('a') = x", "quoted name")]
    #[case(r"x = E'\'' or x in (select y from read_csv('a')) or x = ''", "another kind")]
    #[case(r"x = U&'\0027' or x in (select y from read_csv('a')) or x = ''", "another kind")]
    #[case("x = $$'$$ or x in (select y from read_csv('a')) or x = $$'$$", "another kind")]
    fn a_condition_that_reads_more_than_its_row_is_refused(#[case] sql: &str, #[case] expected: &str) {
        assert!(Filter::parse(sql).unwrap_err().contains(expected));
    }
}
