use super::rows::{Party, Payment};
use super::view::View;
use crate::values::text;
use crate::{Fault, Place, Problem, SegmentId};

/// Whose N1 loop a segment of the header stands in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
enum Loop {
    #[default]
    Payment,
    Payer,
    Payee,
    Other,
}

/// The segments of a set before its first LX, CLP or PLB.
#[derive(Default)]
pub(super) struct Header {
    payment: Payment,
    has_bpr: bool,
    has_trn: bool,
    at: Loop,
    /// The first thing that makes the payment unreadable, and with it the set.
    fault: Option<Box<Fault>>,
}

impl Header {
    pub(super) fn new(payment: Payment, fault: Option<Fault>) -> Self {
        Self { payment, fault: fault.map(Box::new), ..Self::default() }
    }

    /// Takes a segment. Returns a warning if the set had it before: the first one counts.
    pub(super) fn take(&mut self, id: SegmentId, view: &View<'_>) -> Option<Fault> {
        match id {
            SegmentId::BPR if !self.has_bpr => {
                self.has_bpr = true;
                let read = self.bpr(view);
                self.note(read);
            }
            SegmentId::TRN if !self.has_trn => {
                self.has_trn = true;
                self.payment.originator = view.text(3).unwrap_or_default();
                match view.text(2) {
                    Some(trace) => self.payment.trace = trace,
                    None => self.note(Err(view.fault(Problem::ElementMissing, 2).into())),
                }
            }
            SegmentId::BPR | SegmentId::TRN => return Some(view.out_of_place()),
            SegmentId::CUR => self.payment.currency = view.code(2),
            SegmentId::DTM if view.is(1, b"405") => {
                let read = view.date(2).map(|date| self.payment.production_date = date);
                self.note(read);
            }
            SegmentId::N1 => return self.party(view),
            SegmentId::REF => self.reference(view),
            _ => {}
        }
        None
    }

    /// Ends the header.
    ///
    /// # Errors
    /// The payment has no amount or no key, so that no row of the set can be made.
    pub(super) fn finish(mut self, st: Place) -> Result<Payment, Box<Fault>> {
        if let Some(fault) = self.fault {
            return Err(fault);
        }
        for (is_there, id) in [(self.has_bpr, SegmentId::BPR), (self.has_trn, SegmentId::TRN)] {
            if !is_there {
                return Err(Box::new(Fault::new(Problem::SegmentMissing, Some(id), st)));
            }
        }
        if self.payment.originator.is_empty() {
            let payer = &self.payment.payer;
            let id = payer.other_id.as_ref().or(payer.tax_id.as_ref()).or(payer.npi.as_ref());
            let missing = || Box::new(Fault::new(Problem::ElementMissing, Some(SegmentId::TRN), st).of_element(3));
            self.payment.originator = id.cloned().ok_or_else(missing)?;
        }
        Ok(self.payment)
    }

    fn bpr(&mut self, view: &View<'_>) -> Result<(), Box<Fault>> {
        let amount = view.required_amount(2)?;
        self.payment.amount = if view.is(3, b"D") { -amount } else { amount };
        self.payment.handling = view.code(1);
        self.payment.method = view.code(4);
        self.payment.payment_date = view.date(16)?;
        Ok(())
    }

    fn party(&mut self, view: &View<'_>) -> Option<Fault> {
        let (at, party) = if view.is(1, b"PR") {
            (Loop::Payer, &mut self.payment.payer)
        } else if view.is(1, b"PE") {
            (Loop::Payee, &mut self.payment.payee)
        } else {
            self.at = Loop::Other;
            return None;
        };
        if *party != Party::default() {
            self.at = Loop::Other;
            return Some(view.out_of_place());
        }
        self.at = at;
        party.name = view.text(2);
        let id = view.text(4);
        if view.is(3, b"XX") {
            party.npi = id;
        } else if view.is(3, b"FI") {
            party.tax_id = id;
        } else {
            party.other_id = id;
        }
        None
    }

    fn reference(&mut self, view: &View<'_>) {
        let id = || text(view.get(2));
        match self.at {
            Loop::Payee if view.is(1, b"TJ") && self.payment.payee.tax_id.is_none() => {
                self.payment.payee.tax_id = id();
            }
            Loop::Payer if view.is(1, b"2U") && self.payment.payer.other_id.is_none() => {
                self.payment.payer.other_id = id();
            }
            _ => {}
        }
    }

    fn note(&mut self, read: Result<(), Box<Fault>>) {
        if let Err(fault) = read {
            self.fault.get_or_insert(fault);
        }
    }
}
