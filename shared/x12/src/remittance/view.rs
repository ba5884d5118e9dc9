use std::cell::Cell;

use chrono::NaiveDate;

use crate::values::{self, code, text};
use crate::{Cents, Fault, Place, Problem, Segment, Text, Thousandths};

/// A segment with readers of what its elements hold. Faults are boxed, because nearly every element has none.
pub(super) struct View<'a> {
    segment: &'a Segment<'a>,
    place: Place,
    /// The number of an element whose amount was rounded.
    rounded: Cell<Option<usize>>,
}

impl<'a> View<'a> {
    pub(super) fn new(segment: &'a Segment<'a>, place: Place) -> Self {
        Self { segment, place, rounded: Cell::new(None) }
    }

    pub(super) fn place(&self) -> Place {
        self.place
    }

    /// How many elements there are.
    pub(super) fn len(&self) -> usize {
        self.segment.len()
    }

    /// An element without blanks around it, from 1; empty where there is none.
    #[inline]
    pub(super) fn get(&self, number: usize) -> &'a [u8] {
        self.segment.element(number)
    }

    /// The components of an element, from 1 as the standard counts them.
    pub(super) fn components(&self, number: usize) -> impl Iterator<Item = &'a [u8]> + use<'a> {
        let separator = self.segment.delimiters.component;
        self.get(number).split(move |byte| *byte == separator).map(<[u8]>::trim_ascii)
    }

    #[inline]
    pub(super) fn text(&self, number: usize) -> Option<Text> {
        text(self.get(number))
    }

    #[inline]
    pub(super) fn code(&self, number: usize) -> Option<Text> {
        code(self.get(number))
    }

    /// Whether an element is this code, in either case.
    #[inline]
    pub(super) fn is(&self, number: usize, code: &[u8]) -> bool {
        self.get(number).eq_ignore_ascii_case(code)
    }

    /// A code that must be there.
    pub(super) fn required_code(&self, number: usize) -> Result<Text, Box<Fault>> {
        self.code(number).ok_or_else(|| self.fault(Problem::ElementMissing, number).into())
    }

    /// An amount in cents; none where the element is empty.
    #[inline]
    pub(super) fn amount(&self, number: usize) -> Result<Option<Cents>, Box<Fault>> {
        let element = self.get(number);
        if element.is_empty() {
            return Ok(None);
        }
        let amount = values::fixed(element, 2).ok_or_else(|| self.fault(Problem::Amount, number))?;
        if amount.is_rounded {
            self.rounded.set(Some(number));
        }
        Ok(Some(amount.value))
    }

    /// An amount in cents that must be there.
    pub(super) fn required_amount(&self, number: usize) -> Result<Cents, Box<Fault>> {
        self.amount(number)?.ok_or_else(|| self.fault(Problem::ElementMissing, number).into())
    }

    /// A quantity in thousandths; none where the element is empty.
    pub(super) fn quantity(&self, number: usize) -> Result<Option<Thousandths>, Box<Fault>> {
        let element = self.get(number);
        if element.is_empty() {
            return Ok(None);
        }
        let quantity = values::fixed(element, 3).ok_or_else(|| self.fault(Problem::Quantity, number))?;
        Ok(Some(quantity.value))
    }

    /// A date; none where the element is empty.
    pub(super) fn date(&self, number: usize) -> Result<Option<NaiveDate>, Box<Fault>> {
        let element = self.get(number);
        if element.is_empty() {
            return Ok(None);
        }
        values::date(element).map(Some).ok_or_else(|| self.fault(Problem::Date, number).into())
    }

    pub(super) fn fault(&self, problem: Problem, element: usize) -> Fault {
        Fault::new(problem, Some(self.segment.id), self.place).of_element(element)
    }

    /// The segment does not belong where it stands.
    pub(super) fn out_of_place(&self) -> Fault {
        Fault::new(Problem::OutOfPlace, Some(self.segment.id), self.place)
    }

    /// A warning where an amount that was read had digits after the cents.
    pub(super) fn rounding(&self) -> Option<Fault> {
        self.rounded.get().map(|number| self.fault(Problem::Rounded, number))
    }
}
