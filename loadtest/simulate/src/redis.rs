//! A Redis that runs the bank's scripts in simulated time: the commands that the scripts use, and
//! the faults of a server. A wrong command is an error here as it is there.

use std::{cell::RefCell, collections::BTreeMap, rc::Rc};

use gateway::limit::bank::RESTORE_SCRIPT;
use mlua::{Error, Function, Lua, LuaString, MultiValue, StdLib, Table, Value};

use super::{
    keyspace::Keyspace,
    pack::{self, Item},
};

/// Start of the server's wall clock, in microseconds: a day in 2026.
const WALL_START: i64 = 1_790_000_000_000_000;

/// Forbids new global variables, as Redis does.
const SEAL: &str = "setmetatable(_G, { __newindex = function(_, name) error('global variable ' .. name) end,
    __index = function(_, name) error('no global variable ' .. name) end })";

/// The script that a call runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Command {
    /// The script of the bank.
    Draw,
    /// The script that restores lost data.
    Restore,
}

/// A server with the scripts of the bank loaded.
pub struct Redis {
    lua: Lua,
    script: Function,
    restore: Function,
    state: Rc<RefCell<State>>,
}

/// State of the server.
struct State {
    keys: Keyspace,
    /// Simulation time, in nanoseconds.
    now: u64,
    /// Sum of the steps of the wall clock, in microseconds.
    steps: i64,
    /// Number of servers that have been at this address.
    server: u32,
}

/// Reason why a script ended without a reply.
#[derive(Debug, thiserror::Error)]
#[error("the script failed: {0}")]
pub struct ScriptError(String);

impl From<Error> for ScriptError {
    fn from(error: Error) -> Self {
        Self(error.to_string())
    }
}

/// Reply of a script.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reply {
    /// The call arrived after a later one.
    Late,
    /// Any other reply.
    Numbers(Vec<i64>),
}

/// The bank's record of one limit.
#[derive(Debug, Clone, PartialEq)]
pub struct Record {
    /// Tokens that no gateway holds.
    pub level: f64,
    /// Tokens that gateways hold.
    pub held: f64,
}

impl Redis {
    /// Makes an empty server that runs `script`.
    pub fn new(script: &str) -> Result<Self, ScriptError> {
        let state = State { keys: Keyspace::default(), now: 0, steps: 0, server: 1 };
        let state = Rc::new(RefCell::new(state));
        let lua = Lua::new_with(StdLib::TABLE | StdLib::STRING | StdLib::MATH, mlua::LuaOptions::new())?;
        let redis = lua.create_table()?;
        let shared = Rc::clone(&state);
        let call = lua.create_function(move |lua, arguments: MultiValue| shared.borrow_mut().call(lua, &arguments))?;
        redis.raw_set("call", call)?;
        lua.globals().raw_set("redis", redis)?;
        lua.globals().raw_set("cmsgpack", cmsgpack(&lua)?)?;
        lua.load(SEAL).exec()?;
        let script = lua.load(script).set_name("script").into_function()?;
        let restore = lua.load(RESTORE_SCRIPT).set_name("restore").into_function()?;
        Ok(Self { lua, script, restore, state })
    }

    /// Runs the script of the bank.
    pub fn evaluate(&self, keys: &[String], arguments: &[String]) -> Result<Reply, ScriptError> {
        self.run(Command::Draw, keys, arguments)
    }

    /// Runs a script.
    pub fn run(&self, command: Command, keys: &[String], arguments: &[String]) -> Result<Reply, ScriptError> {
        let globals = self.lua.globals();
        globals.raw_set("KEYS", self.lua.create_sequence_from(keys.iter().map(String::as_str))?)?;
        globals.raw_set("ARGV", self.lua.create_sequence_from(arguments.iter().map(String::as_str))?)?;
        let script = if command == Command::Draw { &self.script } else { &self.restore };
        let reply: Table = script.call(())?;
        let values: Vec<Value> = reply.sequence_values().collect::<mlua::Result<_>>()?;
        if let [Value::String(word)] = &*values
            && *word == "late"
        {
            return Ok(Reply::Late);
        }
        Ok(Reply::Numbers(values.iter().map(integer).collect::<mlua::Result<_>>()?))
    }

    /// Sets simulated time.
    pub fn set_time(&self, now: u64) {
        self.state.borrow_mut().now = now;
    }

    /// Sets the wall clock: forward, or back if negative. In microseconds.
    pub fn step_clock(&self, by: i64) {
        self.state.borrow_mut().steps += by;
    }

    /// FLUSHALL.
    pub fn flush(&self) {
        let state = &mut *self.state.borrow_mut();
        state.keys.flush(state.now);
    }

    /// Replaces the server by one with the data of `lag` nanoseconds ago: a promoted replica, or a
    /// restart from a file.
    pub fn fail_over(&self, lag: u64) {
        let state = &mut *self.state.borrow_mut();
        state.keys.go_back_to(state.now.saturating_sub(lag));
        state.server += 1;
    }

    /// Every key with its value, in the keys' order.
    pub fn dump(&self) -> BTreeMap<Vec<u8>, Vec<u8>> {
        self.state.borrow().keys.dump()
    }

    /// The bank's record under the key of a limit.
    pub fn record(&self, key: &str) -> Option<Record> {
        let state = &mut *self.state.borrow_mut();
        let (now, wall) = (state.now, state.wall_millis());
        let item = Item::read(state.keys.get(key.as_bytes(), now, wall)?)?;
        let Item::Table(holders) = item.at(4)? else {
            return None;
        };
        let held = holders.iter().map(|(_, holder)| holder.at(1).and_then(Item::number)).sum::<Option<f64>>()?;
        Some(Record { level: item.at(2)?.number()?, held })
    }
}

impl State {
    fn wall_micros(&self) -> i64 {
        WALL_START + self.steps + i64::try_from(self.now / 1_000).unwrap_or(i64::MAX / 4)
    }

    fn wall_millis(&self) -> i64 {
        self.wall_micros().div_euclid(1_000)
    }

    fn call(&mut self, lua: &Lua, arguments: &MultiValue) -> mlua::Result<Value> {
        let words = arguments.iter().map(word).collect::<mlua::Result<Vec<_>>>()?;
        match words.iter().map(Vec::as_slice).collect::<Vec<_>>().as_slice() {
            [b"MGET", keys @ ..] if !keys.is_empty() => self.get_all(lua, keys),
            [b"SET", key, value] => self.set(lua, key, value, None),
            [b"SET", key, value, b"PX", milliseconds] => {
                let expires = self.expiry(milliseconds)?;
                self.set(lua, key, value, Some(expires))
            }
            [b"EXISTS", key] => {
                let (now, wall) = (self.now, self.wall_millis());
                Ok(Value::Integer(i64::from(self.keys.get(key, now, wall).is_some())))
            }
            [b"TIME"] => {
                let micros = self.wall_micros();
                let parts = [micros.div_euclid(1_000_000).to_string(), micros.rem_euclid(1_000_000).to_string()];
                Ok(Value::Table(lua.create_sequence_from(parts)?))
            }
            [b"INFO", b"server"] => {
                let info = format!("# Server\r\nredis_version:7.0.15\r\nrun_id:{:040x}\r\n", self.server);
                Ok(Value::String(lua.create_string(info)?))
            }
            other => Err(Error::runtime(format!("ERR unknown command or wrong arguments: {other:?}"))),
        }
    }

    fn get_all(&mut self, lua: &Lua, keys: &[&[u8]]) -> mlua::Result<Value> {
        let (now, wall) = (self.now, self.wall_millis());
        let values = lua.create_table_with_capacity(keys.len(), 0)?;
        for key in keys {
            match self.keys.get(key, now, wall) {
                Some(value) => values.raw_push(lua.create_string(value)?)?,
                None => values.raw_push(false)?,
            }
        }
        Ok(Value::Table(values))
    }

    fn set(&mut self, lua: &Lua, key: &[u8], value: &[u8], expires: Option<i64>) -> mlua::Result<Value> {
        self.keys.set(key.to_vec(), value.to_vec(), expires, self.now);
        let status = lua.create_table()?;
        status.raw_set("ok", "OK")?;
        Ok(Value::Table(status))
    }

    fn expiry(&self, milliseconds: &[u8]) -> mlua::Result<i64> {
        let milliseconds: i64 = str::from_utf8(milliseconds)
            .ok()
            .and_then(|text| text.parse().ok())
            .ok_or_else(|| Error::runtime("ERR value is not an integer or out of range"))?;
        let expires = self.wall_millis().checked_add(milliseconds).filter(|_| milliseconds > 0);
        expires.ok_or_else(|| Error::runtime("ERR invalid expire time in 'set' command"))
    }
}

/// A number of a reply as Redis sends it: without its fraction.
#[expect(clippy::cast_possible_truncation, reason = "within 53 bits")]
fn integer(value: &Value) -> mlua::Result<i64> {
    match value {
        Value::Integer(integer) => Ok(*integer),
        Value::Number(number) if number.abs() < 9e15 => Ok(*number as i64),
        other => Err(Error::runtime(format!("{other:?} in a reply"))),
    }
}

/// A command's argument as Redis takes it from a script: numbers in at most 17 digits.
fn word(value: &Value) -> mlua::Result<Vec<u8>> {
    match value {
        Value::String(text) => Ok(text.as_bytes().to_vec()),
        Value::Integer(integer) => Ok(integer.to_string().into_bytes()),
        Value::Number(number) if number.fract() == 0.0 && number.abs() < 1e17 => {
            Ok(format!("{number:.0}").into_bytes())
        }
        Value::Number(number) => Ok(format!("{number:.16e}").into_bytes()),
        _ => Err(Error::runtime("ERR command arguments must be strings or integers")),
    }
}

fn cmsgpack(lua: &Lua) -> mlua::Result<Table> {
    let module = lua.create_table()?;
    module.raw_set(
        "pack",
        lua.create_function(|lua, value: Value| {
            let mut bytes = Vec::with_capacity(256);
            pack::pack(&value, &mut bytes)?;
            lua.create_string(bytes)
        })?,
    )?;
    module.raw_set(
        "unpack",
        lua.create_function(|lua, packed: LuaString| {
            let item = Item::read(&packed.as_bytes()).ok_or_else(|| Error::runtime("bad data format in input"))?;
            pack::unpack(item, lua)
        })?,
    )?;
    Ok(module)
}
