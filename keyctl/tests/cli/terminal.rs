//! Output at a terminal: tables as wide as the terminal, and a question before anything is removed.

use serde_json::json;
use servers::{Act, Seen, Step, in_terminal};

use crate::fixture::{Fixture, text};

const LIMITED: &str = "\
plans:
  - id: basic
    name: Basic
    currency: EUR
    flat_fee: \"10.00\"
    quotas: [{ meter: tokens, per_month: 9 }]
    limits:
      tenant: { per_second: 10, per_minute: 300 }
";

/// Runs `keyctl` in a terminal of so many columns, in which somebody types an answer to each text.
fn at(fixture: &Fixture, columns: u16, words: &[&str], typed: &[(&str, &str)]) -> Seen {
    let mut command = fixture.command();
    command.args(words);
    let steps: Vec<_> = typed.iter().map(|(when, text)| Step { when, act: Act::Type(text) }).collect();
    in_terminal((columns, 24), &steps, &command).unwrap()
}

/// A fixture with a root, a reseller and a customer, keys of both kinds and usage of none.
async fn inhabited() -> (Fixture, String, String) {
    let fixture = Fixture::new().await;
    fixture.file("plans.yaml", LIMITED);
    fixture.json(&["plan", "apply", "plans.yaml"]);
    let root = fixture.root();
    let customer =
        fixture.id(&["tenant", "create", "--name", "A customer with a name", "--parent", &root, "--plan", "basic"]);
    let admin = ["admin-key", "create", "--tenant", &root, "--name", "deployment of everything", "--role", "admin"];
    fixture.json(&admin);
    let key = ["key", "create", "--tenant", &customer, "--name", "production of the shop", "--expires-in", "90d"];
    let key = text(&fixture.json(&key)["key"]["id"]);
    (fixture, root, key)
}

#[tokio::test]
async fn lists_are_no_wider_than_the_terminal() {
    let (fixture, root, key) = inhabited().await;
    for columns in [60, 80, 120, 200] {
        for words in [
            &["key", "list"][..],
            &["key", "show", &key],
            &["tenant", "list"],
            &["tenant", "limits", &root],
            &["admin-key", "list"],
            &["plan", "list"],
            &["plan", "show", "basic"],
            &["audit", "list"],
            &["usage", "report", "--tenant", &root],
            &["usage", "show"],
            &["plan", "apply", "plans.yaml", "--dry-run"],
        ] {
            let seen = at(&fixture, columns, words, &[]);
            assert_eq!(seen.code, 0, "{words:?}: {seen:?}");
            for line in seen.output.lines().filter(|line| !line.starts_with('(')) {
                assert!(line.chars().count() <= usize::from(columns), "{columns}, {words:?}: {line}\n{}", seen.output);
            }
        }
    }
}

#[tokio::test]
async fn columns_without_room_are_named_and_important_ones_stay() {
    let (fixture, _, key) = inhabited().await;
    let seen = at(&fixture, 80, &["key", "list"], &[]).output;
    assert!(seen.contains(&key) && seen.contains("active"), "{seen}");
    assert!(seen.contains("(too narrow for ENDS WITH, CREATED,") && seen.contains("--output json"), "{seen}");
    let wide = at(&fixture, 250, &["key", "list"], &[]).output;
    assert!(wide.contains("ENDS WITH") && !wide.contains("too narrow"), "{wide}");
    assert!(times_are_to_the_minute(&wide), "{wide}");
    // What is read by programs keeps everything.
    let piped = fixture.keyctl(&["key", "list"]).stdout;
    assert!(piped.contains("ENDS WITH") && piped.contains("LAST USED") && piped.contains("Z  "), "{piped}");
}

/// Returns true if a text has `dddd-dd-dd dd:dd` and no instant to the second.
fn times_are_to_the_minute(text: &str) -> bool {
    let is_minute = |window: &[u8]| {
        window.iter().zip(b"dddd-dd-dd dd:dd").all(|(byte, shape)| match shape {
            b'd' => byte.is_ascii_digit(),
            other => other == byte,
        })
    };
    text.as_bytes().windows(16).any(is_minute) && !text.contains("Z ")
}

#[tokio::test]
async fn destructive_commands_change_nothing_unless_confirmed() {
    let (fixture, _, key) = inhabited().await;
    let question = "Revoke key production of the shop";
    for answer in ["\n", "n\n", "no\n", "yesterday\n"] {
        let seen = at(&fixture, 100, &["key", "revoke", &key], &[(question, answer)]);
        assert_eq!((seen.code, seen.steps), (4, 1), "{seen:?}");
        assert!(seen.output.contains("nothing was changed"), "{seen:?}");
        assert_eq!(fixture.json(&["key", "show", &key])["status"], "active");
    }
    for answer in ["y\n", "YES\n"] {
        let seen = at(&fixture, 100, &["key", "revoke", &key], &[(question, answer)]);
        assert_eq!((seen.code, seen.steps), (0, 1), "{seen:?}");
        assert_eq!(fixture.json(&["key", "show", &key])["status"], "revoked");
    }
}

#[tokio::test]
async fn yes_option_or_no_terminal_skips_the_question() {
    let (fixture, _, key) = inhabited().await;
    let seen = at(&fixture, 100, &["key", "revoke", &key, "--yes"], &[]);
    assert_eq!(seen.code, 0, "{seen:?}");
    let (fixture, root, _) = inhabited().await;
    let run = fixture.keyctl(&["tenant", "suspend", &root]);
    assert_eq!((run.code, run.stderr.as_str()), (0, ""), "{run:?}");
}

#[tokio::test]
async fn suspending_a_root_needs_its_name_too() {
    let (fixture, root, _) = inhabited().await;
    let suspend = ["tenant", "suspend", &root];
    for (name, code, status) in [("yes\n", 4, "active"), ("Example API\n", 0, "suspended")] {
        let seen = at(&fixture, 100, &suspend, &[("[y/N] ", "y\n"), ("Type its name", name)]);
        assert_eq!((seen.code, seen.steps), (code, 2), "{seen:?}");
        assert_eq!(fixture.json(&["tenant", "show", &root])["status"], status);
    }
}

#[tokio::test]
async fn plan_file_that_drops_limits_needs_confirmation() {
    let (fixture, ..) = inhabited().await;
    let fewer = LIMITED.replace(", per_minute: 300", "").replace("    quotas: [{ meter: tokens, per_month: 9 }]\n", "");
    fixture.file("fewer.yaml", &fewer);
    let apply = ["plan", "apply", "fewer.yaml"];
    let refused = fixture.keyctl(&apply);
    assert_eq!(refused.code, 4, "{refused:?}");
    for part in ["basic limits.tenant.per_minute", "basic quotas[tokens]", "--yes", "nothing was applied"] {
        assert!(refused.stderr.contains(part), "{part}: {refused:?}");
    }
    let declined = at(&fixture, 120, &apply, &[("Drop limits (", "n\n")]);
    assert_eq!((declined.code, declined.steps), (4, 1), "{declined:?}");
    assert_eq!(fixture.json(&["plan", "show", "basic"])["version"], 1);
    let confirmed = at(&fixture, 120, &apply, &[("Drop limits (", "y\n")]);
    assert_eq!((confirmed.code, confirmed.steps), (0, 1), "{confirmed:?}");
    assert_eq!(fixture.json(&["plan", "show", "basic"])["version"], 2);

    fixture.json(&["plan", "apply", "plans.yaml"]);
    assert_eq!(fixture.keyctl(&[&apply[..], &["--yes"]].concat()).code, 0);
    assert_eq!(fixture.json(&["plan", "show", "basic"])["version"], 4);
}

#[tokio::test]
async fn dry_run_shows_changes_and_makes_none() {
    let (fixture, ..) = inhabited().await;
    let changed = LIMITED.replace("10.00", "12.00").replace("per_minute: 300", "per_hour: 300");
    let second = LIMITED.replace("plans:\n", "").replace("basic", "other");
    fixture.file("changed.yaml", &format!("{changed}{second}"));
    let dry = ["plan", "apply", "changed.yaml", "--dry-run"];
    let plans = fixture.json(&dry);
    assert_eq!((&plans[0]["outcome"], &plans[0]["version"]), (&json!("update"), &json!(1)));
    assert_eq!(
        plans[0]["changes"],
        json!([
            { "setting": "flat_fee", "before": "10.00", "after": "12.00", "drops_limit": false },
            { "setting": "limits.tenant.per_hour.burst", "before": null, "after": "300", "drops_limit": false },
            { "setting": "limits.tenant.per_hour.limit", "before": null, "after": "300", "drops_limit": false },
            { "setting": "limits.tenant.per_minute.burst", "before": "300", "after": null, "drops_limit": false },
            { "setting": "limits.tenant.per_minute.limit", "before": "300", "after": null, "drops_limit": true },
        ])
    );
    assert_eq!((&plans[1]["id"], &plans[1]["outcome"]), (&json!("other"), &json!("create")));
    let table = fixture.keyctl(&dry).stdout;
    assert!(table.contains("drops a limit"), "{table}");
    let same = fixture.json(&["plan", "apply", "plans.yaml", "--dry-run"]);
    assert_eq!((&same[0]["outcome"], &same[0]["changes"]), (&json!("nothing"), &json!([])));
    assert_eq!(fixture.json(&["plan", "list"]).as_array().unwrap().len(), 1);
}

#[tokio::test]
async fn key_without_any_route_gets_a_warning() {
    let fixture = Fixture::new().await;
    let root = fixture.root();
    let create = ["key", "create", "--tenant", &root, "--name", "first"];
    let told = fixture.keyctl(&create).stderr;
    assert!(told.contains("warning: tenant") && told.contains("keyctl plan assign"), "{told}");
    fixture.file("plans.yaml", LIMITED);
    fixture.json(&["plan", "apply", "plans.yaml"]);
    fixture.json(&["plan", "assign", "basic", "--tenant", &root]);
    let told = fixture.keyctl(&create).stderr;
    assert!(!told.contains("warning"), "{told}");
}
