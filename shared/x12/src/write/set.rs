use chrono::NaiveDate;

use super::claim::ClaimPayment;
use super::{Output, amount, clean, day};
use crate::{Cents, Version};

/// One set, ST to SE.
#[derive(Clone)]
pub struct Set {
    trace: String,
    payer: (String, String),
    payee: (String, String, String),
    date: NaiveDate,
    stated: Option<Cents>,
    header: Vec<String>,
    claims: Vec<ClaimPayment>,
    provider_adjustments: Vec<(String, Cents)>,
}

impl Set {
    /// A set from a made-up payer to a made-up hospital, of 2024-02-01.
    #[must_use]
    pub fn new(trace: &str) -> Self {
        Self {
            trace: clean(trace),
            payer: ("PAYER ONE".to_owned(), "1512345678".to_owned()),
            payee: ("HOSPITAL A".to_owned(), "1234567893".to_owned(), "987654321".to_owned()),
            date: day(2024, 2, 1),
            stated: None,
            header: Vec::new(),
            claims: Vec::new(),
            provider_adjustments: Vec::new(),
        }
    }

    /// From another payer, with TRN03.
    #[must_use]
    pub fn payer(self, name: &str, originator: &str) -> Self {
        Self { payer: (clean(name), clean(originator)), ..self }
    }

    /// To another payee.
    #[must_use]
    pub fn payee(self, name: &str, npi: &str, tax_id: &str) -> Self {
        Self { payee: (clean(name), clean(npi), clean(tax_id)), ..self }
    }

    /// Paid on another day.
    #[must_use]
    pub fn paid_on(self, date: NaiveDate) -> Self {
        Self { date, ..self }
    }

    /// Stating another payment in BPR02 than the one that follows from the claims, so that the set does not balance.
    #[must_use]
    pub fn stating(self, cents: Cents) -> Self {
        Self { stated: Some(cents), ..self }
    }

    /// With another segment in the header, as a template.
    #[must_use]
    pub fn segment(mut self, template: &str) -> Self {
        self.header.push(template.to_owned());
        self
    }

    /// With one more claim.
    #[must_use]
    pub fn claim(mut self, claim: ClaimPayment) -> Self {
        self.claims.push(claim);
        self
    }

    /// With one more pair of the PLB. A positive amount takes from the payment, a negative one adds to it.
    #[must_use]
    pub fn provider_adjustment(mut self, reason: &str, reference: &str, cents: Cents) -> Self {
        self.provider_adjustments.push((format!("{}:{}", clean(reason), clean(reference)), cents));
        self
    }

    /// What the claims are paid, less what the PLB takes.
    fn payment(&self) -> Cents {
        let paid = self.claims.iter().map(ClaimPayment::paid).sum::<Cents>();
        paid - self.provider_adjustments.iter().map(|(_, cents)| cents).sum::<Cents>()
    }

    pub(super) fn write(&self, number: u32, version: Version, out: &mut Output) {
        let (payer, originator) = &self.payer;
        let (hospital, npi, tax_id) = &self.payee;
        let date = self.date.format("%Y%m%d");
        out.segments = 0;
        out.put(&format!("ST*835*{number:04}"));
        let stated = self.stated.unwrap_or_else(|| self.payment());
        // A notice moves no money.
        let (handling, method) = if stated == 0 { ("H", "NON") } else { ("I", "CHK") };
        out.put(&format!("BPR*{handling}*{}*C*{method}************{date}", amount(stated)));
        out.put(&format!("TRN*1*{}*{originator}", self.trace));
        out.put(&format!("DTM*405*{date}"));
        self.header.iter().for_each(|template| out.put(template));
        out.put(&format!("N1*PR*{payer}"));
        // A tax id stands in the N1 of 4010 and in a REF of 5010, where the N1 has the NPI.
        if version == Version::V4010 {
            out.put(&format!("N1*PE*{hospital}*FI*{tax_id}"));
        } else {
            out.put(&format!("N1*PE*{hospital}*XX*{npi}"));
            out.put(&format!("REF*TJ*{tax_id}"));
        }
        if !self.claims.is_empty() {
            out.put("LX*1");
        }
        self.claims.iter().for_each(|claim| claim.write(out));
        for pairs in self.provider_adjustments.chunks(6) {
            let pairs: Vec<String> =
                pairs.iter().map(|(reason, cents)| format!("{reason}*{}", amount(*cents))).collect();
            out.put(&format!("PLB*{npi}*{}1231*{}", self.date.format("%Y"), pairs.join("*")));
        }
        let segments = out.segments + 1;
        out.put(&format!("SE*{segments}*{number:04}"));
    }
}
