//! A stand-in for Redis's `cmsgpack`: converts a Lua value to a string of bytes and back.
//!
//! The bytes differ from those of Redis, as only this module reads them. A value comes back
//! exactly, numbers to the last bit, and any other string is refused.

use mlua::{Error, Lua, Value};

const NIL: u8 = 0;
const BOOLEAN: u8 = 1;
const NUMBER: u8 = 2;
const TEXT: u8 = 3;
const TABLE: u8 = 4;

/// Deepest table in a table, as in Redis.
const DEEPEST: usize = 16;

/// A value that a script stored.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Item {
    /// Nil.
    Nil,
    /// True or false.
    Boolean(bool),
    /// Every number of Lua 5.1.
    Number(f64),
    /// A string.
    Text(Vec<u8>),
    /// Keys and values, in no order.
    Table(Vec<(Item, Item)>),
}

impl Item {
    /// The value under the number `index` of a table.
    pub(super) fn at(&self, index: u32) -> Option<&Self> {
        let Self::Table(entries) = self else {
            return None;
        };
        entries.iter().find(|(key, _)| *key == Self::Number(f64::from(index))).map(|(_, value)| value)
    }

    /// The number that this is.
    pub(super) fn number(&self) -> Option<f64> {
        if let Self::Number(number) = self { Some(*number) } else { None }
    }

    /// Reads an item that [`pack`] wrote. None if it is anything else.
    pub(super) fn read(mut bytes: &[u8]) -> Option<Self> {
        let item = take(&mut bytes, 0)?;
        bytes.is_empty().then_some(item)
    }
}

/// Appends a Lua value to `bytes`.
pub(super) fn pack(value: &Value, bytes: &mut Vec<u8>) -> mlua::Result<()> {
    pack_within(value, bytes, 0)
}

fn pack_within(value: &Value, bytes: &mut Vec<u8>, depth: usize) -> mlua::Result<()> {
    match value {
        Value::Nil => bytes.push(NIL),
        Value::Boolean(boolean) => bytes.extend([BOOLEAN, u8::from(*boolean)]),
        Value::Integer(integer) => pack_number(*integer as f64, bytes),
        Value::Number(number) => pack_number(*number, bytes),
        Value::String(text) => {
            bytes.push(TEXT);
            pack_length(text.as_bytes().len(), bytes)?;
            bytes.extend_from_slice(&text.as_bytes());
        }
        Value::Table(table) if depth < DEEPEST => {
            bytes.push(TABLE);
            let at = bytes.len();
            pack_length(0, bytes)?;
            let mut entries = 0_u32;
            table.for_each::<Value, Value>(|key, value| {
                entries += 1;
                pack_within(&key, bytes, depth + 1)?;
                pack_within(&value, bytes, depth + 1)
            })?;
            bytes[at..at + 4].copy_from_slice(&entries.to_le_bytes());
        }
        other => return Err(Error::runtime(format!("cannot pack a {}", other.type_name()))),
    }
    Ok(())
}

fn pack_number(number: f64, bytes: &mut Vec<u8>) {
    bytes.push(NUMBER);
    bytes.extend(number.to_le_bytes());
}

fn pack_length(length: usize, bytes: &mut Vec<u8>) -> mlua::Result<()> {
    let length = u32::try_from(length).map_err(|_| Error::runtime("too long to pack"))?;
    bytes.extend(length.to_le_bytes());
    Ok(())
}

/// The Lua value that an item stands for.
pub(super) fn unpack(item: Item, lua: &Lua) -> mlua::Result<Value> {
    Ok(match item {
        Item::Nil => Value::Nil,
        Item::Boolean(boolean) => Value::Boolean(boolean),
        Item::Number(number) => Value::Number(number),
        Item::Text(text) => Value::String(lua.create_string(text)?),
        Item::Table(entries) => {
            let table = lua.create_table()?;
            for (key, value) in entries {
                table.raw_set(unpack(key, lua)?, unpack(value, lua)?)?;
            }
            Value::Table(table)
        }
    })
}

fn take(bytes: &mut &[u8], depth: usize) -> Option<Item> {
    Some(match take_array::<1>(bytes)?[0] {
        NIL => Item::Nil,
        BOOLEAN => Item::Boolean(take_array::<1>(bytes)?[0] != 0),
        NUMBER => Item::Number(f64::from_le_bytes(take_array(bytes)?)),
        TEXT => {
            let length = take_length(bytes)?;
            Item::Text(bytes.split_off(..length)?.to_vec())
        }
        TABLE if depth < DEEPEST => {
            let entries = take_length(bytes)?;
            let entries = (0..entries).map(|_| Some((take(bytes, depth + 1)?, take(bytes, depth + 1)?)));
            Item::Table(entries.collect::<Option<_>>()?)
        }
        _ => return None,
    })
}

fn take_array<const LENGTH: usize>(bytes: &mut &[u8]) -> Option<[u8; LENGTH]> {
    bytes.split_off(..LENGTH)?.try_into().ok()
}

fn take_length(bytes: &mut &[u8]) -> Option<usize> {
    usize::try_from(u32::from_le_bytes(take_array(bytes)?)).ok()
}
