//! The NPI registry → bronze: the identifiers of the lake's providers, and the configured searches.
//!
//! [`handle`] asks; `due.rs` says for what, and [`rcm_platform::http`] how politely.

mod due;
mod search;
#[cfg(test)]
mod tests;
mod unanswered;

use futures::StreamExt;
use rcm_model::cdm::NPI;
use rcm_model::event::{Outcome, PullInput, StageReport};
use rcm_platform::bronze::Manifest;
use rcm_platform::bronze_rows::{self, Row};
use rcm_platform::config::{self, LoadKind, NpiSearch};
use rcm_platform::http::npi::{COLUMNS, Provider, Registry};
use rcm_platform::load::Subject;
use rcm_platform::stage::{self, Failure, Work};
use rcm_platform::{Context, StageError};

use self::search::SearchResult;
use self::unanswered::Unanswered;

/// Datasource of the registry's loads: the mapping in `configs/cdm`.
const DATASOURCE: &str = config::NPI_DATASOURCE;
/// Identifiers per load: what was answered so far stays if the function runs out of its time.
const NUMBERS_PER_LOAD: usize = 500;
const NUMBERS_SOURCE: &str = "NPI registry: identifiers of the providers";

/// Asks the registry for what is due and makes a load of every search, and of every 500
/// identifiers. Nothing is asked twice: what bronze has counts, whether silver has taken it in or not.
/// An identifier or a search that has no answer keeps no other from being asked for; a registry that is
/// out of order is left alone.
///
/// # Errors
/// The first of what the registry did not answer (`SourceUnavailable`, `Timeout`, `Throttled`), or not as
/// it should (`BrokenContract`): what it did answer is loaded. Or the store fails.
pub async fn handle(context: Context, input: PullInput) -> Result<StageReport, StageError> {
    stage::report(&context, "npi-pull", &input.run_id, NPI.name, pull(&context, &input)).await
}

async fn pull(context: &Context, input: &PullInput) -> Result<Work, Failure> {
    let Some(options) = &context.settings.sources.npi else {
        let notes = vec!["configs/sources.toml has no [npi]: the NPI registry was not asked".to_owned()];
        return Ok(Work { outcome: Some(Outcome::Skipped), notes, ..Work::default() });
    };
    let pull = Pull { context, options, registry: Registry::new(context, options)?, input };
    let mut work = Work::default();
    match pull.everything(&mut work).await {
        Ok(()) if work.loads.is_empty() => Ok(Work { outcome: Some(Outcome::NothingNew), ..work }),
        Ok(()) => Ok(Work { outcome: Some(Outcome::Done), ..work }),
        Err(error) => Err(Failure { error, work }),
    }
}

/// One pull of the registry.
struct Pull<'a> {
    context: &'a Context,
    options: &'a config::Npi,
    registry: Registry,
    input: &'a PullInput,
}

impl Pull<'_> {
    async fn everything(&self, work: &mut Work) -> Result<(), StageError> {
        let mut unanswered = Unanswered::default();
        let mut known = due::known(self.context, self.options).await?;
        self.searches(&known, &mut unanswered, work).await?;
        if !work.loads.is_empty() {
            // The searches have made some more known.
            known = due::known(self.context, self.options).await?;
        }
        self.identifiers(&known, &mut unanswered, work).await?;
        work.notes.extend(unanswered.note());
        unanswered.first.map_or(Ok(()), Err)
    }

    async fn searches(
        &self,
        known: &[Manifest],
        unanswered: &mut Unanswered,
        work: &mut Work,
    ) -> Result<(), StageError> {
        for search in due::searches(self.options, known, source_name) {
            if unanswered.is_out_of_order() {
                break;
            }
            let found = search::all(&self.registry, self.options, search).await;
            if let Some(found) = unanswered.answer(found) {
                self.load_search(search, found, work).await?;
            }
        }
        Ok(())
    }

    async fn identifiers(
        &self,
        known: &[Manifest],
        unanswered: &mut Unanswered,
        work: &mut Work,
    ) -> Result<(), StageError> {
        let Some(numbers) = due::numbers(self.context, known, &self.input.run_id).await? else {
            let note = "no earlier run brought providers: the next one asks for their identifiers";
            work.notes.push(note.to_owned());
            return Ok(());
        };
        if numbers.is_empty() {
            work.notes.push("every provider's identifier is known, and known recently".to_owned());
        }
        for numbers in numbers.chunks(NUMBERS_PER_LOAD) {
            let providers = self.look_up(numbers, unanswered).await;
            if !providers.is_empty() {
                self.load_identifiers(providers, work).await?;
            }
        }
        Ok(())
    }

    async fn load_search(&self, search: &NpiSearch, found: SearchResult, work: &mut Work) -> Result<(), StageError> {
        if found.cut_off > 0 {
            work.notes.push(format!(
                "{}: {} parts are deeper than the registry shows and cannot be cut further; narrow the search",
                source_name(search),
                found.cut_off
            ));
        }
        self.load(source_name(search), found.providers, work).await
    }

    /// What the registry answers for identifiers, as long as it is in order.
    async fn look_up(&self, numbers: &[String], unanswered: &mut Unanswered) -> Vec<Provider> {
        let asked = numbers.iter().cloned().map(|number| async move { self.registry.look_up(&number).await });
        let mut answers =
            futures::stream::iter(asked.collect::<Vec<_>>()).buffered(self.options.http.concurrency.max(1));
        let mut providers = Vec::with_capacity(numbers.len());
        while !unanswered.is_out_of_order()
            && let Some(answer) = answers.next().await
        {
            providers.extend(unanswered.answer(answer));
        }
        providers
    }

    async fn load_identifiers(&self, providers: Vec<Provider>, work: &mut Work) -> Result<(), StageError> {
        let not_active = |status: &str| providers.iter().filter(|provider| provider.status == status).count();
        for status in ["unknown", "deactivated"] {
            if not_active(status) > 0 {
                work.notes.push(format!("{} identifiers are {status}", not_active(status)));
            }
        }
        self.load(NUMBERS_SOURCE.to_owned(), providers, work).await
    }

    async fn load(&self, source_name: String, providers: Vec<Provider>, work: &mut Work) -> Result<(), StageError> {
        let subject = Subject {
            run_id: &self.input.run_id,
            stream: NPI.name,
            entity: NPI.name,
            datasource: DATASOURCE,
            kind: LoadKind::Upsert,
            started_at: self.context.now(),
            landed_at: None,
        };
        let rows: Vec<Row> = providers.into_iter().map(Provider::into_row).collect();
        let force = self.input.force;
        let loaded = bronze_rows::load(self.context, &subject, source_name, &COLUMNS, &rows, force).await?;
        work.loads.extend(loaded.loads);
        work.notes.extend(loaded.notes);
        Ok(())
    }
}

/// What the manifest of a search's load says it was read from.
fn source_name(search: &NpiSearch) -> String {
    let criteria = search.criteria();
    let criteria: Vec<String> = criteria.into_iter().map(|(name, value)| format!("{name} = {value}")).collect();
    format!("NPI registry: {}", criteria.join(", "))
}
