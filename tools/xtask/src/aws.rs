//! What follows on AWS: resources of the template, rights, and calls in the state machines.

use rcm_model::cdm::{Entity, Origin};

use crate::names::{fill, resource};
use crate::outputs::Output;
use crate::regions::Region;

/// Entities whose silver functions hold many rows at once. They get 2,048 MB, all others 1,024.
const LARGE: [&str; 4] = ["patients", "encounters", "transactions", "claims"];

/// Folders of `landing/` whose files are taken as soon as they land, and the entity of each. Of a folder
/// that is not named the next scheduled run takes them.
const AT_ONCE: [(&str, &str); 2] = [("claims", "claims"), ("cptcodes", "cpt_codes")];

/// A silver function in the list of those that a state machine calls.
const SILVER_CALL: &str = "        {\"step\": \"silver-<function>\", \"function\": \"${Silver<Function>Function}\"}";

/// The template and the state machines.
pub(crate) fn outputs(entities: &[&Entity]) -> Vec<Output> {
    vec![template(entities), pipeline(entities), claims_landed()]
}

fn template(entities: &[&Entity]) -> Output {
    let all = || entities.iter().map(|entity| entity.name);
    let at_once = || AT_ONCE.iter().map(|(_, entity)| *entity);
    let read_from = |origin| entities.iter().filter(move |entity| entity.origin == origin).map(|entity| entity.name);
    let tables = |line| each(read_from(Origin::Tables), line);
    let landed = |line| each(read_from(Origin::LandedFiles), line);
    let substitution = "        Silver<Function>Function: !GetAtt Silver<Function>.Arn\n";
    let arn = "                  - !GetAtt Silver<Function>.Arn\n";
    let folders = AT_ONCE.iter().map(|(folder, _)| format!("              - {{prefix: landing/{folder}/}}\n"));
    let of_tables = "                  - !Sub \"${Lake.Arn}/bronze/*/<entity>/*\"\n";
    let of_files = "                  - !Sub \"${Lake.Arn}/bronze/<entity>/*\"\n";
    let regions = vec![
        Region::marked("tables read", tables(of_tables)),
        Region::marked("tables listed", tables("                      - bronze/*/<entity>/*\n")),
        Region::marked("tables written", tables(of_tables)),
        Region::marked(
            "tables discarded",
            tables("                  - !Sub \"${Lake.Arn}/bronze/*/<entity>/data/*\"\n"),
        ),
        Region::marked("landed read", landed(of_files)),
        Region::marked("landed listed", landed("                      - bronze/<entity>/*\n")),
        Region::marked("landed written", landed(of_files)),
        Region::marked(
            "landed discarded",
            landed("                  - !Sub \"${Lake.Arn}/bronze/<entity>/*/data/*\"\n"),
        ),
        Region::marked("silver functions", entities.iter().map(|entity| function(entity)).collect()),
        Region::marked("pipeline functions", each(all(), substitution)),
        Region::marked("pipeline invokes", each(all(), arn)),
        Region::marked("claims landed functions", each(at_once(), substitution)),
        Region::marked("claims landed invokes", each(at_once(), arn)),
        Region::marked("folders taken at once", folders.collect()),
        Region::marked("alarms on loads that wait", each(all(), include_str!("../templates/loads-wait-alarm.yaml"))),
        Region::marked("silver tables", each(all(), include_str!("../templates/silver-table.yaml"))),
    ];
    Output::regions("infra/aws/template.yaml", regions)
}

/// A template, filled in for each of some entities.
fn each<'a>(entities: impl Iterator<Item = &'a str>, template: &str) -> String {
    entities.map(|entity| fill(template, entity)).collect()
}

/// A silver function and its role.
fn function(entity: &Entity) -> String {
    let template = match entity.origin {
        Origin::Tables => include_str!("../templates/silver-function-of-tables.yaml"),
        Origin::LandedFiles | Origin::Registry => include_str!("../templates/silver-function-of-files.yaml"),
    };
    let memory = if LARGE.contains(&entity.name) { "2048" } else { "1024" };
    fill(template, entity.name).replace("<memory>", memory)
}

fn pipeline(entities: &[&Entity]) -> Output {
    let calls: Vec<String> = entities.iter().map(|entity| fill(SILVER_CALL, entity.name)).collect();
    let regions = vec![
        Region::between("\"Result\": [\n", "\n      ],\n      \"ResultPath\": \"$.silver\"", calls.join(",\n")),
        Region::between("\"MaxConcurrency\": ", ",\n", entities.len().to_string()),
    ];
    Output::regions("infra/aws/pipeline.asl.json", regions)
}

/// Of files that landed: the state of each entity, the first one's where no folder is another's, and the silver
/// functions.
fn claims_landed() -> Output {
    let [(_, first), others @ ..] = AT_ONCE;
    let choice = |(folder, entity): &(&str, &str)| {
        let next = resource(entity);
        format!("{{\"Variable\": \"$.key\", \"StringMatches\": \"landing/{folder}/*\", \"Next\": \"{next}Landed\"}}")
    };
    let choices: Vec<String> = others.iter().map(choice).collect();
    let choices =
        format!("{}],\n            \"Default\": \"{}Landed\"\n          }},\n", choices.join(", "), resource(first));
    let state = |(_, entity): &(&str, &str)| fill(include_str!("../templates/landed.asl.json"), entity);
    let states: Vec<String> = AT_ONCE.iter().map(|at_once| state(at_once).trim_end().to_owned()).collect();
    let calls: Vec<String> = AT_ONCE.iter().map(|(_, entity)| fill(SILVER_CALL, entity)).collect();
    let before = "\"Comment\": \"Which silver function takes the load.\",\n            \"Type\": \"Choice\",\n            \
                  \"Choices\": [";
    let has_landed = "\"States.ArrayContains($.landed, $$.Map.Item.Value.step)\"\n      },\n      \"MaxConcurrency\": ";
    let regions = vec![
        Region::between(before, "\n        }\n      },\n      \"ResultSelector\"", choices + &states.join(",\n")),
        Region::between("\"Result\": [\n", "\n      ],\n      \"ResultPath\": \"$.silver\"", calls.join(",\n")),
        Region::between(has_landed, ",\n", AT_ONCE.len().to_string()),
    ];
    Output::regions("infra/aws/claims-landed.asl.json", regions)
}
