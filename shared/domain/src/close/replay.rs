//! The changes of charges, applied one after the other.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use super::charge::{Charge, figures_of_group};
use super::figures::Figures;

/// What a part of a restatement is due to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Part {
    /// Rows that a load known at the closing has brought, and that are there, gone or other since: the table was rebuilt
    /// with another mapping, other rules or without a load, or a row was taken out of quarantine.
    ChangedRules,
    /// Rows that the source deleted.
    Deletions,
    /// Rows that a later load brought with other values.
    Corrections,
    /// Rows of which a later load says that more was paid up to the month's end.
    LatePayments,
    /// Rows of keys that were not known at the closing.
    LateRows,
}

impl Part {
    /// All of them, in the order in which they are applied.
    pub const ALL: [Self; 5] =
        [Self::ChangedRules, Self::Deletions, Self::Corrections, Self::LatePayments, Self::LateRows];

    /// The word in `kpi_restatements`.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::ChangedRules => "changed_rules",
            Self::Deletions => "deletions",
            Self::Corrections => "corrections",
            Self::LatePayments => "late_payments",
            Self::LateRows => "late_rows",
        }
    }
}

/// One change of a charge.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Step {
    part: Part,
    /// What the charge says afterwards; none if it is gone.
    after: Option<Charge>,
}

/// What is known of the version that a key has today.
#[derive(Debug, Clone, Copy)]
pub(super) struct Origin {
    /// Whether its load had brought rows at the closing.
    pub is_known_load: bool,
    /// Of a key without a version: whether the source deleted it.
    pub is_deleted: bool,
}

/// The steps from what a key said at the closing to what it says today, in the order of their parts.
pub(super) fn steps(then: Option<Charge>, now: Option<Charge>, origin: Origin) -> Vec<Step> {
    let (Some(then), Some(now)) = (then, now) else {
        let part = match (then, now) {
            (None, None) => return Vec::new(),
            (Some(_), _) if origin.is_deleted => Part::Deletions,
            (None, _) if !origin.is_known_load => Part::LateRows,
            _ => Part::ChangedRules,
        };
        return vec![Step { part, after: now }];
    };
    let own = if origin.is_known_load { Part::ChangedRules } else { Part::Corrections };
    let (mut charge, mut steps) = (then, Vec::new());
    let corrected = Charge { paid: then.paid, ..now };
    if corrected != then {
        charge = corrected;
        steps.push(Step { part: own, after: Some(charge) });
    }
    if now.paid != then.paid {
        let is_payment = !origin.is_known_load && now.paid > then.paid;
        charge.paid = now.paid;
        steps.push(Step { part: if is_payment { Part::LatePayments } else { own }, after: Some(charge) });
    }
    steps
}

/// The changes that a charge makes which no other takes back, step by step.
pub(super) fn alone(then: Option<Charge>, steps: &[Step], day: i32) -> impl Iterator<Item = (Part, Figures)> {
    let figures = move |charge: Option<Charge>| charge.map_or_else(Figures::default, |it| it.figures(day, false));
    let mut before = figures(then);
    steps.iter().map(move |step| {
        let after = figures(step.after);
        let change = after - before;
        before = after;
        (step.part, change)
    })
}

/// A key whose charge may be of a pair, at the closing or today.
#[derive(Debug, Clone)]
pub(super) struct Grouped {
    pub key: String,
    pub datasource: String,
    /// The load that brought its version of today; of the closing if it has none today.
    pub load_id: String,
    pub then: Option<Charge>,
    pub steps: Vec<Step>,
}

/// What changed figures: datasource, part and load.
pub(super) type Changes = BTreeMap<(String, Part, String), Figures>;

/// Applies the steps of all keys in their order, and adds what each of them changes.
pub(super) fn replay(keys: &[Grouped], day: i32, changes: &mut Changes) {
    let mut world = World::default();
    for (place, key) in keys.iter().enumerate() {
        world.set(place, key.then);
    }
    let mut steps: Vec<(usize, Step)> =
        keys.iter().enumerate().flat_map(|(place, key)| key.steps.iter().map(move |step| (place, *step))).collect();
    // A stable sort: the steps of a key stay in their order.
    let rank = |place: usize, step: Step| (step.part, &keys[place].load_id, &keys[place].key);
    steps.sort_by(|(one, step), (other, next)| rank(*one, *step).cmp(&rank(*other, *next)));
    for (place, step) in steps {
        let before_and_after = [world.charges.get(&place).copied(), step.after];
        let groups: BTreeSet<i64> = before_and_after.into_iter().flatten().map(|charge| charge.group).collect();
        let before = world.figures(keys, &groups, day);
        world.set(place, step.after);
        let change = world.figures(keys, &groups, day) - before;
        let Grouped { datasource, load_id, .. } = &keys[place];
        *changes.entry((datasource.clone(), step.part, load_id.clone())).or_default() += change;
    }
}

/// What keys say while the steps are applied, by their places.
#[derive(Default)]
struct World {
    charges: HashMap<usize, Charge>,
    groups: HashMap<i64, Vec<usize>>,
}

impl World {
    fn set(&mut self, place: usize, charge: Option<Charge>) {
        let before = match charge {
            Some(charge) => self.charges.insert(place, charge),
            None => self.charges.remove(&place),
        };
        if let Some(places) = before.and_then(|before| self.groups.get_mut(&before.group)) {
            places.retain(|other| *other != place);
        }
        if let Some(charge) = charge {
            self.groups.entry(charge.group).or_default().push(place);
        }
    }

    /// The figures of some groups.
    fn figures(&self, keys: &[Grouped], groups: &BTreeSet<i64>, day: i32) -> Figures {
        let of_group = |group: &i64| {
            let places = self.groups.get(group).map_or(&[][..], Vec::as_slice);
            let charges =
                places.iter().filter_map(|place| Some((keys[*place].key.as_str(), *self.charges.get(place)?)));
            figures_of_group(&charges.collect::<Vec<_>>(), day)
        };
        groups.iter().map(of_group).fold(Figures::default(), |sum, figures| sum + figures)
    }
}
