use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use rcm_model::cdm::{ENTITIES, Entity, Origin, PATIENTS};
use tempfile::TempDir;

use crate::regions::Region;
use crate::{Error, by_hand, new_entity, outputs, run};

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

#[test]
fn what_follows_from_the_entities_is_as_generate_writes_it_and_nothing_is_left_to_write() {
    if let Err(error) = run(&root(), &["generate", "--check"]) {
        panic!("{error}");
    }
}

// ---- A new entity, in a copy of what it touches ----

/// What `new entity odd_things` makes of the model.
const ODD_THINGS: Entity = Entity {
    name: "odd_things",
    key: "odd_thing_key",
    source_id: Some("src_odd_thing_id"),
    surrogate: "odd_thing_sk",
    origin: Origin::Tables,
    tracked: PATIENTS.tracked,
};

fn with_odd_things() -> Vec<&'static Entity> {
    ENTITIES.into_iter().chain([&ODD_THINGS]).collect()
}

/// The files of the workspace that are generated or name entities.
fn copy() -> TempDir {
    let copy = tempfile::tempdir().unwrap();
    for folder in ["shared/model/src/cdm", "infra/config/cdm", "infra/config/quality", "infra/aws", "events"] {
        copy_files(folder, copy.path());
    }
    for folder in fs::read_dir(root().join("functions")).unwrap() {
        let name = folder.unwrap().file_name().into_string().unwrap();
        copy_files(&format!("functions/{name}"), copy.path());
        copy_files(&format!("functions/{name}/src"), copy.path());
    }
    for folder in ["infra/local", "infra/local/src", "docs"] {
        copy_files(folder, copy.path());
    }
    copy
}

fn copy_files(folder: &str, to: &Path) {
    let target = to.join(folder);
    fs::create_dir_all(&target).unwrap();
    for entry in fs::read_dir(root().join(folder)).unwrap() {
        let entry = entry.unwrap();
        if entry.file_type().unwrap().is_file() {
            fs::copy(entry.path(), target.join(entry.file_name())).unwrap();
        }
    }
}

fn text(root: &Path, file: &str) -> String {
    fs::read_to_string(root.join(file)).unwrap()
}

#[test]
fn generate_writes_everything_of_a_new_entity_but_its_columns_mapping_and_rules() {
    let copy = copy();
    let root = copy.path();
    new_entity::skeleton(root, "odd_things", "Tables").unwrap();
    assert_eq!(outputs::stale(root, &with_odd_things()).unwrap().len(), 9);
    outputs::write(root, &with_odd_things()).unwrap();
    assert_eq!(outputs::stale(root, &with_odd_things()).unwrap(), [""; 0]);
    assert!(outputs::write(root, &with_odd_things()).unwrap().is_empty(), "the second time writes nothing");

    let model = text(root, "shared/model/src/cdm/mod.rs");
    let count = format!("ENTITIES: [&Entity; {}]", with_odd_things().len());
    for line in ["mod odd_things;", "pub use odd_things::ODD_THINGS;", &count, ", &ODD_THINGS]"] {
        assert!(model.contains(line), "{line}: {model}");
    }
    assert!(text(root, "functions/silver-odd-things/src/lib.rs").contains("silver::run(context, &ODD_THINGS, input)"));
    assert!(text(root, "infra/local/src/functions.rs").contains("\"silver-odd-things\" => Box::pin(silver_odd_things"));
    let template = text(root, "infra/aws/template.yaml");
    for resource in ["SilverOddThings:", "SilverOddThingsRole:", "OddThingsLoadsWait:", "SilverOddThingsTable:"] {
        assert!(template.contains(&format!("\n  {resource}\n")), "{resource}");
    }
    assert!(template.contains("- !Sub \"${Lake.Arn}/bronze/*/odd_things/data/*\""), "the extract's right to discard");
    let pipeline = text(root, "infra/aws/pipeline.asl.json");
    assert!(
        pipeline.contains(&format!("\"MaxConcurrency\": {},", with_odd_things().len()))
            && pipeline.contains("${SilverOddThingsFunction}")
    );

    let left = by_hand::left(root, &with_odd_things()).unwrap();
    let files: Vec<&str> = left.iter().filter_map(|left| left.split_once(": ").map(|(file, _)| file)).collect();
    let (rules, model) = ("infra/config/quality/odd_things.toml", "shared/model/src/cdm/odd_things.rs");
    assert_eq!(files, [rules, "infra/config/cdm/<datasource>.toml", model], "{left:?}");
}

#[test]
fn a_function_of_an_entity_that_is_gone_and_a_file_that_is_changed_by_hand_are_named() {
    let copy = copy();
    let root = copy.path();
    let lib = root.join("functions/silver-patients/src/lib.rs");
    fs::write(&lib, "pub fn handle() {}\n").unwrap();
    fs::create_dir(root.join("functions/silver-visits")).unwrap();
    let stale = outputs::stale(root, &ENTITIES).unwrap();
    assert_eq!(
        stale,
        [
            "functions/silver-patients/src/lib.rs: run `cargo xtask generate`",
            "functions/silver-visits: no entity has this function; remove it"
        ]
    );
}

#[test]
fn a_name_that_is_taken_too_long_or_no_word_is_refused() {
    for name in ["patients", "", "Things", "odd-things", "things_", "odd_things_of_every_kind"] {
        let refused = run(&root(), &["new", "entity", name]);
        assert!(matches!(refused, Err(Error::Name { .. })), "{name}: {refused:?}");
    }
    assert!(matches!(run(&root(), &["new", "payments"]), Err(Error::Usage)));
}

#[test]
fn a_region_ends_where_its_own_marker_does_and_a_file_without_its_markers_is_named() {
    let text = "# xtask begin: a b\nold\n# xtask end: a b\n# xtask begin: a\n<!-- xtask end: a -->\nrest\n";
    let put = |name, text: &str| Region::marked(name, "new\n".to_owned()).put_into(text, Path::new("file"));
    let wanted = "# xtask begin: a b\nold\n# xtask end: a b\n# xtask begin: a\nnew\n<!-- xtask end: a -->\nrest\n";
    assert_eq!(put("a", text).unwrap(), wanted);
    let error = put("c", text).unwrap_err().to_string();
    assert_eq!(error, "file has no lines `xtask begin: c` and `xtask end`");
}

#[test]
fn a_disk_that_is_too_small_for_the_tests_is_named_before_anything_is_built() {
    let enough = |gigabytes: &str| {
        let said = Command::new("bash").arg(root().join("tests/enough-disk.sh")).arg(gigabytes).output().unwrap();
        (said.status.success(), String::from_utf8(said.stderr).unwrap())
    };
    assert_eq!(enough("0"), (true, String::new()));
    let (is_enough, said) = enough("100000000");
    assert!(!is_enough && said.contains("the tests need 100000000 GB of disk") && said.contains("hint: "), "{said}");
}

#[test]
fn every_file_that_contributing_names_is_there() {
    let text = text(&root(), "CONTRIBUTING.md");
    let named =
        text.split('`').skip(1).step_by(2).filter(|word| word.contains('/') && !word.contains([' ', '<', '\n']));
    let missing: Vec<&str> = named.filter(|path| !path.contains("payments") && !root().join(path).exists()).collect();
    assert_eq!(missing, [""; 0]);
}

#[test]
fn the_version_of_the_workspace_has_its_entry_in_the_changelog() {
    let entry = format!("\n## [{}] – ", env!("CARGO_PKG_VERSION"));
    assert!(text(&root(), "CHANGELOG.md").contains(&entry), "{entry}");
}
