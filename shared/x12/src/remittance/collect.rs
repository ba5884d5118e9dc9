use std::io::Read;

use super::rows::{Claim, Payment, ProviderAdjustment};
use super::{Event, Unreadable, UnreadableRows, read};
use crate::{Counts, Error, Fault, Place, SetKind};

/// A whole set.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RemittanceSet {
    /// The set itself.
    pub payment: Payment,
    /// Its claims.
    pub claims: Vec<Claim>,
    /// The pairs of its PLB.
    pub provider_adjustments: Vec<ProviderAdjustment>,
    /// Its claims, pairs and stray segments that could not be read.
    pub unreadable: Vec<Unreadable>,
}

/// The whole sets of a stream.
#[derive(Debug, Default)]
pub struct Collected {
    /// Sets of which the payment could be read.
    pub sets: Vec<RemittanceSet>,
    /// Sets of which it could not.
    pub unreadable_sets: Vec<Unreadable>,
    /// Sets that are no 835.
    pub other_sets: Vec<(SetKind, Place)>,
    /// Warnings, also of the set that the stream stopped in.
    pub warnings: Vec<Fault>,
    /// Why the stream was not read to its end.
    pub stopped: Option<Error>,
}

impl Collected {
    /// The rows that were made, and those that could not be: what [`Counts::of`] counts in the same sets.
    #[must_use]
    pub fn counts(&self) -> Counts {
        let of_sets = self.sets.iter().map(RemittanceSet::counts);
        let of_unreadable = self.unreadable_sets.iter().map(|unreadable| unreadable.counts);
        of_sets.chain(of_unreadable).sum()
    }
}

impl RemittanceSet {
    fn counts(&self) -> Counts {
        let rows = Counts {
            claims: self.claims.len() as u64,
            lines: self.claims.iter().map(|claim| claim.lines.len() as u64).sum(),
            adjustments: self.claims.iter().map(|claim| claim.adjustments.len() as u64).sum(),
            provider_adjustments: self.provider_adjustments.len() as u64,
            submissions: 0,
        };
        rows + self.unreadable.iter().map(|unreadable| unreadable.counts).sum()
    }
}

/// Reads a stream into memory: for tests and small files. A set that is not whole is left out.
pub fn collect(input: impl Read) -> Collected {
    let mut collected = Collected::default();
    let (mut claims, mut provider_adjustments, mut unreadable) = (Vec::new(), Vec::new(), Vec::new());
    let result = read(input, &mut |event| match event {
        Event::Claim(claim) => claims.push(claim.clone()),
        Event::ProviderAdjustment(adjustment) => provider_adjustments.push(adjustment.clone()),
        Event::Unreadable(set) if set.what == UnreadableRows::Set => {
            unreadable.clear();
            collected.unreadable_sets.push(set);
        }
        Event::Unreadable(rows) => unreadable.push(rows),
        Event::Payment(payment) => collected.sets.push(RemittanceSet {
            payment: payment.clone(),
            claims: std::mem::take(&mut claims),
            provider_adjustments: std::mem::take(&mut provider_adjustments),
            unreadable: std::mem::take(&mut unreadable),
        }),
        Event::OtherSet(kind, place) => collected.other_sets.push((kind, place)),
        Event::Warning(fault) => collected.warnings.push(fault),
    });
    collected.stopped = result.err();
    collected
}
