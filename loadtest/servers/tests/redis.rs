//! A Redis server under faults: tests and drills rely on this behaviour.

use std::{
    io::{self, BufRead as _, BufReader, Write as _},
    net::TcpStream,
};

use servers::{Redis, RedisOptions};

/// First line of the answer to a command.
fn ask(redis: &Redis, command: &str) -> io::Result<String> {
    let mut stream = TcpStream::connect(("127.0.0.1", redis.port()))?;
    stream.write_all(format!("{command}\r\n").as_bytes())?;
    let mut answer = String::new();
    BufReader::new(stream).read_line(&mut answer)?;
    Ok(answer.trim_end().to_owned())
}

#[test]
fn flushed_or_killed_server_loses_its_data() {
    let mut redis = Redis::start().unwrap();
    assert_eq!(ask(&redis, "SET a 1").unwrap(), "+OK");
    redis.flush().unwrap();
    assert_eq!(ask(&redis, "EXISTS a").unwrap(), ":0");

    assert_eq!(ask(&redis, "SET a 1").unwrap(), "+OK");
    let url = redis.url();
    redis.kill().unwrap();
    assert!(!redis.is_ready());
    redis.restart().unwrap();
    assert_eq!(redis.url(), url);
    assert_eq!(ask(&redis, "EXISTS a").unwrap(), ":0");
}

#[test]
fn paused_server_does_not_answer_until_resumed() {
    let redis = Redis::start().unwrap();
    assert_eq!(ask(&redis, "SET a 1").unwrap(), "+OK");
    redis.pause().unwrap();
    assert!(!redis.is_ready());
    redis.resume().unwrap();
    assert_eq!(ask(&redis, "EXISTS a").unwrap(), ":1");
}

#[test]
fn server_with_a_password_refuses_commands_without_it() {
    let redis = Redis::start_with(RedisOptions { password: Some("secret".into()), ..RedisOptions::default() }).unwrap();
    assert!(redis.is_ready());
    assert_eq!(redis.url(), format!("redis://:secret@127.0.0.1:{}/0", redis.port()));
    let answer = ask(&redis, "PING").unwrap();
    assert!(answer.starts_with("-NOAUTH"), "{answer}");
    redis.flush().unwrap();
}
