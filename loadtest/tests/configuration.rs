//! The schemas of the configuration files and the page that lists every setting are made from the
//! types that read the files. `UPDATE=1 cargo test -p loadtest --test configuration` writes them.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::{
    collections::BTreeSet,
    fmt::Write as _,
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use serde_json::{Map, Value};

const PAGE: &str = "docs/configuration.md";

const PAGE_TOP: &str = "# Configuration

Every setting of `gateway.yaml` and `billing.yaml`, made from the types that read the files. Files are
checked as a whole: every fault is told with file, line and column. `gateway --check` and
`billing --check` do only that, `gateway --print-effective` prints a file with all defaults and what
the environment overrides, passwords hidden.

Editors complete and check settings by the JSON Schemas beside the files
([gateway.schema.json](../config/gateway.schema.json),
[billing.schema.json](../config/billing.schema.json)); the first line of a file names its schema.
Settings marked (restart) count from the next start or upgrade on, all others at once.
";

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

fn schemas() -> [(&'static str, Value); 2] {
    [("gateway", gateway::config::schema().to_value()), ("billing", billing::config::schema().to_value())]
}

/// Compares a file with what it should hold, or writes it where the environment says so.
fn keep(path: &str, text: &str) {
    let file = root().join(path);
    if std::env::var_os("UPDATE").is_some() {
        fs::write(&file, text).unwrap();
    }
    let kept = fs::read_to_string(&file).unwrap_or_default();
    assert!(kept == text, "{path} is not what the types say: UPDATE=1 cargo test -p loadtest --test configuration");
}

/// The schema that a reference leads to.
fn resolved<'a>(root: &'a Value, schema: &'a Value) -> &'a Value {
    match schema["$ref"].as_str() {
        Some(reference) => root.pointer(reference.trim_start_matches('#')).unwrap(),
        None => schema,
    }
}

/// The group of settings that a schema describes, itself or beside `null`, or as items or values.
/// Its way on from the setting, as in `[]` or `.NAME`.
fn group<'a>(root: &'a Value, schema: &'a Value) -> Option<(&'static str, &'a Value)> {
    let schema = resolved(root, schema);
    if schema["properties"].is_object() {
        return Some(("", schema));
    }
    if let Some(parts) = ["anyOf", "allOf"].iter().find_map(|key| schema[*key].as_array()) {
        return parts.iter().find_map(|one| group(root, one));
    }
    if schema["items"].is_object() {
        return group(root, &schema["items"]).map(|(_, found)| ("[]", found));
    }
    let values = Some(&schema["additionalProperties"]).filter(|values| values.is_object())?;
    group(root, values).map(|(_, found)| (".NAME", found))
}

/// The kinds of values of a setting, in words.
fn kind(root: &Value, schema: &Value) -> String {
    let schema = resolved(root, schema);
    let all = |key: &str| schema[key].as_array().map(|all| all.iter().map(|one| kind(root, one)).collect::<Vec<_>>());
    let mut words = BTreeSet::new();
    if let Some(choices) = schema["enum"].as_array() {
        words.extend(choices.iter().filter_map(Value::as_str).map(|choice| format!("`{choice}`")));
    }
    words.extend(schema["const"].as_str().map(|choice| format!("`{choice}`")));
    words.extend(["anyOf", "oneOf", "allOf"].into_iter().find_map(all).into_iter().flatten());
    let types = match &schema["type"] {
        Value::Array(types) => types.iter().filter_map(Value::as_str).collect(),
        one => one.as_str().into_iter().collect::<Vec<_>>(),
    };
    for kind in types.into_iter().filter(|_| schema["enum"].is_null()) {
        words.insert(match kind {
            "array" => format!("list of {}", self::kind(root, &schema["items"])),
            "object" if schema["additionalProperties"].is_object() => {
                format!("names with {}", self::kind(root, &schema["additionalProperties"]))
            }
            "object" => "group".to_owned(),
            "null" => continue,
            "string" => "text".to_owned(),
            "integer" => "whole number".to_owned(),
            "number" => "number".to_owned(),
            other => other.replace("boolean", "`true` or `false`"),
        });
    }
    words.remove("");
    words.into_iter().collect::<Vec<_>>().join(" or ")
}

fn shown_default(schema: &Map<String, Value>, is_required: bool) -> String {
    match schema.get("default") {
        _ if is_required => "required".to_owned(),
        None | Some(Value::Null | Value::Object(_)) => String::new(),
        Some(Value::Array(items)) if items.is_empty() => String::new(),
        Some(Value::String(text)) if text.is_empty() => String::new(),
        Some(Value::String(text)) => format!("`{text}`"),
        Some(value) => format!("`{value}`"),
    }
}

/// Writes the settings of a group, and then those of the groups in it.
fn describe(page: &mut String, root: &Value, name: &str, schema: &Value, undescribed: &mut Vec<String>) {
    let properties = schema["properties"].as_object().unwrap();
    let required: Vec<&str> = schema["required"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
    page.push_str("\n| setting | value | default | |\n|---|---|---|---|\n");
    let mut groups = Vec::new();
    for (setting, found) in properties {
        let text = found["description"].as_str().unwrap_or_default().replace('\n', " ");
        let path = if name.is_empty() { setting.clone() } else { format!("{name}.{setting}") };
        let kind = kind(root, found);
        if text.is_empty() || kind.is_empty() {
            undescribed.push(path.clone());
        }
        let default = shown_default(found.as_object().unwrap(), required.contains(&setting.as_str()));
        writeln!(page, "| `{setting}` | {kind} | {default} | {text} |").unwrap();
        groups.extend(group(root, found).map(|(way, inner)| (format!("{path}{way}"), inner)));
    }
    for (path, inner) in groups {
        write!(page, "\n### `{path}`\n").unwrap();
        describe(page, root, &path, inner, undescribed);
    }
}

#[test]
fn schemas_and_page_are_those_of_the_types_and_describe_every_setting() {
    let (mut page, mut undescribed) = (PAGE_TOP.to_owned(), Vec::new());
    for (program, schema) in schemas() {
        keep(&format!("config/{program}.schema.json"), &format!("{schema:#}\n"));
        write!(page, "\n## {program}.yaml\n").unwrap();
        describe(&mut page, &schema, "", &schema, &mut undescribed);
        // No group is passed over.
        let groups = schema["definitions"].as_object().unwrap().values();
        for setting in groups.filter_map(|group| group["properties"].as_object()).flat_map(Map::keys) {
            assert!(page.contains(&format!("| `{setting}` |")), "{program}.yaml: `{setting}` is not on the page");
        }
    }
    assert_eq!(undescribed, Vec::<String>::new(), "settings without a description, or without a kind of value");
    keep(PAGE, &page);
}

/// The configuration files, and the program that reads each.
fn files() -> Vec<(PathBuf, &'static str)> {
    let config = root().join("config");
    let mut files = vec![(config.join("gateway.yaml"), "gateway"), (config.join("billing.yaml"), "billing")];
    for entry in fs::read_dir(config.join("examples")).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_some_and(|extension| extension == "yaml") && !is_openapi(&path) {
            files.push((path, "gateway"));
        }
    }
    files
}

/// Returns true for a document that routes are made of.
fn is_openapi(path: &Path) -> bool {
    fs::read_to_string(path).unwrap().lines().any(|line| line.starts_with("openapi:"))
}

#[test]
fn every_file_names_its_schema_and_fits_it_as_another_validator_says() {
    const VALIDATE: &str = "
import json, re, sys, yaml, jsonschema
# YAML 1.2: `off` is a text.
bool = 'tag:yaml.org,2002:bool'
class Loader(yaml.SafeLoader): pass
Loader.yaml_implicit_resolvers = {k: [r for r in v if r[0] != bool] for k, v in yaml.SafeLoader.yaml_implicit_resolvers.items()}
Loader.add_implicit_resolver(bool, re.compile('^(true|false)$'), list('tf'))
schema = json.load(open(sys.argv[1]))
jsonschema.Draft7Validator.check_schema(schema)
faults = [f'{f.json_path}: {f.message}' for f in jsonschema.Draft7Validator(schema).iter_errors(yaml.load(open(sys.argv[2]), Loader))]
sys.exit('\\n'.join(faults) or 0)
";
    let validate = |file: &Path, program: &str| {
        let schema = root().join(format!("config/{program}.schema.json"));
        // Debian's own, which has Debian's packages whatever else is found by name.
        Command::new("/usr/bin/python3").args(["-c", VALIDATE]).args([&schema, file]).output().unwrap()
    };
    for (file, program) in files() {
        let text = fs::read_to_string(&file).unwrap();
        let up = if file.parent().unwrap().ends_with("examples") { "../" } else { "" };
        let first = format!("# yaml-language-server: $schema={up}{program}.schema.json");
        assert_eq!(text.lines().next(), Some(first.as_str()), "{}", file.display());
        let output = validate(&file, program);
        assert!(output.status.success(), "{}: {}", file.display(), String::from_utf8_lossy(&output.stderr));
    }
    let directory = tempfile::tempdir().unwrap();
    let wrong = directory.path().join("wrong.yaml");
    fs::write(&wrong, "listn: 127.0.0.1:1\nroutes: []\nupstreams: {}\n").unwrap();
    let output = validate(&wrong, "gateway");
    assert!(String::from_utf8_lossy(&output.stderr).contains("listn"), "{output:?}");
}
