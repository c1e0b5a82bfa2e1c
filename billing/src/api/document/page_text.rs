//! `/docs`: the document as a page, rendered on the server. It loads nothing, runs nothing and can
//! be saved.

use std::fmt::Write as _;

use serde_json::Value;

const STYLE: &str = include_str!("page.css");

/// The page of a document.
pub(super) fn page(document: &Value) -> String {
    let mut page = String::with_capacity(256 * 1024);
    let title = text(&document["info"]["title"]);
    page.push_str("<!doctype html><html lang=en><head><meta charset=utf-8>");
    page.push_str("<meta name=viewport content=\"width=device-width,initial-scale=1\">");
    put(&mut page, &format!("<title>{title}</title><style>{STYLE}</style></head><body>"));
    let tags: Vec<&Value> = document["tags"].as_array().into_iter().flatten().collect();
    let operations = operations(document);
    navigation(&mut page, &title, &tags, &operations);
    put(&mut page, &format!("<main><h1>{title}</h1>{}", paragraphs(&document["info"]["description"])));
    put(&mut page, "<p>For programs: <a href=/openapi.json>openapi.json</a>.</p>");
    credentials(&mut page, document);
    for tag in tags {
        let (name, said) = (text(&tag["name"]), text(&tag["description"]));
        put(&mut page, &format!("<section><h2 id=\"{name}\">{name}</h2><p>{said}</p>"));
        operations.iter().filter(|one| one.is_of(tag)).for_each(|one| one.show(&mut page));
        put(&mut page, "</section>");
    }
    schemas(&mut page, document);
    put(&mut page, "</main></body></html>");
    page
}

/// One operation.
struct Operation<'a> {
    method: &'a str,
    path: &'a str,
    said: &'a Value,
}

fn operations(document: &Value) -> Vec<Operation<'_>> {
    let paths = document["paths"].as_object().into_iter().flatten();
    paths
        .flat_map(|(path, methods)| {
            methods.as_object().into_iter().flatten().map(|(method, said)| Operation { method, path, said })
        })
        .collect()
}

impl Operation<'_> {
    fn is_of(&self, tag: &Value) -> bool {
        self.said["tags"].as_array().is_some_and(|tags| tags.contains(&tag["name"]))
    }

    fn anchor(&self) -> String {
        let path: String = self.path.chars().map(|one| if one.is_ascii_alphanumeric() { one } else { '-' }).collect();
        format!("{}{path}", self.method)
    }

    fn show(&self, page: &mut String) {
        let (method, path, anchor) = (self.method, escape(self.path), self.anchor());
        put(page, &format!("<article id=\"{anchor}\"><h3><b class={method}>{method}</b> <code>{path}</code>"));
        put(page, &format!("<span>{}</span></h3>", text(&self.said["summary"])));
        put(page, &paragraphs(&self.said["description"]));
        self.show_parameters(page);
        if let Some(content) = self.said["requestBody"]["content"].as_object() {
            for (media_type, content) in content {
                put(
                    page,
                    &format!("<h4>Body</h4><p><code>{}</code> {}</p>", escape(media_type), kind(&content["schema"])),
                );
            }
        }
        put(page, "<h4>Answers</h4><table>");
        for (status, answer) in self.said["responses"].as_object().into_iter().flatten() {
            let class = if status.starts_with('2') { "good" } else { "bad" };
            let content = answer["content"].as_object().into_iter().flatten();
            let shapes: Vec<_> = content.map(|(_, content)| kind(&content["schema"])).collect();
            let (said, shapes) = (text(&answer["description"]), shapes.join(" or "));
            put(page, &format!("<tr><td class={class}>{status}<td>{said}<td>{shapes}"));
        }
        put(page, "</table></article>");
    }

    fn show_parameters(&self, page: &mut String) {
        let parameters: Vec<_> = self.said["parameters"].as_array().into_iter().flatten().collect();
        if parameters.is_empty() {
            return;
        }
        put(page, "<h4>Parameters</h4><table>");
        for parameter in parameters {
            let (name, place) = (text(&parameter["name"]), text(&parameter["in"]));
            let (said, kind) = (text(&parameter["description"]), kind(&parameter["schema"]));
            put(page, &format!("<tr><td><code>{name}</code><td>{place}<td>{kind}<td>{said}"));
        }
        put(page, "</table>");
    }
}

fn navigation(page: &mut String, title: &str, tags: &[&Value], operations: &[Operation<'_>]) {
    put(page, &format!("<nav><b>{title}</b>"));
    for tag in tags {
        let name = text(&tag["name"]);
        put(page, &format!("<details open><summary><a href=\"#{name}\">{name}</a></summary>"));
        for one in operations.iter().filter(|one| one.is_of(tag)) {
            let (anchor, method) = (one.anchor(), one.method);
            let summary = text(&one.said["summary"]);
            put(page, &format!("<a href=\"#{anchor}\"><b class={method}>{method}</b> {summary}</a>"));
        }
        put(page, "</details>");
    }
    put(page, "<a href=\"#schemas\">Documents</a></nav>");
}

fn credentials(page: &mut String, document: &Value) {
    put(page, "<h2>Credentials</h2><p>In the header <code>Authorization: Bearer …</code></p><table>");
    for (name, scheme) in document["components"]["securitySchemes"].as_object().into_iter().flatten() {
        put(page, &format!("<tr><td><code>{}</code><td>{}", escape(name), text(&scheme["description"])));
    }
    put(page, "</table>");
}

fn schemas(page: &mut String, document: &Value) {
    put(page, "<section><h2 id=schemas>Documents</h2>");
    for (name, schema) in document["components"]["schemas"].as_object().into_iter().flatten() {
        let name = escape(name);
        put(page, &format!("<article id=\"schema-{name}\"><h3><code>{name}</code></h3>"));
        put(page, &paragraphs(&schema["description"]));
        let Some(members) = schema["properties"].as_object() else {
            put(page, &format!("<p>{}</p></article>", kind(schema)));
            continue;
        };
        let required = schema["required"].as_array();
        put(page, "<table>");
        for (member, schema) in members {
            let is_required = required.is_some_and(|names| names.iter().any(|name| name == member));
            let mark = if is_required { "" } else { " <i>optional</i>" };
            let (member, kind, said) = (escape(member), kind(schema), text(&schema["description"]));
            put(page, &format!("<tr><td><code>{member}</code>{mark}<td>{kind}<td>{said}"));
        }
        put(page, "</table></article>");
    }
    put(page, "</section>");
}

/// A schema in a few words, with a link to what it refers to.
fn kind(schema: &Value) -> String {
    if let Some(reference) = schema["$ref"].as_str() {
        let name = escape(reference.rsplit('/').next().unwrap_or_default());
        return format!("<a href=\"#schema-{name}\">{name}</a>");
    }
    for choice in ["oneOf", "anyOf", "allOf"] {
        if let Some(choices) = schema[choice].as_array() {
            return choices.iter().map(kind).collect::<Vec<_>>().join(" or ");
        }
    }
    if let Some(words) = schema["enum"].as_array() {
        let words: Vec<_> = words.iter().map(|word| format!("<code>{}</code>", text(word))).collect();
        return words.join(" ");
    }
    let named = match &schema["type"] {
        Value::Array(types) => types.iter().map(text).collect::<Vec<_>>().join(" or "),
        one => text(one),
    };
    if named == "array" { format!("list of {}", kind(&schema["items"])) } else { named }
}

/// Text with its paragraphs.
fn paragraphs(said: &Value) -> String {
    let paragraphs = said.as_str().unwrap_or_default().split("\n\n").filter(|paragraph| !paragraph.is_empty());
    paragraphs.map(|paragraph| ["<p>", &marked(paragraph), "</p>"].concat()).collect()
}

fn text(said: &Value) -> String {
    said.as_str().map(marked).unwrap_or_default()
}

/// Text in which words between backticks are code.
fn marked(said: &str) -> String {
    let pieces = said.split('`').enumerate();
    pieces
        .map(|(place, piece)| if place % 2 == 1 { format!("<code>{}</code>", escape(piece)) } else { escape(piece) })
        .collect()
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

fn put(page: &mut String, html: &str) {
    // Writing into a string cannot fail.
    let _ = page.write_str(html);
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn descriptions_are_escaped() {
        assert_eq!(marked("`<b>` & \"x\""), "<code>&lt;b&gt;</code> &amp; &quot;x&quot;");
        assert_eq!(
            kind(&json!({ "type": "array", "items": { "$ref": "#/components/schemas/Key" } })),
            "list of <a href=\"#schema-Key\">Key</a>"
        );
        assert_eq!(kind(&json!({ "oneOf": [{ "type": "null" }, { "type": "string" }] })), "null or string");
    }
}
