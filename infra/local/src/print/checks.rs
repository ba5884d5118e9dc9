//! Prints what `rcm doctor` found, and what `rcm explain` says.

use std::fmt::Write;

use super::table::printable_lines;
use crate::doctor::Check;
use crate::explain::Explanation;

/// Returns a line per check, with what to do below those that failed.
#[must_use]
pub fn checks(checks: &[Check]) -> String {
    let mut text = String::new();
    let name = |check: &Check| match check.subject.as_str() {
        "" => check.what.to_owned(),
        subject => format!("{} {subject}", check.what),
    };
    let width = checks.iter().map(|check| name(check).chars().count()).max().unwrap_or_default();
    for check in checks {
        let mark = if check.ok { "✓" } else { "✗" };
        text += &printable_lines(&format!("{mark} {:<width$}  {}", name(check), check.detail));
        text.push('\n');
        if let Some(hint) = &check.hint {
            let _ = writeln!(text, "  hint: {}", printable_lines(hint));
        }
    }
    let failed = checks.iter().filter(|check| !check.ok).count();
    let verdict = match failed {
        0 => "Everything is as it should be.".to_owned(),
        1 => "1 check failed.".to_owned(),
        more => format!("{more} checks failed."),
    };
    format!("{text}\n{verdict}\n")
}

/// Returns what the guide says, section by section.
#[must_use]
pub fn explanations(found: &[Explanation]) -> String {
    let mut text = String::new();
    let mut last = "";
    for Explanation { title, text: said } in found {
        if title != last {
            let _ = writeln!(text, "{}{title}\n", if last.is_empty() { "" } else { "\n" });
        }
        text += said;
        last = title;
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failed_check_is_followed_by_what_to_do() {
        let check = |subject: &str, ok: bool| Check {
            what: "table",
            subject: subject.to_owned(),
            ok,
            detail: "the source lacks `Paid`".to_owned(),
            hint: (!ok).then(|| "map it".to_owned()),
        };
        let disk = Check { what: "disk", subject: String::new(), ..check("", true) };
        insta::assert_snapshot!(checks(&[check("hosa/claims", false), disk]), @r"
        ✗ table hosa/claims  the source lacks `Paid`
          hint: map it
        ✓ disk               the source lacks `Paid`

        1 check failed.
        ");
    }
}
