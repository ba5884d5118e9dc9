use std::time::Duration;

use backon::Retryable;
use chrono::DateTime;
use reqwest::header::{DATE, HeaderMap, HeaderName, RETRY_AFTER};
use reqwest::redirect::Policy;
use reqwest::{Request, Response, StatusCode};
use serde::de::DeserializeOwned;
use tracing::warn;

use super::pace::Pace;
use crate::backoff::Backoff;
use crate::config::Http;
use crate::context::{Clock, Context};
use crate::error::{Result, StageError};

/// Longest response that is read, in bytes.
const ANSWER_LIMIT: usize = 32 * 1024 * 1024;
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
const USER_AGENT: &str = concat!("rcm/", env!("CARGO_PKG_VERSION"));

/// The client of one registry. Errors name the registry and never a URL, which may hold an
/// identifier.
pub struct Client {
    source: &'static str,
    http: reqwest::Client,
    pace: Pace,
    clock: Clock,
    backoff: Backoff,
}

/// What a registry responded.
#[derive(Debug)]
pub enum RegistryReply<T> {
    Found(T),
    /// It refuses this request: a retry would not help.
    Refused(StatusCode),
}

/// A try that came to nothing.
struct Failed {
    error: StageError,
    /// The pause that the server asked for.
    retry_after: Option<Duration>,
}

impl Client {
    /// A client for the registry of this name.
    ///
    /// # Errors
    /// The options make no sense, or TLS cannot be set up.
    pub fn new(context: &Context, source: &'static str, options: &Http) -> Result<Self> {
        let timeout = Http::seconds("timeout_seconds", options.timeout_seconds)?;
        let http = reqwest::Client::builder()
            .user_agent(USER_AGENT)
            .redirect(Policy::none())
            .connect_timeout(timeout.min(CONNECT_TIMEOUT))
            .timeout(timeout)
            .build()
            .map_err(|error| StageError::bad_config(format!("{source}: {}", error.without_url())))?;
        Ok(Self {
            source,
            http,
            pace: Pace::new(options.interval()?),
            clock: context.clock.clone(),
            backoff: Backoff {
                first_pause: Http::seconds("first_pause_seconds", options.first_pause_seconds)?,
                longest_pause: Http::seconds("longest_pause_seconds", options.longest_pause_seconds)?,
                retries: options.tries.saturating_sub(1),
                jitter: 0.5..=1.0,
            },
        })
    }

    /// Name of the registry, as messages have it.
    #[must_use]
    pub fn source(&self) -> &'static str {
        self.source
    }

    /// Sends a request until it gets a JSON response, and reads that.
    ///
    /// Lost connections, server errors, time-outs and responses that break off are retried after a pause that
    /// doubles; a response with `Retry-After` after the pause that it asks for, which holds all requests of this
    /// client. A pause longer than the longest one is not waited for.
    ///
    /// # Errors
    /// The last try's own; `BrokenContract` if the JSON is not of the shape of `T`.
    pub async fn json<T: DeserializeOwned>(&self, request: Request) -> Result<RegistryReply<T>> {
        let attempt = || async {
            self.pace.turn().await;
            let Some(copy) = request.try_clone() else {
                let message = format!("{}: a request that cannot be repeated", self.source);
                return Err(StageError::bad_config(message).into());
            };
            self.send(copy).await
        };
        let sent = attempt
            .retry(self.backoff.pauses())
            .when(|failed: &Failed| failed.error.is_retryable())
            .adjust(|failed, pause| self.pause_after(failed, pause))
            .notify(|failed, pause| {
                warn!(source = self.source, error = %failed.error, pause_seconds = pause.as_secs_f64(), "asking again");
                if failed.retry_after.is_some() {
                    self.pace.hold(pause);
                }
            });
        sent.await.map_err(|failed| failed.error)
    }

    /// The pause after a failed try: the one that the server asks for, else the backoff's. None after the last try,
    /// and if it is longer than the longest one.
    fn pause_after(&self, failed: &Failed, backoff: Option<Duration>) -> Option<Duration> {
        let pause = failed.retry_after.unwrap_or(backoff?);
        Some(pause).filter(|pause| *pause <= self.backoff.longest_pause)
    }

    async fn send<T: DeserializeOwned>(&self, request: Request) -> std::result::Result<RegistryReply<T>, Failed> {
        let response = self.http.execute(request).await.map_err(|error| self.unreachable(&error))?;
        let status = response.status();
        if status == StatusCode::TOO_MANY_REQUESTS || status == StatusCode::REQUEST_TIMEOUT || status.is_server_error()
        {
            return Err(self.put_off(status, response.headers()));
        }
        if !status.is_success() {
            return Ok(RegistryReply::Refused(status));
        }
        let body = self.body(response).await?;
        let value = serde_json::from_slice(&body).map_err(|error| self.unreadable(&error))?;
        Ok(RegistryReply::Found(value))
    }

    async fn body(&self, mut response: Response) -> std::result::Result<Vec<u8>, Failed> {
        let mut body = Vec::new();
        while let Some(chunk) = response.chunk().await.map_err(|error| self.unreachable(&error))? {
            if body.len() + chunk.len() > ANSWER_LIMIT {
                let message = format!("{}: an answer has more than {ANSWER_LIMIT} bytes", self.source);
                return Err(StageError::broken_contract(message).into());
            }
            body.extend_from_slice(&chunk);
        }
        Ok(body)
    }

    fn unreachable(&self, error: &reqwest::Error) -> Failed {
        let source = self.source;
        let error = if error.is_timeout() {
            StageError::timeout(format!("{source}: no answer in time"))
        } else if error.is_connect() {
            StageError::source_unavailable(format!("{source}: no connection"))
        } else {
            StageError::source_unavailable(format!("{source}: the answer broke off"))
        };
        error.into()
    }

    fn put_off(&self, status: StatusCode, headers: &HeaderMap) -> Failed {
        let retry_after = self.retry_after(headers);
        let wish = retry_after.map(|pause| format!(" and asks to wait {} s", pause.as_secs())).unwrap_or_default();
        let message = format!("{}: answers {}{wish}", self.source, status.as_u16());
        let error = if status == StatusCode::TOO_MANY_REQUESTS {
            StageError::throttled(message)
        } else {
            StageError::source_unavailable(message)
        };
        Failed { error, retry_after }
    }

    /// A body that is no JSON is the page of a proxy or half a response, and worth a retry; JSON of another shape is
    /// not.
    fn unreadable(&self, error: &serde_json::Error) -> Failed {
        let source = self.source;
        let error = if error.is_data() {
            StageError::broken_contract(format!("{source}: an answer of an unexpected shape"))
        } else {
            StageError::source_unavailable(format!("{source}: an answer that is no JSON"))
        };
        error.into()
    }

    /// Returns the pause of `Retry-After`: seconds, or a date, which is compared with the server's own `Date` if it sends
    /// one.
    /// Source: RFC 9110, 10.2.3.
    fn retry_after(&self, headers: &HeaderMap) -> Option<Duration> {
        let text = |name: HeaderName| headers.get(name)?.to_str().ok().map(str::trim);
        let value = text(RETRY_AFTER)?;
        if let Ok(seconds) = value.parse() {
            return Some(Duration::from_secs(seconds));
        }
        let at = DateTime::parse_from_rfc2822(value).ok()?;
        let now = text(DATE).and_then(|date| DateTime::parse_from_rfc2822(date).ok());
        let now = now.unwrap_or_else(|| self.clock.now().fixed_offset());
        Some((at - now).to_std().unwrap_or_default())
    }
}

impl From<StageError> for Failed {
    fn from(error: StageError) -> Self {
        Self { error, retry_after: None }
    }
}
