//! Every fault of a file is told, where it is and in plain words.

use std::collections::BTreeMap;

use serde::Deserialize;

use super::*;

#[derive(Debug, Deserialize, PartialEq)]
#[serde(deny_unknown_fields)]
struct Sample {
    #[serde(default)]
    listen: String,
    #[serde(default)]
    when: When,
    threads: Option<u16>,
    #[serde(default)]
    limits: Limits,
    #[serde(default)]
    servers: BTreeMap<String, Server>,
    #[serde(default)]
    names: Vec<String>,
}

#[derive(Debug, Default, Deserialize, PartialEq)]
#[serde(rename_all = "snake_case")]
enum When {
    #[default]
    Reject,
    ServeUnmetered,
}

#[derive(Debug, Default, Deserialize, PartialEq)]
#[serde(deny_unknown_fields, default)]
struct Limits {
    header_bytes: u64,
    enabled: bool,
    share: f64,
}

#[derive(Debug, Deserialize, PartialEq)]
#[serde(deny_unknown_fields)]
struct Server {
    address: String,
    weight: u8,
}

/// `line:column: reason` of every fault.
fn faults(text: &str) -> Vec<String> {
    match parse::<Sample>(text, "a.yaml") {
        Ok(_) => Vec::new(),
        Err(ConfigError::Faulty(faults)) => faults
            .iter()
            .map(|fault| format!("{}:{}: {}", fault.place.line, fault.place.column, fault.reason))
            .collect(),
        Err(other) => panic!("{other}"),
    }
}

#[test]
fn valid_file_reads_as_written() {
    let text = "
# comment
listen: '127.0.0.1:80'
when: serve_unmetered
threads: 0x10
limits: { header_bytes: 1_0, enabled: true, share: .5 }
";
    assert_eq!(faults(text), ["6:25: `header_bytes`: `1_0` is not a whole number, 0 or more"].map(String::from));
    let text = text.replace("1_0", "10")
        + "servers: &all { a: &a { address: x:1, weight: 2 }, b: *a }\nnames: [5, 007, off]\n";
    let sample: Sample = parse(&text, "a.yaml").unwrap();
    assert_eq!((sample.listen.as_str(), sample.when, sample.threads), ("127.0.0.1:80", When::ServeUnmetered, Some(16)));
    assert_eq!(sample.limits, Limits { header_bytes: 10, enabled: true, share: 0.5 });
    assert_eq!(sample.servers["a"], sample.servers["b"]);
    assert_eq!(sample.names, ["5", "007", "off"]);
    for empty in ["", "# nothing\n", "limits:\n", "---\n{}\n"] {
        assert_eq!(faults(empty), [""; 0], "{empty:?}");
    }
}

#[test]
fn each_fault_is_reported_with_its_place() {
    let text = "\
lissten: 127.0.0.1:80
when: serve_unmeterd
threads: 70000
limits:
  header_bytes: -1
  enabled: yes
  headerbytes: 5
servers:
  one: { address: x:1 }
  two: { weight: 300 }
  one: { address: x:2, weight: 1 }
  three: [1, 2]
names: alone
colour: red
";
    let told = faults(text);
    let expected = [
        "1:1: `lissten` is not a setting here; did you mean `listen`?",
        "2:7: `when`: `serve_unmeterd` is not one of `reject`, `serve_unmetered`; did you mean `serve_unmetered`?",
        "3:10: `threads`: `70000` is not a whole number from 0 to 65535",
        "5:17: `header_bytes`: `-1` is not a whole number, 0 or more",
        "6:12: `enabled`: `yes` is not `true` or `false`",
        "7:3: `headerbytes` is not a setting here; did you mean `header_bytes`?",
        "9:3: `one`: `weight` is missing here: it has no default",
        "10:3: `two`: `address` is missing here: it has no default",
        "10:18: `weight`: `300` is not a whole number from 0 to 255",
        "11:3: `one` is defined twice: it is in line 9 already",
        "12:3: `three`: a list is not a group of settings",
        "13:8: `names`: `alone` is not a list",
        "14:1: `colour` is not a setting here; known are `listen`, `when`, `threads`, `limits`, `servers`, `names`",
    ];
    assert_eq!(told, expected);
}

#[test]
fn malformed_document_is_reported_with_place() {
    let cases = [
        ("listen: a\nlisten: b\n", "2:1: `listen` is defined twice: it is in line 1 already"),
        ("listen: a\n---\nlisten: b\n", "2:1: a second document begins here"),
        ("listen: a\nnames:\n  - x\n  - ${NAME}\n", "4:5: `${NAME}` is not replaced"),
        ("\nlisten: \"${HOST:-x}:80\"\n", "2:9: `${HOST:-x}` is not replaced"),
        ("limits: { header_bytes: ${BYTES} }\n", "1:"),
        ("listen: [\n", "2:1: this is not YAML"),
        ("a: b: c\n", "1:5: this is not YAML"),
        ("limits:\n\tenabled: true\n", "2:2: this is not YAML"),
        ("[1]: x\n", "1:1: a list or map cannot be the name of a setting"),
        ("just text\n", "1:1: `just text` is not a group of settings"),
        ("- a\n", "1:1: a list is not a group of settings"),
        ("limits: *nothing\n", "1:9:"),
    ];
    for (text, expected) in cases {
        let told = faults(text);
        assert!(told.iter().any(|fault| fault.starts_with(expected)), "{text:?}: {told:?}");
    }
    assert_eq!(faults("listen: '${HOST}'\n"), [""; 0], "single quotes are taken as they stand");
    let deep = "names: ".to_owned() + &"[".repeat(10_000) + &"]".repeat(10_000);
    assert_eq!(faults(&deep).len(), 1);
}

#[test]
fn error_is_short_for_any_file() {
    let long = "x".repeat(1_000_000);
    for text in [
        format!("{long}: 1\n"),
        format!("listen: [{long}]\n"),
        format!("when: '{long}'\n"),
        format!("a: {long}: {long}"),
    ] {
        let error = parse::<Sample>(&text, "a.yaml").unwrap_err().to_string();
        assert!(error.len() < 2_000, "{} bytes", error.len());
    }
    let many: Vec<String> = (0..10_000).map(|number| format!("key-{number}: 1")).collect();
    let error = parse::<Sample>(&many.join("\n"), "a.yaml").unwrap_err().to_string();
    assert!(error.len() < 50_000 && error.contains("more faults are not shown"), "{} bytes", error.len());
}

#[test]
fn place_of_setting_is_found() {
    let text = "a:\n  - { name: x, port: 1 }\n  - { name: y, port: 1 }\nport: 2\n";
    let tree = Tree::parse(text).0;
    let at = |way: &[Step], field: &str, value: Option<&str>| {
        let place = tree.place(way, field, value);
        (place.line, place.column)
    };
    let second = [Step::Key("a".into()), Step::Item(1)];
    assert_eq!(at(&second, "port", None), (3, 22));
    assert_eq!(at(&[], "port", Some("2")), (4, 7));
    assert_eq!(at(&[], "port", Some("1")), (2, 22));
    assert_eq!(at(&second, "absent", None), (3, 5));
    assert_eq!(at(&[Step::Key("b".into())], "port", Some("2")), (4, 7));
}

#[test]
fn nested_aliases_hit_the_node_limit() {
    let level = |level: usize| {
        let below = vec![format!("*a{}", level - 1); 10].join(", ");
        format!("n{level}: &a{level} [{below}]")
    };
    let levels: Vec<String> = (1..10).map(level).collect();
    let text = format!("names: &a0 [x, x, x, x, x, x, x, x, x, x]\n{}\n", levels.join("\n"));
    assert!(!faults(&text).is_empty());
}

/// Time for which this thread has computed, whatever else the machine does.
fn computed(work: impl FnOnce()) -> u128 {
    let now = || {
        let time = rustix::time::clock_gettime(rustix::time::ClockId::ThreadCPUTime);
        u128::try_from(time.tv_sec).unwrap() * 1_000_000_000 + u128::try_from(time.tv_nsec).unwrap()
    };
    let before = now();
    work();
    now() - before
}

#[test]
fn sixteen_times_the_entries_of_a_map_cost_about_sixteen_times_the_work() {
    let work = |count: usize| {
        let text = (0..count).map(|number| format!("entry-{number:06}: 1")).collect::<Vec<_>>().join("\n");
        computed(|| {
            let tree = Tree::parse(&text).0;
            for number in 0..count {
                assert!(!tree.has_removed(&[Step::Key(format!("entry-{number:06}"))]));
            }
        })
    };
    // If each entry were compared with all before it, it would be more than a hundred times.
    let few = (0..3).map(|_| work(2_000)).max().unwrap();
    assert!(work(32_000) < 60 * few);
}
