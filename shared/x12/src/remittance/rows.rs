//! The rows that an 835 gives. None stands for an element that is empty or a segment that is not there.

use std::fmt;

use chrono::{NaiveDate, NaiveDateTime};

use crate::{Cents, Place, Text, Thousandths, Version};

/// CLP02 of a claim that takes an earlier one back.
const REVERSAL: &str = "22";

/// One row per transaction set, ST to SE: a payment of a payer to a payee, or the notice that there is none.
#[derive(Clone, PartialEq, Eq, Default)]
pub struct Payment {
    /// Of the ST.
    pub place: Place,
    /// Of its group.
    pub version: Version,
    /// GS04 and GS05, on the sender's clock.
    pub sent_at: NaiveDateTime,
    /// TRN02: number of the check or the transfer.
    pub trace: Text,
    /// TRN03, or the payer's id where that is empty.
    pub originator: Text,
    /// Ordinal among the sets of the interchange with this originator and trace, from 1.
    pub repeat: u32,
    /// BPR02, negative where BPR03 is `D`.
    pub amount: Cents,
    /// BPR01, such as `I` (remittance and payment) or `H` (a notice alone).
    pub handling: Option<Text>,
    /// BPR04, such as `ACH`, `CHK` or `NON`.
    pub method: Option<Text>,
    /// BPR16.
    pub payment_date: Option<NaiveDate>,
    /// DTM*405.
    pub production_date: Option<NaiveDate>,
    /// CUR02, where the amounts are not in US dollars.
    pub currency: Option<Text>,
    /// N1*PR.
    pub payer: Party,
    /// The first N1*PE. Whose the set is, [`crate::outline()`] tells.
    pub payee: Party,
    /// ΣCLP04 of all claims, also of those that could not be read otherwise; none where a CLP04 is no amount.
    pub paid_to_claims: Option<i128>,
    /// ΣPLB of all pairs; none where an amount is none.
    pub provider_adjusted: Option<i128>,
    /// Claims of the set that gave rows.
    pub claims: u64,
    /// Claims, pairs of PLB and stray segments that could not be read.
    pub unreadable: u64,
}

/// A payer or a payee.
#[derive(Clone, PartialEq, Eq, Default)]
pub struct Party {
    /// N102.
    pub name: Option<Text>,
    /// N104 where N103 is `XX`.
    pub npi: Option<Text>,
    /// N104 where N103 is `FI`, or REF*TJ.
    pub tax_id: Option<Text>,
    /// Another id: N104 where N103 is `XV`, or REF*2U.
    pub other_id: Option<Text>,
}

/// One claim of a payment with everything below it: CLP to the next CLP, LX, PLB or SE.
#[derive(Clone, PartialEq, Eq, Default)]
pub struct Claim {
    /// The CLP.
    pub remittance: Remittance,
    /// Its SVC.
    pub lines: Vec<RemittanceLine>,
    /// The triplets of its CAS and of those of its lines.
    pub adjustments: Vec<ClaimAdjustment>,
}

/// One row per CLP.
#[derive(Clone, PartialEq, Eq, Default)]
pub struct Remittance {
    /// Of the CLP.
    pub place: Place,
    /// CLP01, the provider's number of the claim.
    pub claim_number: Text,
    /// CLP07, the payer's number of it.
    pub payer_claim_number: Option<Text>,
    /// CLP02, such as `1` (paid as primary), `4` (denied) or `22` (reversal).
    pub status: Text,
    /// Ordinal among the claims of the set with this number and status, from 1.
    pub repeat: u32,
    /// CLP03.
    pub charge: Cents,
    /// CLP04.
    pub paid: Cents,
    /// CLP05.
    pub patient_share: Option<Cents>,
    /// CLP06, claim filing indicator.
    pub filing: Option<Text>,
    /// CLP08, facility type or place of service.
    pub facility: Option<Text>,
    /// CLP09.
    pub frequency: Option<Text>,
    /// CLP11.
    pub drg: Option<Text>,
    /// TS301 of the header that the claim stands below.
    pub provider: Option<Text>,
    /// NM109 of NM1*QC, else of NM1*IL, where it is a member id. A social security number is left out.
    pub member_id: Option<Text>,
    /// NM109 of NM1*82 where it is an NPI.
    pub rendering_npi: Option<Text>,
    /// NM103 of NM1*TT: the payer that the claim was forwarded to.
    pub forwarded_to: Option<Text>,
    /// REF*F8: the payer's number of the claim that this one replaces.
    pub original_claim_number: Option<Text>,
    /// DTM*050: when the payer received the claim.
    pub received_date: Option<NaiveDate>,
    /// DTM*232.
    pub service_from: Option<NaiveDate>,
    /// DTM*233.
    pub service_to: Option<NaiveDate>,
    /// AMT*I.
    pub interest: Option<Cents>,
    /// Remark codes of MIA and MOA, with blanks between them.
    pub remarks: Option<Text>,
    /// ΣCAS of the claim and of its lines.
    pub adjusted: i128,
}

/// One row per SVC.
#[derive(Clone, PartialEq, Eq, Default)]
pub struct RemittanceLine {
    /// Of the SVC.
    pub place: Place,
    /// Ordinal in the claim, from 1.
    pub ordinal: u32,
    /// SVC01-2, unless its qualifier is `NU`.
    pub procedure: Option<Text>,
    /// SVC01-1, such as `HC` for CPT and HCPCS.
    pub procedure_kind: Option<Text>,
    /// SVC01-3 to SVC01-6, with blanks between them.
    pub modifiers: Option<Text>,
    /// SVC04, or SVC01-2 where its qualifier is `NU`.
    pub revenue_code: Option<Text>,
    /// SVC02.
    pub charge: Cents,
    /// SVC03.
    pub paid: Cents,
    /// SVC05.
    pub units: Option<Thousandths>,
    /// DTM*472, or DTM*150 where the service took several days.
    pub service_date: Option<NaiveDate>,
    /// DTM*151.
    pub service_to: Option<NaiveDate>,
    /// REF*6R, the provider's number of the line.
    pub line_number: Option<Text>,
    /// AMT*B6.
    pub allowed: Option<Cents>,
    /// Remark codes, LQ*HE, with blanks between them.
    pub remarks: Option<Text>,
    /// ΣCAS of the line.
    pub adjusted: i128,
}

/// One row per triplet of a CAS: why an amount of the charge was not paid.
#[derive(Clone, PartialEq, Eq, Default)]
pub struct ClaimAdjustment {
    /// Of the CAS.
    pub place: Place,
    /// Ordinal of the line that it adjusts; none where it adjusts the claim.
    pub line: Option<u32>,
    /// Ordinal of the CAS in its claim or line, from 1.
    pub cas: u32,
    /// Ordinal of the triplet in the CAS, from 1.
    pub triplet: u32,
    /// CAS01, such as `CO` or `PR`.
    pub group: Text,
    /// The reason code.
    pub reason: Text,
    /// What it takes from the charge; a negative amount adds to what is paid.
    pub amount: Cents,
    /// Units that it takes away.
    pub quantity: Option<Thousandths>,
}

/// One row per pair of a PLB: money of the payment that belongs to no claim of it.
#[derive(Clone, PartialEq, Eq, Default)]
pub struct ProviderAdjustment {
    /// Of the PLB.
    pub place: Place,
    /// Ordinal in the set, from 1.
    pub ordinal: u32,
    /// PLB01.
    pub provider: Option<Text>,
    /// PLB02, the end of the fiscal period.
    pub period_end: Option<NaiveDate>,
    /// PLB03-1, such as `WO` (overpayment recovery) or `L6` (interest).
    pub reason: Text,
    /// PLB03-2.
    pub reference: Option<Text>,
    /// What it takes from the payment; a negative amount adds to it.
    pub amount: Cents,
}

impl Payment {
    /// Originator and trace, and the ordinal where the interchange repeats them.
    #[must_use]
    pub fn key(&self) -> String {
        let Self { originator, trace, repeat, .. } = self;
        if *repeat > 1 { format!("{originator}.{trace}.{repeat}") } else { format!("{originator}.{trace}") }
    }

    /// ΣCLP04 − ΣPLB − BPR02 in cents: zero where the set balances, none where an amount could not be read.
    #[must_use]
    pub fn difference(&self) -> Option<i128> {
        Some(self.paid_to_claims? - self.provider_adjusted? - i128::from(self.amount))
    }
}

impl Remittance {
    /// The key of the payment, the payer's number of the claim (the provider's where there is none), status, ordinal.
    #[must_use]
    pub fn key(&self, payment: &str) -> String {
        let Self { claim_number, payer_claim_number, status, repeat, .. } = self;
        format!("{payment}.{}.{status}.{repeat}", payer_claim_number.as_ref().unwrap_or(claim_number))
    }

    /// CLP03 − ΣCAS − CLP04 in cents: zero where the claim balances.
    #[must_use]
    pub fn difference(&self) -> i128 {
        i128::from(self.charge) - self.adjusted - i128::from(self.paid)
    }

    /// Whether the row takes an earlier one back. Its amounts are negative, and sums over rows are right as they are.
    #[must_use]
    pub fn is_reversal(&self) -> bool {
        self.status == REVERSAL
    }
}

impl RemittanceLine {
    /// The key of the remittance and the ordinal.
    #[must_use]
    pub fn key(&self, remittance: &str) -> String {
        format!("{remittance}.{}", self.ordinal)
    }

    /// SVC02 − ΣCAS − SVC03 in cents: zero where the line balances.
    #[must_use]
    pub fn difference(&self) -> i128 {
        i128::from(self.charge) - self.adjusted - i128::from(self.paid)
    }
}

impl ClaimAdjustment {
    /// The key of the remittance, the line if it is of one, and the ordinals of CAS and triplet.
    #[must_use]
    pub fn key(&self, remittance: &str) -> String {
        let Self { line, cas, triplet, .. } = self;
        match line {
            Some(line) => format!("{remittance}.{line}.{cas}.{triplet}"),
            None => format!("{remittance}.{cas}.{triplet}"),
        }
    }
}

impl ProviderAdjustment {
    /// The key of the payment and the ordinal.
    #[must_use]
    pub fn key(&self, payment: &str) -> String {
        format!("{payment}.{}", self.ordinal)
    }
}

/// Rows hold patients' data, and `Debug` ends up in logs: it says where a row stands and nothing that it holds.
macro_rules! debug_by_place {
    ($($row:ty)*) => {
        $(impl fmt::Debug for $row {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{}({})", stringify!($row), self.place)
            }
        })*
    };
}

debug_by_place!(Payment Remittance RemittanceLine ClaimAdjustment ProviderAdjustment);

impl fmt::Debug for Party {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Party")
    }
}

impl fmt::Debug for Claim {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { remittance, lines, adjustments } = self;
        write!(f, "Claim({}, {} lines, {} adjustments)", remittance.place, lines.len(), adjustments.len())
    }
}
