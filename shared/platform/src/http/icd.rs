//! The ICD API of the WHO, version 2: one node of the classification per request.

use reqwest::header::{ACCEPT, ACCEPT_LANGUAGE, AUTHORIZATION, HeaderValue};
use reqwest::{Method, Request, StatusCode};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use url::Url;

use super::client::{Client, RegistryReply};
use super::token::{self, Tokens};
use crate::config;
use crate::context::Context;
use crate::error::{Result, StageError};
use crate::load::printable;

const API_VERSION: (&str, &str) = ("API-Version", "v2");

/// One release of ICD-10.
pub struct Release {
    client: Client,
    url: Url,
    language: HeaderValue,
    tokens: Option<Tokens>,
}

/// One node of a release: a chapter, a block, or a category, which is a code.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Node {
    /// `A00.0`, `A00-A09`, `I`; empty for the release itself.
    pub code: String,
    pub title: Option<String>,
    pub kind: NodeKind,
    /// Code of the node above.
    pub parent: Option<String>,
    /// Codes of the nodes right below.
    pub children: Vec<String>,
}

/// What a node is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum NodeKind {
    /// The release, a chapter or a block: it holds codes and is none.
    Group,
    Code,
}

impl Release {
    /// The release that the configuration names. Its secret is read here.
    ///
    /// # Errors
    /// An address is no URL, or would be sent a token or the secret in the clear; the secret is missing or
    /// lacks a part; the options make no sense.
    pub async fn new(context: &Context, options: &config::Icd) -> Result<Self> {
        let bad = |reason: String| StageError::bad_config(format!("configs/sources.toml: [icd] {reason}"));
        let mut url = match &options.token_url {
            Some(_) => token::usable("base_url", &options.base_url)?,
            None => Url::parse(&options.base_url).map_err(|error| bad(format!("base_url is no URL: {error}")))?,
        };
        url.path_segments_mut()
            .map_err(|()| bad("base_url is no address of a server".to_owned()))?
            .pop_if_empty()
            .extend(["icd", "release", "10", &options.release]);
        let language =
            HeaderValue::from_str(&options.language).map_err(|_| bad("language is no name of one".to_owned()))?;
        let secret = options.secret.as_ref().or(context.environment.icd_secret.as_ref());
        let tokens = match (&options.token_url, secret) {
            (None, _) => None,
            (Some(token_url), Some(secret)) => Some(Tokens::new(context, token_url, secret).await?),
            (Some(_), None) => return Err(bad("has a token_url and no secret".to_owned())),
        };
        Ok(Self { client: Client::new(context, "ICD API", &options.http)?, url, language, tokens })
    }

    /// Asks for a node; for the release itself where the code is empty. None where the API has no such
    /// node.
    ///
    /// # Errors
    /// The API does not answer, or refuses the credentials or the question.
    pub async fn node(&self, code: &str) -> Result<Option<Node>> {
        let mut url = self.url.clone();
        if let Ok(mut segments) = url.path_segments_mut() {
            segments.extend((!code.is_empty()).then_some(code));
        }
        let mut refused = None;
        loop {
            let token = match &self.tokens {
                Some(tokens) => Some(tokens.get(&self.client, refused.as_deref()).await?),
                None => None,
            };
            let is_second = refused.is_some();
            match self.client.json(self.request(url.clone(), token.as_deref())?).await? {
                RegistryReply::Found(answer) => return Node::read(code, &answer).map(Some),
                RegistryReply::Refused(StatusCode::NOT_FOUND) => return Ok(None),
                RegistryReply::Refused(StatusCode::UNAUTHORIZED) if token.is_some() && !is_second => refused = token,
                RegistryReply::Refused(StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN) => {
                    return Err(StageError::bad_config("ICD API: refuses these credentials".to_owned()));
                }
                RegistryReply::Refused(status) => {
                    return Err(broken(&format!("answers {} for `{}`", status.as_u16(), printable(code))));
                }
            }
        }
    }

    fn request(&self, url: Url, token: Option<&str>) -> Result<Request> {
        let mut request = Request::new(Method::GET, url);
        let headers = request.headers_mut();
        headers.insert(API_VERSION.0, HeaderValue::from_static(API_VERSION.1));
        headers.insert(ACCEPT, HeaderValue::from_static("application/json"));
        headers.insert(ACCEPT_LANGUAGE, self.language.clone());
        if let Some(token) = token {
            let mut value = HeaderValue::from_str(&format!("Bearer {token}"))
                .map_err(|_| broken("grants a token that is no text"))?;
            value.set_sensitive(true);
            headers.insert(AUTHORIZATION, value);
        }
        Ok(request)
    }
}

impl Node {
    fn read(asked: &str, answer: &Value) -> Result<Self> {
        if !answer.is_object() {
            return Err(broken("answers something that is no node"));
        }
        let code = answer["code"].as_str().map_or(asked, str::trim).to_owned();
        let title = answer["title"]["@value"].as_str().or(answer["title"].as_str());
        let is_group = asked.is_empty() || matches!(answer["classKind"].as_str(), Some("chapter" | "block"));
        Ok(Self {
            title: title.map(|title| title.trim().to_owned()),
            kind: if is_group { NodeKind::Group } else { NodeKind::Code },
            parent: links(&answer["parent"])?.into_iter().next(),
            children: links(&answer["child"])?,
            code,
        })
    }
}

/// The codes that a list of addresses ends with. Only these are followed: the addresses themselves
/// say `http://` where the server speaks https, and may name another server.
fn links(list: &Value) -> Result<Vec<String>> {
    let items = match list {
        Value::Null => &[][..],
        Value::Array(items) => items,
        one => std::slice::from_ref(one),
    };
    items.iter().map(link).collect()
}

fn link(address: &Value) -> Result<String> {
    let unusable = || broken("answers a node whose neighbour has no usable address");
    let url = address.as_str().and_then(|address| Url::parse(address.trim()).ok()).ok_or_else(unusable)?;
    let last = url.path_segments().and_then(|mut segments| segments.rfind(|segment| !segment.is_empty()));
    last.map(str::to_owned).ok_or_else(unusable)
}

fn broken(what: &str) -> StageError {
    StageError::broken_contract(format!("ICD API: {what}"))
}

#[cfg(test)]
mod tests {
    use rstest::rstest;
    use serde_json::json;

    use super::*;

    #[rstest]
    #[case::missing(json!({}), &[])]
    #[case::null(json!({"child": null}), &[])]
    #[case::empty(json!({"child": []}), &[])]
    #[case::http(json!({"child": ["http://id.test/icd/release/10/2019/Z90.0"]}), &["Z90.0"])]
    #[case::https_and_slash(json!({"child": ["https://id.test/icd/release/10/2019/Z90-Z99/"]}), &["Z90-Z99"])]
    fn a_nodes_children_are_the_ends_of_their_addresses(#[case] answer: Value, #[case] expected: &[&str]) {
        assert_eq!(Node::read("Z90", &answer).unwrap().children, expected);
    }

    #[test]
    fn chapters_and_blocks_are_no_codes() {
        for (kind, expected) in [("chapter", NodeKind::Group), ("block", NodeKind::Group), ("category", NodeKind::Code)]
        {
            assert_eq!(Node::read("Z", &json!({"classKind": kind})).unwrap().kind, expected);
        }
    }

    #[test]
    fn an_address_that_ends_in_nothing_breaks_the_contract() {
        assert_eq!(Node::read("Z", &json!({"child": ["not an address"]})).unwrap_err().name(), "BrokenContract");
    }
}
