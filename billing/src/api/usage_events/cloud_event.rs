//! `CloudEvents` 1.0 in JSON, read attribute by attribute: a fault names its attribute, and one bad
//! event of a batch leaves the others readable.

use std::fmt;

use common::{
    api::instant::Instant,
    id::TenantId,
    key::Mode,
    usage::event::{EventFault, UsageEvent},
};
use serde::{
    Deserialize, Deserializer,
    de::{Error as _, MapAccess, SeqAccess, Visitor},
};
use serde_json::{Map, Number, Value};

/// A JSON value of which no object names a member twice.
pub(super) struct Strict(pub(super) Value);

/// Members of `data` that are read.
const DATA: [&str; 3] = ["meter", "units", "mode"];

/// Longest name of an attribute.
const ATTRIBUTE_MAX_CHARS: usize = 64;

/// Reads an event.
pub(super) fn read(event: &Value) -> Result<UsageEvent, EventFault> {
    let Value::Object(attributes) = event else {
        return Err(EventFault::refused("event", "must be an object"));
    };
    check_names(attributes)?;
    if required(attributes, "specversion")? != "1.0" {
        return Err(EventFault::refused("specversion", "must be 1.0"));
    }
    let (id, source) = (required(attributes, "id")?.to_owned(), required(attributes, "source")?.to_owned());
    let kind = required(attributes, "type")?;
    let subject = required(attributes, "subject")?;
    let tenant: TenantId = subject.parse().map_err(|_| {
        EventFault::refused("subject", "must be the id of a tenant, as in ten_01jd0000000000000000000001")
    })?;
    let at = text(attributes, "time")?.map(Instant::parse).transpose();
    let at = at.map_err(|reason| EventFault::refused("time", reason))?;
    let data = data(attributes)?;
    let meter = match data.and_then(|data| data.get("meter")) {
        None => kind.to_owned(),
        Some(Value::String(meter)) => meter.clone(),
        Some(_) => return Err(EventFault::refused("data.meter", "must be a text")),
    };
    let units = match data.and_then(|data| data.get("units")) {
        None => 1,
        Some(units) => units.as_u64().ok_or_else(|| {
            EventFault::refused("data.units", "must be a whole number of at least 0, without fraction or exponent")
        })?,
    };
    let mode = match data.and_then(|data| data.get("mode")) {
        None => Mode::Live,
        Some(mode) => serde_json::from_value(mode.clone())
            .map_err(|_| EventFault::refused("data.mode", "must be live or test"))?,
    };
    Ok(UsageEvent { tenant, source, id, at, meter, units, mode })
}

/// A text of an event that may be faulty, to tell it by.
pub(super) fn told(event: &Value, attribute: &str) -> Option<String> {
    event.get(attribute)?.as_str().map(|text| text.chars().take(255).collect())
}

/// Names of attributes are lower-case letters and digits, so that a misspelt one is no extension.
fn check_names(attributes: &Map<String, Value>) -> Result<(), EventFault> {
    if attributes.contains_key("data_base64") {
        return Err(EventFault::refused("data_base64", "must be left out: `data` is JSON"));
    }
    let is_name = |name: &String| {
        (1..=ATTRIBUTE_MAX_CHARS).contains(&name.len())
            && name.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit())
    };
    match attributes.keys().find(|name| !is_name(name)) {
        None => Ok(()),
        Some(name) => {
            let name: String = name.chars().take(ATTRIBUTE_MAX_CHARS).collect();
            let reason = format!("`{name}` is not the name of an attribute: use a-z and 0-9");
            Err(EventFault::refused("event", reason))
        }
    }
}

fn text<'v>(attributes: &'v Map<String, Value>, name: &'static str) -> Result<Option<&'v str>, EventFault> {
    match attributes.get(name) {
        None | Some(Value::Null) => Ok(None),
        Some(Value::String(text)) => Ok(Some(text)),
        Some(_) => Err(EventFault::refused(name, "must be a text")),
    }
}

fn required<'v>(attributes: &'v Map<String, Value>, name: &'static str) -> Result<&'v str, EventFault> {
    let found = text(attributes, name)?.filter(|text| !text.is_empty());
    found.ok_or_else(|| EventFault::refused(name, "is missing"))
}

fn data(attributes: &Map<String, Value>) -> Result<Option<&Map<String, Value>>, EventFault> {
    if let Some(kind) = text(attributes, "datacontenttype")? {
        let media_type = kind.split(';').next().unwrap_or_default().trim();
        let is_json = media_type.eq_ignore_ascii_case("application/json");
        if !is_json {
            return Err(EventFault::refused("datacontenttype", "must be application/json"));
        }
    }
    match attributes.get("data") {
        None | Some(Value::Null) => Ok(None),
        Some(Value::Object(data)) => match data.keys().find(|name| !DATA.contains(&name.as_str())) {
            None => Ok(Some(data)),
            Some(name) => {
                let name: String = name.chars().take(ATTRIBUTE_MAX_CHARS).collect();
                Err(EventFault::refused("data", format!("has no member `{name}`: there are meter, units and mode")))
            }
        },
        Some(_) => Err(EventFault::refused("data", "must be an object with meter, units and mode")),
    }
}

impl<'de> Deserialize<'de> for Strict {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(StrictVisitor).map(Self)
    }
}

struct StrictVisitor;

impl<'de> Visitor<'de> for StrictVisitor {
    type Value = Value;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("JSON")
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(Value::Bool(value))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(Value::Number(value.into()))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(Value::Number(value.into()))
    }

    fn visit_f64<E>(self, value: f64) -> Result<Value, E> {
        Ok(Number::from_f64(value).map_or(Value::Null, Value::Number))
    }

    fn visit_str<E>(self, value: &str) -> Result<Value, E> {
        Ok(Value::String(value.to_owned()))
    }

    fn visit_string<E>(self, value: String) -> Result<Value, E> {
        Ok(Value::String(value))
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_none<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Value, A::Error> {
        let mut found = Vec::new();
        while let Some(Strict(item)) = items.next_element()? {
            found.push(item);
        }
        Ok(Value::Array(found))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<Value, A::Error> {
        let mut found = Map::new();
        while let Some(name) = members.next_key::<String>()? {
            if found.contains_key(&name) {
                return Err(A::Error::custom(format!("duplicate member `{name}`")));
            }
            let Strict(value) = members.next_value()?;
            found.insert(name, value);
        }
        Ok(Value::Object(found))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn event() -> Value {
        json!({
            "specversion": "1.0", "id": "1", "source": "/shop", "type": "com.example.used",
            "subject": "ten_01jd0000000000000000000001", "time": "2026-11-22T01:30:00Z",
            "data": { "meter": "tokens", "units": 1200 }, "traceparent": "00-1",
        })
    }

    #[test]
    fn event_names_meter_by_data_or_by_its_type() {
        let read_event = read(&event()).unwrap();
        assert_eq!((read_event.meter.as_str(), read_event.units, read_event.mode), ("tokens", 1200, Mode::Live));
        let mut short = event();
        short["type"] = json!("tokens");
        short.as_object_mut().unwrap().remove("data");
        let read_short = read(&short).unwrap();
        assert_eq!((read_short.meter.as_str(), read_short.units), ("tokens", 1));
    }

    #[test]
    fn faults_name_their_attribute() {
        for (attribute, value, field) in [
            ("specversion", json!("0.3"), "specversion"),
            ("specversion", json!(1.0), "specversion"),
            ("id", json!(7), "id"),
            ("id", json!(""), "id"),
            ("source", json!(null), "source"),
            ("type", json!([]), "type"),
            ("subject", json!("Acme"), "subject"),
            ("time", json!("yesterday"), "time"),
            ("time", json!(1_764_000_000), "time"),
            ("data", json!([1]), "data"),
            ("data", json!({ "unit": 5 }), "data"),
            ("data", json!({ "units": 1.5 }), "data.units"),
            ("data", json!({ "units": -1 }), "data.units"),
            ("data", json!({ "units": "1" }), "data.units"),
            ("data", json!({ "meter": 1 }), "data.meter"),
            ("data", json!({ "mode": "free" }), "data.mode"),
            ("data_base64", json!("AA=="), "data_base64"),
            ("datacontenttype", json!("text/xml"), "datacontenttype"),
            ("Subject", json!("x"), "event"),
        ] {
            let mut faulty = event();
            faulty[attribute] = value;
            assert_eq!(read(&faulty).unwrap_err().field, field, "{faulty}");
        }
        assert_eq!(read(&json!([])).unwrap_err().field, "event");
    }

    #[test]
    fn repeated_member_is_refused_at_any_depth() {
        for text in [r#"{"id": "1", "id": "2"}"#, r#"[{"data": {"units": 1, "units": 2}}]"#] {
            assert!(serde_json::from_str::<Strict>(text).is_err(), "{text}");
        }
        let Strict(value) = serde_json::from_str(r#"[{"a": [1, -2, 1.5, true, null, "x"]}]"#).unwrap();
        assert_eq!(value, json!([{ "a": [1, -2, 1.5, true, null, "x"] }]));
    }
}
