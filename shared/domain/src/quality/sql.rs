//! SQL of a rule: an expression over the columns of a row, and nothing that reads anything else.

use std::panic::{AssertUnwindSafe, catch_unwind};

use polars::prelude::*;
use sqlparser::dialect::GenericDialect;
use sqlparser::tokenizer::{Token, Tokenizer};

/// Words that only a query has.
const OF_QUERIES: [&str; 5] = ["select", "exists", "union", "table", "with"];

/// Reads the SQL of an expression.
///
/// # Errors
/// It is none, holds a query or a function that reads files, or the parser breaks on it.
pub(crate) fn expression(text: &str) -> PolarsResult<Expr> {
    // The engine opens the files of a query while it reads it, so that a query must be found before.
    if let Some(word) = unpanicked(|| Ok(query_word(text)))? {
        return Err(polars_err!(SQLInterface: "`{word}`: a rule looks at the columns of a row, it asks no query"));
    }
    let parsed = unpanicked(|| polars::sql::sql_expr(text))?;
    if (&parsed).into_iter().any(|part| matches!(part, Expr::SubPlan(..))) {
        return Err(polars_err!(SQLInterface: "a rule looks at the columns of a row, it asks no query"));
    }
    Ok(parsed)
}

/// Whether what an expression says of a row depends on other rows.
pub(crate) fn looks_at_other_rows(expression: &Expr) -> bool {
    expression.into_iter().any(|part| match part {
        Expr::Len | Expr::Over { .. } => true,
        // A list of values is one too.
        Expr::Agg(_)
        | Expr::Sort { .. }
        | Expr::SortBy { .. }
        | Expr::Gather { .. }
        | Expr::Filter { .. }
        | Expr::Slice { .. }
        | Expr::Explode { .. } => part.into_iter().any(|part| matches!(part, Expr::Column(_) | Expr::Selector(_))),
        _ => false,
    })
}

/// Columns that an expression names.
pub(super) fn columns(expression: &Expr) -> Vec<String> {
    let mut columns: Vec<String> = Vec::new();
    for part in expression {
        if let Expr::Column(name) = part {
            let name = name.to_string();
            if !columns.contains(&name) {
                columns.push(name);
            }
        }
    }
    columns
}

/// Returns an error where the engine breaks on what it was asked. A rule is text that anybody may write, and the
/// engine panics on some: that is a mistake in the configuration, not the end of the run.
pub(super) fn unpanicked<T>(ask: impl FnOnce() -> PolarsResult<T>) -> PolarsResult<T> {
    catch_unwind(AssertUnwindSafe(ask))
        .unwrap_or_else(|_| Err(polars_err!(SQLInterface: "the engine breaks on it: write it in another way")))
}

/// The first word that only a query or a reading of files has, among the tokens that the engine sees: it knows more
/// kinds of quotes than one would look for. Text without tokens is no SQL, and is told so by the engine.
fn query_word(text: &str) -> Option<String> {
    let tokens = Tokenizer::new(&GenericDialect, text).tokenize().ok()?;
    let tokens: Vec<Token> = tokens.into_iter().filter(|token| !matches!(token, Token::Whitespace(_))).collect();
    tokens.iter().enumerate().find_map(|(index, token)| {
        let Token::Word(word) = token else { return None };
        let name = word.value.to_lowercase();
        let is_called = tokens.get(index + 1) == Some(&Token::LParen);
        let reads = is_called && (name.starts_with("read_") || name.starts_with("scan_"));
        let asks = word.quote_style.is_none() && OF_QUERIES.contains(&name.as_str());
        (reads || asks).then_some(name)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[rstest::rstest]
    #[case("amount IN (SELECT x FROM read_parquet('a.parquet'))")]
    #[case("amount in (select amount from self)")]
    #[case("exists (select 1)")]
    #[case("amount > 0 and read_csv('a.csv') is null")]
    #[case("amount in ( --'\n select 1 --'\n)")]
    #[case(r"payor_id = E'\'' or amount in (select a from read_csv('a.csv')) or payor_id = ''")]
    #[case(r"payor_id = x'\'' or amount in (select a from read_csv('a.csv')) or payor_id = ''")]
    #[case("payor_id = $$'$$ or amount in (select a from read_csv('a.csv')) or payor_id = $$'$$")]
    #[case("\"read_csv\"('a.csv') is null")]
    fn an_expression_that_asks_more_than_its_row_is_refused(#[case] text: &str) {
        let refused = expression(text).unwrap_err().to_string();
        assert!(refused.contains("it asks no query"), "before the engine sees it: {refused}");
    }

    /// The engine reads the first row of a file that a query names while it parses the query.
    #[rstest::rstest]
    #[case("amount in (select a from read_csv('FILE'))")]
    #[case("payor_id = $$'$$ or amount in (select a from read_csv('FILE')) or payor_id = $$'$$")]
    fn no_file_is_opened(#[case] text: &str) {
        let missing = "/no such folder/a.csv";
        let refused = expression(&text.replace("FILE", missing)).unwrap_err().to_string();
        assert!(refused.contains("it asks no query") && !refused.contains(missing), "{refused}");
    }

    #[rstest::rstest]
    #[case("payor_id <> 'Select Health'", &["payor_id"])]
    #[case("payor_id <> 'it''s a table'", &["payor_id"])]
    #[case("\"table\" is not null -- the column", &["table"])]
    #[case("lower(claim_status) not in ('denied') or paid_amount = 0", &["claim_status", "paid_amount"])]
    #[case("paid_amount = 0 or paid_date is not null", &["paid_amount", "paid_date"])]
    #[case("case when amount > 0 then paid_amount <= amount else true end", &["amount", "paid_amount"])]
    fn the_columns_of_an_expression_are_known(#[case] text: &str, #[case] expected: &[&str]) {
        let mut found = columns(&expression(text).unwrap());
        found.sort_unstable();
        assert_eq!(found, expected);
    }

    #[rstest::rstest]
    #[case("amount > avg(amount)", true)]
    #[case("count(*) < 5", true)]
    #[case("sum(amount) over (partition by payor_id) > 0", true)]
    #[case("row_number() over (partition by payor_id order by amount) = 1", true)]
    #[case("first(payor_id) = payor_id", true)]
    #[case("amount > 0 and lower(payor_id) in ('a', 'b') or coalesce(payor_id, 'a') like 'a%'", false)]
    #[case("case when amount > 0 then paid_amount <= amount else true end", false)]
    fn an_expression_that_looks_at_other_rows_is_known(#[case] text: &str, #[case] expected: bool) {
        assert_eq!(looks_at_other_rows(&expression(text).unwrap()), expected);
    }

    #[test]
    fn a_panic_of_the_engine_is_an_error() {
        let answer: PolarsResult<()> = unpanicked(|| panic!("made up"));
        assert!(answer.unwrap_err().to_string().contains("another way"));
    }
}
