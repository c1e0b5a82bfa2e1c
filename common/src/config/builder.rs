//! Building a tree from the events of the YAML parser.

use std::{borrow::Cow, collections::HashMap};

use saphyr_parser::{Event, Parser, ScalarStyle, Span};

use super::{
    fault::{Fault, Place, quoted},
    tree::{Content, Entry, Map, NodeId, Scalar, Tree},
};

/// Deepest nesting; no configuration comes near.
const DEPTH_MAX: usize = 64;

/// A list or a map that is not complete yet.
enum Open {
    List { place: Place, anchor: usize, items: Vec<NodeId> },
    Map { place: Place, anchor: usize, entries: Map, key: Option<(String, Place)> },
}

/// Builds a tree from the parser's events.
#[derive(Default)]
struct Builder {
    tree: Tree,
    open: Vec<Open>,
    anchors: HashMap<usize, NodeId>,
    documents: usize,
    faults: Vec<Fault>,
}

impl Tree {
    /// Parses a document into its tree and the faults of its form. A key that stands twice counts
    /// once.
    pub fn parse(text: &str) -> (Self, Vec<Fault>) {
        let mut builder = Builder::default();
        let mut parser = Parser::new_from_str(text);
        while let Some(event) = parser.next_event() {
            match event {
                Ok((event, span)) => {
                    if !builder.take(event, span) {
                        break;
                    }
                }
                Err(error) => {
                    let marker = error.marker();
                    let place = Place { line: marker.line().max(1), column: marker.col() + 1, length: 1 };
                    builder.faults.push(place.fault(malformed(error.info(), text, place)));
                    builder.tree.root = None;
                    break;
                }
            }
        }
        let Builder { mut tree, mut faults, .. } = builder;
        if tree.root.is_none() && faults.is_empty() {
            let nothing = Scalar { text: String::new(), is_plain: true };
            tree.root = Some(tree.push(Place::START, Content::Scalar(nothing)));
        }
        faults.sort();
        (tree, faults)
    }
}

impl Builder {
    /// Takes an event; false once nothing more can come of the rest.
    fn take(&mut self, event: Event<'_>, span: Span) -> bool {
        let place = place(span);
        match event {
            Event::DocumentStart(_) => {
                self.documents += 1;
                if self.documents > 1 {
                    let reason = "a second document begins here: a configuration is one document, remove this `---` \
                                  and what follows";
                    self.faults.push(Place { length: 3, ..place }.fault(reason));
                    return false;
                }
            }
            Event::Scalar(text, style, anchor, _) => {
                self.check_placeholder(&text, style, place);
                let is_plain = style == ScalarStyle::Plain;
                if self.is_key_next() {
                    self.key(text, place);
                } else {
                    let scalar = Scalar { text: text.into_owned(), is_plain };
                    self.add(place, anchor, Content::Scalar(scalar));
                }
            }
            Event::SequenceStart(anchor, _) | Event::MappingStart(anchor, _) if self.is_key_next() => {
                let _ = anchor;
                self.faults.push(place.fault("a list or map cannot be the name of a setting"));
                return false;
            }
            Event::SequenceStart(anchor, _) => self.open.push(Open::List { place, anchor, items: Vec::new() }),
            Event::MappingStart(anchor, _) => {
                self.open.push(Open::Map { place, anchor, entries: Map::default(), key: None });
            }
            Event::SequenceEnd | Event::MappingEnd => self.close(),
            Event::Alias(anchor) => match self.anchors.get(&anchor).copied() {
                Some(id) if !self.is_key_next() => self.attach(id),
                _ => {
                    self.faults.push(place.fault("this alias stands for nothing: write the value itself"));
                    return false;
                }
            },
            Event::Nothing | Event::StreamStart | Event::StreamEnd | Event::DocumentEnd => {}
        }
        if self.open.len() > DEPTH_MAX {
            self.faults.push(place.fault("nested too deeply"));
            return false;
        }
        true
    }

    fn is_key_next(&self) -> bool {
        matches!(self.open.last(), Some(Open::Map { key: None, .. }))
    }

    fn key(&mut self, text: Cow<'_, str>, place: Place) {
        if let Some(Open::Map { key, .. }) = self.open.last_mut() {
            *key = Some((text.into_owned(), place));
        }
    }

    fn add(&mut self, place: Place, anchor: usize, content: Content) {
        let id = self.tree.push(place, content);
        if anchor > 0 {
            self.anchors.insert(anchor, id);
        }
        self.attach(id);
    }

    fn attach(&mut self, id: NodeId) {
        match self.open.last_mut() {
            None => self.tree.root = Some(id),
            Some(Open::List { items, .. }) => items.push(id),
            Some(Open::Map { entries, key, .. }) => {
                let Some((key, key_place)) = key.take() else { return };
                if let Err(first) = entries.insert(Entry { key, key_place, value: id }) {
                    let (key, line) = (quoted(&first.key), first.key_place.line);
                    let reason = format!("{key} is defined twice: it is in line {line} already");
                    self.faults.push(key_place.fault(reason));
                }
            }
        }
    }

    fn close(&mut self) {
        match self.open.pop() {
            Some(Open::List { place, anchor, items }) => self.add(place, anchor, Content::List(items)),
            Some(Open::Map { place, anchor, entries, .. }) => self.add(place, anchor, Content::Map(entries)),
            None => {}
        }
    }

    /// `${VAR}` looks as if it were replaced by the environment's value, which it is not.
    fn check_placeholder(&mut self, text: &str, style: ScalarStyle, place: Place) {
        if style != ScalarStyle::SingleQuoted
            && let Some(name) = placeholder(text)
        {
            let reason = format!(
                "{} is not replaced: variables of the environment are not expanded in this file. Write the value itself \
                 (in single quotes, it is taken as it stands)",
                quoted(name)
            );
            self.faults.push(place.fault(reason));
        }
    }
}

/// `${NAME}` or `${NAME:-default}` in a text.
fn placeholder(text: &str) -> Option<&str> {
    text.match_indices("${").find_map(|(start, _)| {
        let end = start + text[start..].find('}')?;
        let first = text[start + 2..end].chars().next()?;
        (first.is_ascii_alphabetic() || first == '_').then(|| &text[start..=end])
    })
}

fn place(span: Span) -> Place {
    let one_line = span.start.line() == span.end.line();
    let length = if one_line { span.end.col().saturating_sub(span.start.col()) } else { 1 };
    Place { line: span.start.line().max(1), column: span.start.col() + 1, length: length.max(1) }
}

/// The message about a text that is no YAML.
fn malformed(info: &str, text: &str, place: Place) -> String {
    let line = text.lines().nth(place.line - 1).unwrap_or_default();
    let hint = if placeholder(line).is_some() {
        "; variables of the environment, as in `${NAME}`, are not expanded in this file"
    } else if line.starts_with('\t') || line.trim_start_matches(' ').starts_with('\t') {
        "; indent with spaces, not with tabs"
    } else {
        ""
    };
    format!("this is not YAML: {info}{hint}")
}
