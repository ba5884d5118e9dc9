//! Decisions about rows in quarantine: `quarantine/<entity>/_decisions/<20-digit number>.json`.
//!
//! A decision takes its number with a conditional put and is never changed. What it decides about is carried out after
//! it is written; a call that comes after one that was cut off finds the same decision, and goes on with it.

use chrono::{DateTime, Utc};
use rcm_domain::quality::Rulebook;
use rcm_platform::bronze::{from_json, to_json};
use rcm_platform::context::Context;
use rcm_platform::error::Result;
use rcm_platform::lake::{self, PutOutcome};
use serde::{Deserialize, Serialize};
use xxhash_rust::xxh3::xxh3_64;

/// What is done with rows in quarantine.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Action {
    /// Their rows in bronze were assessed anew, and taken in at their own place.
    Replay,
    /// Corrected rows were loaded in their place.
    Correct,
    /// They stay out for good.
    Discard,
    /// Their values were written to a file.
    Export,
    /// The values of one were shown.
    Show,
}

/// A decision about rows of an entity. It holds no value of them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Decision {
    /// Place among the decisions about the entity, counted from 1.
    pub number: u64,
    pub entity: String,
    pub action: Action,
    pub who: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub why: Option<String>,
    pub at: DateTime<Utc>,
    pub run_id: String,
    /// Hash of the entity's error rules when it was made, in hexadecimal.
    pub rulebook: String,
    /// Fingerprints of the rows, sorted.
    pub fingerprints: Vec<String>,
}

/// A decision that has no number yet.
#[derive(Debug, Clone)]
pub struct NewDecision<'a> {
    pub action: Action,
    pub who: &'a str,
    pub why: Option<&'a str>,
    pub run_id: &'a str,
    pub rulebook: &'a Rulebook,
    pub fingerprints: Vec<String>,
}

/// Hash of the error rules of a rulebook, in hexadecimal.
#[must_use]
pub fn rulebook_hash(rulebook: &Rulebook) -> String {
    format!("{:016x}", xxh3_64(rulebook.canonical_errors().as_bytes()))
}

/// The decisions about rows of an entity.
#[derive(Debug, Clone, Copy)]
pub struct Decisions<'a> {
    context: &'a Context,
    entity: &'a str,
}

impl<'a> Decisions<'a> {
    /// Those about rows of an entity.
    #[must_use]
    pub fn of(context: &'a Context, entity: &'a str) -> Self {
        Self { context, entity }
    }

    /// The decision of a number, if there is one.
    ///
    /// # Errors
    /// The store fails, or the decision cannot be read.
    pub async fn read(&self, number: u64) -> Result<Option<Decision>> {
        let key = self.key(number);
        let Some(json) = self.context.lake.get_if_exists(&key).await? else { return Ok(None) };
        from_json(&key, &json).map(Some)
    }

    /// Number of the last decision; 0 if there is none.
    ///
    /// # Errors
    /// The store fails.
    pub async fn last_number(&self) -> Result<u64> {
        let listed = self.context.lake.list(&self.folder()).await?;
        let numbers = listed.iter().filter_map(|meta| meta.location.filename()?.strip_suffix(".json")?.parse().ok());
        Ok(numbers.max().unwrap_or(0))
    }

    /// Writes a decision down under the next number.
    ///
    /// # Errors
    /// The store fails.
    pub async fn record(&self, new: &NewDecision<'_>) -> Result<Decision> {
        self.put_after(self.last_number().await?, new).await
    }

    /// As [`Decisions::record`]; where the last decision says the same and has a number above `carried_out`, it is that
    /// one: a call before was cut off before it carried it out, or another call is about to.
    ///
    /// # Errors
    /// The store fails, or the last decision cannot be read.
    pub async fn record_once(&self, new: &NewDecision<'_>, carried_out: u64) -> Result<Decision> {
        let last = self.last_number().await?;
        if last > carried_out
            && let Some(decision) = self.read(last).await?
            && decision.says(new)
        {
            return Ok(decision);
        }
        self.put_after(last, new).await
    }

    async fn put_after(&self, mut last: u64, new: &NewDecision<'_>) -> Result<Decision> {
        let mut fingerprints = new.fingerprints.clone();
        fingerprints.sort_unstable();
        let mut decision = Decision {
            number: 0,
            entity: self.entity.to_owned(),
            action: new.action,
            who: new.who.to_owned(),
            why: new.why.map(str::to_owned),
            at: self.context.now(),
            run_id: new.run_id.to_owned(),
            rulebook: rulebook_hash(new.rulebook),
            fingerprints,
        };
        loop {
            decision.number = last + 1;
            let put = self.context.lake.put_if_absent(&self.key(decision.number), to_json(&decision)?).await?;
            // A store that repeats a put after a lost answer finds its own first try there.
            if put == PutOutcome::Created || self.read(decision.number).await?.as_ref() == Some(&decision) {
                return Ok(decision);
            }
            last = decision.number;
        }
    }

    fn folder(&self) -> String {
        format!("{}/_decisions", lake::quarantine(self.entity))
    }

    fn key(&self, number: u64) -> String {
        format!("{}/{number:020}.json", self.folder())
    }
}

impl Decision {
    /// Whether it is what a new decision would be, whoever's run makes it.
    fn says(&self, new: &NewDecision<'_>) -> bool {
        let mut fingerprints = new.fingerprints.clone();
        fingerprints.sort_unstable();
        self.action == new.action
            && self.who == new.who
            && self.why.as_deref() == new.why
            && self.rulebook == rulebook_hash(new.rulebook)
            && self.fingerprints == fingerprints
    }
}

#[cfg(test)]
mod tests {
    use rcm_platform::testing::TestLake;

    use super::*;

    fn discard<'a>(rulebook: &'a Rulebook, fingerprint: &str) -> NewDecision<'a> {
        NewDecision {
            action: Action::Discard,
            who: "somebody",
            why: Some("a test"),
            run_id: "run",
            rulebook,
            fingerprints: vec![fingerprint.to_owned()],
        }
    }

    #[tokio::test]
    async fn decisions_are_numbered_and_one_that_was_not_carried_out_is_found_again() {
        let context = TestLake::new().context().await;
        let rulebook = Rulebook::default();
        let decisions = Decisions::of(&context, "patients");
        let (one, other) = (discard(&rulebook, "a"), discard(&rulebook, "b"));
        for (new, carried_out, expected) in [(&one, 0, 1), (&one, 0, 1), (&other, 0, 2), (&other, 2, 3)] {
            assert_eq!(decisions.record_once(new, carried_out).await.unwrap().number, expected);
        }
        assert_eq!(decisions.record(&other).await.unwrap().number, 4, "every look at values is one of its own");
        assert_eq!(decisions.read(2).await.unwrap().unwrap().fingerprints, ["b"]);
        assert_eq!(Decisions::of(&context, "claims").last_number().await.unwrap(), 0);
    }
}
