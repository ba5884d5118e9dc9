//! The spreadsheet beside the page: every figure with what it is made of, a sheet per section.

use rcm_domain::report::figures::Figure;
use rcm_domain::report::{Report, Scope, Table};
use rust_xlsxwriter::{Format, Workbook, Worksheet, XlsxError};

/// Longest name of a sheet that spreadsheets read.
const LONGEST_NAME: usize = 31;

/// A place on a sheet where the next line goes.
struct Sheet<'a> {
    lines: &'a mut Worksheet,
    row: u32,
    bold: Format,
}

/// Writes the spreadsheet.
///
/// # Errors
/// Never for a report of fewer than a million lines.
pub(crate) fn workbook(report: &Report) -> Result<Vec<u8>, XlsxError> {
    let mut book = Workbook::new();
    let of_all = |name: &str| name.chars().take(LONGEST_NAME).collect::<String>();
    let mut add = |name: &str, write: &dyn Fn(&mut Sheet<'_>) -> Result<(), XlsxError>| -> Result<(), XlsxError> {
        let sheet = book.add_worksheet().set_name(of_all(name))?;
        sheet.set_column_width(0, 34)?;
        let mut sheet = Sheet { lines: sheet, row: 0, bold: Format::new().set_bold() };
        write(&mut sheet)
    };
    let each = |sheet: &mut Sheet<'_>, tables: &dyn Fn(&Scope) -> Vec<Table>| -> Result<(), XlsxError> {
        for scope in &report.scopes {
            sheet.title(&scope.name)?;
            for table in tables(scope) {
                sheet.table(&table)?;
            }
        }
        Ok(())
    };
    add("Figures", &|sheet| {
        sheet.title(&format!("{}, receivables as of {}", report.title, report.as_of))?;
        sheet.text(0, &report.notice.finding)?;
        sheet.text(1, &report.notice.rest)?;
        sheet.row += 2;
        for scope in &report.scopes {
            sheet.title(&scope.name)?;
            for tile in &scope.tiles {
                sheet.text(0, tile.name)?;
                sheet.figure(1, &tile.figure)?;
                sheet.text(2, &tile.of)?;
                sheet.row += 1;
            }
            sheet.row += 1;
        }
        Ok(())
    })?;
    add("What changed", &|sheet| {
        for scope in &report.scopes {
            sheet.title(&scope.name)?;
            for (sign, amount, name) in &scope.change.equation {
                sheet.text(0, &format!("{sign} {name}"))?;
                sheet.figure(1, amount)?;
                sheet.row += 1;
            }
            sheet.row += 1;
            sheet.table(&scope.change.table)?;
        }
        Ok(())
    })?;
    add("Age", &|sheet| each(sheet, &|scope| vec![scope.age.table.clone()]))?;
    add("Days in receivables", &|sheet| each(sheet, &|scope| scope.days.tables.clone()))?;
    add("Collection", &|sheet| each(sheet, &|scope| vec![scope.collection.table.clone()]))?;
    add("Denials", &|sheet| each(sheet, &|scope| vec![scope.denials.table.clone()]))?;
    add("Speed and volume", &|sheet| each(sheet, &|scope| vec![scope.speed.table.clone()]))?;
    if report.scopes.iter().any(|scope| scope.closed.is_some()) {
        add("Closed months", &|sheet| {
            each(sheet, &|scope| {
                let closed = scope.closed.iter();
                closed.flat_map(|closed| closed.tables.iter().chain([&closed.measures])).cloned().collect()
            })
        })?;
    }
    add("How they are made", &|sheet| {
        for (name, text) in &report.behind.definitions {
            sheet.text(0, name)?;
            sheet.text(1, text)?;
            sheet.row += 1;
        }
        Ok(())
    })?;
    book.save_to_buffer()
}

impl Sheet<'_> {
    fn title(&mut self, text: &str) -> Result<(), XlsxError> {
        self.lines.write_string_with_format(self.row, 0, text, &self.bold)?;
        self.row += 1;
        Ok(())
    }

    fn text(&mut self, column: u16, text: &str) -> Result<(), XlsxError> {
        self.lines.write_string(self.row, column, text).map(|_| ())
    }

    /// Writes the exact value as a number, or the text where a figure has none.
    fn figure(&mut self, column: u16, figure: &Figure) -> Result<(), XlsxError> {
        let exact = figure.value.as_ref().and_then(|value| value.parse::<f64>().ok());
        match exact {
            Some(value) => self.lines.write_number(self.row, column, value).map(|_| ()),
            None => self.text(column, &figure.whole()),
        }
    }

    fn table(&mut self, table: &Table) -> Result<(), XlsxError> {
        self.text(0, &format!("{} {}", table.caption, table.of))?;
        self.row += 1;
        for (column, heading) in (0..).zip(&table.headings) {
            self.lines.write_string_with_format(self.row, column, heading, &self.bold)?;
        }
        self.row += 1;
        for line in &table.lines {
            self.text(0, &line.name)?;
            for (column, cell) in (1..).zip(&line.cells) {
                self.figure(column, cell)?;
            }
            self.row += 1;
        }
        self.row += 1;
        Ok(())
    }
}
