//! The intentional defects of the demo's files: one function per defect.

use chrono::NaiveDate;

use super::Defect;
use super::dice::days_after;
use super::months::{Delivery, last_day};
use super::sheet::{Encoding, Sheet};

const NULL_NAMES: Defect = Defect {
    month: 1,
    file: "emr/hos-b/patients.csv",
    wrong: "the first name of two patients is the word NULL",
    lake: "both rows go to quarantine",
};
const LINE_BREAK: Defect = Defect {
    month: 1,
    file: "emr/hos-a/patients.csv",
    wrong: "an address contains a line break",
    lake: "the quoted field is read as one value",
};
const AMOUNT: Defect = Defect {
    month: 1,
    file: "emr/hos-b/transactions.csv",
    wrong: "an amount is not a number",
    lake: "the row goes to quarantine; the amount does not count as zero",
};
const MARK: Defect = Defect {
    month: 1,
    file: "landing/claims/hospital2_claims_2024-08.csv",
    wrong: "the file starts with a byte order mark",
    lake: "the mark is ignored",
};
const NO_KEY: Defect = Defect {
    month: 2,
    file: "emr/hos-a/encounters.csv",
    wrong: "a row has no encounter id",
    lake: "the row goes to quarantine",
};
const MIXED_DATES: Defect = Defect {
    month: 2,
    file: "emr/hos-b/encounters.csv",
    wrong: "every third new row writes its dates as month/day/year",
    lake: "the hospital's mapping has both formats, so both are parsed",
};
const PHONE: Defect = Defect {
    month: 2,
    file: "emr/hos-a/patients.csv",
    wrong: "a patient who moved has a negative phone number",
    lake: "the row goes to quarantine, and the previous version stays current",
};
const TWICE: Defect = Defect {
    month: 2,
    file: "emr/hos-b/transactions.csv",
    wrong: "five rows are repeated",
    lake: "the repeated rows count as unchanged",
};
const SENT_AGAIN: Defect = Defect {
    month: 2,
    file: "landing/claims/hospital1_claims_2024-09.csv",
    wrong: "twenty claims of August are sent again unchanged",
    lake: "they count as unchanged",
};
const REORDERED: Defect = Defect {
    month: 2,
    file: "landing/claims/hospital1_claims_2024-09.csv",
    wrong: "the columns have another order than in August",
    lake: "columns are read by name",
};
const RAGGED: Defect = Defect {
    month: 2,
    file: "landing/claims/hospital2_claims_2024-09.csv",
    wrong: "a row ends in the middle",
    lake: "the row goes to quarantine; the other rows are loaded",
};
const UNKNOWN_HOSPITAL: Defect = Defect {
    month: 2,
    file: "landing/claims/hospital9_claims_2024-09.csv",
    wrong: "no mapping claims a file with this name",
    lake: "the file is refused",
};
const LATE: Defect = Defect {
    month: 3,
    file: "landing/claims/hospital1_claims_2024-10.csv",
    wrong: "five corrections of claims are older than the current version",
    lake: "the corrections become older versions, and the current version stays",
};
const UTF16: Defect = Defect {
    month: 3,
    file: "landing/claims/hospital1_claims_2024-10_supplement.csv",
    wrong: "the file is UTF-16, saved as \"Unicode text\"",
    lake: "the file is refused with the reason",
};
const COPY: Defect = Defect {
    month: 3,
    file: "landing/claims/hospital2_claims_2024-10.csv",
    wrong: "the September file is sent again in the place of October's",
    lake: "the content is known, so the file is not loaded again; the report says that these claims are late",
};
const CLOSED: Defect = Defect {
    month: 3,
    file: "emr/hos-a/departments.csv",
    wrong: "a department is missing from the full extract",
    lake: "its key is marked as deleted; its versions stay",
};

/// Keys of the landed files that the lake refuses on purpose.
pub const REFUSED: [&str; 2] = [UNKNOWN_HOSPITAL.file, UTF16.file];

/// Adds the defects to the deliveries, and returns their descriptions.
pub(super) fn spoil(months: &mut [Delivery; 3]) -> Vec<Defect> {
    null_first_names(months);
    line_break_in_address(months);
    amount_that_is_no_number(months);
    sheet(months, MARK).encoding = Encoding::Utf8WithMark;
    row_without_key(months);
    mixed_date_formats(months);
    implausible_phone(months);
    rows_twice(months);
    rows_sent_again(months);
    // The copy of the September file includes its truncated row.
    ragged_row(months);
    file_twice(months);
    unknown_hospital(months);
    late_corrections(months);
    // Last of the claims of September: others take rows from them by position.
    reordered_columns(months);
    other_encoding(months);
    vec![
        NULL_NAMES,
        LINE_BREAK,
        AMOUNT,
        MARK,
        NO_KEY,
        MIXED_DATES,
        PHONE,
        TWICE,
        SENT_AGAIN,
        REORDERED,
        RAGGED,
        UNKNOWN_HOSPITAL,
        LATE,
        UTF16,
        COPY,
        CLOSED,
    ]
}

/// Returns the file of a defect; a new one if the month has no file with this name.
fn sheet(months: &mut [Delivery; 3], defect: Defect) -> &mut Sheet {
    months[defect.month - 1].entry(defect.file.to_owned()).or_default()
}

/// Returns the file in the defect's month and all later ones: a wrong row of a hospital's table stays wrong until
/// somebody corrects it, although an incremental extract reads it only once.
fn sheets_from(months: &mut [Delivery; 3], defect: Defect) -> impl Iterator<Item = &mut Sheet> {
    months[defect.month - 1..].iter_mut().map(move |delivery| delivery.entry(defect.file.to_owned()).or_default())
}

fn null_first_names(months: &mut [Delivery; 3]) {
    for sheet in sheets_from(months, NULL_NAMES) {
        sheet.set(16, "F_Name", "NULL");
        sheet.set(204, "F_Name", "null");
    }
}

fn line_break_in_address(months: &mut [Delivery; 3]) {
    for sheet in sheets_from(months, LINE_BREAK) {
        let address = sheet.get(32, "Address").replacen(", ", ",\n", 1);
        sheet.set(32, "Address", &address);
    }
}

fn amount_that_is_no_number(months: &mut [Delivery; 3]) {
    for sheet in sheets_from(months, AMOUNT) {
        sheet.set(100, "Amount", "see attachment");
    }
}

fn row_without_key(months: &mut [Delivery; 3]) {
    for sheet in sheets_from(months, NO_KEY) {
        let Some(row) = (0..sheet.rows.len()).find(|&row| is_of_month(sheet.get(row, "EncounterDate"), 2)) else {
            continue;
        };
        let copy = sheet.rows[row].clone();
        sheet.rows.insert(row + 1, copy);
        sheet.set(row + 1, "EncounterID", "");
    }
}

fn mixed_date_formats(months: &mut [Delivery; 3]) {
    let sheet = sheet(months, MIXED_DATES);
    let new: Vec<usize> = (0..sheet.rows.len()).filter(|&row| is_of_month(sheet.get(row, "ModifiedDate"), 2)).collect();
    for row in new.into_iter().step_by(3) {
        for column in ["EncounterDate", "InsertedDate", "ModifiedDate"] {
            if let Some(date) = day(sheet.get(row, column)) {
                sheet.set(row, column, &date.format("%m/%d/%Y").to_string());
            }
        }
    }
}

fn implausible_phone(months: &mut [Delivery; 3]) {
    let moved = sheet(months, PHONE);
    let Some(row) = (0..moved.rows.len()).find(|&row| is_of_month(moved.get(row, "ModifiedDate"), 2)) else { return };
    let patient = moved.get(row, "PatientID").to_owned();
    for sheet in sheets_from(months, PHONE) {
        let rows: Vec<usize> = (0..sheet.rows.len()).filter(|&row| sheet.get(row, "PatientID") == patient).collect();
        for row in rows {
            sheet.set(row, "PhoneNumber", "-5550142");
        }
    }
}

fn rows_twice(months: &mut [Delivery; 3]) {
    let sheet = sheet(months, TWICE);
    let new = (0..sheet.rows.len()).filter(|&row| is_of_month(sheet.get(row, "ModifiedDate"), 2));
    let again: Vec<_> = new.take(5).map(|row| sheet.rows[row].clone()).collect();
    sheet.rows.extend(again);
}

fn rows_sent_again(months: &mut [Delivery; 3]) {
    let [august, september, _] = months;
    let Some(before) = august.get("landing/claims/hospital1_claims_2024-08.csv") else { return };
    let now = september.entry(SENT_AGAIN.file.to_owned()).or_default();
    let known: Vec<_> = now.rows.iter().map(|row| row[0].clone()).collect();
    let unchanged = before.rows.iter().filter(|row| !known.contains(&row[0]));
    now.rows.extend(unchanged.take(20).cloned());
}

fn ragged_row(months: &mut [Delivery; 3]) {
    if let Some(row) = sheet(months, RAGGED).rows.get_mut(40) {
        row.truncate(11);
    }
}

fn file_twice(months: &mut [Delivery; 3]) {
    let copy = sheet(months, RAGGED).clone();
    *sheet(months, COPY) = copy;
}

fn unknown_hospital(months: &mut [Delivery; 3]) {
    let other = sheet(months, SENT_AGAIN).clone();
    let rows = other.rows.into_iter().take(60).collect();
    *sheet(months, UNKNOWN_HOSPITAL) = Sheet { rows, ..other };
}

/// A claim that was pending in August and answered in September gets another coinsurance, as of the
/// day after it was made.
fn late_corrections(months: &mut [Delivery; 3]) {
    let [august, september, october] = months;
    let Some(pending) = august.get("landing/claims/hospital1_claims_2024-08.csv") else { return };
    let Some(answered) = september.get("landing/claims/hospital1_claims_2024-09.csv") else { return };
    let late = october.entry(LATE.file.to_owned()).or_default();
    let moved_on = |row: &usize| {
        let is_open = pending.get(*row, "ClaimStatus") == "Pending";
        is_open && answered.rows.iter().any(|other| other[0] == pending.rows[*row][0])
    };
    let rows: Vec<usize> = (0..pending.rows.len()).filter(moved_on).take(5).collect();
    for row in rows {
        let Some(modified) = day(pending.get(row, "ModifiedDate")) else { continue };
        late.rows.push(pending.rows[row].clone());
        let last = late.rows.len() - 1;
        late.set(last, "Coinsurance", "12.34");
        late.set(last, "ModifiedDate", &days_after(modified, 1).to_string());
    }
}

fn reordered_columns(months: &mut [Delivery; 3]) {
    let sheet = sheet(months, REORDERED);
    sheet.header.rotate_left(6);
    for row in &mut sheet.rows {
        row.rotate_left(6);
    }
}

fn other_encoding(months: &mut [Delivery; 3]) {
    let whole = sheet(months, LATE).clone();
    let rows = whole.rows.into_iter().take(25).collect();
    *sheet(months, UTF16) = Sheet { rows, encoding: Encoding::Utf16, ..whole };
}

/// Returns whether a day belongs to the rows that a month's delivery adds to the previous one.
fn is_of_month(text: &str, month: usize) -> bool {
    day(text).is_some_and(|day| last_day(month - 2) < day && day <= last_day(month - 1))
}

fn day(text: &str) -> Option<NaiveDate> {
    text.parse().ok()
}
