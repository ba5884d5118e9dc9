use super::{Output, amount, clean};
use crate::Cents;

/// One claim, with its lines.
#[derive(Clone)]
pub struct ClaimPayment {
    number: String,
    payer_number: String,
    status: u8,
    charge: Cents,
    paid: Cents,
    patient_share: Option<Cents>,
    adjustments: Vec<Adjustment>,
    segments: Vec<String>,
    lines: Vec<ServiceLine>,
}

/// One line of a claim.
#[derive(Clone)]
pub struct ServiceLine {
    procedure: String,
    charge: Cents,
    paid: Cents,
    adjustments: Vec<Adjustment>,
    segments: Vec<String>,
}

#[derive(Clone)]
struct Adjustment {
    group: String,
    reason: String,
    cents: Cents,
}

impl ClaimPayment {
    /// A claim with the payer's number `P-` and the claim number.
    #[must_use]
    pub fn new(number: &str, status: u8, charge: Cents, paid: Cents) -> Self {
        let number = clean(number);
        Self {
            payer_number: format!("P-{number}"),
            number,
            status,
            charge,
            paid,
            patient_share: None,
            adjustments: Vec::new(),
            segments: Vec::new(),
            lines: Vec::new(),
        }
    }

    /// With another number of the payer.
    #[must_use]
    pub fn payer_number(self, number: &str) -> Self {
        Self { payer_number: clean(number), ..self }
    }

    /// With CLP05.
    #[must_use]
    pub fn patient_share(self, cents: Cents) -> Self {
        Self { patient_share: Some(cents), ..self }
    }

    /// With an adjustment of the claim.
    #[must_use]
    pub fn adjusted(mut self, group: &str, reason: &str, cents: Cents) -> Self {
        self.adjustments.push(Adjustment { group: clean(group), reason: clean(reason), cents });
        self
    }

    /// With another segment before its lines, as a template.
    #[must_use]
    pub fn segment(mut self, template: &str) -> Self {
        self.segments.push(template.to_owned());
        self
    }

    /// With one more line.
    #[must_use]
    pub fn line(mut self, line: ServiceLine) -> Self {
        self.lines.push(line);
        self
    }

    pub(super) fn paid(&self) -> Cents {
        self.paid
    }

    pub(super) fn write(&self, out: &mut Output) {
        let Self { number, payer_number, status, .. } = self;
        let (charge, paid) = (amount(self.charge), amount(self.paid));
        let patient_share = self.patient_share.map(amount).unwrap_or_default();
        out.put(&format!("CLP*{number}*{status}*{charge}*{paid}*{patient_share}*12*{payer_number}*11*1"));
        write_adjustments(&self.adjustments, out);
        self.segments.iter().for_each(|template| out.put(template));
        for line in &self.lines {
            out.put(&format!("SVC*HC:{}*{}*{}**1", line.procedure, amount(line.charge), amount(line.paid)));
            // The date comes before the adjustments, references and remarks after them.
            let is_date = |template: &&String| template.starts_with("DTM");
            line.segments.iter().filter(is_date).for_each(|template| out.put(template));
            write_adjustments(&line.adjustments, out);
            line.segments.iter().filter(|template| !is_date(template)).for_each(|template| out.put(template));
        }
    }
}

impl ServiceLine {
    /// A line of one unit; modifiers follow the procedure after a colon.
    #[must_use]
    pub fn new(procedure: &str, charge: Cents, paid: Cents) -> Self {
        Self { procedure: procedure.to_owned(), charge, paid, adjustments: Vec::new(), segments: Vec::new() }
    }

    /// With an adjustment of the line.
    #[must_use]
    pub fn adjusted(mut self, group: &str, reason: &str, cents: Cents) -> Self {
        self.adjustments.push(Adjustment { group: clean(group), reason: clean(reason), cents });
        self
    }

    /// With another segment, as a template.
    #[must_use]
    pub fn segment(mut self, template: &str) -> Self {
        self.segments.push(template.to_owned());
        self
    }
}

/// Writes a CAS for every run of up to six adjustments of one group.
fn write_adjustments(adjustments: &[Adjustment], out: &mut Output) {
    for of_group in adjustments.chunk_by(|left, right| left.group == right.group) {
        for triplets in of_group.chunks(6) {
            let triplets: Vec<String> = triplets
                .iter()
                .map(|Adjustment { reason, cents, .. }| format!("{reason}*{}", amount(*cents)))
                .collect();
            out.put(&format!("CAS*{}*{}", of_group[0].group, triplets.join("**")));
        }
    }
}
