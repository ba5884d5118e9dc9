//! A query as it is asked, and as the engine reads it.
//!
//! The engine knows tables by one name. So `gold.fact_claims` becomes the one name `"gold.fact_claims"` with the alias
//! `fact_claims`, and a column `gold.fact_claims.paid_amount` becomes `fact_claims.paid_amount`. Everything that is no
//! query of the lake's tables is refused here, the engine's functions that read files above all.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::ops::ControlFlow;

use rcm_platform::StageError;
use rcm_platform::load::printable;
use sqlparser::ast::{
    Expr, Ident, ObjectName, Query, Statement as Parsed, TableAlias, TableFactor, Value, ValueWithSpan, VisitMut,
    VisitorMut,
};
use sqlparser::dialect::GenericDialect;
use sqlparser::parser::{Parser, ParserOptions};

/// Layers whose tables a query may name.
pub const LAYERS: [&str; 5] = ["gold", "silver", "quarantine", "audit", "bronze"];

/// A table that a query names, such as `gold.fact_claims`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct TableName {
    pub layer: &'static str,
    pub name: String,
}

impl fmt::Display for TableName {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let is_plain = self.name.chars().all(|letter| letter.is_ascii_alphanumeric() || letter == '_');
        let quote = if is_plain { "" } else { "\"" };
        write!(formatter, "{}.{quote}{}{quote}", self.layer, printable(&self.name))
    }
}

/// A query of tables of the lake.
#[derive(Debug)]
pub struct Statement {
    /// As the engine reads it.
    pub text: String,
    /// Its tables, by the names that they have in `text`.
    pub tables: BTreeMap<String, TableName>,
    /// The query without any text or number that was written in it: they may be values of a patient.
    pub recorded: String,
    /// The texts and numbers that were written in it, and quoted names of columns.
    pub literals: Vec<String>,
}

impl Statement {
    /// Reads a query.
    ///
    /// # Errors
    /// `BadConfig` if it is no SQL, more than one statement, no query, or asks for anything but tables of the lake. The
    /// message quotes nothing that was written as a text or a number.
    pub fn parse(sql: &str) -> Result<Self, StageError> {
        let options = ParserOptions { trailing_commas: true, ..ParserOptions::default() };
        let parser = Parser::new(&GenericDialect).with_options(options);
        let parsed = parser.try_with_sql(sql).and_then(|mut parser| parser.parse_statements());
        let mut statements = parsed.map_err(|error| refused(&without_quotes(&error.to_string())))?;
        let (Some(mut statement), true) = (statements.pop(), statements.is_empty()) else {
            return Err(refused("ask one query at a time"));
        };
        if !matches!(statement, Parsed::Query(_)) {
            return Err(refused(
                "only queries can be asked, such as `select …`; nothing in the lake is changed by SQL",
            ));
        }
        let mut rewriter = Rewriter::default();
        if let ControlFlow::Break(reason) = statement.visit(&mut rewriter) {
            return Err(refused(&reason));
        }
        let text = statement.to_string();
        let mut literals = Literals::default();
        let _ = statement.visit(&mut literals);
        Ok(Self { text, tables: rewriter.tables, recorded: statement.to_string(), literals: literals.0 })
    }
}

fn refused(reason: &str) -> StageError {
    StageError::bad_config(format!("the query cannot be read: {reason}"))
}

/// A message of the parser without what it quotes of the query.
fn without_quotes(message: &str) -> String {
    let message = message.trim_start_matches("sql parser error: ");
    let message = match (message.find(", found: "), message.rfind(" at Line: ")) {
        (Some(found), Some(place)) if found < place => format!("{}{}", &message[..found], &message[place..]),
        (Some(found), None) => message[..found].to_owned(),
        _ => message.to_owned(),
    };
    let parts = message.split('\'').enumerate();
    parts.map(|(index, part)| if index % 2 == 1 { "…" } else { part }).collect::<Vec<_>>().join("'")
}

/// Gives the tables of a query the names that the engine knows.
#[derive(Default)]
struct Rewriter {
    /// Names of queries in `with`.
    named: BTreeSet<String>,
    tables: BTreeMap<String, TableName>,
    /// Tables by the alias that they got here.
    aliases: BTreeMap<String, TableName>,
}

impl VisitorMut for Rewriter {
    type Break = String;

    fn pre_visit_query(&mut self, query: &mut Query) -> ControlFlow<String> {
        let named = query.with.iter().flat_map(|with| &with.cte_tables);
        self.named.extend(named.map(|query| query.alias.name.value.clone()));
        ControlFlow::Continue(())
    }

    fn pre_visit_table_factor(&mut self, factor: &mut TableFactor) -> ControlFlow<String> {
        match factor {
            TableFactor::Table { args: Some(_), .. } => {
                ControlFlow::Break("functions that make tables or read files cannot be used".to_owned())
            }
            TableFactor::Table { name, alias, .. } => match self.table(name, alias) {
                Ok(()) => ControlFlow::Continue(()),
                Err(reason) => ControlFlow::Break(reason),
            },
            TableFactor::Derived { .. } | TableFactor::NestedJoin { .. } | TableFactor::UNNEST { .. } => {
                ControlFlow::Continue(())
            }
            _ => ControlFlow::Break("functions that make tables cannot be used".to_owned()),
        }
    }

    fn pre_visit_expr(&mut self, expression: &mut Expr) -> ControlFlow<String> {
        if let Expr::CompoundIdentifier(parts) = expression
            && parts.len() > 2
            && parts.first().is_some_and(|first| layer(&first.value).is_some())
        {
            parts.remove(0);
        }
        ControlFlow::Continue(())
    }
}

impl Rewriter {
    fn table(&mut self, name: &mut ObjectName, alias: &mut Option<TableAlias>) -> Result<(), String> {
        let parts: Vec<&Ident> = name.0.iter().filter_map(|part| part.as_ident()).collect();
        let hint =
            || format!("tables are named with their layer, such as gold.fact_claims; layers are {}", LAYERS.join(", "));
        let (layer, table) = match parts.as_slice() {
            [only] if self.named.contains(&only.value) => return Ok(()),
            [first, second] => (layer(&first.value).ok_or_else(hint)?, second.value.clone()),
            _ => return Err(hint()),
        };
        let table = TableName { layer, name: table };
        let known_as = format!("{layer}.{}", table.name);
        *name = ObjectName::from(vec![Ident::with_quote('"', &known_as)]);
        if alias.is_none() {
            let other = self.aliases.insert(table.name.clone(), table.clone());
            if other.is_some_and(|other| other != table) {
                return Err(format!(
                    "it has two tables `{}` of different layers; hint: give each a name of its own, `{table} as …`",
                    printable(&table.name)
                ));
            }
            let name = Ident::with_quote('"', &table.name);
            *alias = Some(TableAlias { explicit: true, name, columns: Vec::new(), at: None });
        }
        self.tables.insert(known_as, table);
        Ok(())
    }
}

fn layer(name: &str) -> Option<&'static str> {
    LAYERS.into_iter().find(|layer| layer.eq_ignore_ascii_case(name))
}

/// Takes texts and numbers out of a query.
#[derive(Default)]
struct Literals(Vec<String>);

impl VisitorMut for Literals {
    type Break = ();

    /// A text in double quotes is a name to the engine, and may have been meant as a value.
    fn pre_visit_expr(&mut self, expression: &mut Expr) -> ControlFlow<()> {
        if let Expr::Identifier(name) = expression
            && name.quote_style.is_some()
        {
            self.0.push(name.value.clone());
        }
        ControlFlow::Continue(())
    }

    fn pre_visit_value(&mut self, value: &mut ValueWithSpan) -> ControlFlow<()> {
        let taken = match &value.value {
            Value::Null | Value::Boolean(_) | Value::Placeholder(_) => return ControlFlow::Continue(()),
            Value::Number(number, _) => number.clone(),
            other => other.clone().into_string().unwrap_or_else(|| other.to_string()),
        };
        self.0.push(taken);
        value.value = Value::Placeholder("?".to_owned());
        ControlFlow::Continue(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(sql: &str) -> Statement {
        Statement::parse(sql).unwrap()
    }

    #[test]
    fn tables_of_all_layers_get_one_name_and_keep_their_own_as_alias() {
        let statement = parsed(
            "select fact_claims.paid_amount, gold.fact_claims.claim_key from gold.fact_claims join silver.x_current as x \
             on x.claim_key = fact_claims.claim_key join bronze.\"hosa/patients\" b on true",
        );
        let tables: Vec<String> = statement.tables.values().map(ToString::to_string).collect();
        assert_eq!(tables, ["bronze.\"hosa/patients\"", "gold.fact_claims", "silver.x_current"]);
        assert_eq!(
            statement.text,
            "SELECT fact_claims.paid_amount, fact_claims.claim_key FROM \"gold.fact_claims\" AS \"fact_claims\" JOIN \
             \"silver.x_current\" AS x ON x.claim_key = fact_claims.claim_key JOIN \"bronze.hosa/patients\" b ON true"
        );
    }

    #[test]
    fn a_query_in_with_is_no_table_of_the_lake() {
        let statement = parsed("with patients as (select * from silver.patients) select count(*) from patients");
        assert_eq!(statement.tables.into_keys().collect::<Vec<_>>(), ["silver.patients"]);
    }

    #[test]
    fn what_is_recorded_has_no_text_and_no_number_of_the_query() {
        let statement = parsed("select * from silver.patients where ssn = '123-45-6789' or phone_number = 5550100");
        assert_eq!(
            statement.recorded,
            "SELECT * FROM \"silver.patients\" AS \"patients\" WHERE ssn = ? OR phone_number = ?"
        );
        assert_eq!(statement.literals, ["123-45-6789", "5550100"]);
        assert!(statement.text.contains("'123-45-6789'"));
    }

    #[rstest::rstest]
    #[case("select * from read_parquet('/lake/silver/patients/a.parquet')", "cannot be used")]
    #[case("select * from silver.patients where ssn in (select ssn from read_csv('a.csv'))", "cannot be used")]
    #[case("with a as (select * from read_json('a.json')) select * from a", "cannot be used")]
    #[case("select * from table(x)", "cannot be used")]
    #[case("select * from patients", "with their layer")]
    #[case("select * from landing.claims", "layers are gold, silver")]
    #[case("select * from lake.silver.patients", "with their layer")]
    #[case("drop table silver.patients", "only queries")]
    #[case("delete from silver.patients", "only queries")]
    #[case("select 1; select 2", "one query at a time")]
    #[case("", "one query at a time")]
    #[case("select * from silver.patients, quarantine.patients", "two tables `patients` of different layers")]
    fn what_is_no_query_of_the_lake_is_refused(#[case] sql: &str, #[case] expected: &str) {
        let error = Statement::parse(sql).unwrap_err();
        assert_eq!(error.name(), "BadConfig");
        assert!(error.to_string().contains(expected), "{error}");
    }

    #[rstest::rstest]
    #[case("select * from silver.patients where ssn == == 'Quillon'")]
    #[case("select * from silver.patients where 'Quillon' 'Fictor'")]
    #[case("select * from silver.patients limit 'Quillon' Quillon")]
    #[case("select * from silver.patients where last_name = 'Quillon")]
    fn an_error_of_syntax_says_where_and_quotes_nothing(#[case] sql: &str) {
        let error = Statement::parse(sql).unwrap_err().to_string();
        assert!(!error.contains("Quillon") && !error.contains("Fictor"), "{error}");
    }
}
