//! A stand-in for the ICD API. Its codes have the form of ICD-10 codes; what they mean here is made
//! up, since the classification is the WHO's.

use serde_json::{Value, json};

use super::server::{Request, Response};

pub(super) const CLIENT_ID: &str = "demo";
/// Secret that is valid only for the stand-in.
pub(super) const CLIENT_SECRET: &str = "made-up";
pub(super) const TOKEN_PATH: &str = "/connect/token";
pub(super) const RELEASE: &str = "2019";

const TOKEN: &str = "made-up-token";
/// Chapters by the letter that their codes begin with.
const CHAPTERS: [(&str, char); 7] =
    [("IV", 'E'), ("IX", 'I'), ("X", 'J'), ("XI", 'K'), ("XIII", 'M'), ("XIV", 'N'), ("XVIII", 'R')];
/// First categories of the blocks of a chapter; a block has ten.
const BLOCKS: [u32; 5] = [10, 20, 30, 40, 50];
/// Digits after the point of a code.
const SUBCATEGORIES: [u32; 4] = [0, 1, 8, 9];

pub(super) fn answer(request: &Request) -> Response {
    if request.url.path() == TOKEN_PATH {
        return token(request);
    }
    if request.authorization != format!("Bearer {TOKEN}") {
        return (401, Value::Null);
    }
    let release = format!("/icd/release/10/{RELEASE}");
    match request.url.path().strip_prefix(&release).map(|code| code.trim_matches('/')) {
        Some(code) => node(code).map_or((404, Value::Null), |node| (200, node)),
        None => (404, Value::Null),
    }
}

fn token(request: &Request) -> Response {
    let form = url::form_urlencoded::parse(request.body.as_bytes());
    let form: std::collections::HashMap<String, String> = form.into_owned().collect();
    let expected = [
        ("grant_type", "client_credentials"),
        ("scope", "icdapi_access"),
        ("client_id", CLIENT_ID),
        ("client_secret", CLIENT_SECRET),
    ];
    let is_right = expected.iter().all(|(name, value)| form.get(*name).is_some_and(|given| given == value));
    if request.method != "POST" || !is_right {
        return (400, json!({"error": "invalid_client"}));
    }
    (200, json!({"access_token": TOKEN, "expires_in": 3600, "token_type": "Bearer"}))
}

/// Returns the node with a code; the release if the code is empty.
fn node(code: &str) -> Option<Value> {
    if code.is_empty() {
        let chapters: Vec<String> = CHAPTERS.map(|(chapter, _)| chapter.to_owned()).into();
        return Some(described("", "release", None, &chapters));
    }
    if let Some((_, letter)) = CHAPTERS.iter().find(|(chapter, _)| *chapter == code) {
        return Some(described(code, "chapter", Some(""), &BLOCKS.map(|first| block(*letter, first))));
    }
    let letter = code.chars().next()?;
    let (chapter, _) = CHAPTERS.iter().find(|(_, of)| *of == letter)?;
    if let Some(first) = BLOCKS.into_iter().find(|first| block(letter, *first) == code) {
        let categories: Vec<String> = (first..first + 10).map(|number| format!("{letter}{number}")).collect();
        return Some(described(code, "block", Some(chapter), &categories));
    }
    let (category, rest) = code[letter.len_utf8()..].split_once('.').unwrap_or((&code[letter.len_utf8()..], ""));
    let first = category.parse::<u32>().ok()? / 10 * 10;
    if !BLOCKS.contains(&first) {
        return None;
    }
    if rest.is_empty() {
        let subcategories = SUBCATEGORIES.map(|sub| format!("{code}.{sub}"));
        return Some(described(code, "category", Some(&block(letter, first)), &subcategories));
    }
    let is_known = rest.parse().is_ok_and(|sub| SUBCATEGORIES.contains(&sub));
    is_known.then(|| described(code, "category", Some(&format!("{letter}{category}")), &[]))
}

fn block(letter: char, first: u32) -> String {
    format!("{letter}{first}-{letter}{}", first + 9)
}

/// Returns a node in the form of the API: its links have the scheme `http`, and a leaf has no `child`.
fn described(code: &str, kind: &str, parent: Option<&str>, children: &[String]) -> Value {
    let link = |code: &str| format!("http://stand-in/icd/release/10/{RELEASE}/{code}");
    let mut node = json!({
        "@id": link(code),
        "code": code,
        "classKind": kind,
        "title": {"@language": "en", "@value": format!("Demo {kind} {code}")},
    });
    if let Some(parent) = parent {
        node["parent"] = json!([link(parent)]);
    }
    if !children.is_empty() {
        node["child"] = children.iter().map(|child| link(child)).collect();
    }
    node
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_node_is_reached_from_the_release() {
        let mut codes = vec![String::new()];
        let mut leaves = 0;
        while let Some(code) = codes.pop() {
            let node = node(&code).unwrap();
            let children = node["child"].as_array().cloned().unwrap_or_default();
            leaves += usize::from(children.is_empty());
            let last = |link: &Value| link.as_str().unwrap().rsplit('/').next().unwrap().to_owned();
            codes.extend(children.iter().map(last));
        }
        assert_eq!(leaves, CHAPTERS.len() * BLOCKS.len() * 10 * SUBCATEGORIES.len());
    }

    #[test]
    fn there_are_codes_that_it_does_not_know() {
        assert_eq!(node("E10.2"), None);
        assert_eq!(node("A00"), None);
        assert_eq!(node("E09"), None);
    }
}
