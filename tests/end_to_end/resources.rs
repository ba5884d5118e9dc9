//! What must not drift apart: the functions, their events, their resources and their calls; and the gold
//! tables and those of Athena.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;

use rcm::functions;
use rcm_domain::close::{CLOSED_MONTHS, RESTATEMENTS};
use rcm_domain::gold::{DIMENSIONS, FACTS, date};
use rcm_domain::kpi::KPIS;
use serde_json::{Value, json};

use crate::binaries::ROOT;
use crate::parity::{PLAN, kebab};
use crate::scratch::Scratch;

/// Names of what is in a folder, without an ending.
fn names(folder: &str, ending: &str) -> BTreeSet<String> {
    let entries = fs::read_dir(format!("{ROOT}/{folder}")).unwrap();
    let names = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap());
    names.filter_map(|name| Some(name.strip_suffix(ending)?.to_owned())).collect()
}

/// Resources of the template: logical name, and what each says of itself, a line each.
fn resources() -> BTreeMap<String, Vec<String>> {
    let template = fs::read_to_string(format!("{ROOT}/infra/aws/template.yaml")).unwrap();
    let lines = template.lines().skip_while(|line| *line != "Resources:").skip(1);
    let lines = lines.take_while(|line| *line != "Outputs:");
    let mut resources: BTreeMap<String, Vec<String>> = BTreeMap::new();
    let mut logical_name = "";
    for line in lines {
        if let Some(name) = line.strip_prefix("  ").and_then(|name| name.strip_suffix(':'))
            && name.chars().all(char::is_alphanumeric)
        {
            logical_name = name;
        } else {
            resources.entry(logical_name.to_owned()).or_default().push(line.trim().to_owned());
        }
    }
    resources
}

/// The value of the first line of a resource that begins so.
fn value<'a>(resource: &'a [String], beginning: &str) -> Option<&'a str> {
    resource.iter().find_map(|line| line.strip_prefix(beginning))
}

/// Functions of the template: logical name, folder of the code, and name in the account.
fn function_resources() -> Vec<[String; 3]> {
    let is_function = |resource: &[String]| value(resource, "Type: ") == Some("AWS::Serverless::Function");
    let functions = resources().into_iter().filter(|(_, resource)| is_function(resource));
    let described = functions.map(|(logical_name, resource)| {
        let folder = value(&resource, "CodeUri: ../../functions/").unwrap();
        let name = value(&resource, "FunctionName: !Sub rcm-${EnvironmentName}-").unwrap();
        [logical_name, folder.to_owned(), name.to_owned()]
    });
    described.collect()
}

#[test]
fn a_function_is_one_folder_one_event_and_one_resource() {
    let folders = names("functions", "");
    assert_eq!(names("events", ".json"), folders, "events");
    let resources = function_resources();
    assert_eq!(resources.len(), folders.len(), "{resources:?}");
    for [logical_name, folder, name] in &resources {
        assert_eq!((&kebab(logical_name), name), (folder, folder));
    }
    assert_eq!(resources.into_iter().map(|[_, folder, _]| folder).collect::<BTreeSet<_>>(), folders, "resources");
}

#[test]
fn every_gold_table_has_a_table_of_athena() {
    let tables = DIMENSIONS.iter().map(|dimension| dimension.table).chain([date::TABLE]);
    let tables = tables.chain(FACTS.iter().map(|fact| fact.table)).chain(KPIS.iter().map(|kpi| kpi.table));
    let tables = tables.chain([CLOSED_MONTHS, RESTATEMENTS]);
    let expected: BTreeSet<String> = tables.map(|table| format!("Gold{}Table", pascal(table))).collect();
    let of_gold = |(name, resource): (String, Vec<String>)| {
        let is_table = value(&resource, "Type: ") == Some("AWS::Glue::Table");
        (is_table && value(&resource, "DatabaseName: ") == Some("!Ref GoldDatabase")).then_some(name)
    };
    let found: BTreeSet<String> = resources().into_iter().filter_map(of_gold).collect();
    assert_eq!(found, expected, "resources of infra/aws/template.yaml");
}

#[test]
fn a_retained_bucket_retains_its_policy() {
    let resources = resources();
    let of_type = |name: &str| {
        let found = resources.iter().filter(move |(_, resource)| value(resource, "Type: ") == Some(name));
        found.collect::<Vec<_>>()
    };
    let policies = of_type("AWS::S3::BucketPolicy");
    assert_eq!(policies.len(), of_type("AWS::S3::Bucket").len());
    for (name, policy) in policies {
        let bucket = &resources[value(policy, "Bucket: !Ref ").unwrap()];
        for kept in ["DeletionPolicy: ", "UpdateReplacePolicy: "] {
            assert_eq!(value(policy, kept), value(bucket, kept), "{kept}of {name} and of its bucket");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_function_can_be_called_on_one_machine() {
    let scratch = Scratch::new().await;
    let context = scratch.context(&scratch.beside("emr")).await;
    for name in names("functions", "").into_iter().filter(|name| name != PLAN) {
        let refused = functions::call(&name, context.clone(), json!("no input")).await.unwrap_err();
        assert!(refused.to_string().contains(&format!("input of `{name}`")), "{refused}");
    }
    let unknown = functions::call("no-such-function", context, Value::Null).await.unwrap_err();
    assert_eq!(unknown.name(), "BadConfig");
}

/// `dim_cpt_code` is `DimCptCode`.
fn pascal(name: &str) -> String {
    let words = name.split('_').map(|word| format!("{}{}", word[..1].to_uppercase(), &word[1..]));
    words.collect()
}
