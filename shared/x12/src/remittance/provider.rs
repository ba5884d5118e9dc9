use super::rows::ProviderAdjustment;
use super::view::View;
use super::{Event, Unreadable, UnreadableRows};
use crate::values::{code, text};
use crate::{Counts, Fault, Problem};

/// The PLB of a set so far.
pub(super) struct ProviderAdjustments {
    pairs: u32,
    /// None once an amount could not be read.
    sum: Option<i128>,
    unreadable: u64,
}

impl Default for ProviderAdjustments {
    fn default() -> Self {
        Self { pairs: 0, sum: Some(0), unreadable: 0 }
    }
}

impl ProviderAdjustments {
    /// Reads the pairs of a PLB: reason and amount from PLB03 on. Those that hold nothing are left out.
    pub(super) fn take(&mut self, plb: &View<'_>, sink: &mut dyn FnMut(Event<'_>)) {
        for at in (3..=plb.len()).step_by(2) {
            if plb.get(at).is_empty() && plb.get(at + 1).is_empty() {
                continue;
            }
            self.pairs += 1;
            let amount = plb.amount(at + 1).ok().flatten();
            self.sum = self.sum.zip(amount).map(|(sum, amount)| sum + i128::from(amount));
            match read_pair(plb, at, self.pairs) {
                Ok(row) => sink(Event::ProviderAdjustment(&row)),
                Err(fault) => {
                    self.unreadable += 1;
                    let (what, segment) = (UnreadableRows::ProviderAdjustment, plb.place().segment);
                    let counts = Counts { provider_adjustments: 1, ..Counts::default() };
                    sink(Event::Unreadable(Unreadable { what, fault: *fault, first: segment, last: segment, counts }));
                }
            }
        }
    }

    /// ΣPLB in cents; none where an amount could not be read.
    pub(super) fn sum(&self) -> Option<i128> {
        self.sum
    }

    pub(super) fn unreadable(&self) -> u64 {
        self.unreadable
    }
}

fn read_pair(plb: &View<'_>, at: usize, ordinal: u32) -> Result<ProviderAdjustment, Box<Fault>> {
    let mut composite = plb.components(at);
    let reason = composite.next().and_then(code).ok_or_else(|| plb.fault(Problem::ElementMissing, at))?;
    Ok(ProviderAdjustment {
        place: plb.place(),
        ordinal,
        provider: plb.text(1),
        period_end: plb.date(2)?,
        reason,
        reference: composite.next().and_then(text),
        amount: plb.required_amount(at + 1)?,
    })
}
