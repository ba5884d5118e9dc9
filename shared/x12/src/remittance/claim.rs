use super::rows::{Claim, ClaimAdjustment, Remittance, RemittanceLine};
use super::view::View;
use crate::values::{code, text};
use crate::{Counts, Fault, Problem, SegmentId, Text};

/// The most lines and adjustments of one claim. The standard allows 999 lines.
pub(super) const CLAIM_LIMIT: usize = 100_000;

/// The claim that is read.
#[derive(Default)]
pub(super) struct OpenClaim {
    pub(super) rows: Claim,
    /// The first thing that makes it unreadable. Its other segments are still counted.
    pub(super) fault: Option<Box<Fault>>,
    /// What it holds by segment ids.
    pub(super) counts: Counts,
    /// Ordinal of its last segment.
    pub(super) last: u64,
    /// CAS of the claim, or of the line that is read.
    cas: u32,
}

impl OpenClaim {
    /// Begins with a CLP. The room of the claim before is used again.
    pub(super) fn begin(&mut self, clp: &View<'_>, provider: Option<Text>) {
        self.rows.lines.clear();
        self.rows.adjustments.clear();
        self.rows.remittance = Remittance { place: clp.place(), provider, ..Remittance::default() };
        self.fault = read_clp(clp, &mut self.rows.remittance).err();
        self.counts = Counts::default();
        self.cas = 0;
    }

    /// Takes a segment after the CLP.
    pub(super) fn take(&mut self, id: SegmentId, view: &View<'_>) {
        if self.fault.is_some() {
            return;
        }
        let gives_rows = matches!(id, SegmentId::SVC | SegmentId::CAS);
        if gives_rows && self.rows.lines.len() + self.rows.adjustments.len() >= CLAIM_LIMIT {
            let (place, problem) = (self.rows.remittance.place, Problem::ClaimTooLarge(CLAIM_LIMIT));
            self.fault = Some(Box::new(Fault::new(problem, Some(SegmentId::CLP), place)));
            return;
        }
        self.fault = self.read(id, view).err();
    }

    fn read(&mut self, id: SegmentId, view: &View<'_>) -> Result<(), Box<Fault>> {
        let Claim { remittance, lines, .. } = &mut self.rows;
        match (id, lines.last_mut()) {
            (SegmentId::CAS, _) => return self.read_cas(view),
            (SegmentId::SVC, _) => {
                lines.push(read_svc(view, lines.len() as u32 + 1)?);
                self.cas = 0;
            }
            (SegmentId::NM1, _) => read_nm1(view, remittance),
            (SegmentId::MIA, _) => append(&mut remittance.remarks, [5, 20, 21, 22, 23].map(|at| view.get(at))),
            (SegmentId::MOA, _) => append(&mut remittance.remarks, [3, 4, 5, 6, 7].map(|at| view.get(at))),
            (SegmentId::DTM, None) => match view.get(1) {
                b"050" => remittance.received_date = view.date(2)?,
                b"232" => remittance.service_from = view.date(2)?,
                b"233" => remittance.service_to = view.date(2)?,
                _ => {}
            },
            (SegmentId::DTM, Some(line)) => match view.get(1) {
                b"472" | b"150" => line.service_date = view.date(2)?,
                b"151" => line.service_to = view.date(2)?,
                _ => {}
            },
            (SegmentId::REF, None) if view.is(1, b"F8") => remittance.original_claim_number = view.text(2),
            (SegmentId::REF, Some(line)) if view.is(1, b"6R") => line.line_number = view.text(2),
            (SegmentId::AMT, None) if view.is(1, b"I") => remittance.interest = view.amount(2)?,
            (SegmentId::AMT, Some(line)) if view.is(1, b"B6") => line.allowed = view.amount(2)?,
            (SegmentId::LQ, Some(line)) if view.is(1, b"HE") => append(&mut line.remarks, [view.get(2)]),
            _ => {}
        }
        Ok(())
    }

    /// Reads the triplets of a CAS: reason, amount, quantity from CAS02 on. Those that hold nothing are left out.
    fn read_cas(&mut self, view: &View<'_>) -> Result<(), Box<Fault>> {
        self.cas += 1;
        let Claim { remittance, lines, adjustments } = &mut self.rows;
        let mut line = lines.last_mut();
        let group = view.code(1);
        for (triplet, at) in (1_u32..).zip((2..=view.len()).step_by(3)) {
            let is_empty = (at..at + 3).all(|element| view.get(element).is_empty());
            if is_empty {
                continue;
            }
            let adjustment = ClaimAdjustment {
                place: view.place(),
                line: line.as_ref().map(|line| line.ordinal),
                cas: self.cas,
                triplet,
                group: group.clone().ok_or_else(|| view.fault(Problem::ElementMissing, 1))?,
                reason: view.required_code(at)?,
                amount: view.required_amount(at + 1)?,
                quantity: view.quantity(at + 2)?,
            };
            remittance.adjusted += i128::from(adjustment.amount);
            if let Some(line) = &mut line {
                line.adjusted += i128::from(adjustment.amount);
            }
            adjustments.push(adjustment);
        }
        Ok(())
    }
}

fn read_clp(view: &View<'_>, remittance: &mut Remittance) -> Result<(), Box<Fault>> {
    remittance.claim_number = view.text(1).unwrap_or_default();
    remittance.status = view.required_code(2)?;
    remittance.charge = view.required_amount(3)?;
    remittance.paid = view.required_amount(4)?;
    remittance.patient_share = view.amount(5)?;
    remittance.filing = view.code(6);
    remittance.payer_claim_number = view.text(7);
    remittance.facility = view.code(8);
    remittance.frequency = view.code(9);
    remittance.drg = view.code(11);
    let has_number = !remittance.claim_number.is_empty() || remittance.payer_claim_number.is_some();
    if has_number { Ok(()) } else { Err(view.fault(Problem::ElementMissing, 1).into()) }
}

fn read_svc(view: &View<'_>, ordinal: u32) -> Result<RemittanceLine, Box<Fault>> {
    let mut composite = view.components(1);
    let kind = composite.next().and_then(code);
    let procedure = composite.next().and_then(code);
    let mut modifiers = None;
    append(&mut modifiers, composite.take(4));
    let revenue_code = view.code(4);
    // A line of revenue alone has its code where others have the procedure.
    let is_revenue = kind.as_deref() == Some("NU");
    let (procedure, revenue_code) =
        if is_revenue { (None, revenue_code.or(procedure)) } else { (procedure, revenue_code) };
    Ok(RemittanceLine {
        place: view.place(),
        ordinal,
        procedure,
        procedure_kind: kind,
        modifiers,
        revenue_code,
        charge: view.required_amount(2)?,
        paid: view.required_amount(3)?,
        units: view.quantity(5)?,
        ..RemittanceLine::default()
    })
}

/// Appends codes to others, with blanks between them.
fn append<'a>(codes: &mut Option<Text>, more: impl IntoIterator<Item = &'a [u8]>) {
    for code in more.into_iter().filter_map(code) {
        match codes {
            Some(codes) => {
                codes.push(' ');
                codes.push_str(&code);
            }
            None => *codes = Some(code),
        }
    }
}

fn read_nm1(view: &View<'_>, remittance: &mut Remittance) {
    let id = || text(view.get(9));
    // NM108 is 34 where the id is a social security number.
    let is_member_id = !view.is(8, b"34");
    if view.is(1, b"QC") && is_member_id {
        remittance.member_id = id().or(remittance.member_id.take());
    } else if view.is(1, b"IL") && is_member_id && remittance.member_id.is_none() {
        remittance.member_id = id();
    } else if view.is(1, b"82") && view.is(8, b"XX") {
        remittance.rendering_npi = id();
    } else if view.is(1, b"TT") {
        remittance.forwarded_to = view.text(3);
    }
}
