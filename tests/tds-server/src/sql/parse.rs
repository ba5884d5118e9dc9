//! Parses words to a `SELECT`.

use super::words::{Word, syntax, words};
use super::{Comparison, Condition, Item, Operand, Select, What};
use crate::tokens::SqlError;
use crate::types::Type;

type Result<T> = std::result::Result<T, SqlError>;

/// Reads a `SELECT`.
pub(crate) fn parse(text: &str) -> Result<Select> {
    let words = words(text)?;
    let mut parser = Parser { words: &words };
    let select = parser.select()?;
    if parser.words.is_empty() { Ok(select) } else { Err(parser.unexpected()) }
}

struct Parser<'a> {
    words: &'a [Word],
}

impl Parser<'_> {
    fn select(&mut self) -> Result<Select> {
        self.expect("SELECT")?;
        let top = if self.keyword("TOP") { Some(self.number()? as u64) } else { None };
        let mut items = Vec::new();
        if !self.sign("*") {
            items.push(self.item()?);
            while self.sign(",") {
                items.push(self.item()?);
            }
        }
        self.expect("FROM")?;
        let mut table = vec![self.name()?];
        while self.sign(".") {
            table.push(self.name()?);
        }
        let condition = if self.keyword("WHERE") { Some(self.any_of()?) } else { None };
        let mut select = Select { top, items, table, condition, order_by: None, offset: None, fetch: None };
        if self.keyword("ORDER") {
            self.expect("BY")?;
            select.order_by = Some(self.name()?);
            if self.keyword("OFFSET") {
                select.offset = Some(self.operand()?);
                self.expect("ROWS")?;
                self.expect("FETCH")?;
                self.expect("NEXT")?;
                select.fetch = Some(self.operand()?);
                self.expect("ROWS")?;
                self.expect("ONLY")?;
            }
        }
        Ok(select)
    }

    fn item(&mut self) -> Result<Item> {
        let what = if self.call("MAX")? {
            What::Max(self.name()?)
        } else if self.call("COUNT_BIG")? {
            self.expect_sign("*")?;
            What::Count
        } else if self.call("CAST")? {
            let column = self.name()?;
            self.expect("AS")?;
            What::Cast(column, self.cast_type()?)
        } else {
            What::Column(self.name()?)
        };
        if !matches!(what, What::Column(_)) {
            self.expect_sign(")")?;
        }
        let own_name = if let What::Column(name) = &what { name.clone() } else { String::new() };
        let name = if self.keyword("AS") { self.name()? } else { own_name };
        Ok(Item { what, name })
    }

    /// The type of a cast, with its length or its precision and scale.
    fn cast_type(&mut self) -> Result<Type> {
        let name = self.name()?;
        let mut sizes = Vec::new();
        if self.sign("(") {
            loop {
                sizes.push(if self.keyword("max") { 0 } else { self.number()? });
                if !self.sign(",") {
                    break;
                }
            }
            self.expect_sign(")")?;
        }
        match (name.as_str(), &sizes[..]) {
            ("decimal", [precision, scale]) => Ok(Type::Decimal(*precision as u8, *scale as u8)),
            ("nvarchar", [0]) => Ok(Type::NVarCharMax),
            ("nvarchar", [length]) => Ok(Type::NVarChar(*length as u16)),
            ("varchar", [0]) => Ok(Type::VarCharMax),
            ("varchar", [length]) => Ok(Type::VarChar(*length as u16)),
            _ => Err(SqlError::new(243, 16, &format!("Type {name} is not a defined system type."))),
        }
    }

    fn any_of(&mut self) -> Result<Condition> {
        let mut condition = self.all_of()?;
        while self.keyword("OR") {
            condition = Condition::Or(Box::new(condition), Box::new(self.all_of()?));
        }
        Ok(condition)
    }

    fn all_of(&mut self) -> Result<Condition> {
        let mut condition = self.single()?;
        while self.keyword("AND") {
            condition = Condition::And(Box::new(condition), Box::new(self.single()?));
        }
        Ok(condition)
    }

    fn single(&mut self) -> Result<Condition> {
        if self.sign("(") {
            let condition = self.any_of()?;
            self.expect_sign(")")?;
            return Ok(condition);
        }
        let left = self.operand()?;
        if self.keyword("IS") {
            let is_not = self.keyword("NOT");
            self.expect("NULL")?;
            return Ok(if is_not { Condition::IsNotNull(left) } else { Condition::IsNull(left) });
        }
        let comparison = match self.next()? {
            Word::Sign("=") => Comparison::Equal,
            Word::Sign("<") => Comparison::Less,
            Word::Sign("<=") => Comparison::LessOrEqual,
            Word::Sign(">") => Comparison::Greater,
            Word::Sign(">=") => Comparison::GreaterOrEqual,
            _ => return Err(self.unexpected()),
        };
        Ok(Condition::Compare(left, comparison, self.operand()?))
    }

    fn operand(&mut self) -> Result<Operand> {
        if self.call("CAST")? {
            let operand = self.operand()?;
            self.expect("AS")?;
            self.cast_type()?;
            self.expect_sign(")")?;
            return Ok(operand);
        }
        if self.call("DB_ID")? {
            self.expect_sign(")")?;
            return Ok(Operand::Number(1));
        }
        match self.words.first() {
            Some(Word::Parameter(number)) => {
                self.words = &self.words[1..];
                Ok(Operand::Parameter(*number))
            }
            Some(Word::Number(_)) => Ok(Operand::Number(self.number()?)),
            _ => Ok(Operand::Column(self.name()?)),
        }
    }

    fn next(&mut self) -> Result<Word> {
        let (first, rest) = self.words.split_first().ok_or_else(|| syntax("the end"))?;
        self.words = rest;
        Ok(first.clone())
    }

    fn name(&mut self) -> Result<String> {
        match self.next()? {
            Word::Plain(name) | Word::Quoted(name) => Ok(name),
            _ => Err(self.unexpected()),
        }
    }

    fn number(&mut self) -> Result<i64> {
        match self.next()? {
            Word::Number(number) => Ok(number),
            _ => Err(self.unexpected()),
        }
    }

    fn keyword(&mut self, keyword: &str) -> bool {
        let is_it = matches!(self.words.first(), Some(Word::Plain(word)) if word.eq_ignore_ascii_case(keyword));
        if is_it {
            self.words = &self.words[1..];
        }
        is_it
    }

    fn sign(&mut self, sign: &str) -> bool {
        let is_it = matches!(self.words.first(), Some(Word::Sign(word)) if *word == sign);
        if is_it {
            self.words = &self.words[1..];
        }
        is_it
    }

    /// Returns whether a function of this name is called; consumes its name and opening bracket.
    fn call(&mut self, function: &str) -> Result<bool> {
        if !self.keyword(function) {
            return Ok(false);
        }
        self.expect_sign("(")?;
        Ok(true)
    }

    fn expect(&mut self, keyword: &str) -> Result<()> {
        if self.keyword(keyword) { Ok(()) } else { Err(self.unexpected()) }
    }

    fn expect_sign(&mut self, sign: &str) -> Result<()> {
        if self.sign(sign) { Ok(()) } else { Err(self.unexpected()) }
    }

    fn unexpected(&self) -> SqlError {
        syntax(&format!("{:?}", self.words.first()))
    }
}
