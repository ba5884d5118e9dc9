use std::collections::{HashMap, HashSet};
use std::hash::{DefaultHasher, Hash as _, Hasher as _};

use super::claim::OpenClaim;
use super::header::Header;
use super::provider::ProviderAdjustments;
use super::rows::Payment;
use super::view::View;
use super::{Event, Unreadable, UnreadableRows};
use crate::{Counts, Fault, Place, Problem, Role, Segment, SegmentId, SetHeader, SetKind, Step, Text, Version};

/// What the machine tells.
type Sink<'s> = &'s mut dyn FnMut(Event<'_>);

/// Makes rows of segments that come one by one. It holds one claim, and hashes of the keys of the set's claims.
#[derive(Default)]
pub struct Machine {
    state: State,
    claim: OpenClaim,
    set: SetSoFar,
    /// How often the interchange has a payment's originator and trace.
    payments: Repeats,
}

/// Where in a set the last segment stood.
#[derive(Default)]
enum State {
    /// In no set, or in one of another kind.
    #[default]
    Outside,
    /// Before the first LX, CLP or PLB.
    Header(Box<Header>),
    /// Below an LX, TS3 or TS2, in no claim.
    Detail,
    Claim,
    /// After a PLB.
    Trailer,
    /// In a set that cannot be read.
    Unreadable(Box<Fault>),
}

/// What is known of a set before it ends.
#[derive(Default)]
struct SetSoFar {
    st: Place,
    payment: Payment,
    /// Of the whole set, by segment ids.
    counts: Counts,
    paid_to_claims: Option<i128>,
    provider_adjustments: ProviderAdjustments,
    /// Claims and strays that could not be read.
    unreadable: u64,
    /// TS301.
    provider: Option<Text>,
    /// How often the set has a claim's number and status.
    claims: Repeats,
}

impl Machine {
    /// Takes the next segment, with what the envelope says of it.
    pub fn push(&mut self, segment: &Segment<'_>, step: &Step, sink: Sink<'_>) {
        match step.role {
            Role::Body if matches!(self.state, State::Outside) => {}
            Role::Body => self.take(segment, step.place, sink),
            Role::Interchange => self.payments = Repeats::default(),
            Role::Set(header) if header.kind == SetKind::Remittance => self.begin_set(step.place, header),
            Role::Set(header) => {
                self.state = State::Outside;
                sink(Event::OtherSet(header.kind, step.place));
            }
            Role::SetEnd | Role::GroupEnd | Role::InterchangeEnd => {
                if let Some(warning) = step.warning(segment.id()) {
                    sink(Event::Warning(warning));
                }
                self.end_set(step, sink);
            }
            Role::Group | Role::Receipt => {}
        }
    }

    fn begin_set(&mut self, st: Place, header: SetHeader) {
        let SetHeader { version, sent_at, .. } = header;
        let fault = match (version, sent_at) {
            (Version::Other, _) => Some(Fault::new(Problem::Version, Some(SegmentId::GS), st).of_element(8)),
            (_, None) => Some(Fault::new(Problem::Date, Some(SegmentId::GS), st).of_element(4)),
            _ => None,
        };
        let payment = Payment { place: st, version, sent_at: sent_at.unwrap_or_default(), ..Payment::default() };
        self.state = State::Header(Box::new(Header::new(payment, fault)));
        self.set = SetSoFar { st, paid_to_claims: Some(0), ..SetSoFar::default() };
    }

    fn take(&mut self, segment: &Segment<'_>, place: Place, sink: Sink<'_>) {
        let id = segment.id();
        let counts = Counts::of_segment(segment);
        if let Some(counts) = counts {
            self.set.counts += counts;
        }
        if matches!(id, SegmentId::LX | SegmentId::TS3 | SegmentId::TS2 | SegmentId::CLP | SegmentId::PLB) {
            self.end_header();
            self.end_claim(sink);
        }
        if matches!(self.state, State::Unreadable(_)) {
            return;
        }
        let view = View::new(segment, place);
        match id {
            SegmentId::LX => {
                self.state = State::Detail;
                self.set.provider = None;
            }
            SegmentId::TS2 => self.state = State::Detail,
            SegmentId::TS3 => {
                self.state = State::Detail;
                self.set.provider = view.text(1);
            }
            SegmentId::CLP => {
                self.state = State::Claim;
                self.claim.begin(&view, self.set.provider.clone());
                self.count_in_claim(counts, place);
                let paid = view.amount(4).ok().flatten().map(i128::from);
                self.set.paid_to_claims = self.set.paid_to_claims.zip(paid).map(|(sum, paid)| sum + paid);
            }
            SegmentId::PLB => {
                self.state = State::Trailer;
                self.set.provider_adjustments.take(&view, sink);
            }
            _ => self.take_in_loop(id, counts, &view, sink),
        }
        if let Some(warning) = view.rounding() {
            sink(Event::Warning(warning));
        }
    }

    /// Takes a segment that begins no loop of its own.
    fn take_in_loop(&mut self, id: SegmentId, counts: Option<Counts>, view: &View<'_>, sink: Sink<'_>) {
        let is_of_header = matches!(id, SegmentId::BPR | SegmentId::TRN | SegmentId::N1);
        match &mut self.state {
            State::Header(header) => {
                if let Some(warning) = header.take(id, view) {
                    sink(Event::Warning(warning));
                }
            }
            State::Claim if !is_of_header => {
                self.claim.take(id, view);
                self.count_in_claim(counts, view.place());
                return;
            }
            _ if is_of_header => sink(Event::Warning(view.out_of_place())),
            _ => {}
        }
        if let Some(counts) = counts.filter(|counts| *counts != Counts::default()) {
            let (what, at) = (UnreadableRows::Stray, view.place().segment);
            self.set.unreadable += 1;
            sink(Event::Unreadable(Unreadable { what, fault: view.out_of_place(), first: at, last: at, counts }));
        }
    }

    fn count_in_claim(&mut self, counts: Option<Counts>, place: Place) {
        if let Some(counts) = counts {
            self.claim.counts += counts;
        }
        self.claim.last = place.segment;
    }

    /// Ends the header if it has not ended: from here on the payment has a key.
    fn end_header(&mut self) {
        let State::Header(header) = &mut self.state else { return };
        match std::mem::take(&mut **header).finish(self.set.st) {
            Ok(mut payment) => {
                payment.repeat = self.payments.count(&payment.originator, &payment.trace);
                self.set.payment = payment;
                self.state = State::Detail;
            }
            Err(fault) => self.state = State::Unreadable(fault),
        }
    }

    /// Ends the claim that is read, if there is one.
    fn end_claim(&mut self, sink: Sink<'_>) {
        if !matches!(self.state, State::Claim) {
            return;
        }
        self.state = State::Detail;
        let remittance = &mut self.claim.rows.remittance;
        if let Some(fault) = self.claim.fault.take() {
            let (what, first) = (UnreadableRows::Claim, remittance.place.segment);
            let (last, counts) = (self.claim.last, self.claim.counts);
            self.set.unreadable += 1;
            sink(Event::Unreadable(Unreadable { what, fault: *fault, first, last, counts }));
            return;
        }
        let number = remittance.payer_claim_number.as_ref().unwrap_or(&remittance.claim_number);
        remittance.repeat = self.set.claims.count(number, &remittance.status);
        self.set.payment.claims += 1;
        sink(Event::Claim(&self.claim.rows));
    }

    /// Ends the set that is read, if there is one.
    fn end_set(&mut self, trailer: &Step, sink: Sink<'_>) {
        self.end_header();
        self.end_claim(sink);
        match std::mem::take(&mut self.state) {
            State::Outside => {}
            State::Unreadable(fault) => {
                let (what, counts) = (UnreadableRows::Set, self.set.counts);
                let (first, last) = (self.set.st.segment, trailer.place.segment);
                sink(Event::Unreadable(Unreadable { what, fault: *fault, first, last, counts }));
            }
            _ => {
                let SetSoFar { payment, paid_to_claims, provider_adjustments, unreadable, .. } = &mut self.set;
                payment.paid_to_claims = *paid_to_claims;
                payment.provider_adjusted = provider_adjustments.sum();
                payment.unreadable = *unreadable + provider_adjustments.unreadable();
                sink(Event::Payment(payment));
            }
        }
    }
}

/// How often pairs of texts have come. They are known by their hashes, so that a set of millions of claims has room: of two
/// pairs with one hash the later counts as a repetition, and its key is still its own.
#[derive(Default)]
struct Repeats {
    seen: HashSet<u64>,
    /// Ordinals of those that came more than once.
    again: HashMap<u64, u32>,
}

impl Repeats {
    /// The ordinal of this pair among its equals, from 1.
    fn count(&mut self, first: &str, second: &str) -> u32 {
        let mut hasher = DefaultHasher::new();
        (first, second).hash(&mut hasher);
        let hash = hasher.finish();
        if self.seen.insert(hash) {
            return 1;
        }
        let ordinal = self.again.entry(hash).or_insert(1);
        *ordinal += 1;
        *ordinal
    }
}

impl std::fmt::Debug for Machine {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Machine(last set at {})", self.set.st)
    }
}
