//! The program itself: requests through its pipes, and its bound on memory.

#![expect(clippy::unwrap_used, reason = "what these helpers do must work for a test to go on")]

use std::{
    io::Write as _,
    process::{Child, Command, Stdio},
};

use documents::{
    Kind,
    frame::{Answer, Frame},
};
use serde_json::json;

fn start(memory_mib: &str) -> Child {
    let mut command = Command::new(env!("CARGO_BIN_EXE_documents"));
    command.args(["--memory-mib", memory_mib]).env_clear().stdin(Stdio::piped()).stdout(Stdio::piped());
    command.stderr(Stdio::null()).spawn().unwrap()
}

fn request(template: &str) -> Frame {
    let head = json!({ "template": template, "data": {}, "identifier": "x", "time": [2026, 11, 30, 0, 0, 0] });
    Frame { head: head.to_string().into_bytes(), body: Vec::new() }
}

fn ask(child: &mut Child, frame: &Frame) -> Option<(Answer, Vec<u8>)> {
    frame.write(child.stdin.as_mut().unwrap()).unwrap();
    let answer = Frame::read(child.stdout.as_mut().unwrap()).ok().flatten()?;
    Some((serde_json::from_slice(&answer.head).unwrap(), answer.body))
}

#[test]
fn program_answers_one_request_after_the_other_and_ends_with_its_input() {
    let mut child = start("2048");
    let (answer, pdf) = ask(&mut child, &request("#set document(title: \"x\")\nHello")).unwrap();
    assert_eq!((answer.pages, answer.fault), (1, None));
    assert!(pdf.starts_with(b"%PDF-"));
    let (answer, pdf) = ask(&mut child, &request("#let x = (")).unwrap();
    assert_eq!((answer.fault.unwrap().kind, pdf), (Kind::Template, Vec::new()));
    let (answer, _) = ask(&mut child, &Frame { head: b"no JSON".to_vec(), body: Vec::new() }).unwrap();
    assert_eq!(answer.fault.unwrap().kind, Kind::Request);
    let (answer, _) = ask(&mut child, &request("#set document(title: \"x\")\nAgain")).unwrap();
    assert_eq!(answer.fault, None);
    child.stdin.as_mut().unwrap().flush().unwrap();
    drop(child.stdin.take());
    assert!(child.wait().unwrap().success());
}

#[test]
fn template_that_needs_too_much_memory_ends_the_program() {
    let mut child = start("400");
    let grow = "#let f(s) = { if s.len() > 100000000000 { s } else { f(s + s) } }\n#f(\"0123456789\")";
    assert!(ask(&mut child, &request(grow)).is_none());
    assert!(!child.wait().unwrap().success());
}
