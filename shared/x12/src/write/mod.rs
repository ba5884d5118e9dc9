//! Writes 835 files with made-up content, for tests and for the demo.
//!
//! Amounts are in cents. `BPR02`, the control numbers and the counts of the trailers follow from what is written, unless
//! a set is told to state another payment. A segment is given as a template in which `*` and `:` stand for the
//! delimiters, whichever they are in the file.

mod claim;
mod set;

use std::fmt::Write as _;

use chrono::{NaiveDate, NaiveDateTime};

pub use self::claim::{ClaimPayment, ServiceLine};
pub use self::set::Set;
use crate::{Cents, Delimiters, Version};

/// One interchange with one group.
#[derive(Clone)]
pub struct Interchange {
    control: u32,
    delimiters: Delimiters,
    line_break: &'static str,
    version: Version,
    sent_at: NaiveDateTime,
    sets: Vec<Set>,
}

impl Interchange {
    /// An empty interchange of version 5010, sent on 2024-02-01.
    #[must_use]
    pub fn new(control: u32) -> Self {
        Self {
            control,
            delimiters: Delimiters::default(),
            line_break: "\n",
            version: Version::V5010,
            sent_at: day(2024, 2, 1).and_hms_opt(8, 30, 0).unwrap_or_default(),
            sets: Vec::new(),
        }
    }

    /// With other delimiters.
    #[must_use]
    pub fn delimiters(self, delimiters: Delimiters) -> Self {
        Self { delimiters, ..self }
    }

    /// With something else after each terminator: nothing, `\n` or `\r\n`.
    #[must_use]
    pub fn line_break(self, line_break: &'static str) -> Self {
        Self { line_break, ..self }
    }

    /// Of another version.
    #[must_use]
    pub fn version(self, version: Version) -> Self {
        Self { version, ..self }
    }

    /// Sent at another time.
    #[must_use]
    pub fn sent_at(self, sent_at: NaiveDateTime) -> Self {
        Self { sent_at, ..self }
    }

    /// With one more set.
    #[must_use]
    pub fn set(mut self, set: Set) -> Self {
        self.sets.push(set);
        self
    }

    /// The bytes of the file.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        let Self { control, sent_at, .. } = self;
        let mut out =
            Output { bytes: Vec::new(), segments: 0, delimiters: self.delimiters, line_break: self.line_break };
        let (isa_version, release) = match self.version {
            Version::V4010 => ("00401", "004010X091A1"),
            _ => ("00501", "005010X221A1"),
        };
        // Version 4010 has no separator of repetitions: its ISA11 is the letter U.
        let has_repetition = self.version != Version::V4010 && self.delimiters.repetition.is_some();
        let repetition = if has_repetition { "^" } else { "U" };
        out.isa(&format!(
            "ISA*00*          *00*          *ZZ*PAYER          *ZZ*HOSPITAL       *{}*{repetition}*{isa_version}\
             *{control:09}*0*P*:",
            sent_at.format("%y%m%d*%H%M"),
        ));
        out.put(&format!("GS*HP*PAYER*HOSPITAL*{}*{control}*X*{release}", sent_at.format("%Y%m%d*%H%M")));
        for (number, set) in (1_u32..).zip(&self.sets) {
            set.write(number, self.version, &mut out);
        }
        out.put(&format!("GE*{}*{control}", self.sets.len()));
        out.put(&format!("IEA*1*{control:09}"));
        out.bytes
    }
}

/// The bytes so far.
pub(crate) struct Output {
    bytes: Vec<u8>,
    /// Segments since the count was last reset.
    segments: u32,
    delimiters: Delimiters,
    line_break: &'static str,
}

impl Output {
    /// Writes a segment; empty elements at its end are left out.
    fn put(&mut self, template: &str) {
        self.elements(template.trim_end_matches(['*', ':']));
        self.end();
    }

    /// Writes an ISA, whose last element is the separator of components.
    fn isa(&mut self, template: &str) {
        self.elements(template);
        self.end();
    }

    /// Writes `*`, `:` and `^` as the delimiters that they stand for, and a blank where the text has a delimiter.
    fn elements(&mut self, template: &str) {
        let Delimiters { element, component, repetition, terminator } = self.delimiters;
        self.bytes.extend(template.bytes().map(|byte| match byte {
            b'*' => element,
            b':' => component,
            b'^' => repetition.unwrap_or(b' '),
            byte if byte == element || byte == component || byte == terminator || Some(byte) == repetition => b' ',
            byte => byte,
        }));
    }

    fn end(&mut self) {
        self.bytes.push(self.delimiters.terminator);
        self.bytes.extend_from_slice(self.line_break.as_bytes());
        self.segments += 1;
    }
}

/// An amount as payers write it: without decimals where there are no cents.
fn amount(cents: Cents) -> String {
    let sign = if cents < 0 { "-" } else { "" };
    let cents = cents.unsigned_abs();
    let mut text = format!("{sign}{}", cents / 100);
    match cents % 100 {
        0 => {}
        tens if tens % 10 == 0 => _ = write!(text, ".{}", tens / 10),
        rest => _ = write!(text, ".{rest:02}"),
    }
    text
}

/// Text of an element, without the characters that stand for delimiters in a template.
fn clean(text: &str) -> String {
    text.replace(['*', ':', '~', '^', '\r', '\n'], " ")
}

fn day(year: i32, month: u32, day: u32) -> NaiveDate {
    NaiveDate::from_ymd_opt(year, month, day).unwrap_or_default()
}
